// The picture as it is on the screen: before and after, on a small copy of the photo,
// renewed only where something changed; and a sharp part of it, when zoomed in.

import { finish } from "./looks.js";
import { unite } from "./mask.js";
import { newCanvas, pixelsOf } from "./picture.js";
import { boxOf, placed } from "./place.js";
import { isReady } from "./state.js";

export class Composer {
  constructor() {
    this.photo = this.before = this.after = null;
    this.layers = [];
  }

  get ratio() { return this.photo?.ratio ?? 1; }

  // Show a document. Returns whether anything was drawn.
  show(document) {
    let dirty = null;
    for (const { mask, version } of document.objects) {
      if (!mask || mask.version === version) continue;
      const changed = mask.goTo(version);
      if (changed) dirty = unite(dirty, changed);
    }
    const layers = document.objects.filter((object) => isReady(object, document)).map(describe);
    if (document.photo !== this.photo) {
      this.photo = document.photo;
      this.before = this.photo && newCanvas(this.photo.proxy.width, this.photo.proxy.height);
      this.after = this.photo && newCanvas(this.photo.proxy.width, this.photo.proxy.height);
      this.pixels = this.photo && pixelsOf(this.photo.proxy).data;
      this.photo && this.before.getContext("2d").drawImage(this.photo.proxy, 0, 0);
      this.hadCutout = false;
      dirty = this.photo && whole(this.photo);
    } else if (this.photo) {
      const count = Math.max(layers.length, this.layers.length);
      for (let k = 0; k < count; k++) {
        if (isSame(layers[k], this.layers[k])) continue;
        dirty = unite(dirty, unite(layers[k]?.box ?? null, this.layers[k]?.box ?? null));
      }
    }
    this.hadCutout ||= layers.some(({ object }) => object.kind === "cutout");
    this.layers = layers;
    if (dirty && this.photo) this.renew(dirty);
    return Boolean(dirty);
  }

  // An object that is being painted may reach anywhere.
  extend(id) {
    const layer = this.layers.find(({ object }) => object.id === id);
    if (layer) layer.box = whole(this.photo);
  }

  // A part of the photo, in its own pixels, changed under the same document.
  renew(box) {
    const { width, height } = this.before;
    const stepX = width / this.photo.width, stepY = height / this.photo.height;
    const left = Math.max(0, Math.floor(box.left * stepX) - 1), top = Math.max(0, Math.floor(box.top * stepY) - 1);
    const right = Math.min(width, Math.ceil((box.left + box.width) * stepX) + 1);
    const bottom = Math.min(height, Math.ceil((box.top + box.height) * stepY) + 1);
    if (right <= left || bottom <= top) return;
    const part = { left, top, width: right - left, height: bottom - top };
    if (this.recolorOnly(part)) return;
    this.draw(this.before, this.after, part, { left: 0, top: 0, scaleX: stepX, scaleY: stepY, isProxy: true });
  }

  // The part of the photo in a box, with more pixels than the small copy has.
  detail(box, scale) {
    const width = Math.max(1, Math.round(box.width * scale)), height = Math.max(1, Math.round(box.height * scale));
    const before = newCanvas(width, height), after = newCanvas(width, height);
    const place = { left: box.left, top: box.top, scaleX: width / box.width, scaleY: height / box.height, isProxy: false };
    this.draw(before, after, { left: 0, top: 0, width, height }, place);
    return { box, before, after };
  }

  // Where masks alone change the photo, as under the brush, nothing needs to be drawn or read.
  recolorOnly(part) {
    const touched = this.layers.map((layer) => [layer, this.reach(layer, part)]).filter(([, inside]) => inside);
    if (this.hadCutout || touched.some(([{ object }]) => object.kind === "cutout")) return false;
    const { width } = this.before;
    const image = new ImageData(part.width, part.height);
    for (let y = 0; y < part.height; y++) {
      const start = 4 * ((part.top + y) * width + part.left);
      image.data.set(this.pixels.subarray(start, start + 4 * part.width), 4 * y * part.width);
    }
    const area = areaOf(part, { left: 0, top: 0, scaleX: width / this.photo.width, scaleY: this.before.height / this.photo.height });
    for (const [{ object, recolor }] of touched) {
      if (recolor) recolor(image.data, object.mask.fromProxy(part), area);
    }
    this.after.getContext("2d").putImageData(image, part.left, part.top);
    return true;
  }

  // What of a part of the small copy a layer covers.
  reach({ box }, part, { left = 0, top = 0, scaleX = this.before.width / this.photo.width, scaleY = this.before.height / this.photo.height } = {}) {
    return overlap(part, {
      left: Math.floor((box.left - left) * scaleX), top: Math.floor((box.top - top) * scaleY),
      width: Math.ceil(box.width * scaleX) + 2, height: Math.ceil(box.height * scaleY) + 2,
    });
  }

