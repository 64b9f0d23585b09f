// The engine that is the browser itself; see ../engine.js. Nothing leaves the computer.

import * as curves from "../curves.js";
import { finish } from "../looks.js";
import { PageError } from "../picture.js";
import { placed } from "../place.js";
import { isReady } from "../state.js";
import { write } from "./curve-files.js";

const QUALITY = 0.95;
const TYPES = { png: ".png", jpeg: ".jpg", webp: ".webp" };
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let nextId = 1;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new PageError("failed", sentence(error))); else resolve(result);
};
worker.onerror = (event) => {
  event.preventDefault();
  for (const { reject } of waiting.values()) reject(new PageError("failed", sentence(event.message ?? "")));
  waiting.clear();
};

function sentence(error) {
  console.warn(error);
  if (/memory|allocation|too large|RangeError/i.test(error)) return "This browser has too little memory for that picture. Make the picture smaller, or use imharmony installed on a computer.";
  if (/fetch/i.test(error)) return "A part of the page cannot be fetched. Go online once, and reload the page.";
  return "The browser could not do that. Reload the page and try again; a newer browser may help.";
}

function ask(action, options = {}, { signal = null, transfer = [] } = {}) {
  const id = nextId++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    worker.postMessage({ id, action, options }, transfer);
  });
}

const opened = new WeakMap(); // files the worker knows
let nextFile = 1;

// Its pixels are lent: decoding them once more, or copying them, would take longer. Those that
// are transparent the worker has to decode in another way.
function open(picture) {
  const { file, bitmap, about } = picture;
  const id = opened.get(file) ?? nextFile++;
  if (opened.has(file)) return id;
  opened.set(file, id);
  if (about.isOpaque && !picture.isLent) picture.lend((lent) => ask("open", { id, file, bitmap: lent, isOpaque: true }, { transfer: [lent] }));
  else ask("open", { id, file, bitmap, isOpaque: false });
  return id;
}

// An object as plain values: a cut-out's file and place, or the values of a mask's box.
function describe(object) {
  if (object.kind === "cutout") {
    const { rotation, flip } = object.placement;
    return { cutout: open(object.picture), place: { ...placed(object.placement, object.picture), rotation, flip } };
  }
  const { mask } = object;
  const box = mask.box();
  const values = new Uint8Array(box.width * box.height);
  for (let y = 0; y < box.height; y++) {
    const start = (box.top + y) * mask.width + box.left;
    values.set(mask.data.subarray(start, start + box.width), y * box.width);
  }
  return { box, mask: values, isAlpha: object.maskFile === "alpha" };
}

const ownFormat = ({ about: { kind } }) => ({ jpeg: "jpeg", webp: "webp" })[kind] ?? "png";

export const engine = {
  privacy: "Your pictures stay in this browser: nothing is uploaded, and it works offline.",
  photoFormats: [["", "As photo"], ["png", "PNG"], ["jpeg", "JPEG"], ["webp", "WebP"]],
  curveFormats: [["json", "JSON"], ["cube", ".cube, 1D"], ["cube 33", ".cube, 3D"]],

  async models() { return [await ask("describe")]; },

  check({ kind }) {
    if (kind === "tiff") throw new PageError("bad_picture", "A browser cannot read TIFF. Save the picture as PNG or JPEG, or use imharmony installed on a computer, which keeps all 16 bits.");
  },

  prepare(picture) { open(picture); },

  remarks({ about }, format) {
    const lost = [];
    if (about.isDeep) lost.push("8 of the photo’s 16 bits");
    if (about.hasProfile) lost.push("the photo’s own color profile (it is sRGB now)");
    if ((format || about.kind) !== "png") lost.push("what the camera wrote into the file");
    return lost.length ? `The browser could not keep ${lost.join(", ")}; imharmony installed on a computer can.` : "";
  },

  decode() { throw new PageError("bad_picture", "This browser cannot read the picture: it is damaged, or of an unknown kind. Save it as PNG or JPEG and use that."); },

  async predict({ photo, reference }, object, { signal }) {
    const options = { photo: open(photo), reference: reference ? open(reference) : null, object: describe(object), label: object.label, seam: object.seam };
    const { curves: look, label, notes, sameScene } = await ask("predict", options, { signal, transfer: options.object.mask ? [options.object.mask.buffer] : [] });
    return { record: curves.toRecord(look ?? curves.identity(), { model: "s2crnet-cs", label }), notes, sameScene };
  },

  async render(document, format, { signal }) {
    const layers = document.objects.filter((object) => isReady(object, document)).map((object) => {
      const { tables, isChanged } = finish(object);
      return { object: describe(object), tables: isChanged ? tables : null };
    });
    const kind = format || ownFormat(document.photo);
    const blob = await ask("render", { photo: open(document.photo), layers, format: kind, quality: QUALITY }, { signal, transfer: layers.flatMap(({ object }) => (object.mask ? [object.mask.buffer] : [])) });
    return { blob, suffix: TYPES[blob.type.slice(6)] ?? ".png" };
  },

  async writeCurves(object, choice) {
    const { model, label } = object.record ?? {};
    const { text, suffix } = write(finish(object).look, { model, label }, choice);
    return { blob: new Blob([text], { type: "text/plain" }), suffix };
  },
};
