// What the brush, the lasso and the buttons do to a mask's pixels.

// Paint from one point to the next. With hardness 1 the edge is one pixel wide.
export function paintLine(mask, edit, from, to, { radius, hardness, isEraser }) {
  const reach = radius + 1;
  const box = mask.clip({
    left: Math.min(from[0], to[0]) - reach, top: Math.min(from[1], to[1]) - reach,
    width: Math.abs(to[0] - from[0]) + 2 * reach, height: Math.abs(to[1] - from[1]) + 2 * reach,
  });
  mask.touch(edit, box);
  const { data, width } = mask;
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const square = dx * dx + dy * dy || 1;
  const soft = Math.max(1, radius * (1 - hardness));
  const outer = radius + 0.5, inner = outer - soft;
  for (let y = box.top; y < box.top + box.height; y++) {
    const py = y + 0.5 - from[1];
    for (let x = box.left, at = y * width + x; x < box.left + box.width; x++, at++) {
      const px = x + 0.5 - from[0];
      const share = Math.min(Math.max((px * dx + py * dy) / square, 0), 1);
      const ex = px - share * dx, ey = py - share * dy;
      const distance2 = ex * ex + ey * ey;
      if (distance2 >= outer * outer) continue;
      let value = 255;
      if (inner < 0 || distance2 > inner * inner) {
        const t = Math.min(1, (outer - Math.sqrt(distance2)) / soft);
        value = soft > 1 ? 255 * t * t * (3 - 2 * t) : 255 * t;
      }
      if (isEraser) { if (data[at] > 255 - value) data[at] = 255 - value; } else if (data[at] < value) data[at] = value;
    }
  }
  mask.shrink(box);
  return box;
}

const LINES = 4; // in each row of pixels, for smooth edges

// Fill what a line was drawn around, or wipe it.
export function fillOutline(mask, edit, points, isEraser) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const left = Math.min(...xs), top = Math.min(...ys);
  const box = mask.clip({ left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top });
  mask.touch(edit, box);
  const covered = new Float32Array(box.width + 1);
  for (let y = box.top; y < box.top + box.height; y++) {
    covered.fill(0);
    for (let line = 0; line < LINES; line++) {
      const crossings = crossingsAt(points, y + (line + 0.5) / LINES);
      for (let k = 0; k + 1 < crossings.length; k += 2) cover(covered, crossings[k] - box.left, crossings[k + 1] - box.left, box.width);
    }
    for (let x = 0, at = y * mask.width + box.left; x < box.width; x++, at++) {
      const value = Math.round((255 * covered[x]) / LINES);
      if (isEraser) mask.data[at] = Math.min(mask.data[at], 255 - value);
      else mask.data[at] = Math.max(mask.data[at], value);
    }
  }
  mask.shrink(box);
  return box;
}

function crossingsAt(points, y) {
  const found = [];
  points.forEach(([x0, y0], k) => {
    const [x1, y1] = points[(k + 1) % points.length];
    if ((y0 <= y) !== (y1 <= y)) found.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0));
  });
  return found.sort((a, b) => a - b);
}

function cover(covered, from, to, width) {
  const start = Math.max(0, from), end = Math.min(width, to);
  for (let x = Math.floor(start); x < end; x++) covered[x] += Math.min(x + 1, end) - Math.max(x, start);
}

export function invert(mask, edit) {
  const box = { left: 0, top: 0, width: mask.width, height: mask.height };
  mask.touch(edit, box);
  for (let i = 0; i < mask.data.length; i++) mask.data[i] = 255 - mask.data[i];
  mask.shrink(box);
  return box;
}

export const grow = (mask, edit, radius) => inBox(mask, edit, radius, (rows, w, h) => extremes(extremes(rows, w, h, radius, Math.max), h, w, radius, Math.max));
export const shrinkBy = (mask, edit, radius) => inBox(mask, edit, radius, (rows, w, h) => extremes(extremes(rows, w, h, radius, Math.min), h, w, radius, Math.min));
export const feather = (mask, edit, radius) => inBox(mask, edit, 3 * radius, (rows, w, h) => {
  let values = rows; // three box blurs are nearly a Gaussian
  for (let k = 0; k < 3; k++) values = blur(blur(values, w, h, radius), h, w, radius);
  return values;
});

// Do something to the mask's box and a margin around it. What leaves comes back: each pass
// over rows gives columns, so two passes give rows again.
function inBox(mask, edit, margin, change) {
  const inside = mask.box();
  if (!inside) return null;
  const box = mask.clip({
    left: inside.left - margin, top: inside.top - margin,
    width: inside.width + 2 * margin, height: inside.height + 2 * margin,
  });
  mask.touch(edit, box);
  const values = new Uint8Array(box.width * box.height);
  for (let y = 0; y < box.height; y++) {
    const start = (box.top + y) * mask.width + box.left;
    values.set(mask.data.subarray(start, start + box.width), y * box.width);
  }
  const changed = change(values, box.width, box.height);
  for (let y = 0; y < box.height; y++) {
    mask.data.set(changed.subarray(y * box.width, (y + 1) * box.width), (box.top + y) * mask.width + box.left);
  }
  mask.shrink(box);
  return box;
}

// Largest or smallest value within a radius along each row (van Herk, 1992); turned.
// The photo's rim is no edge: what lies beyond it counts as what lies on it.
function extremes(values, width, height, radius, choose) {
  const turned = new Uint8Array(values.length);
  const size = 2 * radius + 1, length = width + 2 * radius;
  const padded = new Uint8Array(length), ahead = new Uint8Array(length), behind = new Uint8Array(length);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    padded.fill(values[row], 0, radius);
    padded.set(values.subarray(row, row + width), radius);
    padded.fill(values[row + width - 1], radius + width);
    for (let i = 0; i < length; i++) ahead[i] = i % size === 0 ? padded[i] : choose(ahead[i - 1], padded[i]);
    for (let i = length - 1; i >= 0; i--) behind[i] = i === length - 1 || (i + 1) % size === 0 ? padded[i] : choose(behind[i + 1], padded[i]);
    for (let x = 0; x < width; x++) turned[x * height + y] = choose(behind[x], ahead[x + size - 1]);
  }
  return turned;
}

function blur(values, width, height, radius) {
  const turned = new Uint8Array(values.length);
  const size = 2 * radius + 1;
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const at = (x) => values[row + Math.min(Math.max(x, 0), width - 1)];
    let sum = 0;
    for (let x = -radius; x <= radius; x++) sum += at(x);
    for (let x = 0; x < width; x++) {
      turned[x * height + y] = Math.round(sum / size);
      sum += at(x + radius + 1) - at(x - radius);
    }
  }
  return turned;
}
