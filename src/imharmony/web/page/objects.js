// The boxes: the photo, the objects on it, the photo to take colors from, and what comes next.

import { isFitted } from "./fit.js";
import { paintNew, useAsPhoto } from "./intake.js";
import { hasHand, isIdentity } from "./looks.js";
import { $, doc, history, isReady, remove, select } from "./state.js";
import { choose } from "./tools.js";
import { LABELS, capital, isTouch, percent, pixels } from "./words.js";

const ACCEPT = "image/*,.tif,.tiff,.avif,.webp";
const drawn = new Map(); // what each part shows, so that only changes are drawn
const thumbs = new WeakMap();
let chosenBefore = null;

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key in element && key !== "for") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function button(text, run, attributes = {}) {
  const element = make("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", run);
  return element;
}

function closer(label, run) {
  const element = make("button", { type: "button", class: "icon-button", ariaLabel: label, title: label }, icon("close"));
  element.addEventListener("click", run);
  return element;
}

const thumb = (src) => make("img", { class: "thumb", src, alt: "" });
const lines = (name, about) => make("span", { class: "text" }, make("span", { class: "name", title: name }, name), make("span", { class: "quiet" }, about));
const input = (role) => make("input", { type: "file", id: `file-${role}`, accept: ACCEPT });

// Draw a part if what it shows is another than before; the focus stays where it was, or near.
function redraw(parent, signature, draw) {
  if (drawn.get(parent.id) === signature) return;
  drawn.set(parent.id, signature);
  const { activeElement } = document;
  const hasFocus = parent.contains(activeElement);
  const focused = hasFocus ? activeElement.dataset.focus ?? activeElement.id : null;
  parent.replaceChildren(...draw().filter(Boolean));
  if (!hasFocus) return;
  const controls = [...parent.querySelectorAll("button, input")];
  const same = controls.find((one) => focused && (one.dataset.focus === focused || one.id === focused));
  (same ?? controls[0] ?? parent.nextElementSibling?.querySelector("button, input"))?.focus({ preventScroll: true });
}

export function showBoxes() {
  const { photo, reference, objects, pendingMask } = doc();
  redraw($("photo-box"), String(photo?.id), () => (photo
    ? [make("div", { class: "box" },
      make("label", { class: "button pick", title: "Choose another photo" }, input("photo"), thumb(photo.thumb), lines(photo.file.name, pixels(photo))),
      closer("Remove the photo", () => history.commit({ photo: null, lastSize: { width: photo.width, height: photo.height } })))]
    : [make("label", { class: "box empty" }, input("photo"), lines("Choose the photo", isTouch ? "Tap here" : "or drop it anywhere"))]));
  redraw($("reference-box"), String(reference?.id), () => (reference
    ? [make("div", { class: "box" }, thumb(reference.thumb), lines(reference.file.name, "The objects are fitted to this photo"),
      make("span", { class: "space" }), closer("Fit to the photo itself again", () => history.commit({ reference: null })))]
    : [make("label", { class: "box empty" }, input("reference"), lines("Fit to another photo", "Take its colors instead of the photo’s"))]));
  const rows = objects.map((object) => ({ object, about: describe(object), image: imageOf(object) }));
  const signature = JSON.stringify([doc().selected, pendingMask?.id, rows.map(({ object, about, image }) => [object.id, about, object.name, image.length])]);
  redraw($("objects"), signature, () => [
    ...rows.map((row) => drawObject(row)),
    pendingMask && make("li", { class: "box" }, thumb(pendingMask.thumb), lines(pendingMask.file.name, "A mask, waiting for its photo"),
      make("span", { class: "space" }), closer("Remove the mask", () => history.commit({ pendingMask: null }))),
    !objects.length && !pendingMask && make("li", { class: "quiet" }, "None yet: add a cut-out or a mask, or paint one."),
  ]);
  if (chosenBefore !== doc().selected) showChosen($("objects"));
  chosenBefore = doc().selected;
  $("paint-new").disabled = !photo;
  drawNext();
}

// In its list; the panel stays where it is.
function showChosen(list) {
  const box = list.querySelector(".chosen");
  if (!box) return;
  const top = box.offsetTop - list.offsetTop, bottom = top + box.offsetHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

function drawObject({ object, about, image }) {
  const { id, name } = object;
  const isChosen = doc().selected === id;
  const text = lines(name, about.text);
  if (about.guess) text.lastChild.prepend(make("span", { class: "guess" }, `${about.guess}? `));
  const pick = button("", () => select(id), { class: "pick", ariaPressed: String(isChosen), title: isChosen ? name : `Choose ${name}` });
  pick.dataset.focus = `pick ${id}`;
  pick.append(thumb(image), text);
  return make("li", { class: `box${isChosen ? " chosen" : ""}` }, pick, closer(`Remove ${name}`, () => remove(id)));
}

function imageOf(object) {
  if (object.kind === "cutout") return object.picture.thumb;
  const known = thumbs.get(object.mask);
  if (known?.version === object.version) return known.image;
  const image = object.mask.thumb();
  thumbs.set(object.mask, { version: object.version, image });
  return image;
}

// A few words on how an object stands.
function describe(object) {
  if (!doc().photo) return { text: "waiting for its photo" };
  if (!isReady(object)) return { text: "nothing painted yet" };
  const parts = [];
  const name = (label) => capital((LABELS[label] ?? label).replace(/^an? /, ""));
  const guess = !object.label && object.record?.label && !object.isForced ? name(object.record.label) : "";
  if (object.label) parts.push(name(object.label));
  if (!object.look) return { text: "not harmonized yet" };
  if (object.isForced) parts.push("changed anyway");
  else if (isIdentity(object)) parts.push("unchanged");
  else parts.push(percent(object.strength));
  if (object.grid) parts.push("by place");
  if (hasHand(object)) parts.push("by hand");
  if (!isFitted(object)) parts.push("out of date");
  return { text: parts.join(" · "), guess };
}

// What is missing, with a button for each way to give it.
function drawNext() {
  const { photo, objects, pendingMask } = doc();
  const isAlone = objects.length === 1 && objects[0].kind === "cutout";
  const isCutout = objects.some(({ kind }) => kind === "cutout");
  const missing = isAlone ? "photo or this" : isCutout ? "photo" : objects.length || pendingMask ? "mask" : "";
  const state = photo ? (objects.length ? "" : "object") : missing;
  const hadFocus = $("next").contains(document.activeElement);
  $("next").hidden = !state;
  if (!state && hadFocus) $("canvas").focus({ preventScroll: true });
  redraw($("next"), `${state} ${pendingMask?.id}`, () => {
    const press = (role) => () => $(`file-${role}`).click();
    if (state === "object") {
      return [make("h2", {}, "Now the object"), make("p", {}, `${isTouch ? "Choose" : "Drop"} a cut-out, or the mask of an object in this photo. Or paint over the object.`),
        make("div", { class: "row" },
          button("Paint it", () => { paintNew(); choose("brush"); }, { class: "main" }),
          button("Choose a cut-out", press("cutout")), button("Choose a mask", press("mask")))];
    }
    if (!state) return [];
    const what = state === "mask" ? "Now the photo this mask belongs to" : "Now the photo it goes on";
    return [make("h2", {}, what), !isTouch && make("p", {}, "Drop it anywhere."),
      make("div", { class: "row" }, button("Choose the photo", press("photo"), { class: "main" }),
        state === "photo or this" && button(`This is the photo; ${pendingMask ? "the mask shows its object" : "its transparency is the mask"}`, () => useAsPhoto()))];
  });
}

$("paint-new").addEventListener("click", () => { paintNew(); choose("brush"); });
