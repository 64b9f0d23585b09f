// The picture on screen: what is under the object, what is painted, before and after.
// Works at the photo's own size, or at MAX_PIXELS of it; the server has the original.

const MAX_PIXELS = 2 ** 24;
const TINT = "rgb(230 60 60 / .45)";

export class Picture {
  constructor(file, canvas, width, height) {
    Object.assign(this, { file, canvas, width, height });
  }

  static async read(file, decodeElsewhere) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      bitmap = await createImageBitmap(await decodeElsewhere(file));
    }
    const { width, height } = bitmap;
    const ratio = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
    const canvas = newCanvas(Math.max(1, Math.floor(width * ratio)), Math.max(1, Math.floor(height * ratio)));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return new Picture(file, canvas, width, height);
  }

  get ratio() { return this.canvas.width / this.width; }

  pixels() {
    return this.canvas.getContext("2d").getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  hasAlpha() {
    const { data } = this.pixels();
    for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
    return false;
  }
}

export function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

// Where a cut-out's corner is and how wide it is, in whole pixels of the background.
export function placed(placement, cutout) {
  const width = Math.max(1, Math.round(cutout.width * placement.scale));
  const height = Math.max(1, Math.round((cutout.height * width) / cutout.width));
  return { left: Math.round(placement.x - width / 2), top: Math.round(placement.y - height / 2), width, height };
}

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.view = { scale: 1, x: 0, y: 0 }; // screen = picture * scale + (x, y)
    this.compare = 0.5;
    this.showMask = true;
    this.tables = null;
    this.cursor = null;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  get isLarge() { return this.mask.width * this.mask.height > 2 ** 22; }

  // A new photo underneath; the mask starts empty.
  setBase(picture) {
    this.base = picture;
    this.tables = null;
    this.outline = this.box = null;
    this.before = picture && newCanvas(picture.canvas.width, picture.canvas.height);
    this.mask = picture && newCanvas(picture.canvas.width, picture.canvas.height); // white, its alpha counts
    this.after = picture && newCanvas(picture.canvas.width, picture.canvas.height);
    if (!picture) return this.draw();
    this.before.getContext("2d").drawImage(picture.canvas, 0, 0);
    this.fit();
  }

  setMask(picture) {
    const { width, height } = this.mask;
    const scaled = newCanvas(width, height);
    scaled.getContext("2d").drawImage(picture.canvas, 0, 0, width, height);
    const image = scaled.getContext("2d").getImageData(0, 0, width, height);
    const { data } = image;
    const byAlpha = picture.hasAlpha();
    for (let i = 0; i < data.length; i += 4) {
      const gray = 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]; // ITU-R BT.709
      data[i + 3] = byAlpha ? data[i + 3] : Math.round(gray);
      data[i] = data[i + 1] = data[i + 2] = 255;
    }
    this.mask.getContext("2d").putImageData(image, 0, 0);
    this.update();
  }

  // The mask as a picture to send: gray, opaque.
  async maskFile() {
    const { width, height } = this.mask;
    const image = this.mask.getContext("2d").getImageData(0, 0, width, height);
    const { data } = image;
    for (let i = 0; i < data.length; i += 4) {
      data[i] = data[i + 1] = data[i + 2] = data[i + 3];
      data[i + 3] = 255;
    }
    const canvas = newCanvas(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  isMaskEmpty() { return !this.box; }

  // Draw the cut-out over the background, and its shape as the mask.
  placeCutout(cutout, placement) {
    const ratio = this.base.ratio;
    const box = placed(placement, cutout);
    const draw = (context) => {
      context.save();
      context.imageSmoothingQuality = "high";
      context.translate((box.left + box.width / 2) * ratio, (box.top + box.height / 2) * ratio);
      context.rotate((placement.rotation * Math.PI) / 180);
      if (placement.flip) context.scale(-1, 1);
      context.drawImage(cutout.canvas, (-box.width / 2) * ratio, (-box.height / 2) * ratio, box.width * ratio, box.height * ratio);
      context.restore();
    };
    const before = this.before.getContext("2d");
    before.clearRect(0, 0, this.before.width, this.before.height);
    before.drawImage(this.base.canvas, 0, 0);
    draw(before);
    const mask = this.mask.getContext("2d");
    mask.clearRect(0, 0, this.mask.width, this.mask.height);
    draw(mask);
    this.outline = { ...box, rotation: placement.rotation };
    this.update();
  }

  setTables(tables) {
    this.tables = tables;
    this.render();
  }

  maskBox() {
    const { width, height } = this.mask;
    const { data } = this.mask.getContext("2d").getImageData(0, 0, width, height);
    let left = width, right = -1, top = height, bottom = -1;
    for (let y = 0, i = 3; y < height; y++) {
      for (let x = 0; x < width; x++, i += 4) {
        if (!data[i]) continue;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        bottom = y;
      }
    }
    return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
  }

  // After a change of the mask.
  update() {
    this.box = this.maskBox();
    this.render();
  }

  // Apply the tables where the mask is: M f(I) + (1 - M) I, rounded as libvips does.
  render() {
    const after = this.after.getContext("2d");
    after.clearRect(0, 0, this.after.width, this.after.height);
    after.drawImage(this.before, 0, 0);
    if (this.tables && this.box) {
      const { left, top, width, height } = this.box;
      const image = this.before.getContext("2d").getImageData(left, top, width, height);
      const weights = this.mask.getContext("2d").getImageData(left, top, width, height).data;
      const { data } = image;
      for (let i = 0; i < data.length; i += 4) {
        const m = weights[i + 3];
        if (!m) continue;
        for (let c = 0; c < 3; c++) {
          const v = data[i + c];
          data[i + c] = ((m * this.tables[c][v] + (255 - m) * v + 128) / 255) | 0;
        }
      }
      after.putImageData(image, left, top);
    }
    this.draw();
  }

  // Counts of red, green, blue and luma inside and outside the mask.
  histograms() {
    const { width, height } = this.before;
    const { data } = this.before.getContext("2d").getImageData(0, 0, width, height);
    const weights = this.mask.getContext("2d").getImageData(0, 0, width, height).data;
    const empty = () => Array.from({ length: 4 }, () => new Uint32Array(256));
    const result = { foreground: empty(), background: empty() };
    for (let i = 0; i < data.length; i += 4) {
      const part = weights[i + 3] > 127 ? result.foreground : result.background;
      part[0][data[i]]++;
      part[1][data[i + 1]]++;
      part[2][data[i + 2]]++;
      part[3][(0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]) | 0]++;
    }
    return result;
  }

  resize() {
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * scale);
    const height = Math.round(this.canvas.clientHeight * scale);
    if (width === this.canvas.width && height === this.canvas.height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.fit();
  }

  get fitScale() {
    const { width, height } = this.before;
    return Math.min((this.canvas.width - 24) / width, (this.canvas.height - 24) / height);
  }

  fit() {
    if (!this.before) return this.draw();
    this.setScale(Math.min(this.fitScale, 4));
    this.view.x = (this.canvas.width - this.before.width * this.view.scale) / 2;
    this.view.y = (this.canvas.height - this.before.height * this.view.scale) / 2;
    this.draw();
  }

  setScale(scale) { this.view.scale = Math.min(Math.max(scale, Math.min(this.fitScale, 1) / 4, 0.01), 32); }

  // Keep the given point of the screen (default: the middle) where it is.
  zoomTo(scale, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.before) return;
    const old = this.view.scale;
    this.setScale(scale);
    this.view.x = x - ((x - this.view.x) * this.view.scale) / old;
    this.view.y = y - ((y - this.view.y) * this.view.scale) / old;
    this.draw();
  }

  pan(x, y) {
    this.view.x += x;
    this.view.y += y;
    this.draw();
  }

  // From the screen to pixels of the working picture.
  toPicture([x, y]) {
    return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale];
  }

  setCompare(share) {
    this.compare = Math.min(Math.max(share, 0), 1);
    this.onCompare?.(this.compare);
    this.draw();
  }

  get divider() {
    return this.before && this.tables ? this.view.x + this.compare * this.before.width * this.view.scale : null;
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const { context, canvas, view } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.before) return;
    const { width, height } = this.before;
    context.imageSmoothingEnabled = view.scale < 2;
    context.imageSmoothingQuality = "high";
    context.setTransform(view.scale, 0, 0, view.scale, view.x, view.y);
    context.drawImage(this.tables ? this.after : this.before, 0, 0);
    if (this.tables && this.compare > 0) {
      context.save();
      context.beginPath();
      context.rect(0, 0, this.compare * width, height);
      context.clip();
      context.clearRect(0, 0, width, height);
      context.drawImage(this.before, 0, 0);
      context.restore();
    }
    if (this.tint) this.paintTint();
    if (this.outline && this.showOutline) this.paintOutline();
    if (this.cursor) {
      context.lineWidth = 1.5 / view.scale;
      context.strokeStyle = "#fff";
      circle(context, this.cursor.x, this.cursor.y, this.cursor.radius);
      context.strokeStyle = "#000";
      circle(context, this.cursor.x, this.cursor.y, this.cursor.radius + 1.5 / view.scale);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.divider !== null) this.paintDivider();
  }

  paintTint() {
    const { context, mask } = this;
    this.tinted ??= newCanvas(1, 1);
    if (this.tinted.width !== mask.width || this.tinted.height !== mask.height) {
      this.tinted = newCanvas(mask.width, mask.height);
    }
    const tinted = this.tinted.getContext("2d");
    tinted.globalCompositeOperation = "copy";
    tinted.drawImage(mask, 0, 0);
    tinted.globalCompositeOperation = "source-in";
    tinted.fillStyle = TINT;
    tinted.fillRect(0, 0, mask.width, mask.height);
    context.drawImage(this.tinted, 0, 0);
  }

  // The frame of the cut-out and its corner, by which it is scaled and turned.
  paintOutline() {
    const { context, view } = this;
    const ratio = this.base.ratio;
    const { left, top, width, height, rotation } = this.outline;
    context.save();
    context.translate((left + width / 2) * ratio, (top + height / 2) * ratio);
    context.rotate((rotation * Math.PI) / 180);
    for (const [color, dash] of [["#000", []], ["#fff", [6, 6]]]) {
      context.lineWidth = 1.5 / view.scale;
      context.strokeStyle = color;
      context.setLineDash(dash.map((n) => n / view.scale));
      context.strokeRect((-width / 2) * ratio, (-height / 2) * ratio, width * ratio, height * ratio);
    }
    context.setLineDash([]);
    context.fillStyle = "#fff";
    context.strokeStyle = "#000";
    for (const x of [-1, 1]) for (const y of [-1, 1]) {
      circle(context, (x * width * ratio) / 2, (y * height * ratio) / 2, 6 / view.scale, true);
    }
    context.restore();
  }

  paintDivider() {
    const { context, canvas, view } = this;
    const x = this.divider;
    const top = Math.max(0, view.y), bottom = Math.min(canvas.height, view.y + this.before.height * view.scale);
    context.lineWidth = 4;
    context.strokeStyle = "rgb(0 0 0 / .55)";
    line(context, x, top, bottom);
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    line(context, x, top, bottom);
    context.fillStyle = "#fff";
    context.strokeStyle = "rgb(0 0 0 / .55)";
    const middle = (top + bottom) / 2;
    circle(context, x, middle, 13, true);
    context.fillStyle = "#222";
    for (const side of [-1, 1]) {
      context.beginPath();
      context.moveTo(x + 8 * side, middle);
      context.lineTo(x + 3 * side, middle - 5);
      context.lineTo(x + 3 * side, middle + 5);
      context.fill();
    }
  }
}

function circle(context, x, y, radius, isFilled = false) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (isFilled) context.fill();
  context.stroke();
}

function line(context, x, top, bottom) {
  context.beginPath();
  context.moveTo(x, top);
  context.lineTo(x, bottom);
  context.stroke();
}
