// Curves as files: the kinds that are plain text.

import { evaluate, toRecord } from "../curves.js";

const ROWS = 4096; // as imharmony writes them
const clip = (value) => Math.min(Math.max(value, 0), 1);

export function write(look, about, choice) {
  const [format, size] = choice.split(" ");
  if (format === "json") return { text: `${JSON.stringify(toRecord(look, about), null, 1)}\n`, suffix: ".json" };
  return { text: size ? cube3d(look, Number(size)) : cube1d(look), suffix: ".cube" };
}

const row = (values) => values.map((value) => clip(value).toFixed(6)).join(" ");

function cube1d(look) {
  const rows = Array.from({ length: ROWS }, (_, k) => row(look.map((curve) => evaluate(curve, k / (ROWS - 1)))));
  return `# imharmony: for sRGB-encoded values\nLUT_1D_SIZE ${ROWS}\n${rows.join("\n")}\n`;
}

function cube3d(look, size) {
  const heights = look.map((curve) => Array.from({ length: size }, (_, k) => evaluate(curve, k / (size - 1))));
  const rows = [];
  for (let b = 0; b < size; b++) for (let g = 0; g < size; g++) for (let r = 0; r < size; r++) rows.push(row([heights[0][r], heights[1][g], heights[2][b]]));
  return `# imharmony: for sRGB-encoded values\nLUT_3D_SIZE ${size}\n${rows.join("\n")}\n`;
}
