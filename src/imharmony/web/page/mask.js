// Where an object is: one value a pixel of the photo, 255 inside. Every edit is kept as the
// tiles it changed, so that any earlier version can be had back.

import { newId } from "./state.js";
import { newCanvas } from "./picture.js";

const TILE = 256;
const STRIP_PIXELS = 2 ** 22;

export class Mask {
  constructor(width, height, ratio, data = new Uint8Array(width * height)) {
    Object.assign(this, { id: newId(), width, height, ratio, data });
    this.edits = []; // edit k leads from version k to k + 1
    this.version = 0;
    this.boxes = new Map();
    this.proxyWidth = Math.max(1, Math.round(width * ratio));
    this.proxyHeight = Math.max(1, Math.round(height * ratio));
    this.proxy = ratio === 1 ? data : new Uint8Array(this.proxyWidth * this.proxyHeight);
    this.shrink({ left: 0, top: 0, width, height });
  }

  // A picture's alpha, or its brightness, as a mask of the photo's size.
  static async fromPicture(picture, photo) {
    await picture.whole; // it may be lent
    const { width, height } = photo;
    const data = new Uint8Array(width * height);
    const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
    const canvas = newCanvas(width, Math.min(rows, height), picture.about.isOpaque);
    const context = canvas.getContext("2d");
    const isJpeg = picture.about.kind === "jpeg"; // black and white of a JPEG mask are not quite
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      context.clearRect(0, 0, width, count);
      const share = picture.height / height;
      context.drawImage(picture.bitmap, 0, top * share, picture.width, count * share, 0, 0, width, count);
      const pixels = context.getImageData(0, 0, width, count).data;
      if (picture.hasAlpha || (picture.isGray && !isJpeg)) {
        const channel = picture.hasAlpha ? 3 : 1;
        for (let i = channel, to = top * width; i < pixels.length; i += 4, to++) data[to] = pixels[i];
        continue;
      }
      for (let i = 0, to = top * width; i < pixels.length; i += 4, to++) {
        const gray = 0.2126 * pixels[i] + 0.7152 * pixels[i + 1] + 0.0722 * pixels[i + 2]; // ITU-R BT.709
        data[to] = Math.round(isJpeg ? Math.min(Math.max((gray - 16) * (255 / 223), 0), 255) : gray);
      }
    }
    if (!picture.hasAlpha) stretchIfBinary(data);
    return new Mask(width, height, photo.ratio, data);
  }

  // Edits: begin, touch what is about to change, change `data`, finish.

  begin() {
    this.edits.length = this.version;
    return { tiles: new Map() };
  }

  touch(edit, box) {
    const { left, top, width, height } = this.clip(box);
    const across = Math.ceil(this.width / TILE);
    for (let row = Math.floor(top / TILE); row * TILE < top + height; row++) {
      for (let column = Math.floor(left / TILE); column * TILE < left + width; column++) {
        const key = row * across + column;
        if (!edit.tiles.has(key)) edit.tiles.set(key, this.copy(key));
      }
    }
  }

  finish(edit) {
    const tiles = [...edit.tiles].map(([key, before]) => ({ key, before: pack(before), after: pack(this.copy(key)) }));
    this.edits.push(tiles);
    this.version += 1;
    return this.version;
  }

  // Go to another version; says what changed.
  goTo(version) {
    let changed = null;
    while (this.version !== version) {
      const isBack = this.version > version;
      const tiles = this.edits[isBack ? this.version - 1 : this.version];
      for (const { key, before, after } of tiles) {
        this.paste(key, unpack(isBack ? before : after));
        changed = unite(changed, this.tile(key));
      }
      this.version += isBack ? -1 : 1;
    }
    if (changed) this.shrink(changed);
    return changed;
  }

  tile(key) {
    const across = Math.ceil(this.width / TILE);
    const left = (key % across) * TILE, top = Math.floor(key / across) * TILE;
    return { left, top, width: Math.min(TILE, this.width - left), height: Math.min(TILE, this.height - top) };
  }

  copy(key) {
    const { left, top, width, height } = this.tile(key);
    const values = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const start = (top + y) * this.width + left;
      values.set(this.data.subarray(start, start + width), y * width);
    }
    return values;
  }

  paste(key, values) {
    const { left, top, width, height } = this.tile(key);
    for (let y = 0; y < height; y++) this.data.set(values.subarray(y * width, (y + 1) * width), (top + y) * this.width + left);
  }

  clip({ left, top, width, height }) {
    const right = Math.min(this.width, Math.ceil(left + width)), bottom = Math.min(this.height, Math.ceil(top + height));
    const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
    return { left: x, top: y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) };
  }

  // Renew the small copy: means of the pixels under each of its own.
  shrink(box) {
    if (this.ratio === 1) return;
    const { width, height } = this;
    const { left, top, width: w, height: h } = this.toProxy(box);
    const stepX = width / this.proxyWidth, stepY = height / this.proxyHeight;
    for (let y = top; y < top + h; y++) {
      const y0 = Math.floor(y * stepY), y1 = Math.max(y0 + 1, Math.floor((y + 1) * stepY));
      for (let x = left; x < left + w; x++) {
        const x0 = Math.floor(x * stepX), x1 = Math.max(x0 + 1, Math.floor((x + 1) * stepX));
        let sum = 0;
        for (let v = y0; v < y1; v++) for (let u = x0, at = v * width + x0; u < x1; u++, at++) sum += this.data[at];
        this.proxy[y * this.proxyWidth + x] = Math.round(sum / ((y1 - y0) * (x1 - x0)));
      }
    }
  }

  // A box of the photo's pixels as whole pixels of the small copy around it.
  toProxy({ left, top, width, height }) {
    const stepX = this.proxyWidth / this.width, stepY = this.proxyHeight / this.height;
    const x = Math.max(0, Math.floor(left * stepX)), y = Math.max(0, Math.floor(top * stepY));
    const right = Math.min(this.proxyWidth, Math.ceil((left + width) * stepX));
    const bottom = Math.min(this.proxyHeight, Math.ceil((top + height) * stepY));
    return { left: x, top: y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) };
  }

  // The smallest box that holds the mask, or null; of the version that is there now.
  box() {
    if (!this.boxes.has(this.version)) {
      this.boxes.clear();
      this.boxes.set(this.version, findBox(this.data, this.width, this.height));
    }
    return this.boxes.get(this.version);
  }

  isEmpty() { return this.box() === null; }

  // Values at the middles of w × h pixels that cover a box.
  sample(box, w, h) {
    const values = new Uint8Array(w * h);
    for (let y = 0; y < h; y++) {
      const row = Math.min(this.height - 1, Math.max(0, Math.floor(box.top + ((y + 0.5) * box.height) / h))) * this.width;
      for (let x = 0; x < w; x++) {
        values[y * w + x] = this.data[row + Math.min(this.width - 1, Math.max(0, Math.floor(box.left + ((x + 0.5) * box.width) / w)))];
      }
    }
    return values;
  }

  // Part of the small copy, for one box of its pixels.
  fromProxy({ left, top, width, height }) {
    if (left === 0 && width === this.proxyWidth) return this.proxy.subarray(top * width, (top + height) * width);
    const values = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const start = (top + y) * this.proxyWidth + left;
      values.set(this.proxy.subarray(start, start + width), y * width);
    }
    return values;
  }

  thumb() {
    const scale = Math.min(1, 96 / Math.min(this.proxyWidth, this.proxyHeight));
    const w = Math.max(1, Math.round(this.proxyWidth * scale)), h = Math.max(1, Math.round(this.proxyHeight * scale));
    const canvas = newCanvas(w, h);
    const image = new ImageData(w, h);
    this.sample({ left: 0, top: 0, width: this.width, height: this.height }, w, h).forEach((value, i) => {
      image.data.fill(value, 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas.toDataURL();
  }
}

export function unite(one, other) {
  if (!one) return other;
  if (!other) return one;
  const left = Math.min(one.left, other.left), top = Math.min(one.top, other.top);
  return {
    left, top,
    width: Math.max(one.left + one.width, other.left + other.width) - left,
    height: Math.max(one.top + one.height, other.top + other.height) - top,
  };
}

// A mask of zeros and ones is one of black and white.
function stretchIfBinary(data) {
  for (const value of data) if (value > 1) return;
  for (let i = 0; i < data.length; i++) data[i] *= 255;
}

function findBox(data, width, height) {
  let left = width, right = -1, top = -1, bottom = -1;
  for (let y = 0, row = 0; y < height; y++, row += width) {
    let first = 0, last = width - 1;
    while (first < width && !data[row + first]) first++;
    if (first === width) continue;
    while (!data[row + last]) last--;
    if (first < left) left = first;
    if (last > right) right = last;
    if (top < 0) top = y;
    bottom = y;
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Masks are mostly one value for long: runs of (how many, which).
function pack(values) {
  const runs = [];
  for (let i = 0; i < values.length;) {
    let end = i + 1;
    while (end < values.length && values[end] === values[i]) end++;
    runs.push(end - i, values[i]);
    i = end;
    if (runs.length > values.length / 8) return { values: values.slice() };
  }
  return { runs: Uint32Array.from(runs), length: values.length };
}

function unpack(packed) {
  if (packed.values) return packed.values;
  const values = new Uint8Array(packed.length);
  for (let k = 0, at = 0; k < packed.runs.length; k += 2) {
    values.fill(packed.runs[k + 1], at, at + packed.runs[k]);
    at += packed.runs[k];
  }
  return values;
}
