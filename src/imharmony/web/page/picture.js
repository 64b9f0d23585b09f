// A picture that was read: its file, its pixels, and a small copy to work on.

import { sniff } from "./sniff.js";
import { newId } from "./state.js";
import { UNREADABLE } from "./words.js";

export const PROXY_PIXELS = 2 ** 20; // about what a window shows
const THUMB = 96;
const SAMPLES = 2 ** 18; // of pixels, to tell a mask by

export class PageError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

// An opaque one is read much faster: its colors need not be divided by alpha.
export function newCanvas(width, height, isOpaque = false) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true, alpha: !isOpaque });
  return canvas;
}

export const pixelsOf = (canvas, { left = 0, top = 0, width = canvas.width, height = canvas.height } = {}) =>
  canvas.getContext("2d").getImageData(left, top, width, height);

export class Picture {
  static async read(file, engine, options = {}) {
    const about = await readable(sniff(file));
    if (UNREADABLE[about.kind] && !engine.decodes?.includes(about.kind)) throw new PageError("bad_picture", UNREADABLE[about.kind]);
    engine.check?.(about);
    // What was dropped, as it is now: the file may be written anew while the page is open.
    const kept = new File([await readable(file.arrayBuffer())], file.name, { type: file.type });
    const bitmap = await decode(kept, about, engine, options);
    options.signal?.throwIfAborted();
    const picture = new Picture(kept, bitmap, about);
    if (!picture.isGray) engine.prepare?.(picture); // masks go as values
    return picture;
  }

  constructor(file, bitmap, about) {
    const { width, height } = bitmap;
    Object.assign(this, { id: newId(), file, bitmap, about, width, height });
    this.ratio = Math.min(1, Math.sqrt(PROXY_PIXELS / (width * height)));
    // Alpha is looked for everywhere; of colors, some pixels say enough.
    const small = about.isOpaque ? this.shrunk(Math.min(1, Math.sqrt(SAMPLES / (width * height))), false) : this.proxy;
    Object.assign(this, judge(pixelsOf(small).data));
  }

  // The small copy and the thumbnail, made when first asked for: a large mask needs neither.
  get proxy() {
    this.madeProxy ??= this.shrunk(this.ratio, true);
    return this.madeProxy;
  }

  get thumb() {
    this.madeThumb ??= thumbOf(this.proxy);
    return this.madeThumb;
  }

  shrunk(ratio, isSmooth) {
    const canvas = newCanvas(Math.max(1, Math.round(this.width * ratio)), Math.max(1, Math.round(this.height * ratio)), this.about.isOpaque);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = isSmooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  // Which pixels are right to draw at a scale, and how large they are against the whole.
  source(scale) {
    return scale <= this.ratio * 1.001 || this.isLent ? this.proxy : this.bitmap;
  }

  // Let a worker have the pixels for a while; a copy would take longer. Until they come back,
  // the small copy stands in.
  lend(use) {
    const { bitmap, proxy } = this; // made while the pixels are here
    this.isLent = Boolean(proxy);
    this.whole = use(bitmap).catch(() => createImageBitmap(this.file)).then((back) => {
      this.bitmap = back;
      this.isLent = false;
    });
    return this.whole;
  }
}

// By the browser, or else by the engine.
async function decode(file, about, engine, options) {
  const words = UNREADABLE[about.kind];
  try {
    if (!words) return await createImageBitmap(file);
  } catch {
    options.signal?.throwIfAborted();
  }
  try {
    return await createImageBitmap(await engine.decode(file, about, options));
  } catch (error) {
    throw words && error.code === "bad_picture" ? new PageError(error.code, words) : error;
  }
}

async function readable(bytes) {
  try {
    return await bytes;
  } catch {
    throw new PageError("bad_picture", UNREADABLE.gone);
  }
}

// Transparent? As gray as a mask, and black and white?
function judge(data) {
  let hasAlpha = false, isInvisible = true, colorful = 0, extreme = 0, bright = 0, count = 0;
  const step = 4 * Math.max(1, Math.floor(data.length / 4 / 2 ** 18));
  for (let i = 0; i < data.length; i += 4) {
    hasAlpha ||= data[i + 3] < 255;
    isInvisible &&= data[i + 3] === 0;
    if (hasAlpha && !isInvisible) break;
  }
  for (let i = 0; i < data.length; i += step) {
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    if (Math.max(r, g, b) - Math.min(r, g, b) > 8) colorful++;
    if (g < 24 || g > 231) extreme++;
    if (g > 231) bright++;
    count++;
  }
  const isGray = !hasAlpha && colorful < 0.002 * count;
  return { hasAlpha, isInvisible, isGray, looksLikeMask: isGray && extreme > 0.9 * count && bright > 0 && bright < count };
}

export function thumbOf(canvas) {
  const side = Math.min(canvas.width, canvas.height);
  const scale = Math.min(1, THUMB / side);
  const small = newCanvas(Math.max(1, Math.round(canvas.width * scale)), Math.max(1, Math.round(canvas.height * scale)));
  small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
  return small.toDataURL();
}
