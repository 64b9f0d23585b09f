// The work of the browser's engine, beside the page: pixels, thumbnails, seam, network.

import * as ort from "../ort/ort.wasm.min.mjs";
import { encodePng } from "../png.js";
import { decode, hasAlpha, insert, over, read, recolor, scaleCutout } from "./pixels.js";
import { curvesOf } from "./prediction.js";
import { NO_SEAM, NUM_GAPS, NUM_PAIRS, sampleSeam } from "./seam.js";
import { makeThumbnails } from "./thumbnails.js";

const MODEL = "s2crnet-cs";
const MAX_BYTES = 3 * 2 ** 27; // of decoded pictures that are kept

ort.env.wasm.wasmPaths = new URL("../ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? 2 : 1;
ort.env.logLevel = "error";

const pictures = new Map(); // promises by id, the latest used last
const files = new Map();

const network = load();
network.catch(() => {}); // told to whoever asks

async function load() {
  const folder = new URL("../weights/", import.meta.url);
  const fetched = await Promise.all([`${MODEL}.json`, `${MODEL}.onnx`].map((name) => fetch(new URL(name, folder))));
  if (fetched.some(({ ok }) => !ok)) throw new Error("the network's weights cannot be fetched");
  const { contract } = await fetched[0].json();
  const weights = new Uint8Array(await fetched[1].arrayBuffer());
  const session = await ort.InferenceSession.create(weights, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  return { contract, session };
}

const actions = {
  async describe() {
    const { contract } = await network;
    return { name: MODEL, labels: contract.has_semantic_label ? contract.labels : [], guesses_label: contract.guesses_label };
  },

  // Keeps a picture's pixels; a bitmap that was lent goes back.
  async open({ id, file, bitmap, isOpaque }) {
    files.set(id, file);
    pictures.set(id, read(bitmap, file, isOpaque));
    await pictures.get(id).catch(() => pictures.delete(id)); // tried again by whoever needs it
    if (isOpaque) return bitmap;
    bitmap.close();
    return null;
  },

  async predict({ photo, reference, object, label, seam }) {
    const { contract, session } = await network;
    const scene = await sceneOf(await picture(photo), object);
    const other = reference === null ? null : await picture(reference);
    const note = judge(scene, Boolean(other));
    if (note?.isFinal) return { curves: null, label: null, notes: [note.text], sameScene: null };
    const thumbnails = makeThumbnails(scene.photo, scene.mask, scene.box, { size: contract.thumbnail_size, contexts: contract.contexts ?? [0], reference: other });
    const feeds = feedsOf(thumbnails, contract, label);
    const hasSeam = session.inputNames.includes("seam");
    const sampled = hasSeam && !other ? sampleSeam(scene.photo, scene.mask, scene.box) : null;
    if (hasSeam) Object.assign(feeds, seamFeeds(sampled ?? NO_SEAM, seam));
    const outputs = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]])));
    const answer = curvesOf(outputs, contract, label);
    if (!sampled?.count) answer.sameScene = null; // there is no edge to judge by
    return { ...answer, notes: note ? [note.text] : [] };
  },

  async render({ photo, layers, format, quality }) {
    const original = await picture(photo);
    const result = { ...original, data: original.data.slice() };
    const isOpaque = !hasAlpha(original.data);
    for (const { object, tables } of layers) {
      const { box, mask, patch } = await sceneOf(result, object, true);
      if (!box) continue;
      if (patch) insert(result, patch, box);
      if (tables) recolor(result, box, mask, tables);
    }
    const takesAlpha = layers.some(({ object }) => object.isAlpha); // it was the mask
    if (format === "png") return encodePng(isOpaque || takesAlpha ? withoutAlpha(result) : result.data, result.width, result.height, isOpaque || takesAlpha ? 3 : 4);
    return encode(result, format, quality);
  },
};

// Pictures

function picture(id) {
  const known = pictures.get(id) ?? decode(files.get(id));
  pictures.delete(id);
  pictures.set(id, known);
  forgetSome();
  return known;
}

async function forgetSome() {
  const sizes = await Promise.all([...pictures].map(async ([id, promise]) => [id, await promise.then(({ data }) => data.length, () => 0)]));
  let total = sizes.reduce((sum, [, size]) => sum + size, 0);
  for (const [id, size] of sizes.slice(0, -2)) {
    if (total <= MAX_BYTES) return;
    pictures.delete(id);
    total -= size;
  }
}

