"""Measure the page without a server in Debian's chromium.

`make page`, then `python benchmarks/page_speed.py`. Photographs are made from the
example: enlarged, with noise, as JPEG. Beside the time it takes, the table says how
much processor time Chromium took, which says more on a machine that has other work.
"""

import functools
import http.server
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyvips
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
SITE = ROOT / "dist" / "page"
SIZES = {12: (4240, 2830), 24: (6000, 4000)}
TICKS = os.sysconf("SC_CLK_TCK")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def make_pair(folder: Path, megapixels: int) -> tuple[Path, Path]:
    """Write a large photo and its mask."""
    width, height = SIZES[megapixels]
    photo, mask = folder / f"{megapixels}.jpg", folder / f"{megapixels}.png"
    image = pyvips.Image.new_from_file(str(ROOT / "examples/composite.png"))
    large = image.resize(width / image.width, vscale=height / image.height)
    noise = pyvips.Image.gaussnoise(width, height, sigma=6, mean=0)
    (large + noise).cast("uchar").write_to_file(str(photo), Q=90)
    image = pyvips.Image.new_from_file(str(ROOT / "examples/mask.png"))
    image = image.resize(width / image.width, vscale=height / image.height)
    image.write_to_file(str(mask))
    return photo, mask


def processes(root: int) -> list[int]:
    """Chromium's processes, by their parents."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {root}
    while more := {pid for pid, up in parents.items() if up in found} - found:
        found |= more
    return sorted(found)


def cpu_s(root: int) -> float:
    """Processor time that Chromium's processes have taken, ours left out."""
    total = 0
    for pid in processes(root):
        if "chromium" not in Path(f"/proc/{pid}/cmdline").read_text()[:80]:
            continue
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mb(root: int) -> float:
    """Largest renderer's own memory: proportional set size."""
    largest = 0
    for pid in processes(root):
        if "--type=renderer" not in Path(f"/proc/{pid}/cmdline").read_text():
            continue
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        largest = max(largest, *(int(x.split()[1]) for x in lines if x[:4] == "Pss:"))
    return largest / 1024


def wait(page: Page, text: str) -> None:
    """Wait until an expression of the page's is true."""
    while not page.evaluate(text):
        time.sleep(0.05)


def paint(page: Page, tool: str) -> dict[str, Any]:
    """Sixty moves of a pointer, one a frame: how many frames a second."""
    page.keyboard.press(tool)
    measured: dict[str, Any] = page.evaluate(
        """async () => {
          const { canvas } = imharmony.view;
          const send = (type, k) => canvas.dispatchEvent(new PointerEvent(type, {
            bubbles: true, pointerId: 1, button: 0, pointerType: "mouse",
            clientX: 300 + 5 * k, clientY: 300 + 2 * k }));
          canvas.setPointerCapture = () => {};
          const frame = () => new Promise(requestAnimationFrame);
          send("pointerdown", 0);
          const start = performance.now();
          let work = 0;
          for (let k = 1; k <= 60; k++) {
            const before = performance.now();
            send("pointermove", k);
            work += performance.now() - before;
            await frame();
          }
          const fps = 60000 / (performance.now() - start);
          send("pointerup", 60);
          return { fps, ms: work / 60 };
        }"""
    )
    return measured


def main() -> None:
    """Print one line for each thing that is measured."""
    handler = functools.partial(_Quiet, directory=str(SITE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loaded = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    print(f"loaded: {loaded / 1e6:.1f} MB")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        for megapixels in SIZES:
            photo, mask = make_pair(Path(name), megapixels)
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium",
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(300_000)
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.wait_for_selector("body[data-ready]")
            root = int(Path("/proc/self").resolve().name)
            cpu, start = cpu_s(root), time.perf_counter()
            page.set_input_files("#file-any", [photo, mask])
            wait(page, "Boolean(imharmony.doc().objects[0]?.look)")
            print(
                f"{megapixels} MP, first result: {time.perf_counter() - start:.2f} s, "
                f"{cpu_s(root) - cpu:.2f} s of processor time, "
                f"{memory_mb(root):.0f} MB"
            )
            cpu, start = cpu_s(root), time.perf_counter()
            page.select_option("#label", "food")
            wait(page, "imharmony.doc().objects[0]?.record?.label === 'food'")
            print(
                f"{megapixels} MP, again: {time.perf_counter() - start:.2f} s, "
                f"{cpu_s(root) - cpu:.2f} s of processor time"
            )
            for tool, what in (("b", "painting"), ("h", "dragging the picture")):
                frames = paint(page, tool)
                print(
                    f"{megapixels} MP, {what}: {frames['fps']:.0f} frames a second, "
                    f"{frames['ms']:.1f} ms of work each"
                )
            page.wait_for_timeout(3000)
            with page.expect_download() as waiting:
                page.click("#download")
            waiting.value.path()
            print(f"{megapixels} MP, after saving: {memory_mb(root):.0f} MB")
            browser.close()


if __name__ == "__main__":
    main()
