// A change by place, as imharmony.rendering.bilateral_grid has it: nodes over the object, each
// with a curve and a mix of the channels for red, green and blue; in between, their mean.
// A grid is {corner, cell, rows, columns, nodes, from}: from is the place of a cut-out when it
// was fitted, which the grid goes with.

const KNOTS = 9, FEATURES = KNOTS + 3;
const NODE = 3 * FEATURES;
const SLIGHT = 2 / 255; // as in curves.js

export function fromRecord({ corner, cell, nodes }, from = null) {
  return { corner, cell, rows: nodes.length, columns: nodes[0].length, nodes: Float32Array.from(nodes.flat(3)), from };
}

export function toRecord({ corner, cell, rows, columns, nodes }, record) {
  const part = (start, length) => Array.from(nodes.subarray(start, start + length));
  const node = (k) => [0, 1, 2].map((c) => part(k * NODE + c * FEATURES, FEATURES));
  const row = (r) => Array.from({ length: columns }, (_, k) => node(r * columns + k));
  return { format: "imharmony-grid", version: 1, curves: record, corner, cell, nodes: Array.from({ length: rows }, (_, r) => row(r)) };
}

// Where the object is now.
export function moveTo(grid, placement) {
  if (!grid.from || !placement) return grid;
  const [down, right] = [Math.round(placement.y - grid.from.y), Math.round(placement.x - grid.from.x)];
  return down || right ? { ...grid, corner: [grid.corner[0] + down, grid.corner[1] + right] } : grid;
}

export const isIdentity = ({ nodes }) => nodes.every((value) => value === 0);

// Whether no color is changed by more than two steps of 255 anywhere.
export function isSlight({ nodes }) {
  for (let start = 0; start < nodes.length; start += FEATURES) {
    const c = (start / FEATURES) % 3;
    const mix = nodes.subarray(start + KNOTS, start + FEATURES);
    const others = [0, 1, 2].filter((k) => k !== c).map((k) => mix[k]);
    const most = others.reduce((sum, m) => sum + Math.max(m, 0), 0), least = others.reduce((sum, m) => sum + Math.min(m, 0), 0);
    for (let k = 0; k < KNOTS; k++) {
      const own = nodes[start + k] + (mix[c] * k) / (KNOTS - 1);
      if (own + most > SLIGHT || own + least < -SLIGHT) return false;
    }
  }
  return true;
}

// M (f(I) + strength · change) + (1 - M) I for 8-bit pixels of an area of the photo, of which
// each covers step pixels. heights: what the curves make of each value, in [0, 1].
export function recolor(data, weights, { grid, heights, strength }, { left, top, stepX, stepY, width }) {
  const { corner, cell, rows, columns, nodes } = grid;
  const [red, green, blue] = heights;
  const length = columns * NODE;
  const line = new Float64Array(length); // the nodes of one line of pixels
  for (let start = 0, y = 0; start < weights.length; start += width, y++) {
    let isMade = false;
    for (let x = 0, k = start; x < width; x++, k++) {
      const m = weights[k];
      if (!m) continue;
      if (!isMade) {
        isMade = true;
        const [above, share] = between((top + (y + 0.5) * stepY - corner[0]) / cell[0], rows);
        const at = above * length;
        for (let n = 0; n < length; n++) line[n] = (1 - share) * nodes[at + n] + share * nodes[at + length + n];
      }
      const [column, share] = between((left + (x + 0.5) * stepX - corner[1]) / cell[1], columns);
      const i = 4 * k, at = column * NODE;
      const r = red[data[i]], g = green[data[i + 1]], b = blue[data[i + 2]];
      for (let c = 0; c < 3; c++) {
        const own = c === 0 ? r : c === 1 ? g : b;
        const change = (1 - share) * read(line, at + c * FEATURES, own, r, g, b) + share * read(line, at + NODE + c * FEATURES, own, r, g, b);
        const value = Math.min(Math.max(Math.round(255 * (own + strength * change)), 0), 255);
        data[i + c] = ((m * value + (255 - m) * data[i + c] + 128) / 255) | 0;
      }
    }
  }
}

// The node before a place, and how far it is to the next; beyond the ends it is that of the end.
function between(place, count) {
  const inside = Math.min(Math.max(place, 0), count - 1);
  const before = Math.min(Math.floor(inside), count - 2);
  return [before, inside - before];
}

// What a node, which begins at a place in the line, changes of one channel of a color.
function read(line, at, own, r, g, b) {
  const place = own * (KNOTS - 1);
  const knot = Math.min(Math.floor(place), KNOTS - 2), share = place - knot;
  const curve = (1 - share) * line[at + knot] + share * line[at + knot + 1];
  return curve + line[at + KNOTS] * r + line[at + KNOTS + 1] * g + line[at + KNOTS + 2] * b;
}