// A photo with one object on it: {photo, box, mask of the box, patch that was put on}.
async function sceneOf(photo, object, isPatch = false) {
  if (object.mask) return { photo, box: object.box, mask: object.mask };
  const scaled = await scaleCutout(await picture(object.cutout), object.place, photo);
  if (!scaled) return { photo, box: null, mask: null };
  const { box, mask } = tighten(scaled);
  const patch = over(scaled, photo);
  if (isPatch) return { photo, box: scaled.box, mask: scaled.mask, patch };
  const composite = { ...photo, data: photo.data.slice() };
  insert(composite, patch, scaled.box);
  return { photo: composite, box, mask };
}

// The smallest box that holds what is not 0.
function tighten({ box, mask }) {
  let left = box.width, right = -1, top = -1, bottom = -1;
  for (let y = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x++) {
      if (!mask[y * box.width + x]) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      if (top < 0) top = y;
      bottom = y;
    }
  }
  if (right < 0) return { box: null, mask: null };
  const tight = { left: box.left + left, top: box.top + top, width: right - left + 1, height: bottom - top + 1 };
  const values = new Uint8Array(tight.width * tight.height);
  for (let y = 0; y < tight.height; y++) {
    const start = (top + y) * box.width + left;
    values.set(mask.subarray(start, start + tight.width), y * tight.width);
  }
  return { box: tight, mask: values };
}

// What looks wrong about a mask, as imharmony.images.mask_check says it.
function judge({ photo, box, mask }, hasReference) {
  if (!box) return { isFinal: true, text: "the mask is empty: nothing to harmonize" };
  if (hasReference || box.width !== photo.width || box.height !== photo.height) return null;
  if (mask.every((value) => value === 255)) return { isFinal: true, text: "the mask covers everything: there is no background to fit to" };
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const { width, height } = photo;
  const sides = [0, height - 1].map((y) => mask.subarray(y * width, (y + 1) * width));
  sides.push(...[0, width - 1].map((x) => Uint8Array.from({ length: height }, (_, y) => mask[y * width + x])));
  if (Math.min(...sides.map(mean)) <= 242 || mean(mask) <= 127) return null;
  return { isFinal: false, text: "the mask looks inverted" };
}

// The network's inputs

function feedsOf(thumbnails, contract, label) {
  const [height, width] = contract.thumbnail_size;
  const { numViews } = thumbnails;
  const oneHot = new Float32Array(contract.labels.length);
  const given = label || (contract.guesses_label ? "" : "others");
  if (given) oneHot[contract.labels.indexOf(given)] = 1;
  return {
    composite: new ort.Tensor("float32", thumbnails.composite, [numViews, 3, height, width]),
    mask: new ort.Tensor("float32", thumbnails.mask, [numViews, 1, height, width]),
    foreground: new ort.Tensor("float32", thumbnails.foreground, [1, 3, height, width]),
    foreground_mask: new ort.Tensor("float32", thumbnails.foregroundMask, [1, 1, height, width]),
    semantic_label: new ort.Tensor("float32", oneHot, [1, oneHot.length]),
  };
}

function seamFeeds({ pairs, weights }, choice) {
  return {
    seam: new ort.Tensor("float32", pairs, [1, NUM_GAPS, NUM_PAIRS, 6]),
    seam_weight: new ort.Tensor("float32", weights, [1, NUM_GAPS, NUM_PAIRS]),
    same_scene: new ort.Tensor("float32", Float32Array.of({ auto: -1, trust: 1, ignore: 0 }[choice]), [1]),
  };
}

// Files

function withoutAlpha({ data }) {
  const pixels = new Uint8Array((data.length / 4) * 3);
  for (let i = 0, k = 0; i < data.length; i += 4, k += 3) {
    pixels[k] = data[i];
    pixels[k + 1] = data[i + 1];
    pixels[k + 2] = data[i + 2];
  }
  return pixels;
}

function encode({ width, height, data }, format, quality) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type: `image/${format}`, quality });
}

self.onmessage = async ({ data: { id, action, options } }) => {
  try {
    const result = await actions[action](options);
    self.postMessage({ id, result }, result instanceof ImageBitmap ? [result] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
