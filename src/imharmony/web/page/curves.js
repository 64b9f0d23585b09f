// Curves as in imharmony.curves: knots joined by straight lines, sRGB-encoded.
// The same arithmetic in the same order, so that an 8-bit table is the same too.
// A curve is {x: [...], y: [...]}; a look is three of them, red, green and blue.

export const CHANNELS = ["red", "green", "blue"];
const MIN_KNOT_GAP = 2 ** -52;

export function fromRecord(record) {
  return CHANNELS.map((name) => {
    const knots = record.curves[name];
    return { x: knots.map((knot) => knot[0]), y: knots.map((knot) => knot[1]) };
  });
}

export function toRecord(look, { model = null, label = null, strength = 1 } = {}) {
  const curves = {};
  look.forEach(({ x, y }, i) => { curves[CHANNELS[i]] = x.map((at, k) => [at, y[k]]); });
  return { format: "imharmony-curves", version: 1, encoding: "sRGB", model, label, strength, curves };
}

export const isIdentity = (look) => look.every(({ x, y }) => x.every((at, k) => at === y[k]));
// Whether nobody would see what it changes: at most two steps of 255.
export const isSlight = (look) => look.every(({ x, y }) => x.every((at, k) => Math.abs(at - y[k]) <= 2 / 255));
export const identity = () => CHANNELS.map(() => ({ x: [0, 1], y: [0, 1] }));

export function evaluate({ x, y }, at) {
  const last = x.length - 1;
  if (at >= x[last]) return y[last];
  if (at < x[0]) return y[0];
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle; else high = middle;
  }
  const slope = (y[low + 1] - y[low]) / (x[low + 1] - x[low]);
  const height = slope * (at - x[low]) + y[low];
  return Math.min(Math.max(height, Math.min(...y)), Math.max(...y));
}

export function table(curve) {
  const levels = new Uint8Array(256);
  const low = Math.min(...curve.y), high = Math.max(...curve.y);
  for (let v = 0; v < 256; v++) {
    const height = Math.min(Math.max(evaluate(curve, v / 255), low), high);
    levels[v] = Math.min(Math.max(Math.floor(height * 255 + 0.5), 0), 255);
  }
  return levels;
}

// The same without rounding to 8 bit: for what goes on from there.
export const heights = (curve) => Float64Array.from({ length: 256 }, (_, v) => Math.min(Math.max(evaluate(curve, v / 255), 0), 1));

// Mix with the identity; above 1, clipped and kept in order.
export function blend({ x, y }, strength) {
  if (strength === 0) return { x: [0, 1], y: [0, 1] };
  if (strength === 1) return { x, y };
  let mixed = { x, y: y.map((height, k) => x[k] + strength * (height - x[k])) };
  if (strength > 1) {
    mixed = withCrossings(mixed, [...mixed.y, 0, 1]);
    mixed.y = mixed.y.map((height) => Math.min(Math.max(height, 0), 1));
  }
  return isRising(y) ? { x: mixed.x, y: putInOrder(mixed.y) } : mixed;
}

// These curves first, then others: exact, and rising where both are.
export function then(first, second) {
  const { x, y } = withCrossings(first, second.x);
  const heights = y.map((height) => evaluate(second, height));
  return { x, y: isRising(first.y) && isRising(second.y) ? putInOrder(heights) : heights };
}

function withCrossings({ x, y }, levels) {
  const knots = x.map((at, k) => [at, y[k]]);
  for (let k = 0; k + 1 < x.length; k++) {
    for (const level of levels) {
      if (!(Math.min(y[k], y[k + 1]) < level && level < Math.max(y[k], y[k + 1]))) continue;
      const share = (level - y[k]) / (y[k + 1] - y[k]);
      const at = x[k] + share * (x[k + 1] - x[k]);
      if (Math.min(at - x[k], x[k + 1] - at) >= MIN_KNOT_GAP) knots.push([at, level]);
    }
  }
  knots.sort((a, b) => a[0] - b[0]); // stable
  const apart = knots.filter((knot, k) => k === 0 || knot[0] - knots[k - 1][0] >= MIN_KNOT_GAP);
  return { x: apart.map((knot) => knot[0]), y: apart.map((knot) => knot[1]) };
}

const isRising = (y) => y.every((height, k) => k === 0 || height >= y[k - 1]);

function putInOrder(y) {
  const above = [...y], below = [...y];
  for (let k = 1; k < y.length; k++) above[k] = Math.max(above[k], above[k - 1]);
  for (let k = y.length - 2; k >= 0; k--) below[k] = Math.min(below[k], below[k + 1]);
  return y.map((_, k) => 0.5 * (above[k] + below[k]));
}
