// The engine that asks the server's API; see engine.js.

import * as api from "./api.js";
import * as curves from "./curves.js";
import { finish, hasHand } from "./looks.js";
import { placed } from "./place.js";
import { encodePng } from "./png.js";
import { isReady } from "./state.js";

const OWN = { jpeg: "jpg", png: "png", webp: "webp", tiff: "tif", avif: "avif" };

const toFile = (look, about) => new Blob([JSON.stringify(curves.toRecord(look, about))], { type: "application/json" });
const suffixOf = (header) => /\.\w+(?=")/.exec(header("Content-Disposition"))[0];
const encoded = new WeakMap(); // of masks: the version and its file

async function maskFile({ mask, version }) {
  if (encoded.get(mask)?.version !== version) {
    encoded.set(mask, { version, blob: await encodePng(mask.data, mask.width, mask.height, 1) });
  }
  return encoded.get(mask).blob;
}

// An object and what it lies on, as the parts of a request.
async function parts(object, photo) {
  if (object.kind === "cutout") {
    const { left, top, width } = placed(object.placement, object.picture);
    const { rotation, flip } = object.placement;
    return {
      cutout: object.picture.file, background: photo, at: `${left},${top}`, scale: `${width}px`,
      rotation: String(rotation), flip: String(flip),
    };
  }
  if (object.version > 0 || !object.maskFile) return { composite: photo, mask: await maskFile(object) };
  if (object.maskFile === "alpha") return { composite: photo };
  return { composite: photo, mask: object.maskFile, resize_mask: "true" };
}

export const engine = {
  privacy: "Your pictures go to the computer that runs imharmony and nowhere else. Nothing is kept.",
  photoFormats: [["", "As photo"], ["png", "PNG"], ["jpg", "JPEG"], ["webp", "WebP"], ["tif", "TIFF"], ["avif", "AVIF"]],
  curveFormats: [["json", "JSON"], ["cube", ".cube, 1D"], ["cube 33", ".cube, 3D"], ["acv", "Photoshop .acv"], ["hald", "HaldCLUT .png"]],

  async models() { return (await api.get("models")).models; },

  remarks() { return ""; },

  // Kinds the browser does not know, the server turns into PNG.
  async decode(file, about, how) {
    const { blob } = await api.post("render", { composite: file, curves: toFile(curves.identity()), format: "png" }, how);
    return blob;
  },

  async predict({ photo, reference }, object, how) {
    const options = { label: object.label, model: how.model, reference: reference?.file };
    if (object.seam !== "auto") options.seam = object.seam; // older servers do not know it
    const { blob, header } = await api.post("curves", { ...(await parts(object, photo.file)), ...options }, how);
    const record = JSON.parse(await blob.text());
    const told = header("Imharmony-Same-Scene"); // absent where there is no edge to judge by
    const sameScene = record.same_scene ?? (told === null ? null : Number(told));
    return { record, notes: JSON.parse(header("Imharmony-Warnings") ?? "[]"), sameScene };
  },

  // One object after the other, each on what the one before left; nothing is lost between.
  async render(document, format, how) {
    const objects = document.objects.filter((object) => isReady(object, document));
    let photo = document.photo.file, answer = null;
    for (const [index, object] of objects.entries()) {
      const isLast = index === objects.length - 1;
      const own = objects.length > 1 ? OWN[document.photo.about.kind] ?? "png" : "";
      const look = hasHand(object)
        ? { curves: toFile(finish(object).look), strength: "1" }
        : { curves: toFile(object.look ?? curves.identity()), strength: String(object.strength) };
      const options = { ...look, format: isLast ? format || own : "tif" };
      if (object.kind === "mask" && object.maskFile === "alpha" && object.version === 0) options.alpha_mask = "true";
      answer = await api.post("render", { ...(await parts(object, photo)), ...options }, how);
      photo = answer.blob;
    }
    return { blob: answer.blob, suffix: suffixOf(answer.header) };
  },

  async writeCurves(object, choice, how) {
    const [format, size] = choice.split(" ");
    const { model, label } = object.record ?? {};
    const options = hasHand(object)
      ? { curves: toFile(finish(object).look, { model, label }), strength: "1" }
      : { curves: toFile(object.look ?? curves.identity(), { model, label }), strength: String(object.strength) };
    const { blob, header } = await api.post("curves", { ...options, format, size }, how);
    return { blob, suffix: suffixOf(header) };
  },
};
