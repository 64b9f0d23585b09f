// For an object the network leaves alone: brightness, contrast and color of the photo, half way.
// The mean and the deviation of each channel are brought nearer to the photo's (E. Reinhard
// et al., "Color Transfer between Images", 2001), which knows nothing of what is in the picture.

const SHARE = 0.5;

export function matchAnyway({ foreground, background }) {
  return [0, 1, 2].map((channel) => {
    const object = moments(foreground[channel]), photo = moments(background[channel]);
    const gain = Math.min(Math.max(photo.deviation / Math.max(object.deviation, 1e-3), 0.6), 1.6);
    const x = [], y = [];
    for (let k = 0; k <= 64; k++) {
      const at = k / 64;
      const moved = photo.mean + gain * (at - object.mean);
      // Near black and white the change fades out, so that both stay what they are.
      const room = Math.min(1, 4 * at * (1 - at) * 1.5);
      x.push(at);
      y.push(at + SHARE * room * (moved - at));
    }
    return { x, y: rising(y) };
  });
}

function moments(counts) {
  let sum = 0, square = 0, count = 0;
  counts.forEach((n, value) => {
    sum += (n * value) / 255;
    square += n * (value / 255) ** 2;
    count += n;
  });
  const mean = count ? sum / count : 0.5;
  return { mean, deviation: count ? Math.sqrt(Math.max(square / count - mean * mean, 0)) : 0.25 };
}

// From 0 to 1, each step at least a quarter of a straight line's.
function rising(y) {
  const steps = y.slice(1).map((height, k) => Math.max(height - y[k], 0.25 / 64));
  const total = steps.reduce((sum, step) => sum + step, 0);
  let height = 0;
  return [0, ...steps.map((step, k) => (k === steps.length - 1 ? 1 : (height += step / total)))];
}
