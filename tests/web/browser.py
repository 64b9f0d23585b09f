"""What a person does with the page, in Debian's chromium."""

import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, Page, expect

from tests.web.servers import EXAMPLES

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
CUTOUT, BACKGROUND = EXAMPLES / "astronaut.png", EXAMPLES / "launchpad.jpg"
H, W = 427, 640
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
PATIENCE_MS = 120_000
"""How long a machine with much other work may take for what takes a moment."""
DESK: Any = {"width": 1440, "height": 900}
LAPTOP: Any = {"width": 1024, "height": 640}
PHONE: Any = {"width": 390, "height": 844}

Pixels = npt.NDArray[Any]


def open_page(browser: Browser, address: str, **options: Any) -> Page:
    page = browser.new_context(**{"viewport": DESK, **options}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    expect(page.locator("body[data-ready]")).to_be_attached()
    return page


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """Yield a page that must have made no error by the end."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    yield page
    page.context.close()
    assert [text for text in errors if "status of 4" not in text] == []


def settle(page: Page) -> None:
    """Wait until nothing is read and nothing is to be harmonized."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < end:
        page.wait_for_timeout(50)
        is_busy = "imharmony.isWaiting() || imharmony.isReading()"
        if not page.evaluate(is_busy):
            return
    raise AssertionError("the page does not come to rest")


def drop(page: Page, *paths: Path, kind: str = "drop", apart: bool = False) -> None:
    """Drop files on the window, at once or one right after the other, or paste them."""
    files = [
        [path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths
    ]
    page.evaluate(
        """([groups, kind]) => {
          for (const files of groups) {
            const data = new DataTransfer();
            for (const [name, text] of files) {
              const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              data.items.add(new File([bytes], name));
            }
            const options = { bubbles: true, cancelable: true };
            const event = kind === "paste"
              ? new ClipboardEvent("paste", { ...options, clipboardData: data })
              : new DragEvent("drop", { ...options, dataTransfer: data });
            document.body.dispatchEvent(event);
          }
        }""",
        [[[file] for file in files] if apart else [files], kind],
    )


def choose(page: Page, name: str, *paths: Path) -> None:
    page.set_input_files(f"#file-{name}", list(paths))


def place_cutout(page: Page) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)


def use_composite(page: Page) -> None:
    drop(page, COMPOSITE, MASK)
    settle(page)


def download(page: Page, button: str = "#download") -> bytes:
    with page.expect_download() as waiting:
        page.click(button)
    return Path(waiting.value.path()).read_bytes()


def canvas(page: Page, name: str) -> Pixels:
    """Pixels of one of the page's working canvases: before or after."""
    height, width, encoded = page.evaluate(
        """(name) => {
          const canvas = imharmony.composer[name];
          const { data } = canvas.getContext("2d").getImageData(
            0, 0, canvas.width, canvas.height);
          let text = "";
          for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192));
          return [canvas.height, canvas.width, btoa(text)];
        }""",
        name,
    )
    data = np.frombuffer(base64.b64decode(encoded), np.uint8)
    return data.reshape(height, width, 4)


def mask(page: Page, index: int = -1) -> Pixels:
    """Pixels of an object's mask."""
    height, width, encoded = page.evaluate(
        """(index) => {
          const { mask } = imharmony.doc().objects.at(index);
          let text = "";
          for (let i = 0; i < mask.data.length; i += 8192)
            text += String.fromCharCode(...mask.data.subarray(i, i + 8192));
          return [mask.height, mask.width, btoa(text)];
        }""",
        index,
    )
    data = np.frombuffer(base64.b64decode(encoded), np.uint8)
    return data.reshape(height, width)


def set_range(page: Page, selector: str, value: float) -> None:
    page.eval_on_selector(
        selector,
        """(slider, value) => {
          slider.value = value;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
          slider.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        value,
    )


def set_field(page: Page, name: str, value: float) -> None:
    page.fill(f"#{name}", str(value))
    page.press(f"#{name}", "Enter")


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the photo lies in the window."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    left, top, dpr = page.evaluate(
        "([x, y]) => [...imharmony.view.toScreen([x, y]), imharmony.view.dpr]", [x, y]
    )
    return box["x"] + left / dpr, box["y"] + top / dpr


def drag(page: Page, *points: Sequence[float], steps: int = 5) -> None:
    """Drag from point to point of the photo."""
    page.mouse.move(*on_screen(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*on_screen(page, *point), steps=steps)
    page.mouse.up()


def shown(page: Page, x: float, y: float) -> list[int]:
    """Color on the screen of a point of the photo."""
    page.wait_for_timeout(100)
    color: list[int] = page.evaluate(
        """([x, y]) => {
          const { view } = imharmony;
          const [left, top] = view.toScreen([x, y]);
          const { data } = view.canvas.getContext("2d").getImageData(left, top, 1, 1);
          return [...data.slice(0, 3)];
        }""",
        [x, y],
    )
    return color


def status(page: Page) -> str:
    return page.inner_text("#status")
