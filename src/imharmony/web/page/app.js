// What the page does: pictures in, harmonizing, the look, downloads.

import * as api from "./api.js";
import * as curves from "./curves.js";
import { $, base, chosen, complain, forgetUndos, noOffsets, onUndo, refresh, remember, say, stage, state, undo, way } from "./page.js";
import { showPlacement } from "./place.js";
import { Plot } from "./plot.js";
import { Picture, placed } from "./stage.js";
import "./tools.js";

const LABELS = { person: "a person", animal: "an animal", food: "food", vehicle: "a vehicle", others: "something else" };
const plot = new Plot($("plot"), { onStart: () => remember("curve"), onEdit: editCurve });

async function busy(text, task) {
  if (state.work) return;
  state.work = new AbortController();
  complain(null);
  say(text);
  $("progress").hidden = $("cancel").hidden = false;
  $("progress").removeAttribute("value");
  refresh();
  const onProgress = (percent) => {
    if (percent < 100) $("progress").value = percent; else $("progress").removeAttribute("value");
    say(percent < 100 ? `Sending, ${Math.round(percent)} %` : text);
  };
  const onBusy = () => say("The server has much to do; waiting for a turn.");
  try {
    await task({ signal: state.work.signal, onProgress, onBusy });
  } catch (error) {
    if (error.name === "AbortError" || error.code === "canceled") say("Canceled.");
    else if (error.code === "no_token") askForToken();
    else if (error instanceof api.ApiError) complain(error);
    else {
      complain(new Error("Something went wrong on this page. Reload it and try again."));
      console.error(error);
    }
  } finally {
    state.work = null;
    $("progress").hidden = $("cancel").hidden = true;
    refresh();
  }
}

function askForToken() {
  say("");
  $("token-dialog").showModal();
}

// Pictures

async function decodeElsewhere(file) {
  // Kinds the browser does not know: the server turns them into PNG.
  const { blob } = await api.post("render", { composite: file, curves: curvesFile(curves.identity()), format: "png" });
  return blob;
}

async function take(name, file) {
  await busy(`Reading ${file.name}`, async () => {
    const picture = await Picture.read(file, decodeElsewhere);
    if (name === "cutout" && !picture.hasAlpha()) {
      throw new api.ApiError("bad_picture", "This cut-out has no transparency, so its shape is unknown. Use it as a composite and paint the mask, or cut it out first.");
    }
    if (name === "mask") {
      const composite = state.pictures.composite;
      if (!composite) throw new api.ApiError("wrong_size", "Choose the composite first, then its mask.");
      if (picture.width !== composite.width || picture.height !== composite.height) {
        throw new api.ApiError("wrong_size", `The mask has ${picture.width} × ${picture.height} pixels, the composite ${composite.width} × ${composite.height}. They must be the same.`);
      }
    }
    state.pictures[name] = picture;
    $(`name-${name}`).textContent = `${file.name}, ${picture.width} × ${picture.height}`;
    $(`name-${name}`).parentElement.classList.add("full");
    say(`${file.name} is here.`);
    if (name === "reference") $("drop-reference").hidden = false;
    else if (name === "mask") { state.isPainted = state.isAlphaMask = false; forgetLook(); stage.setMask(picture); }
    else if (name === "cutout") { state.placement = null; showBase(); }
    else {
      if (name === "composite") forgetMask();
      else state.placement = null;
      showBase();
    }
  });
}

function forgetMask() {
  delete state.pictures.mask;
  state.isPainted = false;
  $("name-mask").textContent = "White on the object; or paint it";
  $("name-mask").parentElement.classList.remove("full");
}

function forgetLook() {
  state.look = null;
  state.offsets = noOffsets();
  stage.tables = null;
  forgetUndos();
}

function showBase() {
  forgetLook();
  const picture = base();
  stage.setBase(picture);
  if (picture && way() === "composite") {
    state.isAlphaMask = !state.pictures.mask && picture.hasAlpha();
    if (state.pictures.mask) stage.setMask(state.pictures.mask);
    else if (state.isAlphaMask) stage.setMask(picture);
  }
  if (picture && state.pictures.cutout && way() === "cutout") {
    const { cutout } = state.pictures;
    state.placement ??= {
      x: Math.round(picture.width / 2), y: Math.round(picture.height / 2), rotation: 0, flip: false,
      scale: Math.min(1, (0.6 * picture.width) / cutout.width, (0.6 * picture.height) / cutout.height),
    };
    showPlacement();
  }
  refresh();
}

// Harmonizing

function curvesFile(look, about) {
  return new Blob([JSON.stringify(curves.toRecord(look, about))], { type: "application/json" });
}

async function parts() {
  if (way() === "composite") {
    const { composite, mask } = state.pictures;
    if (!state.isPainted) return { composite: composite.file, mask: mask?.file };
    const isSmaller = composite.ratio < 1 ? "true" : "false";
    return { composite: composite.file, mask: await stage.maskFile(), resize_mask: isSmaller };
  }
  const { cutout, background } = state.pictures;
  const { left, top, width } = placed(state.placement, cutout);
  const { rotation, flip } = state.placement;
  return { cutout: cutout.file, background: background.file, at: `${left},${top}`, scale: `${width}px`, rotation: String(rotation), flip: String(flip) };
}

