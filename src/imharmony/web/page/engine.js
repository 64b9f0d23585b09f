// What does the work behind the page: a server, or the browser itself. Both have
//
//   privacy                            one sentence on where the pictures go
//   photoFormats, curveFormats         [value, name] of what can be downloaded
//   models()                           → [{name, labels, guesses_label, has_curves}], the first is the default
//   check(about)                       refuses, in words, a file it cannot work on
//   remarks(photo, format)             → what a photo will lose, in a sentence, or ""
//   prepare(picture)                   if there: a picture that will be needed soon
//   decodes                            kinds that only decode can read, if it can
//   decode(file, about, how)           → a blob the browser can show
//   predict(document, object, how)     → {record, grid, notes, sameScene}; grid if by place
//   render(document, format, how)      → {blob, suffix}
//   writeCurves(object, choice, how)   → {blob, suffix}
//
// `how` is {signal, onProgress, onBusy}. Errors are PageError, with a sentence.

export async function openEngine() {
  const kind = document.querySelector("meta[name=imharmony-engine]").content;
  const { engine } = await import(kind === "browser" ? "./browser/engine.js" : "./server-engine.js");
  return engine;
}
