// Harmonize a composite by the HTTP API, in Node or, with a File for openAsBlob, a browser.
//
// Usage: node harmonize.mjs http://127.0.0.1:8000/ composite.png mask.png harmonized.png

import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";

const [server, composite, mask, target] = process.argv.slice(2);
const token = process.env.IMHARMONY_TOKEN;
const form = new FormData();
form.set("composite", await openAsBlob(composite), "composite");
form.set("mask", await openAsBlob(mask), "mask");
form.set("strength", "0.8");
const answer = await fetch(new URL("api/v1/harmonize", server), {
  method: "POST",
  body: form,
  headers: token ? { Authorization: `Bearer ${token}` } : {},
});
if (!answer.ok) {
  console.error((await answer.json()).error.message);
  process.exit(1);
}
await writeFile(target, new Uint8Array(await answer.arrayBuffer()));
console.log(`label: ${answer.headers.get("Imharmony-Label")}`);
for (const warning of JSON.parse(answer.headers.get("Imharmony-Warnings"))) {
  console.log(`warning: ${warning}`);
}
