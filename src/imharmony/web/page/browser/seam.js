// Pixels that face each other across the mask's edge, sampled as imharmony.inference.seam does.

export const NUM_GAPS = 4, NUM_PAIRS = 512;
const NUM_LINES = 192, LEAST = 8, REACH = 16;
export const NO_SEAM = { pairs: new Float32Array(NUM_GAPS * NUM_PAIRS * 6), weights: new Float32Array(NUM_GAPS * NUM_PAIRS), count: 0 };
const isInside = (value) => value >= 250;
const isOutside = (value) => value <= 5;

// mask holds the values of its box. Returns {pairs (4, 512, 6), weights (4, 512), count}.
export function sampleSeam(photo, mask, box) {
  const gaps = gapsOf(photo);
  const crossings = findCrossings(photo, mask, box, Math.max(...gaps));
  const pairs = new Float32Array(gaps.length * NUM_PAIRS * 6), weights = new Float32Array(gaps.length * NUM_PAIRS);
  if (crossings.length < LEAST) return { pairs, weights, count: 0 };
  const kept = thin(crossings);
  gaps.forEach((gap, g) => kept.forEach((crossing, k) => {
    const inner = crossing.inner - crossing.step * (gap - 1), outer = crossing.outer + crossing.step * (gap - 1);
    const { line } = crossing;
    if (!line.has(inner) || !line.has(outer) || !isInside(line.mask(inner)) || !isOutside(line.mask(outer))) return;
    weights[g * NUM_PAIRS + k] = 1;
    [inner, outer].forEach((at, side) => {
      const pixel = 4 * line.pixel(at);
      for (let c = 0; c < 3; c++) pairs[(g * NUM_PAIRS + k) * 6 + 3 * side + c] = photo.data[pixel + c] / 255;
    });
  }));
  return { pairs, weights, count: kept.length };
}

// 1 pixel, and 1, 2 and 4 pixels per 512 of the short side.
function gapsOf({ width, height }) {
  const short = Math.min(width, height);
  return [1, ...[1, 2, 4].map((share) => Math.max(1, Math.floor((share * short + 256) / 512)))];
}

function thin(crossings) {
  const { length } = crossings;
  if (length <= NUM_PAIRS) return crossings;
  return Array.from({ length: NUM_PAIRS }, (_, k) => crossings[Math.floor(((2 * k + 1) * length) / (2 * NUM_PAIRS))]);
}

function findCrossings(photo, mask, box, widest) {
  const margin = REACH + widest;
  const { left, top, width, height } = box;
  const value = (x, y) => (x < left || y < top || x >= left + width || y >= top + height ? 0 : mask[(y - top) * width + x - left]);
  const found = [];
  const search = (start, length, limit, valueAt, pixel) => {
    const first = Math.max(0, start - margin), last = Math.min(limit, start + length + margin) - 1;
    const line = { mask: valueAt, pixel, has: (at) => at >= first && at <= last };
    for (let at = first; at < last; at++) {
      if (isInside(valueAt(at)) === isInside(valueAt(at + 1))) continue;
      const [inner, step] = isInside(valueAt(at)) ? [at, 1] : [at + 1, -1];
      const outer = reachOut(line, inner, step);
      if (outer !== null) found.push({ line, inner, outer, step });
    }
  };
  for (const y of lines(top, height)) search(left, width, photo.width, (x) => value(x, y), (x) => y * photo.width + x);
  for (const x of lines(left, width)) search(top, height, photo.height, (y) => value(x, y), (y) => y * photo.width + x);
  return found;
}

function lines(start, length) {
  const count = Math.min(length, NUM_LINES);
  return Array.from({ length: count }, (_, k) => start + Math.floor(((2 * k + 1) * length) / (2 * count)));
}

function reachOut(line, inner, step) {
  for (let distance = 1; distance <= REACH; distance++) {
    const at = inner + step * distance;
    if (!line.has(at) || isInside(line.mask(at))) return null;
    if (isOutside(line.mask(at))) return at;
  }
  return null;
}
