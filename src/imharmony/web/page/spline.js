// A curve by hand: points joined by a smooth line that rises wherever the points do
// (F. N. Fritsch, R. E. Carlson, "Monotone Piecewise Cubic Interpolation", 1980).

export const LEAST_GAP = 2 / 255; // between points, across
const LEAST_RISE = 0.1; // of the line's slope: a flat piece would make different colors one
const SAMPLES = 16; // of a piece; joined by straight lines they are within 1/1000

// Points [across, up] with the ends put in where the user has set none.
export function withEnds(points) {
  const inner = points.filter(([x]) => x > 0 && x < 1);
  const first = points.find(([x]) => x === 0) ?? [0, 0];
  const last = points.find(([x]) => x === 1) ?? [1, 1];
  return [first, ...inner, last];
}

export const isStraight = (points) => points.every(([x, y]) => x === y);

// How far up a point may be, given its neighbors.
export function limits(points, index) {
  const [x] = points[index];
  const below = points[index - 1], above = points[index + 1];
  const low = below ? below[1] + LEAST_RISE * (x - below[0]) : 0;
  const high = above ? above[1] - LEAST_RISE * (above[0] - x) : 1;
  return [low, high];
}

// The knots of the smooth line through points, for curves.js.
export function toKnots(points) {
  const all = withEnds(points);
  const slopes = tangents(all);
  const x = [0], y = [all[0][1]];
  for (let k = 0; k + 1 < all.length; k++) {
    const [[x0, y0], [x1, y1]] = [all[k], all[k + 1]];
    const width = x1 - x0;
    for (let i = 1; i <= SAMPLES; i++) {
      const t = i / SAMPLES, t2 = t * t, t3 = t2 * t;
      x.push(i === SAMPLES ? x1 : x0 + t * width);
      y.push(i === SAMPLES ? y1 : (2 * t3 - 3 * t2 + 1) * y0 + (t3 - 2 * t2 + t) * width * slopes[k]
        + (3 * t2 - 2 * t3) * y1 + (t3 - t2) * width * slopes[k + 1]);
    }
  }
  return { x, y };
}

function tangents(points) {
  const steps = points.slice(1).map(([x, y], k) => (y - points[k][1]) / (x - points[k][0]));
  const slopes = points.map((_, k) => {
    if (k === 0) return steps[0];
    if (k === points.length - 1) return steps[k - 1];
    return (steps[k - 1] + steps[k]) / 2;
  });
  steps.forEach((step, k) => {
    const a = slopes[k] / step, b = slopes[k + 1] / step;
    const size = Math.hypot(a, b);
    if (step === 0) slopes[k] = slopes[k + 1] = 0;
    else if (size > 3) {
      slopes[k] = (3 * a * step) / size;
      slopes[k + 1] = (3 * b * step) / size;
    }
  });
  return slopes;
}
