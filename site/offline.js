// Lets the page work without a network once it was loaded.

if ("serviceWorker" in navigator && window.isSecureContext) {
  navigator.serviceWorker.register(new URL("sw.js", document.baseURI)).catch((error) => console.warn(error));
}
