// What is seen through the window: zoom, the line between before and after, outlines, the brush.
// Pixels of the screen are pixels of the photo times scale, plus (x, y).

import { unite } from "./mask.js";
import { newCanvas } from "./picture.js";
import { placed } from "./place.js";

const TINT = [230, 40, 40];
const TINT_SHARE = 0.5;
const DETAIL_MS = 160;
const DETAIL_PIXELS = 2 ** 22;
export const KNOB_DISTANCE = 28; // of the knob that turns, from the outline

export class View {
  constructor(canvas, composer) {
    Object.assign(this, { canvas, composer, scale: 1, x: 0, y: 0 });
    this.context = canvas.getContext("2d");
    this.compare = 0.5;
    this.mode = "after"; // before, after, split
    this.tintOf = null; // a mask to show in red
    this.outline = null; // an object with handles
    this.cursor = this.lasso = this.detail = null;
    this.dirty = null; // the part of the screen to be painted next
    this.onZoom = () => {};
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  get dpr() { return window.devicePixelRatio || 1; }
  get photo() { return this.composer.photo; }

  resize() {
    const width = Math.round(this.canvas.clientWidth * this.dpr), height = Math.round(this.canvas.clientHeight * this.dpr);
    if (!width || !height || (width === this.canvas.width && height === this.canvas.height)) return;
    const wasFitted = this.isFitted || !this.canvas.width;
    const { width: oldWidth, height: oldHeight } = this.canvas;
    this.canvas.width = width;
    this.canvas.height = height;
    if (wasFitted) return this.fit();
    this.x += (width - oldWidth) / 2;
    this.y += (height - oldHeight) / 2;
    this.draw();
  }

  get fitScale() {
    const margin = 24 * this.dpr;
    return Math.min((this.canvas.width - margin) / this.photo.width, (this.canvas.height - margin) / this.photo.height, 4);
  }

  fit() {
    if (!this.photo) return this.draw();
    this.scale = this.fitScale;
    this.x = (this.canvas.width - this.photo.width * this.scale) / 2;
    this.y = (this.canvas.height - this.photo.height * this.scale) / 2;
    this.isFitted = true;
    this.moved();
  }

  // Keep the given point of the screen (default: the middle) where it is.
  zoomTo(scale, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.photo) return;
    const old = this.scale;
    this.scale = Math.min(Math.max(scale, Math.min(this.fitScale, 1) / 4), 32);
    this.x = x - ((x - this.x) * this.scale) / old;
    this.y = y - ((y - this.y) * this.scale) / old;
    this.isFitted = false;
    this.moved();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.isFitted = false;
    this.moved();
  }

  moved() {
    this.onZoom(this.scale);
    this.changed();
  }

  // After a change of what is shown: the sharp part is old, and made anew when all is calm.
  // Of a change within a box of the photo, only that part of the screen is painted.
  changed(box = null) {
    const part = box && !this.detail ? this.onScreen(box, 2 / this.composer.ratio) : undefined;
    this.detail = null;
    clearTimeout(this.detailTimer);
    this.draw(part);
    if (this.photo && this.scale > this.composer.ratio * 1.02) {
      this.detailTimer = setTimeout(() => this.makeDetail(), DETAIL_MS);
    }
  }

  makeDetail() {
    if (this.composer.ratio === 1) return; // the small copy is the photo itself
    if (this.photo.isLent) return this.photo.whole.then(() => this.changed());
    const [left, top] = this.toPhoto([0, 0]).map((n) => Math.max(0, Math.floor(n)));
    const [right, bottom] = this.toPhoto([this.canvas.width, this.canvas.height]).map(Math.ceil);
    const box = { left, top, width: Math.min(right, this.photo.width) - left, height: Math.min(bottom, this.photo.height) - top };
    if (box.width < 1 || box.height < 1) return;
    const most = Math.sqrt(DETAIL_PIXELS / (box.width * box.height));
    this.detail = this.composer.detail(box, Math.min(this.scale, 1, most));
    this.draw();
  }

  toPhoto([x, y]) { return [(x - this.x) / this.scale, (y - this.y) / this.scale]; }
  toScreen([x, y]) { return [x * this.scale + this.x, y * this.scale + this.y]; }

  get divider() { return this.compare * this.canvas.width; }

  // A box of the photo, and a margin, as whole pixels of the screen; smoothing reaches farther.
  onScreen({ left, top, width, height }, margin = 0) {
    const [x, y] = this.toScreen([left - margin, top - margin]).map((n) => Math.floor(n) - 3);
    const [right, bottom] = this.toScreen([left + width + margin, top + height + margin]).map((n) => Math.ceil(n) + 3);
    return { left: x, top: y, width: right - x, height: bottom - y };
  }

  // Move the brush's circle, and paint no more than where it was and is.
  showCursor(cursor) {
    const around = ({ x, y, radius }) => {
      const reach = radius + (3 * this.dpr) / this.scale;
      return this.onScreen({ left: x - reach, top: y - reach, width: 2 * reach, height: 2 * reach });
    };
    if (this.cursor) this.draw(around(this.cursor));
    if (cursor) this.draw(around(cursor));
    this.cursor = cursor;
  }

  // Paint with the next frame: everything, or a part of the screen.
  draw(part = { left: 0, top: 0, width: this.canvas.width, height: this.canvas.height }) {
    this.dirty = unite(this.dirty, part);
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const { context } = this;
    const { left, top, width, height } = this.dirty;
    this.dirty = null;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(left, top, width, height);
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    if (this.photo) this.paintLayers();
    context.restore();
  }

