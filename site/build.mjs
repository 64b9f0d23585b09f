// Writes dist/page: the page with the browser's own engine, as files that any host can serve.
// node build.mjs [folder]. Everything is copied; nothing is bundled or minified, so that what is served can be read.

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const target = process.argv[2] ?? join(root, "dist", "page");
const page = join(root, "src", "imharmony", "web", "page");
const runtime = join(here, "node_modules", "onnxruntime-web");
const weights = join(root, "src", "imharmony", "weights");
const MAX_MB = 25;

// What may be loaded: only what lies beside the page. WebAssembly needs a word of its own.
const POLICY = [
  "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'", "style-src 'self'",
  "img-src 'self' blob: data:", "connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'",
].join("; ");

await rm(target, { recursive: true, force: true });
await mkdir(join(target, "page"), { recursive: true });
await cp(page, join(target, "page"), { recursive: true, filter: (path) => !/(\.md|index\.html|__pycache__|server-engine\.js)$/.test(path) });
for (const name of ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  await cp(join(runtime, "dist", name), join(target, "page", "ort", name));
}
for (const name of ["s2crnet-cs.onnx", "s2crnet-cs.json"]) await cp(join(weights, name), join(target, "page", "weights", name));
await cp(join(here, "manifest.webmanifest"), join(target, "manifest.webmanifest"));
const version = JSON.parse(await readFile(join(runtime, "package.json"), "utf8")).version;
const license = await readFile(join(root, "LICENSE"), "utf8");
await writeFile(join(target, "LICENSE.txt"), `${license}\n\npage/ort: ONNX Runtime Web ${version}, (c) Microsoft Corporation, also under the MIT license.\n`);

const html = (await readFile(join(page, "index.html"), "utf8"))
  .replace('<meta name="imharmony-engine" content="server">', `<meta name="imharmony-engine" content="browser">\n<meta http-equiv="Content-Security-Policy" content="${POLICY}">\n<link rel="manifest" href="manifest.webmanifest">`)
  .replace('src="page/app.js"></script>', 'src="page/app.js"></script>\n<script type="module" src="page/offline.js"></script>');
if (!html.includes('content="browser"') || !html.includes("offline.js")) throw new Error("index.html is not as this script expects it");
await writeFile(join(target, "index.html"), html);
await cp(join(here, "offline.js"), join(target, "page", "offline.js"));

// The service worker keeps these, under a name that changes with any of them.
const names = (await list(target)).filter((name) => name !== "sw.js" && name !== "LICENSE.txt").sort();
const hash = createHash("sha256");
let bytes = 0;
for (const name of names) {
  hash.update(name).update(await readFile(join(target, name)));
  bytes += (await stat(join(target, name))).size;
}
const worker = (await readFile(join(here, "sw.js"), "utf8"))
  .replace("__NAME__", `imharmony-${hash.digest("hex").slice(0, 16)}`)
  .replace("__FILES__", JSON.stringify(["./", ...names.filter((name) => name !== "index.html")]));
await writeFile(join(target, "sw.js"), worker);
const megabytes = bytes / 1e6;
if (megabytes > MAX_MB) throw new Error(`the page has ${megabytes.toFixed(1)} MB, expected at most ${MAX_MB}`);
console.log(`${target}: ${names.length + 1} files, ${megabytes.toFixed(1)} MB. Try it: python3 -m http.server --directory ${target}`);

async function list(folder) {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}
