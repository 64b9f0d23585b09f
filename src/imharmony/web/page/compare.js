// Before and after: side by side with a line between, or one of them while a key is held.

import { finish } from "./looks.js";
import { $, doc } from "./state.js";
import { isMaskTool, isTyping } from "./tools.js";

let isHeld = false;
let isSplit = true;

export function startCompare(view, refresh) {
  const hold = (isDown) => {
    if (isHeld === isDown) return;
    isHeld = isDown;
    refresh();
  };
  $("compare").addEventListener("input", () => {
    view.compare = $("compare").value / 100;
    refresh();
  });
  $("split").addEventListener("click", () => {
    isSplit = !isSplit;
    refresh();
  });
  $("hold").addEventListener("pointerdown", (event) => {
    $("hold").setPointerCapture(event.pointerId);
    hold(true);
  });
  for (const name of ["pointerup", "pointercancel", "blur"]) $("hold").addEventListener(name, () => hold(false));
  $("hold").addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") hold(true); });
  $("hold").addEventListener("keyup", () => hold(false));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key.toLowerCase() === "c") hold(true);
    if (event.key.toLowerCase() === "s" && !event.repeat && isChanged()) $("split").click();
  });
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "c") hold(false); });
  window.addEventListener("blur", () => hold(false));
}

const isChanged = () => Boolean(doc().photo) && doc().objects.some((object) => finish(object).isChanged);

export function showCompare(view) {
  const hasBoth = isChanged();
  const canSplit = hasBoth && !isMaskTool(); // the line is never in the brush's way
  view.mode = isHeld ? "before" : canSplit && isSplit ? "split" : "after";
  $("compare-group").hidden = !hasBoth;
  $("split").setAttribute("aria-pressed", String(isSplit));
  $("split").disabled = isMaskTool();
  $("hold").setAttribute("aria-pressed", String(isHeld));
  $("compare").hidden = view.mode !== "split";
  $("tag-before").hidden = !hasBoth || view.mode === "after" || (view.mode === "split" && view.compare < 0.1);
  $("tag-after").hidden = !hasBoth || view.mode === "before" || (view.mode === "split" && view.compare > 0.9);
}