async function harmonize() {
  await busy("Looking at the picture", async (how) => {
    const reference = state.pictures.reference?.file;
    const options = { label: $("label").value, model: $("model").value, reference };
    const { blob, header } = await api.post("curves", { ...(await parts()), ...options }, how);
    const record = JSON.parse(await blob.text());
    state.record = { model: record.model, label: record.label };
    state.look = curves.fromRecord(record);
    state.offsets = noOffsets();
    forgetUndos();
    state.histograms = stage.histograms();
    showLook();
    if (innerWidth > 760) $("look").scrollIntoView({ block: "nearest" });
    const notes = JSON.parse(header("Imharmony-Warnings") ?? "[]").map((note) => ` Note: ${note}.`);
    const isSame = record.stages.length > 0 && state.look.every(({ x, y }) => x.every((n, k) => n === y[k]));
    const found = record.label && !options.label ? ` The object was taken for ${LABELS[record.label] ?? record.label}.` : "";
    say((isSame ? "Nothing changed: the object seems to fit already." : `Harmonized.${found}`) + notes.join(""));
  });
}

const edited = () => state.look.map((curve, c) => curves.edit(curve, state.offsets[c]));
const strength = () => Number($("strength").value);

function showLook() {
  if (!state.look) return;
  const look = edited().map((curve) => curves.blend(curve, strength()));
  stage.setTables(look.map(curves.table));
  plot.draw(look, chosen("channel"), state.histograms);
  $("strength-value").textContent = strength().toFixed(2);
  refresh();
}

function editCurve(handle, height) {
  const channel = chosen("channel");
  const amount = Math.max(strength(), 0.05); // what is dragged is seen at this strength
  const change = (Math.min(Math.max(height, 0), 1) - plot.heights[handle]) / amount;
  const rows = channel === "all" ? [0, 1, 2] : [Number(channel)];
  for (const c of rows) {
    state.offsets[c][handle] = Math.min(Math.max(state.offsets[c][handle] + change, -1), 1);
  }
  showLook();
}

// Downloads

function save(blob, header, stem) {
  const suffix = /\.\w+(?=")/.exec(header("Content-Disposition"))[0];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = stem + suffix;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${link.download} is ready.`);
}

const stem = () => base().file.name.replace(/\.\w+$/, "");

async function download() {
  await busy("Rendering at full size", async (how) => {
    const options = { curves: curvesFile(edited()), strength: String(strength()), format: $("photo-format").value };
    if (way() === "composite") options.alpha_mask = String(state.isAlphaMask);
    const { blob, header } = await api.post("render", { ...(await parts()), ...options }, how);
    save(blob, header, `${stem()}-harmonized`);
  });
}

async function downloadCurves() {
  await busy("Writing the curves", async (how) => {
    const [format, size] = $("curves-format").value.split(" ");
    const options = { curves: curvesFile(edited(), state.record), strength: String(strength()), format, size };
    const { blob, header } = await api.post("curves", options, how);
    save(blob, header, `${stem()}-curves`);
  });
}

// Wiring

for (const name of ["background", "cutout", "composite", "mask", "reference"]) {
  const input = $(`file-${name}`);
  input.addEventListener("change", () => {
    if (input.files[0]) take(name, input.files[0]);
    input.value = "";
  });
  const zone = input.parentElement;
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) take(name, event.dataTransfer.files[0]);
  });
}

// On the picture: the first that is missing, one after the other.
$("view").addEventListener("dragover", (event) => { event.preventDefault(); $("view").classList.add("over"); });
$("view").addEventListener("dragleave", () => $("view").classList.remove("over"));
$("view").addEventListener("drop", async (event) => {
  event.preventDefault();
  $("view").classList.remove("over");
  const files = [...event.dataTransfer.files]; // gone after the first wait
  const names = way() === "cutout" ? ["background", "cutout"] : ["composite", "mask"];
  for (const file of files) await take(names.find((name) => !state.pictures[name]) ?? names[1], file);
});
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());

$("way").addEventListener("change", () => {
  document.querySelector(`#tools [data-way=${way()}] input`).checked = true;
  complain(null);
  say("");
  showBase();
});
$("tools").addEventListener("change", refresh);
$("show-mask").addEventListener("change", refresh);
$("undo").addEventListener("click", undo);
$("zoom-in").addEventListener("click", () => stage.zoomTo(stage.view.scale * 1.5));
$("zoom-out").addEventListener("click", () => stage.zoomTo(stage.view.scale / 1.5));
$("zoom-fit").addEventListener("click", () => stage.fit());
$("zoom-full").addEventListener("click", () => stage.zoomTo(1));
$("compare").addEventListener("input", () => stage.setCompare($("compare").value / 100));
$("harmonize").addEventListener("click", harmonize);
$("cancel").addEventListener("click", () => state.work?.abort());
$("strength").addEventListener("input", showLook);
$("strength").addEventListener("change", () => {
  remember("strength");
  $("strength").dataset.settled = $("strength").value;
});
stage.onCompare = (share) => { $("compare").value = 100 * share; };
onUndo(showLook);
$("channels").addEventListener("change", showLook);
$("reset").addEventListener("click", () => { remember("curve"); state.offsets = noOffsets(); showLook(); });
$("download").addEventListener("click", download);
$("download-curves").addEventListener("click", downloadCurves);
$("drop-reference").addEventListener("click", () => {
  delete state.pictures.reference;
  $("name-reference").textContent = "Optional";
  $("name-reference").parentElement.classList.remove("full");
  $("drop-reference").hidden = true;
});
$("token-dialog").addEventListener("close", () => { api.setToken($("token").value); loadModels(); });

async function loadModels() {
  try {
    const { models } = await api.get("models");
    $("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    const labels = models[0].labels.map((name) => new Option(LABELS[name] ?? name, name));
    $("label").replaceChildren(new Option("guessed", ""), ...labels);
    $("label").disabled = labels.length === 0;
  } catch (error) {
    if (error.code === "no_token") askForToken(); else complain(error);
  }
}

api.takeToken();
refresh();
loadModels();
// What tests of the page look at; nothing here depends on it.
globalThis.imharmony = { stage, state, curves };
