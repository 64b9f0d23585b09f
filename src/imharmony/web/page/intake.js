// Pictures coming in: dropped, pasted, chosen. What each is, its transparency and its colors say.

import { ask } from "./dialogs.js";
import { startDrops } from "./drops.js";
import { Mask } from "./mask.js";
import { PageError, Picture } from "./picture.js";
import { firstPlace } from "./place.js";
import { hasHand } from "./looks.js";
import { $, NO_LOOK, doc, history, newObject, noHand } from "./state.js";
import { addRemark } from "./fit.js";
import { busy, calm } from "./status.js";
import { ANEW, pixels } from "./words.js";

let engine = null;
const reading = new Set(); // of {role, controller}
let turn = Promise.resolve(); // pictures are put in in the order in which they came
let photoJob = null; // which put the present photo in
const arrivals = new Map(); // by cut-out: what it came together with

export function startIntake(opened) {
  engine = opened;
  for (const role of ["any", "photo", "cutout", "mask", "reference"]) watch(role);
  startDrops((files, target) => takeFiles(files, roleOf(target)), roleOf);
}

// File inputs may be drawn anew; what is chosen bubbles up to the document.
function watch(role) {
  document.addEventListener("change", (event) => {
    if (event.target.id !== `file-${role}`) return;
    const files = [...event.target.files];
    event.target.value = "";
    takeFiles(files, role === "any" ? null : role);
  });
}

// A box that was dropped on says what the picture is for; all the rest of the window does not.
function roleOf(element) {
  if (element.closest?.("#photo-box")) return "photo";
  if (element.closest?.("#reference-box")) return "reference";
  const input = element.closest?.("label")?.querySelector("input[type=file]");
  return input && input.id !== "file-any" ? input.id.slice(5) : null;
}

export const isReading = () => reading.size > 0;

export function takeFiles(files, role = null) {
  calm("files");
  const before = new Set(reading);
  return Promise.all(files.map((file) => takeFile(file, role, before)));
}

// before: what was being read when this file came; a second photo then takes the first one's place.
async function takeFile(file, role, before) {
  const job = { role, controller: new AbortController(), before };
  for (const other of reading) if (role && other.role === role && role !== "cutout") other.controller.abort();
  reading.add(job);
  const name = file.name || "the pasted picture";
  const wait = turn;
  const told = { topic: "files", about: name };
  const picture = busy(`Reading ${name} …`, (how) => Picture.read(file, engine, how), { ...told, controller: job.controller });
  job.picture = picture;
  turn = picture.then(() => wait).then(async () => {
    const read = await picture;
    if (read && !job.controller.signal.aborted) await busy(`Putting in ${name} …`, () => put(read, role, job), told);
    reading.delete(job);
  });
  return turn;
}

// Where a picture goes

async function put(picture, role, job) {
  if (picture.isInvisible) throw new PageError("bad_picture", "This picture is transparent everywhere: there is nothing to see in it.");
  const place = role ?? (await judge(picture, job));
  if (place === "photo") await putPhoto(picture, job);
  else if (place === "cutout") arrivals.set(putCutout(picture).id, job.before);
  else if (place?.startsWith("replace ")) replaceCutout(Number(place.slice(8)), picture);
  else if (place === "mask") await putMask(picture);
  else if (place === "mask of what waits") {
    history.commit({ pendingMask: picture });
    await useAsPhoto(true);
  }
  else if (place === "under the mask") {
    history.amend({ photo: null, pendingMask: doc().photo }); // what came first was the mask
    await putPhoto(picture, job);
  }
  else if (place === "reference") {
    history.commit({ reference: picture });
    $("more").open = true;
  }
}

async function judge(picture, job) {
  const { photo, objects, pendingMask } = doc();
  if (picture.hasAlpha) {
    if (!photo && pendingMask && isAsLarge(pendingMask, picture)) {
      return ask("What is this picture for?", picture.file.name, [["photo", "It is the photo of the mask"], ["cutout", "It is a cut-out"]], picture);
    }
    const cutouts = objects.filter(({ kind }) => kind === "cutout");
    const full = cutouts.find(({ id }) => id === doc().selected) ?? cutouts.at(-1);
    if (!full || !photo || arrivals.get(full.id) === job.before) return "cutout";
    return ask("What is this cut-out for?", picture.file.name, [
      ["cutout", "One more object"],
      [`replace ${full.id}`, `Replace ${full.name}`],
      ["photo", "It is the new photo"],
      ["reference", "Only take its colors: fit the objects to it"],
    ], picture);
  }
  const [waiting] = objects;
  if (picture.isGray && !photo && objects.length === 1 && waiting.picture && isAsLarge(waiting.picture, picture)) {
    return ask("What is this mask for?", picture.file.name, [
      ["mask of what waits", `It shows the object in ${waiting.name}`],
      ["mask", "It belongs to a photo that comes next"],
    ], picture);
  }
  if (picture.looksLikeMask && !pendingMask) return "mask";
  if (!photo || job.before.has(photoJob)) return "photo";
  const isOfItsSize = isAsLarge(photo, picture);
  if (isOfItsSize && picture.isGray && !photo.isGray) return "mask"; // a soft one
  if (isOfItsSize && photo.isGray && !picture.isGray && !objects.length) return "under the mask";
  if (await isReplaced(job)) return null;
  return ask("What is this picture for?", picture.file.name, [
    ["photo", "Replace the photo"],
    ["reference", "Only take its colors: fit the objects to it"],
    ["mask", "It is a mask: white is the object"],
  ], picture);
}

