// The colors an object gets: what the network said, as strong as asked, then the curves by hand.
// The network says curves, or curves and what they leave, by place; then there is no hand.

import * as curves from "./curves.js";
import * as grids from "./grids.js";
import { isStraight, toKnots } from "./spline.js";

const made = new WeakMap();

// {look, tables, grid, isChanged, recolor}; look is three curves, as they are rendered.
// recolor(data, weights, area) changes pixels of an area of the photo.
export function finish(object) {
  if (!made.has(object)) made.set(object, make(object));
  return made.get(object);
}

let last = []; // other changes of an object leave its colors alone

function make({ look, grid, strength, hand, placement }) {
  const moved = grid && grids.moveTo(grid, placement);
  const same = last.find((entry) => entry.look === look && entry.grid === moved && entry.strength === strength && entry.hand === hand);
  if (same) return same.result;
  const result = moved ? combineByPlace(look, moved, strength) : combine(look, strength, hand);
  last = [{ look, grid: moved, strength, hand, result }, ...last].slice(0, 32);
  return result;
}

function combine(look, strength, hand) {
  const finished = beforeHand(look, strength).map((curve, channel) => byHand(byHand(curve, hand[channel]), hand.all));
  const tables = finished.map(curves.table);
  const recolor = (data, weights) => recolorByTables(data, weights, tables);
  return { look: finished, tables, grid: null, isChanged: !curves.isIdentity(finished), recolor };
}

function combineByPlace(look, grid, strength) {
  const finished = beforeHand(look, strength);
  const heights = finished.map(curves.heights);
  const recolor = (data, weights, area) => grids.recolor(data, weights, { grid, heights, strength }, area);
  const isChanged = !(curves.isIdentity(finished) && grids.isIdentity(grid)) && strength > 0;
  return { look: finished, tables: null, grid, isChanged, recolor };
}

// M f(I) + (1 - M) I, rounded as libvips does.
function recolorByTables(data, weights, [red, green, blue]) {
  for (let i = 0, k = 0; i < data.length; i += 4, k++) {
    const m = weights[k];
    if (!m) continue;
    const rest = 255 - m;
    data[i] = ((m * red[data[i]] + rest * data[i] + 128) / 255) | 0;
    data[i + 1] = ((m * green[data[i + 1]] + rest * data[i + 1] + 128) / 255) | 0;
    data[i + 2] = ((m * blue[data[i + 2]] + rest * data[i + 2] + 128) / 255) | 0;
  }
}

// What the hand's points lie on: the network's curves, for a channel or before all of them.
export const beforeHand = (look, strength) => (look ?? curves.identity()).map((curve) => curves.blend(curve, strength));

export const byHand = (curve, points) => (isStraight(points) ? curve : curves.then(curve, toKnots(points)));

export const hasHand = ({ hand, grid }) => !grid && Object.values(hand).some((points) => !isStraight(points));

// Of what the network said: whether it changes nothing, or nothing that anybody would see.
export const isIdentity = ({ look, grid }) => curves.isIdentity(look) && (!grid || grids.isIdentity(grid));
export const isSlight = ({ look, grid }) => curves.isSlight(look) && (!grid || grids.isSlight(grid));
