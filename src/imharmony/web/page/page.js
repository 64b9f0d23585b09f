// What all parts of the page share: its state, telling what goes on, undoing.

import { NUM_HANDLES } from "./plot.js";
import { Stage } from "./stage.js";

export const $ = (id) => document.getElementById(id);
const HINTS = {
  move: "Arrow keys move the cut-out, [ and ] turn it, comma and period scale it, F flips it. + and − zoom.",
  brush: "Paint the object. With the keyboard: arrow keys move the brush, space paints. + and − zoom.",
  eraser: "Wipe what is not the object. With the keyboard: arrow keys, space. + and − zoom.",
  hand: "Drag or use the arrow keys to move the picture, + and − or the wheel to zoom, 0 to fit.",
};
const WELCOME = {
  cutout: "Start with a background photo and a cut-out to put on it.",
  composite: "Start with a composite photo and the mask of what was pasted.",
};

export const noOffsets = () => [0, 1, 2].map(() => Array(NUM_HANDLES).fill(0));
export const stage = new Stage($("canvas"));
export const state = {
  pictures: {}, // by the name of the file input
  placement: null, // {x, y} center in pixels of the background, scale, rotation, flip
  isPainted: false, // whether the mask is no longer the file's
  isAlphaMask: false, // whether the mask is the composite's own alpha
  look: null, // the network's curves
  offsets: noOffsets(), // by hand
  record: {}, // how the curves came about
  histograms: null,
  work: null, // AbortController of what is being sent
};
const undos = [];
const hooks = []; // what to show again when something was undone

export const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
export const way = () => chosen("way");
export const tool = () => chosen("tool");
export const base = () => state.pictures[way() === "cutout" ? "background" : "composite"];

// Telling

export function say(text) { $("status").textContent = text; }

export function complain(error) {
  $("error").hidden = !error;
  $("error").textContent = error ? error.message : "";
  if (error) say("");
}

export function refresh() {
  const picture = base();
  const isCutout = way() === "cutout";
  for (const element of document.querySelectorAll("[data-way]")) element.hidden = element.dataset.way !== way();
  $("place").hidden = !isCutout || !state.placement || !picture;
  $("paint").hidden = isCutout || !picture;
  $("welcome").hidden = Boolean(picture);
  $("welcome-text").textContent = WELCOME[way()];
  $("keys").textContent = picture ? HINTS[tool()] : "";
  const isReady = picture && (isCutout ? state.placement : !stage.isMaskEmpty());
  $("harmonize").disabled = !isReady || Boolean(state.work);
  for (const id of ["look", "downloads", "compare-row"]) $(id).hidden = !state.look || !picture;
  for (const id of ["download", "download-curves"]) $(id).disabled = Boolean(state.work);
  stage.tint = !isCutout && $("show-mask").checked && !state.look;
  stage.showOutline = isCutout && tool() === "move" && !state.look;
  if (tool() === "move" || tool() === "hand") stage.cursor = null;
  stage.draw();
}

// Undo

export const onUndo = (show) => hooks.push(show);

export function remember(kind, restore) {
  const placement = { ...state.placement };
  const hasPlacement = Boolean(state.placement);
  const kept = state.offsets.map((row) => [...row]);
  const strength = $("strength").dataset.settled ?? "1";
  undos.push(restore ?? (() => {
    if (hasPlacement) state.placement = placement;
    state.offsets = kept;
    $("strength").value = $("strength").dataset.settled = strength;
    for (const show of hooks) show(kind);
  }));
  if (undos.length > (kind === "mask" && stage.isLarge ? 20 : 100)) undos.shift(); // memory
  $("undo").disabled = false;
}

export function undo() {
  undos.pop()?.();
  $("undo").disabled = undos.length === 0;
  say("Undone.");
}

export function forgetUndos() {
  undos.length = 0;
  $("undo").disabled = true;
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && undos.length) {
    event.preventDefault();
    undo();
  }
});
