// What all parts of the page share: the document, the objects in it, the view.

import { History } from "./history.js";

export const $ = (id) => document.getElementById(id);
export const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
export const tool = () => chosen("tool");

// pendingMask is a mask that came before its photo; lastSize that of a photo taken out, which places refer to.
const EMPTY = { photo: null, lastSize: null, reference: null, pendingMask: null, objects: [], selected: null };
export const history = new History(EMPTY);
export const doc = () => history.present;
export const isEmpty = (document = doc()) => !document.photo && !document.objects.length && !document.pendingMask;

let nextId = 1;
export const newId = () => nextId++;
export const noHand = () => ({ all: [], 0: [], 1: [], 2: [] });

// An object is a cut-out with a place, or a mask. Its look is what the network said of it, the
// grid what changes by place after that; strength and hand are what the user made of it. A model
// without a name is the default.
export function newObject(kind, name, rest) {
  return {
    id: newId(), kind, name: unlike(name), picture: null, placement: null, mask: null, version: 0, maskFile: null,
    label: "", seam: "auto", model: "", strength: 1, hand: noHand(), ...NO_LOOK, ...rest,
  };
}

// The same file twice, or two pasted ones, need two names.
function unlike(name) {
  const names = doc().objects.map((object) => object.name);
  for (let k = 1; ; k++) {
    const one = k === 1 ? name : `${name} (${k})`;
    if (!names.includes(one)) return one;
  }
}

export const NO_LOOK = { look: null, grid: null, record: null, fitted: null, notes: [], sameScene: null, isForced: false };

export const selected = (document = doc()) => document.objects.find(({ id }) => id === document.selected) ?? null;

export function withObject(id, changes, document = doc()) {
  return { objects: document.objects.map((object) => (object.id === id ? { ...object, ...changes } : object)) };
}

export const changeObject = (id, changes, key = null) => history.commit(withObject(id, changes), key);
export const amendObject = (id, changes) => history.amend(withObject(id, changes));

export const select = (id) => { if (doc().selected !== id) history.amend({ selected: id }); };

export function remove(id) {
  const objects = doc().objects.filter((object) => object.id !== id);
  history.commit({ objects, selected: doc().selected === id ? objects.at(-1)?.id ?? null : doc().selected });
}

// Ready: there is a photo, and the object has pixels on it.
export function isReady(object, document = doc()) {
  if (!document.photo) return false;
  return object.kind === "cutout" ? Boolean(object.placement) : !object.mask.isEmpty(object.version);
}
