// Pictures as pixels of 8 bit, red, green, blue and alpha; cut-outs put on photos; colors changed.

const ROWS = 512; // at a time: memory for a strip, not for the picture once more

export const WHOLE = ({ width, height }) => ({ left: 0, top: 0, width, height });

// {width, height, data}. Decoded without a color profile's own numbers: sRGB, as it is shown.
export async function decode(file) {
  const bitmap = await createImageBitmap(file);
  const pixels = await read(bitmap, file, false);
  bitmap.close();
  return pixels;
}

// Of a picture that is decoded, whose pixels need only be read.
export async function read(bitmap, file, isOpaque) {
  const { width, height } = bitmap;
  const data = new Uint8ClampedArray(4 * width * height);
  const canvas = new OffscreenCanvas(width, Math.min(ROWS, height));
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: !isOpaque });
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    if (!isOpaque) context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    data.set(context.getImageData(0, 0, width, rows).data, 4 * top * width);
  }
  const straight = !isOpaque && hasAlpha(data) ? await decodeStraight(file, width, height) : null;
  return { width, height, data: straight ?? data };
}

export function hasAlpha(data) {
  for (let i = 3; i < data.length; i += 4) if (data[i] < 255) return true;
  return false;
}

// A canvas multiplies by alpha and forgets colors; where there is a better way, take that.
async function decodeStraight(file, width, height) {
  try {
    const decoder = new ImageDecoder({ data: await file.arrayBuffer(), type: file.type || "image/png", premultiplyAlpha: "none", colorSpaceConversion: "default" });
    const { image } = await decoder.decode();
    if (image.displayWidth !== width || image.displayHeight !== height || !/^(RGBA|BGRA)$/.test(image.format)) return null;
    const bytes = new Uint8ClampedArray(image.allocationSize());
    await image.copyTo(bytes);
    if (image.format === "BGRA") for (let i = 0; i < bytes.length; i += 4) [bytes[i], bytes[i + 2]] = [bytes[i + 2], bytes[i]];
    image.close();
    return bytes.length === 4 * width * height ? bytes : null;
  } catch {
    return null;
  }
}

// Cut-outs, scaled as imharmony.images.compositing does: colors multiplied by alpha, Catmull-Rom.

// {box, color (premultiplied, [0, 1]), alpha, mask} of what lies on the photo, or null.
export async function scaleCutout(picture, { left, top, width, height, rotation, flip }, photo) {
  if (rotation % 360 !== 0) return turn(picture, { left, top, width, height, rotation, flip }, photo);
  const box = inside({ left, top, width, height }, photo);
  if (!box) return null;
  const xs = filter(picture.width, width, box.left - left, box.width);
  const ys = filter(picture.height, height, box.top - top, box.height);
  const first = Math.min(...ys.map(({ start }) => start)), last = Math.max(...ys.map(({ start, weights }) => start + weights.length));
  const rows = new Float32Array(4 * box.width * (last - first));
  for (let y = first; y < last; y++) {
    const line = y * picture.width;
    for (let x = 0; x < box.width; x++) {
      const { start, weights } = xs[x];
      let r = 0, g = 0, b = 0, a = 0;
      for (let k = 0; k < weights.length; k++) {
        const column = flip ? picture.width - 1 - start - k : start + k;
        const at = 4 * (line + column);
        const alpha = picture.data[at + 3] / 255, weight = weights[k] * alpha;
        r += weight * picture.data[at]; g += weight * picture.data[at + 1]; b += weight * picture.data[at + 2]; a += weight;
      }
      rows.set([r / 255, g / 255, b / 255, a], 4 * ((y - first) * box.width + x));
    }
  }
  const color = new Float32Array(3 * box.width * box.height), alphas = new Float32Array(box.width * box.height);
  for (let y = 0; y < box.height; y++) {
    const { start, weights } = ys[y];
    for (let x = 0; x < box.width; x++) {
      const sums = [0, 0, 0, 0];
      for (let k = 0; k < weights.length; k++) {
        const at = 4 * ((start - first + k) * box.width + x);
        for (let c = 0; c < 4; c++) sums[c] += weights[k] * rows[at + c];
      }
      keep(color, alphas, y * box.width + x, sums);
    }
  }
  return { box, color, alpha: alphas, mask: toMask(alphas) };
}

// The cubic filter overshoots: then colors are divided, and alpha is cut off.
function keep(color, alphas, index, [r, g, b, a]) {
  const over = Math.max(a, 1);
  color.set([r / over, g / over, b / over], 3 * index);
  alphas[index] = Math.min(Math.max(a, 0), 1);
}

const toMask = (alphas) => Uint8Array.from(alphas, (alpha) => roundEven(alpha * 255));

// Halves to the even neighbor, as NumPy rounds.
function roundEven(value) {
  const whole = Math.floor(value);
  if (value - whole !== 0.5) return Math.round(value);
  return whole % 2 ? whole + 1 : whole;
}

