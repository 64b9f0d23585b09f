// The curves over the histograms, with dots to drag.

import { evaluate } from "./curves.js";

export const NUM_HANDLES = 9;
const SVG = "http://www.w3.org/2000/svg";
const STEP = 1 / 255;

export class Plot {
  // onStart before an edit, onEdit(handle, height) during it.
  constructor(svg, { onStart, onEdit }) {
    this.svg = svg;
    this.onStart = onStart;
    this.onEdit = onEdit;
    for (let k = 1; k < 4; k++) {
      this.add("line", { x1: 64 * k, x2: 64 * k, y1: 0, y2: 256, class: "grid-line" });
      this.add("line", { y1: 64 * k, y2: 64 * k, x1: 0, x2: 256, class: "grid-line" });
    }
    this.behind = this.add("path", { class: "behind" });
    this.object = this.add("path", { class: "object" });
    this.lines = [0, 1, 2].map((c) => this.add("path", { class: `line c${c}` }));
    this.handles = Array.from({ length: NUM_HANDLES }, (_, k) => this.addHandle(k));
    svg.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => { this.dragged = null; });
    svg.addEventListener("pointerdown", (event) => this.grab(event));
  }

  add(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return this.svg.appendChild(element);
  }

  addHandle(k) {
    const handle = this.add("circle", {
      r: 5.5, class: "handle", tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-valuemin": 0, "aria-valuemax": 255,
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.onStart();
      this.onEdit(k, this.heights[k] + step * STEP * (event.shiftKey ? 10 : 1));
    });
    return handle;
  }

  place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x / 256, 1 - point.y / 256];
  }

  grab(event) {
    const [x] = this.place(event);
    this.dragged = Math.min(Math.max(Math.round(x * (NUM_HANDLES - 1)), 0), NUM_HANDLES - 1);
    this.svg.setPointerCapture(event.pointerId);
    this.handles[this.dragged].focus({ preventScroll: true });
    event.preventDefault();
    this.onStart();
    this.drag(event);
  }

  drag(event) {
    if (this.dragged == null) return;
    this.onEdit(this.dragged, Math.min(Math.max(this.place(event)[1], 0), 1));
  }

  // look: three curves as rendered; channel: 0, 1, 2 or "all".
  draw(look, channel, histograms) {
    const name = channel === "all" ? "all channels" : ["red", "green", "blue"][channel];
    look.forEach((curve, c) => {
      const points = Array.from({ length: 129 }, (_, k) => `${2 * k},${(256 * (1 - clip(evaluate(curve, k / 128)))).toFixed(2)}`);
      this.lines[c].setAttribute("d", `M${points.join("L")}`);
      this.lines[c].classList.toggle("off", channel !== "all" && Number(channel) !== c);
    });
    const shown = channel === "all" ? 1 : Number(channel);
    this.heights = this.handles.map((_, k) => {
      const at = k / (NUM_HANDLES - 1);
      return channel === "all"
        ? look.reduce((sum, curve) => sum + evaluate(curve, at), 0) / 3
        : evaluate(look[shown], at);
    });
    this.handles.forEach((handle, k) => {
      const value = Math.round(255 * clip(this.heights[k]));
      const at = Math.round((255 * k) / (NUM_HANDLES - 1));
      handle.setAttribute("cx", (256 * k) / (NUM_HANDLES - 1));
      handle.setAttribute("cy", 256 * (1 - clip(this.heights[k])));
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", `${at} becomes ${value}`);
      handle.setAttribute("aria-label", `Curve of ${name} at ${at}`);
    });
    if (histograms) {
      const index = channel === "all" ? 3 : shown;
      this.behind.setAttribute("d", area(histograms.background[index]));
      this.object.setAttribute("d", area(histograms.foreground[index]));
    }
  }
}

const clip = (value) => Math.min(Math.max(value, 0), 1);

function area(counts) {
  const sorted = [...counts].sort((a, b) => a - b);
  const top = sorted[250] || sorted[255] || 1; // a few peaks may be cut off
  const points = Array.from(counts, (n, v) => `${v},${(256 - 110 * Math.min(n / top, 1.3)).toFixed(1)}`);
  return `M0,256L${points.join("L")}L256,256Z`;
}
