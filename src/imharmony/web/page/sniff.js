// What a file is, by its first bytes, not by its name.

const ascii = (bytes, start, length) => String.fromCharCode(...bytes.subarray(start, start + length));

// {kind, hasProfile, isDeep, isOpaque}: isOpaque if the kind cannot be transparent; kind is jpeg, png, webp, tiff, avif, or one of words.js's UNREADABLE.
export async function sniff(file) {
  const bytes = new Uint8Array(await file.slice(0, 2 ** 18).arrayBuffer());
  const kind = kindOf(bytes);
  const about = { kind, hasProfile: false, isDeep: kind === "tiff", isOpaque: kind === "jpeg" };
  if (kind === "jpeg") readJpeg(bytes, about);
  if (kind === "png") readPng(bytes, about);
  if (kind === "webp") about.hasProfile = ascii(bytes, 12, 4) === "VP8X" && (bytes[20] & 0x20) > 0 && !namesSrgb(bytes);
  return about;
}

function kindOf(bytes) {
  const head = ascii(bytes, 0, 12);
  if (bytes.length === 0) return "empty";
  if (head.startsWith("\xff\xd8\xff")) return "jpeg";
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "webp";
  if (head.startsWith("RIFF") || head.startsWith("\x1a\x45\xdf\xa3")) return "video";
  if (head.startsWith("GIF8")) return "gif";
  if (head.startsWith("8BPS")) return "psd";
  if (head.startsWith("%PDF")) return "pdf";
  if (head.startsWith("BM")) return "bmp";
  if (/^(II\*\0|MM\0\*|II\+\0|MM\0\+)/.test(head)) return ascii(bytes, 8, 2) === "CR" ? "raw" : "tiff";
  if (head.startsWith("FUJIFILM")) return "raw";
  if (head.slice(4, 8) === "ftyp") {
    const brand = head.slice(8, 12);
    if (brand === "avif" || brand === "avis") return "avif";
    if (/^(hei|hev|mif|msf)/.test(brand)) return ascii(bytes, 16, 64).includes("avif") ? "avif" : "heic";
    return brand === "crx " ? "raw" : "video";
  }
  const text = ascii(bytes, 0, Math.min(512, bytes.length));
  if (/<svg[\s>]/i.test(text)) return "svg";
  if (/^[\t\n\r\x20-\x7e]+$/.test(text)) return "text";
  return "unknown";
}

function readJpeg(bytes, about) {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) { at++; continue; }
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (marker === 0xe2 && ascii(bytes, at + 4, 11) === "ICC_PROFILE") {
      about.hasProfile = !namesSrgb(bytes.subarray(at, at + length));
    }
    if (isFrame) {
      if (bytes[at + 9] === 4) about.kind = "cmyk";
      return;
    }
    if (marker === 0xda) return;
    at += 2 + length;
  }
}

function readPng(bytes, about) {
  about.isDeep = bytes[24] === 16;
  const [hasAlpha, isPalette] = [(bytes[25] & 4) > 0, bytes[25] === 3];
  about.isOpaque = !hasAlpha && !isPalette && isWithout(bytes, "tRNS", "IDAT");
  const text = ascii(bytes, 33, Math.min(1024, Math.max(0, bytes.length - 33)));
  const start = text.indexOf("iCCP");
  about.hasProfile = start >= 0 && !/^iCCP[^\0]*srgb/i.test(text.slice(start));
}

// Whether a PNG's pixels begin, in what was read, without a chunk of that name before them.
function isWithout(bytes, name, pixels) {
  for (let at = 8; at + 8 <= bytes.length;) {
    const [length, chunk] = [new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0), ascii(bytes, at + 4, 4)];
    if (chunk === name) return false;
    if (chunk === pixels) return true;
    at += 12 + length;
  }
  return false;
}

// Most profiles are sRGB under one of its names; those are nothing to tell.
function namesSrgb(bytes) {
  return /sRGB|s\0R\0G\0B/.test(ascii(bytes, 0, Math.min(bytes.length, 2 ** 15)));
}
