// What the chosen object looks like: strength, what it is, its edge, curves by hand.

import { CurveEditor } from "./curve-editor.js";
import { hasHand } from "./looks.js";
import { showPlace } from "./place.js";
import { $, amendObject, changeObject, chosen, doc, history, noHand, selected } from "./state.js";
import { ABOUT_CHANGE, CHANGES, LABELS, ORIGINS, capital, percent, sayOrigin } from "./words.js";

let models = [];
let counts = { key: null, histograms: null };

export function startLookPanel(composer) {
  const editor = new CurveEditor($("plot"), (points, isFirst, how) => {
    const object = selected();
    const hand = { ...object.hand, [chosen("channel")]: points };
    if (how === "keys") changeObject(object.id, { hand }, `curve ${object.id}`);
    else if (isFirst) { history.close(); changeObject(object.id, { hand }); } else amendObject(object.id, { hand });
  });
  const draw = () => {
    const object = selected();
    if (!object || $("by-hand").hidden || !$("by-hand").open || !composer.before) return;
    const key = [doc().photo.id, object.id, object.version, JSON.stringify(object.placement)].join();
    if (counts.key !== key) counts = { key, histograms: composer.histograms(object) };
    editor.draw(object, chosen("channel"), counts.histograms);
  };
  $("channels").addEventListener("change", draw);
  $("by-hand").addEventListener("toggle", () => {
    draw();
    if ($("by-hand").open) $("by-hand").scrollIntoView({ block: "start" });
  });
  $("strength").addEventListener("input", () => changeObject(selected().id, { strength: $("strength").value / 100 }, `strength ${selected().id}`));
  $("strength").addEventListener("change", () => history.close());
  $("label").addEventListener("change", () => changeObject(selected().id, { label: $("label").value }));
  $("seam").addEventListener("change", () => changeObject(selected().id, { seam: $("seam").value }));
  $("model").addEventListener("change", () => {
    const { value } = $("model");
    changeObject(selected().id, { model: value === models[0].name ? "" : value });
  });
  $("reset").addEventListener("click", () => changeObject(selected().id, { hand: noHand() }));
  return draw;
}

export function takeModels(described) {
  models = described;
  $("model").replaceChildren(...models.map((model) => new Option(sayModel(model), model.name)));
  $("model-row").hidden = models.length < 2;
}

// The default is called by what it does, and so is what can do more; others by their names.
const kindOf = ({ has_curves: hasCurves }) => (hasCurves === false ? "byPlace" : "alike");
function sayModel(model) {
  const isFirst = models.find((one) => kindOf(one) === kindOf(model)) === model;
  return isFirst ? CHANGES[kindOf(model)] : model.name;
}

const modelOf = (object) => models.find(({ name }) => name === object.model) ?? models[0];

export function showLook() {
  const object = selected();
  $("look").hidden = !object || !doc().photo;
  showPlace(doc().photo ? object : null);
  if ($("look").hidden) return;
  $("look-name").textContent = object.name;
  $("strength").value = Math.round(100 * object.strength);
  $("strength-value").textContent = percent(object.strength);
  $("strength").setAttribute("aria-valuetext", percent(object.strength));
  showLabels(object);
  $("seam-row").hidden = object.sameScene === null || object.sameScene === undefined;
  if (!$("seam-row").hidden) showOrigin(object);
  showModel(object);
  $("reset").disabled = !hasHand(object);
}

// By hand there are curves: where the object has none, or will have none, nothing can be bent.
function showModel(object) {
  const model = modelOf(object);
  if (!model) return; // none is known yet
  $("model").value = model.name;
  $("model-about").textContent = ABOUT_CHANGE[kindOf(model)];
  $("by-hand").hidden = object.look ? Boolean(object.grid) : kindOf(model) === "byPlace";
}

// Whether object and photo are of one scene, which the object's edge tells: a guess as well.
function showOrigin({ sameScene, seam }) {
  const isGuess = seam === "auto";
  $("seam").options[0].textContent = isGuess ? `${ORIGINS[sameScene >= 0.5 ? "trust" : "ignore"]}?` : "Let it guess";
  $("seam").value = seam;
  $("seam").classList.toggle("guess", isGuess);
  $("seam").title = sayOrigin(sameScene, isGuess);
}

// What the network guessed is said as a guess, where it can be corrected.
function showLabels(object) {
  const labels = modelOf(object)?.labels ?? [];
  const guess = object.record?.label;
  const first = guess && !object.label ? `${capital(LABELS[guess] ?? guess)}?` : "Let it guess";
  const signature = [first, ...labels].join();
  if ($("label").dataset.shown !== signature) {
    $("label").replaceChildren(new Option(first, ""), ...labels.map((name) => new Option(capital(LABELS[name] ?? name), name)));
    $("label").dataset.shown = signature;
  }
  $("label").value = object.label;
  $("label").disabled = !labels.length;
  const isGuess = !object.label && Boolean(guess);
  $("label").classList.toggle("guess", isGuess);
  $("label").title = isGuess ? "This is a guess. Choose what it is if it is wrong" : "What the object is";
}
