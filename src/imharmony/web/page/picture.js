// A picture that was read: its file, its pixels, and a small copy to work on.

import { sniff } from "./sniff.js";
import { newId } from "./state.js";
import { UNREADABLE } from "./words.js";

export const PROXY_PIXELS = 2 ** 20; // about what a window shows
const THUMB = 96;

export class PageError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

export const pixelsOf = (canvas, { left = 0, top = 0, width = canvas.width, height = canvas.height } = {}) =>
  canvas.getContext("2d").getImageData(left, top, width, height);

export class Picture {
  static async read(file, engine, options = {}) {
    const about = await sniff(file);
    if (UNREADABLE[about.kind]) throw new PageError("bad_picture", UNREADABLE[about.kind]);
    engine.check?.(about);
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      options.signal?.throwIfAborted();
      bitmap = await createImageBitmap(await engine.decode(file, about, options));
    }
    options.signal?.throwIfAborted();
    const picture = new Picture(file, bitmap, about);
    if (!picture.isGray) engine.prepare?.(picture); // masks go as values
    return picture;
  }

  constructor(file, bitmap, about) {
    const { width, height } = bitmap;
    Object.assign(this, { id: newId(), file, bitmap, about, width, height });
    this.ratio = Math.min(1, Math.sqrt(PROXY_PIXELS / (width * height)));
    this.proxy = newCanvas(Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio)));
    const context = this.proxy.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, this.proxy.width, this.proxy.height);
    Object.assign(this, judge(pixelsOf(this.proxy).data));
    this.thumb = thumbOf(this.proxy);
  }

  // Which pixels are right to draw at a scale, and how large they are against the whole.
  source(scale) {
    return scale <= this.ratio * 1.001 ? this.proxy : this.bitmap;
  }
}

// Transparent? As gray as a mask, and black and white?
function judge(data) {
  let hasAlpha = false, colorful = 0, extreme = 0, bright = 0, count = 0;
  const step = 4 * Math.max(1, Math.floor(data.length / 4 / 2 ** 18));
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) { hasAlpha = true; break; }
  }
  for (let i = 0; i < data.length; i += step) {
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    if (Math.max(r, g, b) - Math.min(r, g, b) > 8) colorful++;
    if (g < 24 || g > 231) extreme++;
    if (g > 231) bright++;
    count++;
  }
  const isGray = !hasAlpha && colorful < 0.002 * count;
  return { hasAlpha, isGray, looksLikeMask: isGray && extreme > 0.9 * count && bright > 0 && bright < count };
}

export function thumbOf(canvas) {
  const side = Math.min(canvas.width, canvas.height);
  const scale = Math.min(1, THUMB / side);
  const small = newCanvas(Math.max(1, Math.round(canvas.width * scale)), Math.max(1, Math.round(canvas.height * scale)));
  small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
  return small.toDataURL();
}
