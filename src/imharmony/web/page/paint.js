// Brush and eraser on the mask.

import { $, refresh, remember, stage, state, tool } from "./page.js";
import { newCanvas } from "./stage.js";

export function dab(from, to) {
  const context = stage.mask.getContext("2d");
  context.globalCompositeOperation = tool() === "eraser" ? "destination-out" : "source-over";
  context.strokeStyle = "#fff";
  context.lineCap = "round";
  context.lineWidth = 2 * brushRadius();
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]); // a line of no length would not be drawn
  context.stroke();
  state.isPainted = true;
  if (state.look) stage.update(); else stage.draw();
}

// The brush is as wide on the screen at every zoom.
export function brushRadius() {
  return Math.max(0.5, ($("brush").value * (window.devicePixelRatio || 1)) / 2 / stage.view.scale);
}

export function rememberMask() {
  const copy = newCanvas(stage.mask.width, stage.mask.height);
  copy.getContext("2d").drawImage(stage.mask, 0, 0);
  const wasPainted = state.isPainted, mask = stage.mask;
  remember("mask", () => {
    if (stage.mask !== mask) return;
    const context = mask.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.drawImage(copy, 0, 0);
    context.globalCompositeOperation = "source-over";
    state.isPainted = wasPainted;
    stage.update();
    refresh();
  });
}

export function showCursor([x, y]) {
  stage.cursor = { x, y, radius: brushRadius() };
  stage.draw();
}