  draw(before, after, part, place) {
    const { left, top, scaleX, scaleY } = place;
    for (const canvas of [before, after]) {
      const context = canvas.getContext("2d");
      context.save();
      context.beginPath();
      context.rect(part.left, part.top, part.width, part.height);
      context.clip();
      context.clearRect(part.left, part.top, part.width, part.height);
      if (place.isProxy) { // pixel for pixel
        const { left: x, top: y, width, height } = part;
        context.imageSmoothingEnabled = false;
        context.drawImage(this.photo.proxy, x, y, width, height, x, y, width, height);
      } else {
        context.setTransform(scaleX, 0, 0, scaleY, -left * scaleX, -top * scaleY);
        context.imageSmoothingQuality = "high";
        context.drawImage(this.photo.source(scaleX), 0, 0, this.photo.width, this.photo.height);
      }
      context.restore();
    }
    for (const layer of this.layers) {
      const inside = this.reach(layer, part, place);
      if (!inside) continue;
      const weights = layer.object.kind === "cutout"
        ? paste(layer.object, [before, after], inside, place)
        : maskOf(layer.object.mask, inside, place);
      if (!layer.recolor) continue;
      const image = pixelsOf(after, inside);
      layer.recolor(image.data, weights, areaOf(inside, place));
      after.getContext("2d").putImageData(image, inside.left, inside.top);
    }
  }

  // Counts of red, green, blue and luma inside and outside an object, as it was before.
  histograms(object) {
    const layer = this.layers.find((one) => one.object.id === object.id);
    if (!layer) return null;
    const { width, height } = this.before;
    const all = { left: 0, top: 0, width, height };
    const place = { left: 0, top: 0, scaleX: width / this.photo.width, scaleY: height / this.photo.height, isProxy: true };
    const weights = object.kind === "cutout" ? paste(object, [], all, place) : maskOf(object.mask, all, place);
    const { data } = pixelsOf(this.before);
    const empty = () => Array.from({ length: 4 }, () => new Uint32Array(256));
    const result = { foreground: empty(), background: empty() };
    for (let i = 0, k = 0; i < data.length; i += 4, k++) {
      const part = weights[k] > 127 ? result.foreground : result.background;
      part[0][data[i]]++;
      part[1][data[i + 1]]++;
      part[2][data[i + 2]]++;
      part[3][(0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]) | 0]++;
    }
    return result;
  }
}

const whole = ({ width, height }) => ({ left: 0, top: 0, width, height });

function describe(object) {
  const { recolor, isChanged } = finish(object);
  const box = object.kind === "cutout" ? boxOf(object.placement, object.picture) : object.mask.box();
  return { object, box, recolor: isChanged ? recolor : null, placement: object.placement, picture: object.picture, mask: object.mask, version: object.version };
}

function isSame(one, other) {
  return Boolean(one && other) && ["recolor", "placement", "picture", "mask", "version"].every((key) => one[key] === other[key]);
}

// A box of a canvas, where it lies on the photo and how much of that one of its pixels covers.
function areaOf(box, { left, top, scaleX, scaleY }) {
  const [stepX, stepY] = [1 / scaleX, 1 / scaleY];
  return { left: left + box.left * stepX, top: top + box.top * stepY, stepX, stepY, width: box.width };
}

function overlap(one, other) {
  const left = Math.max(one.left, other.left), top = Math.max(one.top, other.top);
  const width = Math.min(one.left + one.width, other.left + other.width) - left;
  const height = Math.min(one.top + one.height, other.top + other.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : null;
}

// Draw a cut-out on canvases; returns its alpha in the box.
function paste({ picture, placement }, canvases, box, { left, top, scaleX, scaleY }) {
  const at = placed(placement, picture);
  const source = picture.source((at.width / picture.width) * scaleX);
  const draw = (context, x, y) => {
    context.imageSmoothingQuality = "high";
    context.setTransform(scaleX, 0, 0, scaleY, -left * scaleX - x, -top * scaleY - y);
    context.translate(at.left + at.width / 2, at.top + at.height / 2);
    context.rotate((placement.rotation * Math.PI) / 180);
    if (placement.flip) context.scale(-1, 1);
    context.drawImage(source, -at.width / 2, -at.height / 2, at.width, at.height);
  };
  for (const canvas of canvases) {
    const context = canvas.getContext("2d");
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    draw(context, 0, 0);
    context.restore();
  }
  const alone = newCanvas(box.width, box.height);
  draw(alone.getContext("2d"), box.left, box.top);
  const { data } = pixelsOf(alone);
  const weights = new Uint8Array(box.width * box.height);
  for (let k = 0; k < weights.length; k++) weights[k] = data[4 * k + 3];
  return weights;
}

function maskOf(mask, box, { left, top, scaleX, scaleY, isProxy }) {
  if (isProxy) return mask.fromProxy(box);
  const region = { left: left + box.left / scaleX, top: top + box.top / scaleY, width: box.width / scaleX, height: box.height / scaleY };
  return mask.sample(region, box.width, box.height);
}
