// What goes on, in one line under the picture; and errors, over it.

import { $ } from "./state.js";

const SLOW_MS = 1500; // what takes longer shows a bar and can be canceled
let jobs = 0;
let abort = null;
let timer = 0;

export const isBusy = () => jobs > 0;

// action is {text, run}: a button beside the sentence.
export function say(text, action = null) {
  $("status").textContent = text;
  $("status").classList.remove("working");
  $("status-action").hidden = !action;
  if (!action) return;
  $("status-action").textContent = action.text;
  $("status-action").onclick = () => { say(""); action.run(); };
}

export function complain(error) {
  $("error").hidden = !error;
  if (!error) return;
  $("error-text").textContent = error.message;
  say("");
}

// Run a task that may take a while. Errors become sentences; returns undefined then.
export async function busy(text, task, controller = new AbortController()) {
  jobs += 1;
  abort = controller;
  say(text);
  $("progress").removeAttribute("value");
  clearTimeout(timer);
  timer = setTimeout(() => { if (jobs) $("progress").hidden = $("cancel").hidden = false; }, SLOW_MS);
  const how = {
    signal: controller.signal,
    onProgress: (percent) => {
      if (percent < 100) $("progress").value = percent; else $("progress").removeAttribute("value");
    },
    onBusy: () => { if (!controller.signal.aborted) say("The server has much to do; waiting for a turn."); },
  };
  try {
    return await task(how);
  } catch (error) {
    report(error);
    return undefined;
  } finally {
    jobs -= 1;
    if (!jobs) {
      clearTimeout(timer);
      $("progress").hidden = $("cancel").hidden = true;
      if ($("status").textContent === text) say("");
    }
  }
}

function report(error) {
  if (error.name === "AbortError" || error.code === "canceled") return; // whoever ended it has said so
  if (error.code === "no_token") {
    say("");
    $("token-dialog").showModal();
  } else if (error.code) complain(error);
  else {
    complain(new Error("Something went wrong on this page. Your pictures are still here; try it again."));
    console.error(error);
  }
}

$("error-close").addEventListener("click", () => complain(null));
$("cancel").addEventListener("click", () => { abort?.abort(); say("Canceled."); });
