// The engine that asks the server's API; see engine.js.

import * as api from "./api.js";
import * as curves from "./curves.js";
import * as grids from "./grids.js";
import { finish, hasHand } from "./looks.js";
import { placed } from "./place.js";
import { encodePng } from "./png.js";
import { isReady } from "./state.js";
import { ITSELF_ONLY } from "./words.js";

const MAX_OBJECTS = 16; // in one request
const OWN = { jpeg: "jpg", png: "png", webp: "webp", tiff: "tif", avif: "avif" };

const toJson = (record) => new Blob([JSON.stringify(record)], { type: "application/json" });
const toFile = (look, about) => toJson(curves.toRecord(look, about));
const suffixOf = (header) => /\.\w+(?=")/.exec(header("Content-Disposition"))[0];
let byPlace = new Set(); // models without curves
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

const takesAlpha = (object) => object.kind === "mask" && object.maskFile === "alpha" && object.version === 0;

// What a request can hold: cut-outs, or masks, with curves or by place; a photo's own alpha
// goes alone.
function group(objects) {
  const groups = [];
  for (const object of objects) {
    const last = groups.at(-1);
    const isAlone = !last || last.length === MAX_OBJECTS || takesAlpha(object) || takesAlpha(last[0]);
    if (isAlone || last[0].kind !== object.kind || !last[0].grid !== !object.grid) groups.push([object]);
    else last.push(object);
  }
  return groups;
}

function lookOf(object) {
  const { look, grid } = finish(object);
  if (grid) return { grid: toJson(grids.toRecord(grid, curves.toRecord(object.look))), strength: String(object.strength) };
  if (hasHand(object)) return { curves: toFile(look), strength: "1" };
  return { curves: toFile(object.look ?? curves.identity()), strength: String(object.strength) };
}

// An object, its place and its look, as the parts of a request.
async function layer(object, photo) {
  return { ...(await parts(object, photo)), ...lookOf(object), ...(takesAlpha(object) && { alpha_mask: "true" }) };
}

// Parts of some objects as those of one request: what is each one's own comes several times.
function merge(layers) {
  const shared = ["composite", "background", "resize_mask", "alpha_mask"];
  const merged = {};
  for (const one of layers) {
    for (const [name, value] of Object.entries(one)) {
      if (shared.includes(name)) merged[name] = value;
      else (merged[name] ??= []).push(value);
    }
  }
  return merged;
}

// What the API says is meant for programs.
function inWords(message) {
  if (/damaged|truncated/.test(message)) return "This picture is damaged, or only part of it has arrived. Save or download it anew and use that.";
  const rest = message.replace(/^composite: /i, "");
  return rest[0].toUpperCase() + rest.slice(1);
}

export const engine = {
  privacy: "Your pictures go to the computer that runs imharmony and nowhere else. Nothing is kept.",
  photoFormats: [["", "As photo"], ["png", "PNG"], ["jpg", "JPEG"], ["webp", "WebP"], ["tif", "TIFF"], ["avif", "AVIF"]],
  curveFormats: [["json", "JSON"], ["cube", ".cube, 1D"], ["cube 33", ".cube, 3D"], ["acv", "Photoshop .acv"], ["hald", "HaldCLUT .png"]],

  async models() {
    const { models } = await api.get("models");
    byPlace = new Set(models.filter(({ has_curves: hasCurves }) => !hasCurves).map(({ name }) => name));
    return models;
  },

  remarks() { return ""; },

  // Kinds the browser does not know, the server turns into PNG; HEIC if it was installed with the means.
  decodes: ["heic"],

  async decode(file, about, how) {
    try {
      const { blob } = await api.post("render", { composite: file, curves: toFile(curves.identity()), format: "png" }, how);
      return blob;
    } catch (error) {
      if (error.code === "bad_picture") throw new api.ApiError(error.code, inWords(error.message));
      throw error;
    }
  },

  async predict({ photo, reference }, object, how) {
    const isByPlace = byPlace.has(object.model);
    if (isByPlace && reference) throw new api.ApiError("bad_option", ITSELF_ONLY);
    const options = { label: object.label, model: object.model, reference: reference?.file };
    if (object.seam !== "auto") options.seam = object.seam; // older servers do not know it
    const { blob, header } = await api.post(isByPlace ? "grid" : "curves", { ...(await parts(object, photo.file)), ...options }, how);
    const answer = JSON.parse(await blob.text());
    const record = isByPlace ? answer.curves : answer;
    const grid = isByPlace ? grids.fromRecord(answer, object.placement) : null;
    const told = header("Imharmony-Same-Scene"); // absent where there is no edge to judge by
    const sameScene = record.same_scene ?? (told === null ? null : Number(told));
    return { record, grid, notes: JSON.parse(header("Imharmony-Warnings") ?? "[]"), sameScene };
  },

  // Neighbors of one kind go in one request; the next lie on what that left, and nothing is
  // lost between.
  async render(document, format, how) {
    const objects = document.objects.filter((object) => isReady(object, document));
    const own = OWN[document.photo.about.kind] ?? "png";
    const groups = group(objects);
    let photo = document.photo.file, answer = null;
    for (const [index, members] of groups.entries()) {
      const isLast = index === groups.length - 1;
      const written = index > 0 ? format || own : format;
      const request = merge(await Promise.all(members.map((object) => layer(object, photo))));
      answer = await api.post("render", { ...request, format: isLast ? written : "tif" }, how);
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
