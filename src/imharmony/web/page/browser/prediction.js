// What the network says, as curves. Plain numbers, so that it is tested without a network.

import * as curves from "../curves.js";

const LEAST_SLOPE_SUM = 1e-3; // as imharmony.curves

// {curves: three {x, y} or null, label, sameScene}
export function curvesOf(outputs, contract, label) {
  const { curve_params: params, label_logits: logits, probability } = outputs;
  const [, numStages, , length] = params.dims;
  const stages = Array.from({ length: numStages }, (_, stage) => [0, 1, 2].map((channel) => {
    const start = (stage * 3 + channel) * length;
    const row = Array.from(params.data.slice(start, start + length));
    return contract.slopes === "heights" ? fromHeights(row) : fromSlopes(row);
  }));
  const isCurve = stages.every((stage) => stage.every(Boolean));
  const look = isCurve ? stages.reduce((one, other) => one.map((curve, channel) => curves.then(curve, other[channel]))) : null;
  const values = Array.from(logits.data);
  const guess = contract.labels[values.indexOf(Math.max(...values))];
  return {
    curves: look,
    label: contract.has_semantic_label ? label || (contract.guesses_label ? guess : "others") : null,
    sameScene: probability ? probability.data[0] : null,
  };
}

function fromHeights(heights) {
  if (!heights.every(Number.isFinite)) return null;
  return { x: heights.map((_, k) => k / (heights.length - 1)), y: heights };
}

// Running sums of the slopes, as a share of the whole.
function fromSlopes(slopes) {
  if (!slopes.every(Number.isFinite)) return null;
  const largest = Math.max(...slopes.map(Math.abs)) || 1;
  let total = 0, size = 0;
  const sums = slopes.map((slope) => {
    size += Math.abs(slope / largest);
    return (total += slope / largest);
  });
  if (Math.abs(total) <= LEAST_SLOPE_SUM * size) return null;
  return { x: [0, ...sums].map((_, k) => k / slopes.length), y: [0, ...sums.map((sum) => sum / total)] };
}