  paintLayers() {
    const { context, canvas, composer } = this;
    // A filter for large steps takes long, and shows nothing in small ones.
    context.imageSmoothingQuality = this.scale < 0.5 * composer.ratio ? "high" : "low";
    this.paintPicture(this.mode === "before" ? "before" : "after");
    if (this.mode === "split") {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.beginPath();
      context.rect(0, 0, this.divider, canvas.height);
      context.clip();
      context.clearRect(0, 0, this.divider, canvas.height);
      this.paintPicture("before");
      context.restore();
    }
    if (this.tintOf && composer.after) this.paintTint();
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.mode === "split") this.paintDivider();
    if (this.outline) this.paintOutline();
    if (this.lasso) this.paintLasso();
    if (this.cursor) this.paintCursor();
  }

  paintPicture(which) {
    const { context, composer, detail, photo } = this;
    context.imageSmoothingEnabled = this.scale < 2 * composer.ratio;
    context.setTransform(this.scale, 0, 0, this.scale, this.x, this.y);
    context.drawImage(composer[which], 0, 0, photo.width, photo.height);
    if (!detail) return;
    context.imageSmoothingEnabled = this.scale < 2;
    context.drawImage(detail[which], detail.box.left, detail.box.top, detail.box.width, detail.box.height);
  }

  // Red over the mask. Of a painted part only that part is made anew.
  paintTint() {
    const mask = this.tintOf;
    const { proxyWidth: width, proxyHeight: height } = mask;
    if (this.tintMask !== mask || this.tintVersion !== mask.version) this.tint({ left: 0, top: 0, width: mask.width, height: mask.height });
    this.context.setTransform((this.scale * mask.width) / width, 0, 0, (this.scale * mask.height) / height, this.x, this.y);
    this.context.drawImage(this.tintCanvas, 0, 0);
  }

  tint(box) {
    const mask = this.tintOf;
    if (!mask) return;
    if (this.tintMask !== mask) {
      this.tintMask = mask;
      this.tintCanvas = newCanvas(mask.proxyWidth, mask.proxyHeight);
      box = { left: 0, top: 0, width: mask.width, height: mask.height };
    }
    this.tintVersion = mask.version;
    const part = mask.toProxy(box);
    if (!part.width || !part.height) return;
    const image = new ImageData(part.width, part.height);
    const { data } = image, values = mask.fromProxy(part), [red, green, blue] = TINT;
    for (let k = 0, i = 0; k < values.length; k++, i += 4) {
      data[i] = red;
      data[i + 1] = green;
      data[i + 2] = blue;
      data[i + 3] = TINT_SHARE * values[k];
    }
    this.tintCanvas.getContext("2d").putImageData(image, part.left, part.top);
  }

  // The corners of the chosen object on the screen, and the knob that turns it.
  handles() {
    const { placement, picture } = this.outline;
    const { left, top, width, height } = placed(placement, picture);
    const angle = (placement.rotation * Math.PI) / 180;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [cx, cy] = this.toScreen([left + width / 2, top + height / 2]);
    const at = (u, v) => [cx + u * cos - v * sin, cy + u * sin + v * cos];
    const [w, h] = [(width * this.scale) / 2, (height * this.scale) / 2];
    const far = KNOB_DISTANCE * this.dpr;
    // Above the object, or where it can be reached.
    const [stem, knob] = [[at(0, -h), at(0, -h - far)], [at(0, h), at(0, h + far)]].find((one) => this.isInView(one[1])) ?? [at(0, -h), at(0, Math.min(0, far - h))];
    return {
      center: [cx, cy], half: [w, h], angle,
      corners: [at(-w, -h), at(w, -h), at(w, h), at(-w, h)],
      stem, knob,
    };
  }

  isInView([x, y]) {
    const margin = 6 * this.dpr;
    return x >= margin && y >= margin && x <= this.canvas.width - margin && y <= this.canvas.height - margin;
  }

  paintOutline() {
    const { context, dpr } = this;
    if (!this.outline.placement) return;
    const { corners, stem, knob } = this.handles();
    for (const [color, dash] of [["rgb(0 0 0 / .7)", []], ["#fff", [6 * dpr, 6 * dpr]]]) {
      context.strokeStyle = color;
      context.lineWidth = 1.5 * dpr;
      context.setLineDash(dash);
      trace(context, [...corners, corners[0]]);
      trace(context, [stem, knob]);
    }
    context.setLineDash([]);
    context.fillStyle = "#fff";
    context.strokeStyle = "rgb(0 0 0 / .7)";
    for (const point of [...corners, knob]) dot(context, point, 6 * dpr);
  }

  paintDivider() {
    const { context, canvas, dpr } = this;
    for (const [width, color] of [[4, "rgb(0 0 0 / .55)"], [2, "#fff"]]) {
      context.lineWidth = width * dpr;
      context.strokeStyle = color;
      trace(context, [[this.divider, 0], [this.divider, canvas.height]]);
    }
  }

  paintLasso() {
    for (const [width, color] of [[3, "rgb(0 0 0 / .6)"], [1.5, "#fff"]]) {
      this.context.lineWidth = width * this.dpr;
      this.context.strokeStyle = color;
      trace(this.context, this.lasso.map((point) => this.toScreen(point)));
    }
  }

  paintCursor() {
    const { context, dpr } = this;
    const [x, y] = this.toScreen([this.cursor.x, this.cursor.y]);
    const radius = this.cursor.radius * this.scale;
    for (const [grown, color] of [[1, "rgb(0 0 0 / .7)"], [0, "#fff"]]) {
      context.lineWidth = 1.2 * dpr;
      context.strokeStyle = color;
      context.beginPath();
      context.arc(x, y, radius + grown * dpr, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

function trace(context, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

function dot(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}