function cubic(x) {
  const t = Math.abs(x);
  if (t < 1) return 1.5 * t ** 3 - 2.5 * t ** 2 + 1;
  return t < 2 ? -0.5 * t ** 3 + 2.5 * t ** 2 - 4 * t + 2 : 0;
}

// libvips knows its filters at 64 places between two pixels.
const quantize = (center) => Math.floor(center) + ((Math.floor((center - Math.floor(center)) * 128) + 1) >> 1) / 64;

// For each new pixel from `first` on: which old ones, and how much of each.
function filter(length, newLength, first, count) {
  const scale = length / newLength, reach = Math.max(1, scale);
  return Array.from({ length: count }, (_, k) => {
    const center = quantize((first + k + 0.5) * scale - 0.5);
    const begin = Math.floor(center - 2 * reach) + 1, end = Math.ceil(center + 2 * reach);
    const start = Math.min(Math.max(begin, 0), length - 1), stop = Math.min(Math.max(end, start + 1), length);
    const weights = new Float64Array(stop - start);
    for (let at = begin; at < end; at++) {
      weights[Math.min(Math.max(at, start), stop - 1) - start] += cubic((at - center) / reach);
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

// A turned cut-out, by the browser's own filter.
async function turn(picture, { left, top, width, height, rotation, flip }, photo) {
  const bitmap = await createImageBitmap(new ImageData(picture.data, picture.width, picture.height));
  const angle = (rotation * Math.PI) / 180;
  const w = Math.abs(width * Math.cos(angle)) + Math.abs(height * Math.sin(angle));
  const h = Math.abs(width * Math.sin(angle)) + Math.abs(height * Math.cos(angle));
  const box = inside({ left: Math.floor(left + (width - w) / 2), top: Math.floor(top + (height - h) / 2), width: Math.ceil(w) + 1, height: Math.ceil(h) + 1 }, photo);
  if (!box) return null;
  const context = new OffscreenCanvas(box.width, box.height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.translate(left + width / 2 - box.left, top + height / 2 - box.top);
  context.rotate(angle);
  if (flip) context.scale(-1, 1);
  context.drawImage(bitmap, -width / 2, -height / 2, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, box.width, box.height);
  const color = new Float32Array(3 * box.width * box.height), alpha = new Float32Array(box.width * box.height);
  for (let k = 0; k < alpha.length; k++) {
    const a = data[4 * k + 3] / 255;
    keep(color, alpha, k, [data[4 * k] * a / 255, data[4 * k + 1] * a / 255, data[4 * k + 2] * a / 255, a]);
  }
  return { box, color, alpha, mask: toMask(alpha) };
}

function inside(box, { width, height }) {
  const left = Math.max(0, box.left), top = Math.max(0, box.top);
  const w = Math.min(box.left + box.width, width) - left, h = Math.min(box.top + box.height, height) - top;
  return w > 0 && h > 0 ? { left, top, width: w, height: h } : null;
}

// The part of a photo under a scaled cut-out, with the cut-out on it.
export function over({ box, color, alpha, mask }, photo) {
  const part = cut(photo, box);
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    const below = (1 - alpha[k]) * (part[4 * k + 3] / 255), opacity = alpha[k] + below;
    for (let c = 0; c < 3; c++) {
      const mixed = color[3 * k + c] + below * (part[4 * k + c] / 255);
      part[4 * k + c] = roundEven(255 * Math.min(Math.max(opacity > 0 ? mixed / opacity : 0, 0), 1));
    }
    part[4 * k + 3] = roundEven(255 * opacity);
  }
  return part;
}

export function cut(photo, { left, top, width, height }) {
  const part = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    const start = 4 * ((top + y) * photo.width + left);
    part.set(photo.data.subarray(start, start + 4 * width), 4 * y * width);
  }
  return part;
}

export function insert(photo, part, { left, top, width, height }) {
  for (let y = 0; y < height; y++) {
    photo.data.set(part.subarray(4 * y * width, 4 * (y + 1) * width), 4 * ((top + y) * photo.width + left));
  }
}

// M f(I) + (1 - M) I within a box, rounded as libvips does. The mask is the box's.
export function recolor(photo, box, mask, [red, green, blue]) {
  const { data } = photo;
  for (let y = 0, k = 0; y < box.height; y++) {
    let i = 4 * ((box.top + y) * photo.width + box.left);
    for (let x = 0; x < box.width; x++, k++, i += 4) {
      const m = mask[k];
      if (!m) continue;
      const rest = 255 - m;
      data[i] = ((m * red[data[i]] + rest * data[i] + 128) / 255) | 0;
      data[i + 1] = ((m * green[data[i + 1]] + rest * data[i + 1] + 128) / 255) | 0;
      data[i + 2] = ((m * blue[data[i + 2]] + rest * data[i + 2] + 128) / 255) | 0;
    }
  }
}
