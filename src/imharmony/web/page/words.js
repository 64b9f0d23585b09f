// What the page says, in one place.

export const LABELS = { person: "a person", animal: "an animal", food: "food", vehicle: "a vehicle", others: "something else" };
export const capital = (text) => text[0].toUpperCase() + text.slice(1);

export const KEYS = {
  mask: "This object lies in the photo itself: brush, eraser and lasso change its mask. Delete removes it.",
  move: "Arrow keys move the object, [ and ] turn it, comma and period scale it, F flips it, Delete removes it.",
  brush: "[ and ] size, with Shift hardness. Space and drag moves the picture. Without a mouse: arrows, Space.",
  eraser: "[ and ] size, with Shift hardness. Space and drag moves the picture. Without a mouse: arrows, Space.",
  lasso: "Draw around the object; with Alt the area is taken away. Space and drag moves the picture.",
  hand: "Drag or use the arrow keys to move the picture. The wheel, + and − zoom, 0 fits, 1 is 100 %.",
};

// Over the window while a picture is dragged: what it will be, dropped there.
export const HINTS = {
  any: "Drop it: a photo, a cut-out or a mask",
  photo: "Drop it: the new photo",
  cutout: "Drop it: one more cut-out",
  mask: "Drop it: a mask of this photo",
  reference: "Drop it: only its colors are taken",
};

// How an object's colors change: by models with curves, and by those without.
export const CHANGES = { alike: "The same all over", byPlace: "Place by place" };
export const ABOUT_CHANGE = {
  alike: `“${CHANGES.byPlace}” is for light that changes across the object. It takes longer.`,
  byPlace: "For light that changes across the object. Curves cannot say that, so there are none to adjust or download.",
};
export const ITSELF_ONLY = `“${CHANGES.byPlace}” fits an object to the photo it lies on, not to another. Choose “${CHANGES.alike}”, or remove the photo whose colors are taken.`;

export const FORCED = "Brought half way to the photo’s brightness and color. Strength does more or less of it.";

// What starts anew with another picture.
export const ANEW = {
  photo: "With the new photo strength and curves start anew; undo brings them back.",
  cutout: "With the new cut-out strength, kind and curves start anew; undo brings them back.",
};

// On a phone nothing is dropped.
export const isTouch = matchMedia("(hover: none) and (pointer: coarse)").matches;

// Kinds of files that look like pictures and cannot be read, by their first bytes.
export const UNREADABLE = {
  gif: "This is a GIF. It holds too few colors to work with. Save the picture as PNG or JPEG and use that.",
  heic: "This is a HEIC picture, as iPhones take them. Export it as JPEG (on the phone: Settings, Camera, Formats, Most Compatible) and use that.",
  cmyk: "This JPEG is in the colors of a printing press (CMYK). Save it in RGB and use that.",
  psd: "This is a Photoshop file. Export the layer as PNG, with transparency if it is a cut-out, and use that.",
  svg: "This is a drawing (SVG). Save it as PNG and use that.",
  pdf: "This is a PDF. Save the page as PNG or JPEG and use that.",
  raw: "This is a camera's raw file. Develop it, save it as JPEG or TIFF, and use that.",
  video: "This is a video. The page works on single pictures; the command line has “imharmony video”.",
  bmp: "This is a BMP. Save the picture as PNG or JPEG and use that.",
  text: "This file is not a picture.",
  gone: "This is a folder, or a file that was moved or renamed. Open the folder and use the pictures in it.",
  empty: "This file is empty.",
};

export const pixels = ({ width, height }) => `${width} × ${height}`;

// Of notes that come with a result, by how they begin.
const NOTES = [
  ["the mask is empty", "The mask is empty: there is no object yet. Paint it, or add a mask."],
  ["the mask covers everything", "The mask covers the whole photo: there is nothing left to fit the object to."],
  ["the mask looks inverted", "The mask looks inverted: it covers most of the photo. White is the object."],
  ["these weights know no labels", "What the object is makes no difference here; the choice is passed over."],
];

export function note(text) {
  const known = NOTES.find(([start]) => text.startsWith(start));
  return known ? known[1] : `${capital(text)}.`;
}

export function percent(share) { return `${Math.round(100 * share)} %`; }

// Where an object was taken.
export const ORIGINS = { trust: "This photo", ignore: "Another photo" };

export function sayOrigin(share, isGuess) {
  const how = "The colors along an object’s edge are trusted only if it was taken in this photo.";
  return isGuess ? `A guess: ${percent(share)} sure that it was taken in this photo. ${how}` : how;
}
