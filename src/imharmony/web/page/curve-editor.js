// Curves over the histograms of both regions; points are added, dragged and removed.

import { evaluate } from "./curves.js";
import { beforeHand, byHand } from "./looks.js";
import { LEAST_GAP, limits, withEnds } from "./spline.js";

const SVG = "http://www.w3.org/2000/svg";
const NAMES = { all: "all channels", 0: "red", 1: "green", 2: "blue" };
const NEAR = 12, NEAR_FINGER = 26; // of 256: what counts as on a point
const OUT = 28; // beyond the frame: a point that is dragged there is removed
const STEP = 1 / 255;
const GRID = Array.from({ length: 129 }, (_, k) => k / 128);
const clip = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);

export class CurveEditor {
  // onEdit(points, isFirst): the points of the channel that is shown.
  constructor(svg, onEdit) {
    Object.assign(this, { svg, onEdit, dragged: null, handles: [], points: [] });
    for (let k = 1; k < 4; k++) {
      this.add("line", { x1: 64 * k, x2: 64 * k, y1: 0, y2: 256, class: "grid-line" });
      this.add("line", { y1: 64 * k, y2: 64 * k, x1: 0, x2: 256, class: "grid-line" });
    }
    this.add("line", { x1: 0, y1: 256, x2: 256, y2: 0, class: "grid-line" });
    this.behind = this.add("path", { class: "behind" });
    this.object = this.add("path", { class: "object" });
    this.lines = [0, 1, 2].map((c) => this.add("path", { class: `line c${c}` }));
    this.all = this.add("path", { class: "line all-line" });
    svg.addEventListener("pointerdown", (event) => this.grab(event));
    svg.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => this.drop());
    svg.addEventListener("dblclick", (event) => {
      const index = this.near(this.place(event), NEAR);
      if (index !== null) this.removePoint(index);
    });
  }

  add(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return this.svg.appendChild(element);
  }

  // What is drawn: an object's curves, one channel of them to edit.
  draw(object, channel, histograms) {
    this.channel = channel;
    const base = beforeHand(object.look, object.strength);
    const channels = base.map((curve, c) => byHand(curve, object.hand[c]));
    const mean = { x: GRID, y: GRID.map((at) => channels.reduce((sum, curve) => sum + evaluate(curve, at), 0) / 3) };
    this.base = channel === "all" ? mean : base[channel];
    if (this.dragged === null) this.points = withEnds(object.hand[channel]);
    const shown = channel === "all" ? channels.map((curve) => byHand(curve, object.hand.all)) : channels;
    shown.forEach((curve, c) => {
      this.lines[c].setAttribute("d", path(curve));
      this.lines[c].classList.toggle("off", channel !== "all" && Number(channel) !== c);
      this.lines[c].classList.toggle("edited", channel !== "all" && Number(channel) === c);
    });
    this.all.setAttribute("d", channel === "all" ? path(byHand(mean, object.hand.all)) : "");
    this.drawHandles();
    if (!histograms) return;
    const index = channel === "all" ? 3 : Number(channel);
    this.behind.setAttribute("d", area(histograms.background[index]));
    this.object.setAttribute("d", area(histograms.foreground[index]));
  }

  drawHandles() {
    while (this.handles.length < this.points.length) this.handles.push(this.addHandle(this.handles.length));
    while (this.handles.length > this.points.length) this.handles.pop().remove();
    this.points.forEach(([u, v], index) => {
      const x = this.across(u, index), handle = this.handles[index];
      const [from, to] = [Math.round(255 * x), Math.round(255 * v)];
      const values = {
        cx: 256 * x, cy: 256 * (1 - v), "aria-valuenow": to, "aria-valuetext": `${from} becomes ${to}`,
        "aria-label": `Point of the curve for ${NAMES[this.channel]} at ${from}`,
      };
      for (const [key, value] of Object.entries(values)) handle.setAttribute(key, value);
      handle.classList.toggle("leaving", this.dragged === index && this.isLeaving === true);
    });
  }

  addHandle(index) {
    const handle = this.add("circle", { r: 6, class: "handle", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 255 });
    handle.addEventListener("keydown", (event) => this.press(event, index));
    return handle;
  }

  press(event, index) {
    if (event.ctrlKey || event.metaKey) return;
    const step = (event.shiftKey ? 10 : 1) * STEP;
    const [u, v] = this.points[index];
    const up = { ArrowUp: step, ArrowDown: -step, PageUp: 10 * STEP, PageDown: -10 * STEP }[event.key];
    const across = { ArrowRight: step, ArrowLeft: -step }[event.key];
    if (up) this.move(index, u, v + up);
    else if (across) this.move(index, u + across, v);
    else if (event.key === "Delete" || event.key === "Backspace") this.removePoint(index);
    else if (event.key === "Enter" || event.key === "+" || event.key === "Insert") this.addBetween(index);
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.onEdit(this.points, false, "keys");
    this.handles[Math.min(index, this.handles.length - 1)].focus({ preventScroll: true });
  }

  addBetween(index) {
    const first = Math.min(index, this.points.length - 2);
    const u = (this.points[first][0] + this.points[first + 1][0]) / 2;
    const x = this.across(u, -1);
    this.insert(u, this.heightAt(x));
  }

  heightAt(x) {
    const points = this.points.map(([u, v]) => [u, v]);
    return evaluate(byHand(this.base, points), x);
  }

  insert(u, v) {
    const index = this.points.findIndex(([other]) => other > u);
    const [below, above] = [this.points[index - 1], this.points[index]];
    if (!below || !above || u - below[0] < LEAST_GAP || above[0] - u < LEAST_GAP) return null;
    this.points = [...this.points.slice(0, index), [u, v], ...this.points.slice(index)];
    const [low, high] = limits(this.points, index);
    this.points[index][1] = clip(v, low, high);
    return index;
  }

  move(index, u, v) {
    const isEnd = index === 0 || index === this.points.length - 1;
    const points = this.points.map((point) => [...point]);
    if (!isEnd) points[index][0] = clip(u, points[index - 1][0] + LEAST_GAP, points[index + 1][0] - LEAST_GAP);
    const [low, high] = limits(points, index);
    if (low > high) return;
    points[index][1] = clip(v, low, high);
    this.points = points;
  }

  // The ends go back to where they belong; other points go.
  removePoint(index) {
    const { length } = this.points;
    if (index === 0) this.points = [[0, 0], ...this.points.slice(1)];
    else if (index === length - 1) this.points = [...this.points.slice(0, -1), [1, 1]];
    else this.points = this.points.filter((_, k) => k !== index);
    this.dragged = null;
    this.onEdit(this.points, true);
  }

  // Pointers

  place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x / 256, 1 - point.y / 256];
  }

  near([x, y], reach) {
    let best = null, least = reach / 256;
    this.points.forEach(([u, v], index) => {
      const distance = Math.hypot(this.across(u, index) - x, v - y);
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }

  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const [x, y] = this.place(event);
    let index = this.near([x, y], event.pointerType === "touch" ? NEAR_FINGER : NEAR);
    const isNew = index === null;
    if (isNew) index = this.insert(evaluate(this.base, clip(x)), y);
    if (index === null) return;
    this.svg.setPointerCapture(event.pointerId);
    this.dragged = index;
    this.kept = this.points;
    this.isLeaving = false;
    this.isFirst = true;
    if (isNew) this.report();
    this.handles[index]?.focus({ preventScroll: true });
  }

  drag(event) {
    if (this.dragged === null) return;
    const [x, y] = this.place(event);
    const isEnd = this.dragged === 0 || this.dragged === this.points.length - 1;
    const beyond = Math.max(-x, x - 1, -y, y - 1) * 256;
    this.isLeaving = !isEnd && beyond > OUT;
    this.move(this.dragged, evaluate(this.base, clip(x)), y);
    this.report();
  }

  report() {
    const points = this.isLeaving ? this.points.filter((_, k) => k !== this.dragged) : this.points;
    this.onEdit(points, this.isFirst);
    this.isFirst = false;
  }

  drop() {
    if (this.dragged === null) return;
    const index = this.dragged;
    this.dragged = null;
    if (this.isLeaving) {
      this.points = this.points.filter((_, k) => k !== index);
      this.isLeaving = false;
      this.onEdit(this.points, false);
    }
  }

  // Where on the axis the curve under the points has a height.
  across(height, index) {
    if (index === 0) return 0;
    if (index === this.points.length - 1) return 1;
    let low = 0, high = 1;
    for (let k = 0; k < 24; k++) {
      const middle = (low + high) / 2;
      if (evaluate(this.base, middle) < height) low = middle; else high = middle;
    }
    return high;
  }
}

function path(curve) {
  return `M${GRID.map((at) => `${256 * at},${(256 * (1 - clip(evaluate(curve, at)))).toFixed(2)}`).join("L")}`;
}

function area(counts) {
  const sorted = [...counts].sort((a, b) => a - b);
  const top = sorted[250] || sorted[255] || 1; // a few peaks may be cut off
  return `M0,256L${Array.from(counts, (n, v) => `${v},${(256 - 110 * Math.min(n / top, 1.3)).toFixed(1)}`).join("L")}L256,256Z`;
}
