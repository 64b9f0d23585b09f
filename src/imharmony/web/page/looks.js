// The colors an object gets: what the network said, as strong as asked, then the curves by hand.

import * as curves from "./curves.js";
import { isStraight, toKnots } from "./spline.js";

const made = new WeakMap();

// {look, tables, isChanged}; look is three curves, as they are rendered.
export function finish(object) {
  if (!made.has(object)) made.set(object, make(object));
  return made.get(object);
}

let last = []; // other changes of an object leave its colors alone

function make({ look, strength, hand }) {
  const same = last.find((entry) => entry.look === look && entry.strength === strength && entry.hand === hand);
  if (same) return same.result;
  const result = combine(look, strength, hand);
  last = [{ look, strength, hand, result }, ...last].slice(0, 32);
  return result;
}

function combine(look, strength, hand) {
  const finished = beforeHand(look, strength).map((curve, channel) => byHand(byHand(curve, hand[channel]), hand.all));
  return { look: finished, tables: finished.map(curves.table), isChanged: !curves.isIdentity(finished) };
}

// What the hand's points lie on: the network's curves, for a channel or before all of them.
export const beforeHand = (look, strength) => (look ?? curves.identity()).map((curve) => curves.blend(curve, strength));

export const byHand = (curve, points) => (isStraight(points) ? curve : curves.then(curve, toKnots(points)));

export const hasHand = ({ hand }) => Object.values(hand).some((points) => !isStraight(points));
