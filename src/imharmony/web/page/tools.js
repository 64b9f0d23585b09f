// Pointers and keys on the picture.

import { hold } from "./fit.js";
import { paintNew } from "./intake.js";
import { change, drag, nudge } from "./place.js";
import { $, changeObject, doc, history, isReady, remove, select, selected, tool } from "./state.js";
import { say } from "./status.js";
import { feather, fillOutline, grow, invert, paintLine, shrinkBy } from "./strokes.js";

export const isMaskTool = () => ["brush", "eraser", "lasso"].includes(tool());
const isBrush = () => tool() === "brush" || tool() === "eraser";

export function choose(name) {
  document.querySelector(`input[name=tool][value=${name}]`).checked = true;
  $("tools").dispatchEvent(new Event("change"));
}

// The brush is as wide on the screen at every zoom.
export function startTools(view, composer, refresh) {
  const pointers = new Map();
  let gesture = null;
  let space = null; // while the key is held: whether it was used for moving the picture
  const brush = () => ({
    radius: Math.max(0.5, ($("brush-size").value * view.dpr) / view.scale),
    hardness: $("brush-hardness").value / 100, isEraser: tool() === "eraser",
  });

  const at = (event) => {
    const box = view.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * view.dpr, (event.clientY - box.top) * view.dpr];
  };

  // The mask that the brush works on; painting beside a cut-out begins a new object.
  function maskToPaint(isTaking) {
    const object = selected();
    if (object?.kind === "mask") return object;
    if (isTaking) {
      say("Choose a painted object or a mask in the list first; a cut-out keeps its own shape.");
      return null;
    }
    paintNew();
    return selected();
  }

  function showCursor(point) {
    view.showCursor(isBrush() && point ? { x: point[0], y: point[1], radius: brush().radius } : null);
  }

  // What of the chosen object is under a point of the screen.
  function part(point) {
    if (!view.outline?.placement) return null;
    const { corners, knob, center, half, angle } = view.handles();
    const reach = Math.min(16 * view.dpr, Math.max(6 * view.dpr, 0.6 * Math.min(...half))); // the middle of a small one moves it
    const near = ([x, y]) => Math.hypot(point[0] - x, point[1] - y) < reach;
    if (near(knob)) return "turn";
    if (corners.some(near)) return "scale";
    return isInside(point, center, half, angle) ? "move" : null;
  }

  // The uppermost cut-out under a point.
  function find(point) {
    return doc().objects.findLast((object) => {
      if (object.kind !== "cutout" || !isReady(object)) return false;
      const kept = view.outline;
      view.outline = object;
      const { center, half, angle } = view.handles();
      view.outline = kept;
      return isInside(point, center, half, angle);
    });
  }

  function begin(event) {
    const point = at(event), place = view.toPhoto(point);
    if (event.button === 1 || space || tool() === "hand") {
      if (space) space.isUsed = true;
      return { kind: "pan", last: point };
    }
    if (tool() === "move") {
      let kind = part(point);
      if (!kind || kind === "move") {
        const under = find(point);
        if (under && (!kind || under.id !== selected()?.id) && !(kind === "move" && event.shiftKey)) {
          select(under.id);
          kind = "move";
        }
      }
      const object = selected();
      if (!kind || !object?.placement) return { kind: "pan", last: point };
      return { kind, start: place, from: { ...object.placement }, isFirst: true, id: object.id };
    }
    const object = maskToPaint(tool() === "eraser" || event.altKey);
    if (!object) return null;
    const { mask } = object;
    const edit = mask.begin();
    if (tool() === "lasso") return { kind: "lasso", object, mask, edit, points: [place], isEraser: event.altKey };
    composer.extend(object.id);
    const stroke = { kind: "paint", object, mask, edit, last: place };
    dab(stroke, place, place);
    return stroke;
  }

  function dab({ mask, edit }, from, to) {
    const box = paintLine(mask, edit, from, to, brush());
    composer.renew(box);
    view.tint(box);
    view.changed(box);
  }

  function follow(event) {
    const point = at(event), place = view.toPhoto(point);
    if (gesture.kind === "pan") {
      view.pan(point[0] - gesture.last[0], point[1] - gesture.last[1]);
      gesture.last = point;
    } else if (gesture.kind === "paint") {
      dab(gesture, gesture.last, place);
      gesture.last = place;
    } else if (gesture.kind === "lasso") {
      gesture.points.push(place);
      view.lasso = gesture.points;
      view.draw();
    } else followObject(event, place);
  }

  function followObject(event, place) {
    const { from, start, kind } = gesture;
    const object = doc().objects.find(({ id }) => id === gesture.id);
    const before = [start[0] - from.x, start[1] - from.y], now = [place[0] - from.x, place[1] - from.y];
    let changes = { x: from.x + place[0] - start[0], y: from.y + place[1] - start[1] };
    if (kind === "scale") changes = { scale: (from.scale * Math.hypot(...now)) / Math.max(1, Math.hypot(...before)) };
    if (kind === "turn") {
      let angle = from.rotation + ((Math.atan2(now[1], now[0]) - Math.atan2(before[1], before[0])) * 180) / Math.PI;
      const step = event.shiftKey ? 15 : 90;
      const whole = Math.round(angle / step) * step;
      if (event.shiftKey || Math.abs(angle - whole) < 4) angle = whole;
      changes = { rotation: angle };
    }
    if (object) drag(object, changes, gesture.isFirst);
    gesture.isFirst = false;
  }

  function finish() {
    const { kind, object, mask, edit, points } = gesture;
    if (kind === "lasso") {
      view.lasso = null;
      if (points.length > 2) fillOutline(mask, edit, points, gesture.isEraser);
    }
    if (kind === "lasso" || kind === "paint") {
      if (edit.tiles.size) changeObject(object.id, { version: mask.finish(edit) });
      view.tint({ left: 0, top: 0, width: mask.width, height: mask.height });
    }
  }

  // A second finger: the first was meant as a part of a pinch.
  function giveUp() {
    if (gesture.kind === "paint" && gesture.edit.tiles.size) {
      const { object, mask, edit } = gesture;
      changeObject(object.id, { version: mask.finish(edit) });
      history.undo();
      history.future = [];
    } else if (gesture.isFirst === false) history.undo();
    view.lasso = null;
    gesture = null;
  }

  function pinch(event) {
    const [, other] = [...pointers].find(([id]) => id !== event.pointerId);
    const old = pointers.get(event.pointerId), now = at(event);
    const ratio = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(old[0] - other[0], old[1] - other[1]));
    view.pan((now[0] - old[0]) / 2, (now[1] - old[1]) / 2);
    view.zoomTo(view.scale * ratio, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  view.canvas.addEventListener("pointerdown", (event) => {
    if (!view.photo || event.button === 2) return;
    view.canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (pointers.size > 1) {
      if (gesture) giveUp();
      return;
    }
    hold(true);
    gesture = begin(event);
  });
  view.canvas.addEventListener("pointermove", (event) => {
    if (!view.photo) return;
    if (event.pointerType !== "touch") showCursor(view.toPhoto(at(event)));
    if (pointers.size === 2 && pointers.has(event.pointerId)) pinch(event);
    else if (gesture) follow(event);
    else if (tool() === "move") view.canvas.style.cursor = { turn: "grab", scale: "nwse-resize", move: "move" }[part(at(event))] ?? (find(at(event)) ? "pointer" : "grab");
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at(event));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    view.canvas.addEventListener(name, (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (gesture) finish();
      gesture = null;
      history.close();
      if (!pointers.size) hold(false);
      refresh();
    });
  }
  view.canvas.addEventListener("pointerleave", () => showCursor(null));
  view.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomTo(view.scale * Math.exp(-event.deltaY / 400), ...at(event));
  }, { passive: false });

  // Buttons

  const wide = () => Math.max(1, Math.round(Math.min(doc().photo.width, doc().photo.height) / 300));
  const buttons = { invert: (mask, edit) => invert(mask, edit), grow: (mask, edit) => grow(mask, edit, wide()), shrink: (mask, edit) => shrinkBy(mask, edit, wide()), feather: (mask, edit) => feather(mask, edit, wide()) };
  for (const [name, run] of Object.entries(buttons)) {
    $(`mask-${name}`).addEventListener("click", () => {
      const object = maskToPaint(name !== "invert");
      if (!object) return;
      const edit = object.mask.begin();
      run(object.mask, edit);
      if (edit.tiles.size) changeObject(object.id, { version: object.mask.finish(edit) });
    });
  }


  // Keys

  view.canvas.addEventListener("keydown", (event) => {
    if (!view.photo || event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (direction) moveBy(direction, event.shiftKey ? 10 : 1);
    else if (event.key !== " ") return;
    event.preventDefault();
  });

  // Space held moves the picture with the pointer; pressed alone it paints.
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || space || !view.photo || !(event.target === view.canvas || event.target === document.body || event.target.name === "tool")) return;
    event.preventDefault();
    space = { isUsed: false };
    view.canvas.style.cursor = "grab";
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !space) return;
    const { isUsed } = space;
    space = null;
    refresh();
    if (!isUsed && isBrush() && event.target === view.canvas) dabAtCursor();
  });
  window.addEventListener("blur", () => { space = null; });

  function moveBy([x, y], times) {
    if (tool() === "move" && selected()?.placement) return nudge(x * times, y * times);
    if (!isBrush()) return view.pan(-40 * x * times, -40 * y * times);
    const step = times * Math.max(1, brush().radius / 2);
    const { x: left, y: top } = view.cursor ?? middle();
    return showCursor([left + x * step, top + y * step]);
  }

  const middle = () => ({ x: doc().photo.width / 2, y: doc().photo.height / 2 });

  function dabAtCursor() {
    const { x, y } = view.cursor ?? middle();
    const object = maskToPaint(tool() === "eraser");
    if (!object) return;
    const edit = object.mask.begin();
    paintLine(object.mask, edit, [x, y], [x, y], brush());
    changeObject(object.id, { version: object.mask.finish(edit) });
    showCursor([x, y]);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !doc().photo || isTyping(event.target) || $("ask").open) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const tools = { v: "move", b: "brush", e: "eraser", l: "lasso", h: "hand" };
    const placement = tool() === "move" && selected()?.placement;
    if (tools[key]) choose(tools[key]);
    else if (key === "+" || key === "=") view.zoomTo(view.scale * 1.25);
    else if (key === "-" || key === "−") view.zoomTo(view.scale / 1.25);
    else if (key === "0") view.fit();
    else if (key === "1") view.zoomTo(1);
    else if (key === "i" && isMaskTool()) $("mask-invert").click();
    else if (isBrush() && "[]{}".includes(event.key)) resizeBrush(event);
    else if (placement && (key === "[" || key === "]")) change({ rotation: placement.rotation + (key === "]" ? 1 : -1) }, "turn");
    else if (placement && (key === "," || key === ".")) change({ scale: placement.scale * (key === "." ? 1.02 : 1 / 1.02) }, "scale");
    else if (placement && key === "f") change({ flip: !placement.flip }, null);
    else if ((key === "Delete" || key === "Backspace") && selected() && !event.target.closest("#plot")) remove(selected().id);
    else return;
    event.preventDefault();
  });

  function resizeBrush(event) {
    const isHardness = event.shiftKey;
    const slider = $(isHardness ? "brush-hardness" : "brush-size");
    const isMore = event.key === "]" || event.key === "}";
    const step = isHardness ? 10 : Math.max(1, Math.round(slider.value * 0.12));
    slider.value = Number(slider.value) + (isMore ? step : -step);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    if (view.cursor) showCursor([view.cursor.x, view.cursor.y]);
  }
}

export const isTyping = (element) =>
  element instanceof HTMLElement && element.matches("input[type=number], input[type=password], input[type=text], select, textarea");

function isInside([x, y], [cx, cy], [w, h], angle) {
  const [dx, dy] = [x - cx, y - cy];
  return Math.abs(dx * Math.cos(angle) + dy * Math.sin(angle)) < w && Math.abs(dy * Math.cos(angle) - dx * Math.sin(angle)) < h;
}
