// The photo at full size, and the curves as files for other programs.

import { $, doc, isReady, selected } from "./state.js";
import { busy, calm, say } from "./status.js";

let engine = null;
export let savedDocument = null; // leaving the page asks only for what is not saved

export function startDownload(opened) {
  engine = opened;
  const options = (list) => list.map(([value, name]) => new Option(name, value));
  $("photo-format").replaceChildren(...options(engine.photoFormats));
  $("curves-format").replaceChildren(...options(engine.curveFormats));
  $("download").addEventListener("click", download);
  $("download-curves").addEventListener("click", downloadCurves);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
    event.preventDefault();
    if (!$("download").disabled) download();
  });
}

const stem = () => doc().photo.file.name.replace(/\.\w+$/, "");

function save(blob, name, remark = "") {
  calm("download");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${name} is saved. ${remark}`.trim());
}

async function download() {
  const document = doc();
  $("download").disabled = true;
  const answer = await busy("Writing the photo at full size …", (how) => engine.render(document, $("photo-format").value, how), { topic: "download" });
  showDownload();
  if (!answer) return;
  savedDocument = document;
  save(answer.blob, `${stem()}-harmonized${answer.suffix}`, engine.remarks(document.photo, $("photo-format").value));
}

const chosenForCurves = () => selected() ?? doc().objects.find((one) => isReady(one));

async function downloadCurves() {
  const object = chosenForCurves();
  const answer = await busy("Writing the curves …", (how) => engine.writeCurves(object, $("curves-format").value, how), { topic: "download" });
  if (answer) save(answer.blob, `${stem()}-curves${answer.suffix}`);
}

export function showDownload() {
  const canSave = doc().objects.some((object) => isReady(object) && (object.look || object.kind === "cutout"));
  $("download").disabled = !canSave;
  $("curves-download").hidden = Boolean(chosenForCurves()?.grid); // none say it
  $("download-curves").disabled = !doc().objects.some((object) => object.look);
}
