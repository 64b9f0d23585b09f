// What the network sees: small copies of the photo and of the object, made as
// imharmony.inference.thumbnails makes them: means of blocks, then an antialiased filter.

const MIN_BLOCKS = 3, MAX_BLOCKS = 8; // per pixel of a thumbnail

// photo and other are {width, height, data}; mask holds the values of its box.
// Returns {composite (B, 3, h, w), mask (B, 1, h, w), foreground (3, h, w), foregroundMask (1, h, w)}.
export function makeThumbnails(photo, mask, box, { size, contexts, reference }) {
  const whole = { left: 0, top: 0, width: photo.width, height: photo.height };
  let frames, outer, isFine = false;
  if (reference) {
    frames = [{ left: 0, top: 0, width: reference.width, height: reference.height }];
    outer = shrink(reference, frames[0], frames, size, null, null);
  } else {
    frames = contexts.map((share) => drawIn(whole, box, share));
    isFine = areBlocksFine(whole, box, size);
    outer = shrink(photo, whole, isFine ? [...frames, box] : frames, size, mask, box);
  }
  const inner = isFine ? outer : shrink(photo, box, [box], size, mask, box);
  const views = frames.map((frame) => stretch(outer, frame, size));
  const cut = stretch(inner, box, size);
  const pixels = size[0] * size[1];
  return {
    numViews: views.length,
    composite: join(views.map((view) => view.subarray(0, 3 * pixels))),
    mask: join(views.map((view) => view.subarray(3 * pixels))),
    foreground: cut.subarray(0, 3 * pixels),
    foregroundMask: cut.subarray(3 * pixels),
  };
}

function join(parts) {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => { all.set(part, at); return at + part.length; }, 0);
  return all;
}

// Draw a photo's frame in towards a box, to whole pixels outside.
function drawIn(whole, box, share) {
  const top = Math.floor(box.top * share), left = Math.floor(box.left * share);
  const below = whole.height - box.top - box.height, beside = whole.width - box.left - box.width;
  const bottom = Math.ceil(whole.height - below * share - 1e-6), right = Math.ceil(whole.width - beside * share - 1e-6);
  return { left, top, width: right - left, height: bottom - top };
}

function factorOf(length, shortest, newLength) {
  return Math.max(1, Math.floor(shortest / (MIN_BLOCKS * newLength)), Math.floor(length / (MAX_BLOCKS * newLength)));
}

function areBlocksFine(whole, box, [height, width]) {
  const fits = (length, part, size) => factorOf(length, part, size) <= Math.max(1, Math.floor(part / (MIN_BLOCKS * size)));
  return fits(whole.height, box.height, height) && fits(whole.width, box.width, width);
}

// Means of blocks in a region: three colors, and the mask.
function shrink(photo, region, frames, size, mask, box) {
  const down = factorOf(region.height, Math.min(...frames.map(({ height }) => height)), size[0]);
  const across = factorOf(region.width, Math.min(...frames.map(({ width }) => width)), size[1]);
  const rows = Math.ceil(region.height / down), columns = Math.ceil(region.width / across);
  const means = new Float32Array(4 * rows * columns);
  const plane = rows * columns;
  const sums = new Float64Array(3 * columns);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    const first = row * down, last = Math.min(first + down, region.height);
    for (let y = first; y < last; y++) {
      let at = 4 * ((region.top + y) * photo.width + region.left);
      for (let column = 0, to = 0; column < columns; column++, to += 3) {
        const count = Math.min(across, region.width - column * across);
        let r = 0, g = 0, b = 0;
        for (let k = 0; k < count; k++, at += 4) { r += photo.data[at]; g += photo.data[at + 1]; b += photo.data[at + 2]; }
        sums[to] += r; sums[to + 1] += g; sums[to + 2] += b;
      }
    }
    for (let column = 0; column < columns; column++) {
      const full = 255 * (last - first) * Math.min(across, region.width - column * across);
      for (let c = 0; c < 3; c++) means[c * plane + row * columns + column] = sums[3 * column + c] / full;
    }
  }
  if (mask) averageMask(mask, box, region, { down, across, rows, columns }, means.subarray(3 * plane));
  return { region, down, across, rows, columns, means };
}

function averageMask(mask, box, region, { down, across, columns }, means) {
  const sums = new Float64Array(means.length);
  for (let y = 0, k = 0; y < box.height; y++) {
    const row = Math.floor((box.top - region.top + y) / down) * columns;
    for (let x = 0; x < box.width; x++, k++) {
      if (mask[k]) sums[row + Math.floor((box.left - region.left + x) / across)] += mask[k];
    }
  }
  for (let k = 0; k < means.length; k++) {
    const row = Math.floor(k / columns), column = k % columns;
    const height = Math.min(down, region.height - row * down), width = Math.min(across, region.width - column * across);
    means[k] = sums[k] / (255 * height * width);
  }
}

// Weights of blocks for each new pixel of one axis: {first, values, begins, ends}.
function weigh(start, length, factor, newLength) {
  const first = Math.floor(start / factor), last = Math.ceil((start + length) / factor);
  const edge = (k) => Math.min(Math.max(k * factor - start, 0), length);
  const scale = length / newLength, reach = Math.max(scale, factor);
  return Array.from({ length: newLength }, (_, index) => {
    const center = (index + 0.5) * (scale / reach);
    const found = [];
    let begin = -1, sum = 0;
    for (let k = first; k < last; k++) {
      const [low, high] = [edge(k), edge(k + 1)];
      const weight = Math.max(1 - Math.abs(center - (low + high) / (2 * reach)), 0) * (high - low);
      if (weight <= 0) { if (begin >= 0) break; continue; }
      if (begin < 0) begin = k;
      found.push(weight);
      sum += weight;
    }
    return { begin, weights: found.map((weight) => weight / sum) };
  });
}

// Stretch what lies in a frame to (4, h, w).
function stretch({ region, down, across, rows, columns, means }, frame, [height, width]) {
  const ys = weigh(frame.top - region.top, frame.height, down, height);
  const xs = weigh(frame.left - region.left, frame.width, across, width);
  const result = new Float32Array(4 * height * width);
  const line = new Float64Array(columns);
  for (let c = 0; c < 4; c++) {
    for (let y = 0; y < height; y++) {
      line.fill(0);
      const { begin, weights } = ys[y];
      weights.forEach((weight, k) => {
        const from = c * rows * columns + (begin + k) * columns;
        for (let x = 0; x < columns; x++) line[x] += weight * means[from + x];
      });
      for (let x = 0; x < width; x++) {
        let sum = 0;
        const { begin: left, weights: shares } = xs[x];
        for (let k = 0; k < shares.length; k++) sum += shares[k] * line[left + k];
        result[(c * height + y) * width + x] = Math.min(Math.max(sum, 0), 1);
      }
    }
  }
  return result;
}
