// Pictures on their way in: dragged over the window, dropped, pasted.

import { PageError } from "./picture.js";
import { $ } from "./state.js";
import { complain } from "./status.js";
import { HINTS } from "./words.js";

const GONE_MS = 1000; // browsers tell several times a second of what is dragged over the page

// take(files, target); roleOf(target) says what a picture dropped there is for.
export function startDrops(take, roleOf) {
  let timer = 0;
  const hide = () => {
    clearTimeout(timer);
    $("drop-hint").hidden = true;
  };
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      if (!event.dataTransfer?.types.includes("Files")) return;
      clearTimeout(timer);
      timer = setTimeout(hide, GONE_MS);
      $("drop-text").textContent = HINTS[roleOf(event.target) ?? "any"];
      $("drop-hint").hidden = false;
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) hide(); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    hide();
    const files = [...event.dataTransfer.files];
    if (files.length) take(files, event.target);
    else complain(new PageError("bad_picture", "That was no picture. Save the picture as a file first, and use that."), "files");
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (event.target.matches?.("input[type=number], input[type=password]")) return;
    event.preventDefault();
    if (files.length) take(files, document.body);
    else complain(new PageError("bad_picture", "There is no picture to paste. Copy one first."), "files");
  });
}