const isAsLarge = (one, other) => one.width === other.width && one.height === other.height;

// Whether another photo came while this one was read; that one is meant then.
async function isReplaced(job) {
  for (const other of reading) {
    const next = other.before.has(job) ? await other.picture : null;
    if (next && !next.hasAlpha && !next.looksLikeMask) return true;
  }
  return false;
}

async function putPhoto(picture, job) {
  const { photo, lastSize, objects, pendingMask } = doc();
  const old = photo ?? lastSize;
  let kept = [];
  for (const object of objects) kept.push({ ...move(object, old, picture, kept), ...NO_LOOK });
  const isChanged = old && kept.some(isAdjusted);
  if (old) kept = kept.map((object) => ({ ...object, strength: 1, hand: noHand(), seam: "auto" })); // what it is, it stays
  const added = [];
  if (picture.hasAlpha && !pendingMask && !objects.length) added.push(maskObject(await Mask.fromPicture(picture, picture), "its transparency", "alpha"));
  photoJob = job;
  history.commit({ photo: picture, objects: [...kept, ...added], selected: added[0]?.id ?? doc().selected, pendingMask: null });
  if (pendingMask) await putMask(pendingMask, true);
  if (isChanged) addRemark(ANEW.photo);
}

const isAdjusted = (object) => object.strength !== 1 || hasHand(object);

// An object on another photo: at the same place of it.
function move(object, old, photo, others) {
  if (object.kind === "cutout") {
    const { placement: p } = object;
    if (!old || !p) return { ...object, placement: firstPlace(object.picture, photo, others) };
    const [x, y] = [photo.width / old.width, photo.height / old.height];
    return { ...object, placement: { ...p, x: p.x * x, y: p.y * y, scale: p.scale * Math.min(x, y) } };
  }
  const { mask } = object;
  if (mask.width === photo.width && mask.height === photo.height) return object;
  const all = { left: 0, top: 0, width: mask.width, height: mask.height };
  const fitted = new Mask(photo.width, photo.height, photo.ratio, mask.sample(all, photo.width, photo.height));
  return { ...object, mask: fitted, version: 0, maskFile: null };
}

function putCutout(picture) {
  const { photo, objects } = doc();
  if (!picture.hasAlpha) {
    throw new PageError("bad_picture", "This cut-out has no transparency, so its shape is unknown. Drop it as the photo and paint the object, or cut it out first.");
  }
  const object = newObject("cutout", picture.file.name, { picture, placement: photo && firstPlace(picture, photo, objects) });
  history.commit({ objects: [...objects, object], selected: object.id });
  return object;
}

function replaceCutout(id, picture) {
  const objects = doc().objects.map((object) => {
    if (object.id !== id) return object;
    const { placement: p } = object;
    const scale = p && (p.scale * object.picture.width) / picture.width; // as wide as the old one
    return { ...object, ...NO_LOOK, picture, name: picture.file.name, placement: p && { ...p, scale }, label: "", strength: 1, hand: noHand() };
  });
  const old = doc().objects.find((object) => object.id === id);
  history.commit({ objects, selected: id });
  if (old && (isAdjusted(old) || old.label)) addRemark(ANEW.cutout);
}

async function putMask(picture, isLater = false) {
  const { photo } = doc();
  if (!photo) {
    history.commit({ pendingMask: picture });
    return;
  }
  if (picture.width !== photo.width || picture.height !== photo.height) {
    const answer = await ask("Fit the mask to the photo?", `The mask has ${pixels(picture)} pixels, the photo ${pixels(photo)}.`, [
      ["fit", "Fit it to the photo"],
      ["no", "Leave it out"],
    ], picture);
    if (answer !== "fit") return;
  }
  const mask = await Mask.fromPicture(picture, photo);
  if (mask.isEmpty()) throw new PageError("bad_picture", "This mask is black everywhere: there is no object in it. White is the object.");
  const object = maskObject(mask, picture.file.name, picture.file);
  const empty = doc().objects.find((one) => one.kind === "mask" && one.mask.isEmpty());
  const objects = [...doc().objects.filter((one) => one !== empty), object];
  if (isLater) history.amend({ objects, selected: object.id });
  else history.commit({ objects, selected: object.id });
}

const maskObject = (mask, name, maskFile) => newObject("mask", name, { mask, maskFile });

// An object to be painted.
export function paintNew() {
  const { photo, objects } = doc();
  if (!photo) return;
  const object = maskObject(new Mask(photo.width, photo.height, photo.ratio), "Painted object", null);
  history.commit({ objects: [...objects, object], selected: object.id });
}

// A picture taken for a cut-out may be a whole photo. Its mask came apart, or is its transparency.
export async function useAsPhoto(isLater = false) {
  const { pendingMask, objects: [{ picture }] } = doc();
  const mask = pendingMask ? null : maskObject(await Mask.fromPicture(picture, picture), "its transparency", "alpha");
  const changes = { photo: picture, objects: mask ? [mask] : [], selected: mask?.id ?? null, pendingMask: null };
  if (isLater) history.amend(changes);
  else history.commit(changes);
  if (pendingMask) await putMask(pendingMask, true);
}
