// Where a cut-out lies on the photo: center, scale, rotation, mirrored or not.

import { $, amendObject, changeObject, doc, history, selected } from "./state.js";

// A cut-out's corner and size in whole pixels of the photo, before it is turned.
export function placed({ x, y, scale }, { width, height }) {
  const w = Math.max(1, Math.round(width * scale));
  const h = Math.max(1, Math.round((height * w) / width));
  return { left: Math.round(x - w / 2), top: Math.round(y - h / 2), width: w, height: h };
}

// Of the photo's width and height: in a row, then above and below it.
const MIDDLES = [0.5, 0.3, 0.7].flatMap((y) => [0.5, 0.25, 0.75, 0.38, 0.62].map((x) => [x, y]));
const APART = 0.1;

// In the middle, or beside the cut-outs that are there; as large as is comfortable.
export function firstPlace(cutout, photo, others = []) {
  const taken = others.filter(({ placement }) => placement).map(({ placement: { x, y } }) => [x / photo.width, y / photo.height]);
  const [x, y] = MIDDLES.find((middle) => taken.every(([u, v]) => Math.hypot(u - middle[0], v - middle[1]) > APART)) ?? MIDDLES[0];
  const scale = Math.min(1, (0.6 * photo.width) / cutout.width, (0.6 * photo.height) / cutout.height);
  return { x: Math.round(x * photo.width), y: Math.round(y * photo.height), scale, rotation: 0, flip: false };
}

// The smallest upright box around a placed cut-out.
export function boxOf(placement, cutout) {
  const { left, top, width, height } = placed(placement, cutout);
  const angle = (placement.rotation * Math.PI) / 180;
  const w = Math.abs(width * Math.cos(angle)) + Math.abs(height * Math.sin(angle));
  const h = Math.abs(width * Math.sin(angle)) + Math.abs(height * Math.cos(angle));
  return { left: left + (width - w) / 2 - 1, top: top + (height - h) / 2 - 1, width: w + 2, height: h + 2 };
}

function sensible(placement) {
  const { photo } = doc();
  return {
    ...placement,
    scale: Math.min(Math.max(placement.scale, 0.01), 10),
    rotation: ((((placement.rotation + 180) % 360) + 360) % 360) - 180,
    x: Math.min(Math.max(placement.x, 0), photo.width - 1), // its center stays on the photo
    y: Math.min(Math.max(placement.y, 0), photo.height - 1),
  };
}

// While a pointer drags, only the first change is a step.
export function drag(object, changes, isFirst) {
  const placement = sensible({ ...object.placement, ...changes });
  if (isFirst) {
    history.close();
    changeObject(object.id, { placement });
  } else amendObject(object.id, { placement });
}

export function change(changes, key = "place") {
  const object = selected();
  if (!object?.placement) return;
  changeObject(object.id, { placement: sensible({ ...object.placement, ...changes }) }, `${key} ${object.id}`);
}

export function nudge(x, y) {
  const { placement } = selected();
  change({ x: placement.x + x, y: placement.y + y }, "nudge");
}

export function showPlace(object) {
  $("place").hidden = !object?.placement;
  if (!object?.placement) return;
  const { left, top } = placed(object.placement, object.picture);
  const values = { left, top, size: Math.round(100 * object.placement.scale), rotation: Math.round(object.placement.rotation) };
  for (const [id, value] of Object.entries(values)) if (id !== typed) $(id).value = value;
}

// A number that is being typed stays as it is, whatever arrives meanwhile.
let typed = null;
for (const id of ["left", "top", "size", "rotation"]) {
  $(id).addEventListener("input", () => { typed = id; });
  for (const name of ["change", "blur"]) $(id).addEventListener(name, () => { typed = null; });
}

for (const [id, axis, side] of [["left", "x", "width"], ["top", "y", "height"]]) {
  $(id).addEventListener("change", () => {
    const object = selected();
    if ($(id).value === "") return showPlace(object);
    change({ [axis]: Number($(id).value) + placed(object.placement, object.picture)[side] / 2 }, id);
  });
}
$("size").addEventListener("change", () => (Number($("size").value) > 0 ? change({ scale: $("size").value / 100 }, "size") : showPlace(selected())));
$("rotation").addEventListener("change", () => change({ rotation: Number($("rotation").value) }, "rotation"));
$("flip").addEventListener("click", () => change({ flip: !selected().placement.flip }, null));
