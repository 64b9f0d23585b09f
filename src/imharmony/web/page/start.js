// The first screen: samples of our own to try.

import { takeFiles } from "./intake.js";
import { make } from "./objects.js";
import { PageError } from "./picture.js";
import { $, history } from "./state.js";
import { busy } from "./status.js";

// The second file is what lies on the first; where is for a cut-out.
const SAMPLES = [
  { title: "Astronaut at the launch pad", files: ["launchpad.jpg", "astronaut.webp"], where: { x: 205, y: 268, scale: 0.65 } },
  { title: "Cup in the wrong light", files: ["cup.jpg", "cup-mask.png"] },
  { title: "Cat at the table", files: ["table.jpg", "cat.webp"], where: { x: 160, y: 287, scale: 0.75 } },
];

export function startSamples() {
  $("samples").replaceChildren(...SAMPLES.map((sample) => {
    const pair = sample.files.map((name) => make("img", { src: `page/samples/${name}`, alt: "", loading: "lazy" }));
    const button = make("button", { type: "button" }, make("span", { class: "pair" }, ...pair), sample.title);
    button.addEventListener("click", () => openSample(sample));
    return make("li", {}, button);
  }));
}

async function openSample({ files, where }) {
  const read = await busy("Fetching the sample …", ({ signal }) => Promise.all(files.map(async (name) => {
    const answer = await fetch(new URL(`page/samples/${name}`, document.baseURI), { signal }).catch(() => null);
    if (!answer?.ok) throw new PageError("offline", "The sample cannot be fetched. Is the server still running?");
    return new File([await answer.blob()], name);
  })), { topic: "files" });
  if (!read) return;
  await takeFiles(read);
  if (!where) return;
  const objects = history.present.objects.map((object) => (object.placement ? { ...object, placement: { ...object.placement, ...where } } : object));
  history.amend({ objects });
}
