// What goes on, in one line under the picture; and errors, over it.

import { $, history } from "./state.js";

const SLOW_MS = 1500; // what takes longer shows a bar and can be canceled
const MOST = 4; // errors shown at once
const works = new Set(); // what goes on: {text, controller}
const NOTHING = { text: "", action: null };
let standing = NOTHING; // how things are
let passing = null; // what has just happened: until something is changed
let problems = []; // {topic, about, message}
let timer = 0;

export const isBusy = () => works.size > 0;

export function say(text) {
  passing = { text, action: null };
  show();
}

// action is {text, run}: a button beside the sentence. What comes back is for unsay.
export function stand(text, action = null) {
  passing = null;
  standing = { text, action };
  show();
  return standing;
}

// What was said holds no longer, unless something else is said by now.
export function unsay(said) {
  if (standing !== said) return;
  standing = NOTHING;
  show();
}

history.onChange(() => {
  passing = null;
  show();
});

function show() {
  const { text, action } = [...works].at(-1) ?? passing ?? standing;
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status-action").hidden = !action;
  $("status-action").textContent = action?.text ?? "";
  $("status-action").onclick = () => { unsay(standing); action.run(); };
}

// Errors of one topic stay until it is calmed; of files there may be several.
export function complain(error, topic = "page", about = "") {
  const others = problems.filter((one) => one.message !== error.message && (topic === "files" || one.topic !== topic));
  problems = [...others, { topic, about, message: error.message }].slice(-MOST);
  showProblems();
}

export function calm(topic = null) {
  problems = topic ? problems.filter((one) => one.topic !== topic) : [];
  showProblems();
}

function showProblems() {
  $("error").hidden = !problems.length;
  $("error-text").replaceChildren(...problems.map(({ about, message }) => {
    const line = document.createElement("p");
    if (about) line.append(Object.assign(document.createElement("strong"), { textContent: `${about}: ` }));
    line.append(message);
    return line;
  }));
}

// Run a task that may take a while. Errors become sentences; returns undefined then.
export async function busy(text, task, { controller = new AbortController(), topic, about } = {}) {
  const work = { text, controller };
  works.add(work);
  show();
  $("progress").removeAttribute("value");
  clearTimeout(timer);
  timer = setTimeout(() => { if (works.size) $("progress").hidden = $("cancel").hidden = false; }, SLOW_MS);
  const how = {
    signal: controller.signal,
    onProgress: (percent) => {
      if (percent < 100) $("progress").value = percent; else $("progress").removeAttribute("value");
    },
    onBusy: () => { work.text = "The server has much to do; waiting for a turn."; show(); },
  };
  try {
    return await task(how);
  } catch (error) {
    report(error, topic, about);
    return undefined;
  } finally {
    works.delete(work);
    if (!works.size) {
      clearTimeout(timer);
      $("progress").hidden = $("cancel").hidden = true;
    }
    show();
  }
}

function report(error, topic, about) {
  if (error.name === "AbortError" || error.code === "canceled") return; // whoever ended it has said so
  if (error.code === "no_token") $("token-dialog").showModal();
  else if (typeof error.code === "string") complain(error, topic, about);
  else {
    complain(new Error("Something went wrong on this page. Your pictures are still here; try it again."), topic, about);
    console.error(error);
  }
}

$("error-close").addEventListener("click", () => calm());
$("cancel").addEventListener("click", () => {
  [...works].at(-1)?.controller.abort();
  say("Canceled.");
});
