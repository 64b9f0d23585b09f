// Where the cut-out is: by numbers and buttons, and for the tools.

import { $, base, onUndo, remember, say, stage, state, way } from "./page.js";
import { placed } from "./stage.js";

export function showPlacement() {
  const { placement, pictures: { cutout } } = state;
  if (!placement || !cutout || !base()) return;
  stage.placeCutout(cutout, placement);
  const { left, top } = placed(placement, cutout);
  $("left").value = left;
  $("top").value = top;
  $("size").value = Math.round(100 * placement.scale);
  $("rotation").value = Math.round(placement.rotation);
  if (state.look) say("Moved. Harmonize again to fit the new place.");
}

export function change(changes) {
  if (!state.placement) return;
  Object.assign(state.placement, changes);
  const { placement } = state;
  placement.scale = Math.min(Math.max(placement.scale, 0.01), 10);
  placement.rotation = ((((placement.rotation + 180) % 360) + 360) % 360) - 180;
  const { width, height } = base(); // its center stays on the photo
  placement.x = Math.min(Math.max(placement.x, 0), width - 1);
  placement.y = Math.min(Math.max(placement.y, 0), height - 1);
  showPlacement();
}

export function changeOnce(changes) {
  remember("place");
  change(changes);
}

for (const [id, axis, side] of [["left", "x", "width"], ["top", "y", "height"]]) {
  $(id).addEventListener("change", () => {
    if ($(id).value === "") return showPlacement();
    const box = placed(state.placement, state.pictures.cutout);
    changeOnce({ [axis]: Number($(id).value) + box[side] / 2 });
  });
}
$("size").addEventListener("change", () => Number($("size").value) > 0 ? changeOnce({ scale: $("size").value / 100 }) : showPlacement());
$("rotation").addEventListener("change", () => changeOnce({ rotation: Number($("rotation").value) }));
$("flip").addEventListener("click", () => changeOnce({ flip: !state.placement.flip }));

onUndo((kind) => {
  if (kind === "place" && way() === "cutout") showPlacement();
});
