// Questions that only the user can answer.

import { $ } from "./state.js";

// choices: [value, text]; the first is what is meant most often. picture is what it is about.
// null if nothing was chosen.
export function ask(title, text, choices, picture) {
  const dialog = $("ask");
  if (dialog.open) dialog.close();
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-thumb").src = picture.thumb;
  $("ask-choices").replaceChildren(...choices.map(([value, label], index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    if (index === 0) button.className = "main";
    button.addEventListener("click", () => dialog.close(String(value)));
    return button;
  }));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), { once: true });
  });
}
