// Pointers and keys on the picture.

import { refresh, remember, stage, state, tool, undo } from "./page.js";
import { brushRadius, dab, rememberMask, showCursor } from "./paint.js";
import { change, changeOnce } from "./place.js";

// Pointers: one draws, moves or drags the divider; two zoom

const pointers = new Map();
let gesture = null;

function at(event) {
  const box = stage.canvas.getBoundingClientRect();
  const scale = stage.canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

// What of the cut-out is under a point: a corner, the inside, or nothing.
function hit(point) {
  const { outline, base: picture } = stage;
  if (!outline || !state.placement) return null;
  const [x, y] = stage.toPicture(point).map((n) => n / picture.ratio);
  const angle = (-outline.rotation * Math.PI) / 180;
  const dx = x - (outline.left + outline.width / 2), dy = y - (outline.top + outline.height / 2);
  const u = Math.abs(dx * Math.cos(angle) - dy * Math.sin(angle)) - outline.width / 2;
  const v = Math.abs(dx * Math.sin(angle) + dy * Math.cos(angle)) - outline.height / 2;
  const near = (18 * (window.devicePixelRatio || 1)) / (stage.view.scale * picture.ratio);
  if (Math.hypot(u, v) < near) return "corner";
  return u < 0 && v < 0 ? "inside" : null;
}

function begin(event) {
  const point = at(event);
  if (stage.divider !== null && Math.abs(point[0] - stage.divider) < 16) return { kind: "compare" };
  if (event.button === 1 || tool() === "hand") return { kind: "pan", last: point };
  if (tool() === "move") {
    const part = hit(point);
    if (!part) return { kind: "pan", last: point };
    remember("place");
    return { kind: part === "corner" ? "turn" : "move", start: stage.toPicture(point), from: { ...state.placement } };
  }
  rememberMask();
  const place = stage.toPicture(point);
  dab(place, place);
  return { kind: "paint", last: place };
}

function follow(event) {
  const point = at(event);
  const place = stage.toPicture(point);
  const ratio = stage.base.ratio;
  if (gesture.kind === "compare") {
    stage.setCompare((point[0] - stage.view.x) / (stage.before.width * stage.view.scale));
  } else if (gesture.kind === "pan") {
    stage.pan(point[0] - gesture.last[0], point[1] - gesture.last[1]);
    gesture.last = point;
  } else if (gesture.kind === "paint") {
    dab(gesture.last, place);
    gesture.last = place;
  } else if (gesture.kind === "move") {
    const { from, start } = gesture;
    change({ x: from.x + (place[0] - start[0]) / ratio, y: from.y + (place[1] - start[1]) / ratio });
  } else if (gesture.kind === "turn") {
    const { from, start } = gesture;
    const before = [start[0] / ratio - from.x, start[1] / ratio - from.y];
    const now = [place[0] / ratio - from.x, place[1] / ratio - from.y];
    let turn = ((Math.atan2(now[1], now[0]) - Math.atan2(before[1], before[0])) * 180) / Math.PI;
    const whole = Math.round((from.rotation + turn) / 90) * 90;
    if (Math.abs(from.rotation + turn - whole) < 4) turn = whole - from.rotation; // snap to upright
    change({ scale: (from.scale * Math.hypot(...now)) / Math.hypot(...before), rotation: from.rotation + turn });
  }
}

function pinch(event) {
  const others = [...pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
  const old = pointers.get(event.pointerId), now = at(event), [other] = others;
  const ratio = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.hypot(old[0] - other[0], old[1] - other[1]);
  stage.pan((now[0] - old[0]) / 2, (now[1] - old[1]) / 2);
  stage.zoomTo(stage.view.scale * ratio, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
}

stage.canvas.addEventListener("pointerdown", (event) => {
  if (!stage.before) return;
  stage.canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, at(event));
  if (pointers.size === 1) gesture = begin(event);
  else if (gesture) {
    if (gesture.kind === "paint" || gesture.kind === "move" || gesture.kind === "turn") undo();
    gesture = null; // a second finger: it was meant as a zoom
  }
});
stage.canvas.addEventListener("pointermove", (event) => {
  if (!stage.before) return;
  if (tool() === "brush" || tool() === "eraser") showCursor(stage.toPicture(at(event)));
  if (pointers.size === 2 && pointers.has(event.pointerId)) pinch(event);
  else if (gesture) follow(event);
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at(event));
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (gesture?.kind === "paint") stage.update();
    gesture = null;
    refresh();
  });
}
stage.canvas.addEventListener("pointerleave", () => { stage.cursor = null; stage.draw(); });
stage.canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  stage.zoomTo(stage.view.scale * Math.exp(-event.deltaY / 400), ...at(event));
}, { passive: false });

// Keys

stage.canvas.addEventListener("keydown", (event) => {
  if (!stage.before || event.ctrlKey || event.metaKey || event.altKey) return;
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (direction) moveBy(direction, event.shiftKey ? 10 : 1);
  else if (event.key === "+" || event.key === "=") stage.zoomTo(stage.view.scale * 1.25);
  else if (event.key === "-") stage.zoomTo(stage.view.scale / 1.25);
  else if (event.key === "0") stage.fit();
  else if (event.key === "1") stage.zoomTo(1);
  else if (event.key === " " && (tool() === "brush" || tool() === "eraser")) dabAtCursor();
  else if (tool() === "move" && state.placement && "[],.<>fF".includes(event.key)) turnBy(event.key);
  else return;
  event.preventDefault();
});

function moveBy([x, y], times) {
  if (tool() === "move" && state.placement) {
    const { placement } = state;
    changeOnce({ x: placement.x + x * times, y: placement.y + y * times });
  } else if (tool() === "brush" || tool() === "eraser") {
    const step = times * Math.max(1, brushRadius() / 2);
    const { x: left, y: top } = stage.cursor ?? { x: stage.before.width / 2, y: stage.before.height / 2 };
    showCursor([left + x * step, top + y * step]);
  } else {
    stage.pan(-40 * x * times, -40 * y * times);
  }
}

function turnBy(key) {
  const { rotation, scale, flip } = state.placement;
  if (key === "[" || key === "]") changeOnce({ rotation: rotation + (key === "]" ? 1 : -1) });
  else if (key === "f" || key === "F") changeOnce({ flip: !flip });
  else changeOnce({ scale: scale * (key === "." || key === ">" ? 1.02 : 1 / 1.02) });
}

function dabAtCursor() {
  const { x, y } = stage.cursor ?? { x: stage.before.width / 2, y: stage.before.height / 2 };
  rememberMask();
  dab([x, y], [x, y]);
  showCursor([x, y]);
  stage.update();
  refresh();
}
