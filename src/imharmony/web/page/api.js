// The server's API: requests with progress, errors as sentences.

import { PageError } from "./picture.js";

let token = sessionStorage.getItem("token");

export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  setToken(given);
  window.history.replaceState(null, "", location.pathname);
}

export function setToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

export const ApiError = PageError;

// Files and texts in, or lists of them; {blob, headers} out. Waits and tries again while the server is busy.
export async function post(action, parts, { onProgress, onBusy, signal } = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await send("POST", action, form(parts), onProgress, signal);
    } catch (error) {
      if (error.code !== "busy" || attempt === 9) throw error;
      onBusy?.();
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
      signal?.throwIfAborted();
    }
  }
}

export async function get(what) {
  const { blob } = await send("GET", what);
  return JSON.parse(await blob.text());
}

function form(parts) {
  const data = new FormData();
  for (const [name, value] of Object.entries(parts)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") data.append(name, one);
    }
  }
  return data;
}

function send(method, action, body, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, new URL(`api/v1/${action}`, document.baseURI));
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.responseType = "blob";
    request.upload.onprogress = (event) => onProgress?.((100 * event.loaded) / event.total);
    request.onerror = () => reject(new ApiError("offline", "The server cannot be reached. Is it still running?"));
    request.onabort = () => reject(new ApiError("canceled", "Canceled."));
    request.onload = async () => {
      if (request.status === 200) {
        resolve({ blob: request.response, header: (name) => request.getResponseHeader(name) });
        return;
      }
      const error = await readError(request);
      error.retryAfter = Number(request.getResponseHeader("Retry-After") ?? 2);
      reject(error);
    };
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

async function readError(request) {
  try {
    const { error } = JSON.parse(await request.response.text());
    return new ApiError(error.code, error.message);
  } catch {
    return new ApiError("failed", `The server answered with an error (${request.status}).`);
  }
}
