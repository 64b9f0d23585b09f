// PNG files written here, because a canvas would multiply colors by alpha and round them.

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let k = 0; k < 4; k++) bytes[4 + k] = name.charCodeAt(k);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

// Pixels of 8 bit, row after row, with 1 (gray), 3 or 4 channels.
export async function encodePng(pixels, width, height, channels) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8;
  header[9] = { 1: 0, 3: 2, 4: 6 }[channels];
  const row = width * channels;
  const rows = new ReadableStream({
    start() {
      this.y = 0;
    },
    pull(controller) {
      const count = Math.min(64, height - this.y);
      const lines = new Uint8Array(count * (row + 1));
      for (let k = 0; k < count; k++) {
        const from = (this.y + k) * row, to = k * (row + 1);
        lines[to] = 1; // each value as its difference from the pixel before
        for (let i = 0; i < row; i++) lines[to + 1 + i] = pixels[from + i] - (i < channels ? 0 : pixels[from + i - channels]);
      }
      controller.enqueue(lines);
      this.y += count;
      if (this.y >= height) controller.close();
    },
  });
  const packed = await new Response(rows.pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const head = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  return new Blob([head, chunk("IHDR", header), chunk("IDAT", new Uint8Array(packed)), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}
