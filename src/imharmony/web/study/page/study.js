// What the page adds to its form: keys, and zoom. It works without this.

const form = document.querySelector("form");
if (form) start(form);

function start(form) {
  const CHOICES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "skip" };
  const ZOOMS = { "+": 1.25, "=": 1.25, "-": 0.8 };
  const MAX_ZOOM = 32;
  const frames = [...form.querySelectorAll(".frame")];
  const shown = form.querySelector("output");
  // The same part of both pictures is shown: scale, and shift in parts of a frame.
  let view = { scale: 1, x: 0, y: 0 };
  let drag = null;
  let isSent = false;

  form.querySelector("#zoom").hidden = false;

  form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault(); // one answer for one pair
    isSent = true;
  });
  // The browser may show the page again from its memory.
  addEventListener("pageshow", () => { isSent = false; });

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = CHOICES[event.key];
    if (choice && event.shiftKey) {
      move({ ArrowLeft: 0.1, ArrowRight: -0.1 }[event.key] ?? 0, event.key === "ArrowDown" ? -0.1 : 0);
    } else if (event.key === "ArrowUp" && event.shiftKey) {
      move(0, 0.1);
    } else if (choice) {
      if (!event.repeat) form.querySelector(`[value="${choice}"]`).click();
    } else if (ZOOMS[event.key]) {
      zoom(ZOOMS[event.key], 0.5, 0.5);
    } else if (event.key === "0") {
      fit();
    } else if (event.key === "1") {
      showPixels();
    } else {
      return;
    }
    event.preventDefault();
  });

  for (const [name, act] of Object.entries({
    "zoom-out": () => zoom(0.8, 0.5, 0.5),
    "zoom-in": () => zoom(1.25, 0.5, 0.5),
    "zoom-fit": fit,
    "zoom-pixels": showPixels,
  })) {
    form.querySelector(`#${name}`).addEventListener("click", act);
  }

  for (const frame of frames) {
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      zoom(event.deltaY < 0 ? 1.25 : 0.8, ...at);
    }, { passive: false });
    frame.addEventListener("dragstart", (event) => event.preventDefault());
    frame.addEventListener("pointerdown", (event) => {
      drag = view.scale > 1 ? { x: event.clientX, y: event.clientY, far: 0, frame } : null;
    });
    // A drag moves the pictures; only a click without one is a choice.
    frame.addEventListener("click", (event) => {
      if (drag && drag.far > 4) event.preventDefault();
      drag = null;
    });
  }
  addEventListener("pointermove", (event) => {
    if (!drag || !event.buttons) return;
    const dx = event.clientX - drag.x;
    const dy = event.clientY - drag.y;
    drag.far += Math.hypot(dx, dy);
    drag.x = event.clientX;
    drag.y = event.clientY;
    move(dx / drag.frame.clientWidth, dy / drag.frame.clientHeight);
  });

  function fit() {
    view = { scale: 1, x: 0, y: 0 };
    draw();
  }

  function showPixels() {
    const picture = frames[0].firstElementChild;
    const contained = Math.min(
      frames[0].clientWidth / picture.naturalWidth, frames[0].clientHeight / picture.naturalHeight);
    zoom(1 / (contained * devicePixelRatio * view.scale), 0.5, 0.5);
  }

  function zoom(factor, x, y) {
    const scale = Math.min(MAX_ZOOM, Math.max(1, view.scale * factor));
    const change = scale / view.scale;
    view = { scale, x: x - (x - view.x) * change, y: y - (y - view.y) * change };
    move(0, 0);
  }

  function move(dx, dy) {
    const clamp = (value) => Math.min(0, Math.max(1 - view.scale, value));
    view.x = clamp(view.x + dx);
    view.y = clamp(view.y + dy);
    draw();
  }

  function draw() {
    form.classList.toggle("is-zoomed", view.scale > 1);
    shown.value = `${Math.round(100 * view.scale)} %`;
    for (const frame of frames) {
      const [x, y] = [view.x * frame.clientWidth, view.y * frame.clientHeight];
      frame.firstElementChild.style.transform = `translate(${x}px, ${y}px) scale(${view.scale})`;
    }
  }
}
