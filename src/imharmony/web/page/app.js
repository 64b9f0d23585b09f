// Puts the page together: one document, many parts that show it.

import * as api from "./api.js";
import { showCompare, startCompare } from "./compare.js";
import { Composer } from "./compose.js";
import * as curves from "./curves.js";
import { savedDocument, showDownload, startDownload } from "./download.js";
import { openEngine } from "./engine.js";
import { harmonize, isWaiting, startFitting } from "./fit.js";
import { isReading, startIntake } from "./intake.js";
import { showLook, startLookPanel, takeModels } from "./look-panel.js";
import { showBoxes } from "./objects.js";
import { boxOf } from "./place.js";
import { startSamples } from "./start.js";
import { $, doc, history, isEmpty, isReady, selected, tool } from "./state.js";
import { calm, complain, isBusy, say } from "./status.js";
import { choose, isMaskTool, isTyping, startTools } from "./tools.js";
import { View } from "./view.js";
import { KEYS } from "./words.js";

document.body.dataset.started = "true";
const composer = new Composer();
const view = new View($("canvas"), composer);
let drawCurves = () => {};

function refresh() {
  const object = selected();
  const isLeaving = !isEmpty() && $("start").contains(document.activeElement); // what has the focus goes
  document.body.classList.toggle("is-empty", isEmpty());
  if (isLeaving) view.canvas.focus({ preventScroll: true });
  view.outline = tool() === "move" && object?.placement && doc().photo ? object : null;
  view.tintOf = isMaskTool() && $("show-mask").checked && object?.kind === "mask" ? object.mask : null;
  if (!isMaskTool()) view.cursor = null;
  view.canvas.style.cursor = isMaskTool() ? "crosshair" : "grab";
  showCompare(view);
  showBoxes();
  showLook();
  showDownload();
  drawCurves();
  $("mask-bar").hidden = !isMaskTool() || !doc().photo;
  $("mask-bar").classList.toggle("no-brush", tool() === "lasso");
  $("keys").textContent = doc().photo ? KEYS[tool() === "move" ? { cutout: "move", mask: "mask" }[object?.kind] ?? "hand" : tool()] : "";
  $("undo").disabled = !history.canUndo;
  $("redo").disabled = !history.canRedo;
  $("harmonize").disabled = !doc().objects.some((one) => isReady(one));
  for (const input of document.querySelectorAll("#tools input")) input.disabled = !doc().photo;
  view.draw();
}

history.onChange((now, before) => {
  const isDrawn = composer.show(now);
  if (isDrawn || now.photo !== before.photo) view.changed();
  if (now.photo !== before.photo) {
    const isSameSize = before.photo && now.photo && before.photo.width === now.photo.width && before.photo.height === now.photo.height;
    view.isFitted ||= !before.photo;
    if (!isSameSize) requestAnimationFrame(() => { view.resize(); view.fit(); });
  }
  const added = now.objects.length > before.objects.length ? selected(now) : null;
  if (added?.kind === "cutout") choose("move");
  refresh();
});

// The line between before and after goes through an object that has just been harmonized.
function centerLine(object) {
  const box = object.placement ? boxOf(object.placement, object.picture) : object.mask.box();
  if (!box) return;
  const [x] = view.toScreen([box.left + box.width / 2, 0]);
  const share = Math.min(Math.max(x / view.canvas.width, 0.15), 0.85);
  view.compare = share;
  $("compare").value = 100 * share;
}

function step(name) {
  calm();
  history[name]();
  say(name === "undo" ? "Undone." : "Done again.");
}

for (const name of ["undo", "redo"]) $(name).addEventListener("click", () => step(name));
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  const name = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : null;
  if (!name || isTyping(event.target)) return;
  event.preventDefault();
  if (name === "undo" ? history.canUndo : history.canRedo) step(name);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") calm();
  if (event.key === "Enter" && event.target === view.canvas && !$("harmonize").disabled) harmonize();
});
window.addEventListener("beforeunload", (event) => {
  if (!isEmpty() && history.canUndo && savedDocument !== doc()) event.preventDefault();
});

$("tools").addEventListener("change", refresh);
$("show-mask").addEventListener("change", refresh);
$("zoom-in").addEventListener("click", () => view.zoomTo(view.scale * 1.5));
$("zoom-out").addEventListener("click", () => view.zoomTo(view.scale / 1.5));
$("zoom-fit").addEventListener("click", () => view.fit());
$("zoom-full").addEventListener("click", () => view.zoomTo(1));
view.onZoom = (scale) => { $("zoom-full").textContent = `${Math.round(100 * scale)} %`; };
$("token-dialog").addEventListener("close", () => {
  if ($("token-dialog").returnValue !== "given") return complain(new Error("Without its token the server does nothing. Reload the page to give it."), "models");
  api.setToken($("token").value);
  $("token-wrong").hidden = false; // if it asks once more
  return loadModels();
});

let engine = null;
async function loadModels() {
  try {
    takeModels(await engine.models());
    calm("models");
    refresh();
  } catch (error) {
    if (error.code === "no_token") $("token-dialog").showModal(); else complain(error, "models");
  }
}

api.takeToken();
engine = await openEngine();
$("privacy").textContent = engine.privacy;
startIntake(engine);
startFitting(engine, (object) => composer.histograms(object), centerLine);
startDownload(engine);
startSamples();
startCompare(view, refresh);
startTools(view, composer, refresh);
drawCurves = startLookPanel(composer);
refresh();
await loadModels();
document.body.dataset.ready = "true";
// What tests of the page look at; nothing here depends on it.
globalThis.imharmony = { view, composer, history, doc, curves, isWaiting, isReading: () => isReading() || isBusy() };
