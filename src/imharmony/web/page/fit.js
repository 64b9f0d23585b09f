// Harmonizing: by itself whenever an object or its photo is other than it was, or when asked.

import * as curves from "./curves.js";
import { matchAnyway } from "./anyway.js";
import { isIdentity, isSlight } from "./looks.js";
import { $, amendObject, changeObject, doc, history, isReady, selected } from "./state.js";
import { busy, calm, stand, unsay } from "./status.js";
import { FORCED, LABELS, note } from "./words.js";

const CALM_MS = 250; // after the last change

let engine = null;
let measure = null; // histograms of an object and its photo
let running = null; // {controller, key}
let timer = 0;
let onFirst = () => {}; // what an object's first look is told to
let isHeld = false; // while a pointer drags
const failed = new Set(); // not tried again before something changes
let told = null; // what the status line says of looks: {said, isTrue}
let remark = ""; // to be added to what is said next

export function startFitting(opened, histograms, first) {
  engine = opened;
  onFirst = first;
  measure = histograms;
  const renew = () => { retell(); schedule(); };
  history.onChange(renew);
  $("harmonize").addEventListener("click", harmonize);
  $("auto").addEventListener("change", renew);
}

// What a look depends on. If it is another than when the object was fitted, the look is old.
export function keyOf(object, { photo, reference } = doc()) {
  const { placement: p } = object;
  const where = p ? [p.x, p.y, p.scale, p.rotation, p.flip].join() : `${object.mask?.id}.${object.version}`;
  return [photo?.id, object.picture?.id, where, object.label, object.seam, reference?.id, object.model].join("|");
}

export const isFitted = (object) => object.fitted === keyOf(object);
const stale = () => doc().objects.filter((object) => isReady(object) && !isFitted(object));
export const isWaiting = () => Boolean(running) || (stale().some((object) => !failed.has(keyOf(object))) && $("auto").checked);

export function hold(isDragging) {
  isHeld = isDragging;
  if (!isHeld) schedule();
}

// Something that the user should know when the next look is told of.
export const addRemark = (text) => { remark = text; };

// A sentence that stands only as long as it is true.
function claim(text, action, isTrue) {
  told = { said: stand(text, action), isTrue };
}

// What is told is of the chosen object, as it is now.
function retell() {
  if (told?.isTrue()) return;
  if (told) unsay(told.said);
  told = null;
  const object = selected();
  if (object?.look && isReady(object) && isFitted(object)) tell(object);
}

// Whether an object is still as it was when it was fitted, on the same photo, and chosen.
const isStill = ({ id, fitted, look }) => () => {
  const object = selected();
  return object?.id === id && object.fitted === fitted && object.look === look && isReady(object) && isFitted(object);
};

function schedule() {
  clearTimeout(timer);
  if (!stale().length) calm("fit"); // what went wrong is of no account any more
  if (isHeld || !stale().length) return;
  if (!$("auto").checked) {
    claim("Changed since it was harmonized. Press Harmonize to fit it again.", null, () => stale().length > 0 && !$("auto").checked);
    return;
  }
  const isNew = stale().some(({ look }) => !look); // nothing to see yet: at once
  timer = setTimeout(fitNext, isNew ? 0 : CALM_MS);
}

// Asked for by hand: also what is fitted already, since the user wants to see something happen.
export async function harmonize() {
  failed.clear();
  if (!stale().length) for (const object of doc().objects) if (isReady(object)) amendObject(object.id, { fitted: null });
  clearTimeout(timer);
  await fitNext(null, true);
}

async function fitNext(_, isAsked = false) {
  const object = stale().find((one) => !failed.has(keyOf(one)));
  if (!object || isHeld) return;
  const key = keyOf(object);
  if (running?.key === key) return;
  running?.controller.abort();
  const mine = { controller: new AbortController(), key };
  running = mine;
  const answer = await busy("Looking at the picture …", (how) => engine.predict(doc(), object, how), { controller: mine.controller, topic: "fit" });
  if (running !== mine) return; // something newer is on its way
  running = null;
  if (answer) take(object.id, key, answer);
  else { // failed, or canceled by the user
    failed.add(key);
    claim("Not harmonized.", { text: "Try again", run: harmonize }, () => stale().some((one) => failed.has(keyOf(one))));
  }
  if (answer && (isAsked || $("auto").checked)) await fitNext(null, isAsked);
}

function take(id, key, { record, grid = null, notes, sameScene }) {
  const now = doc().objects.find((object) => object.id === id);
  if (!now || keyOf(now) !== key) return;
  calm("fit");
  const found = { look: curves.fromRecord(record), grid };
  const counts = now.isForced && isSlight(found) ? measure(now) : null; // as the user wanted it
  const wanted = counts ? { look: matchAnyway(counts), grid: null } : found;
  amendObject(id, { ...wanted, record, fitted: key, notes, sameScene, isForced: Boolean(counts) });
  if (!now.look) onFirst(now);
}

// What came of it, and what can be done about it.
function tell(object) {
  const notes = [...object.notes.map(note), remark].filter(Boolean).join(" ");
  remark = "";
  if (object.isForced) return claim(`${FORCED} ${notes}`.trim(), null, isStill(object));
  if (object.notes.length && isIdentity(object)) return claim(notes, null, isStill(object));
  if (isSlight(object)) {
    const much = isIdentity(object) ? "Nothing" : "Hardly anything";
    const text = `${much} changed: the object seems to fit already. ${notes}`.trim();
    return claim(text, { text: "Change it anyway", run: () => forceObject(object.id) }, isStill(object));
  }
  const label = object.record?.label;
  const isGuess = !object.label && label && label !== "others";
  const guess = isGuess ? ` It looks like ${LABELS[label] ?? label}?` : "";
  return claim(`Harmonized.${guess} ${notes}`.trim(), null, isStill(object));
}

function forceObject(id) {
  const object = doc().objects.find((one) => one.id === id);
  const counts = object && measure(object);
  if (!counts) return;
  changeObject(id, { look: matchAnyway(counts), grid: null, isForced: true });
}
