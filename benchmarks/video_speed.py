"""Measure what harmonizing a frame costs, without decoding and encoding.

    python benchmarks/video_speed.py

Frames of 1920x1080 in the pixel formats of cameras; the mask's box is a quarter of the
frame. Prints processor time a frame: of telling scenes apart, of asking the network
(every third frame), and of recoloring; then frames a second by the clock, on an idle
machine, of all of it as `imharmony video` does it.
"""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyvips

from imharmony import Harmonizer
from imharmony.curves import Curves
from imharmony.curves.smoothing import from_heights, smooth_looks, to_heights
from imharmony.images import photo
from imharmony.scenes import SceneWatch, shrink
from imharmony.video import harmonize
from imharmony.video.frames import ClipFrame, Frame, from_pixels

H, W = 1080, 1920
EVERY = 3


def cost(work: Callable[[], object], repeats: int = 20) -> float:
    """Measure the median processor time of some work, in milliseconds."""
    work()
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - begin))
    return float(np.median(taken))


def main() -> None:
    """Print a table."""
    y, x = np.mgrid[:H, :W]
    pixels = np.stack([x / W, y / H, 0.5 + 0.4 * np.sin(x / 90)], axis=-1)
    mask = np.zeros((H, W), np.uint8)
    mask[H // 4 : H // 4 + H // 2, W // 4 : W // 4 + W // 2] = 255
    mask_image = photo.from_array(mask)
    harmonizer = Harmonizer(num_threads=1)
    heights = to_heights(Curves.identity()) ** 0.8
    print(
        "| format | scenes | network / 3 | recolor | sum | frames a second, 2 cores |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, dtype in (("yuv420p", np.uint8), ("yuv420p10le", np.uint16)):
        whole = np.rint(pixels * np.iinfo(dtype).max).astype(dtype)
        frame = ClipFrame(from_pixels(whole, None, name), 0.0)
        watch = SceneWatch()
        parts = [
            cost(lambda f=frame, w=watch: w.is_new(f.small(), shrink(mask))),  # type: ignore[misc]
            cost(lambda f=frame: harmonizer.predict(f.as_photo(), mask_image))  # type: ignore[misc]
            / EVERY,
            cost(lambda f=frame: f.recolor(mask_image, from_heights(heights))),  # type: ignore[misc]
        ]
        cells = " | ".join(f"{part:.1f} ms" for part in (*parts, sum(parts)))
        print(f"| {name} | {cells} | {2000 / sum(parts):.0f} |")
    for name in ("yuv420p", "yuv420p10le"):
        print(f"{name}: {measure_rate(name):.1f} frames a second by the clock")
    print(f"load: {os.getloadavg()[0]:.1f}")


def measure_rate(pixel_format: str, num_frames: int = 240) -> float:
    """Time the whole of harmonizing without decoding and encoding, as clips go."""
    y, x = np.mgrid[:H, :W]
    deep = "10" in pixel_format
    scale, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    pixels = np.stack([x / W, y / H, 0.5 + 0.4 * np.sin(x / 90)], axis=-1) * scale
    native = from_pixels(np.rint(pixels).astype(dtype), None, pixel_format)
    mask = np.zeros((H, W), np.uint8)
    mask[H // 4 : H // 4 + H // 2, W // 4 : W // 4 + W // 2] = 255
    mask_image = photo.from_array(mask)
    harmonizer = Harmonizer(num_threads=1)

    def pairs() -> Iterator[tuple[Frame, pyvips.Image]]:
        for number in range(num_frames):
            yield ClipFrame(native, number / 24), mask_image

    def predict(image: pyvips.Image, mask: pyvips.Image) -> Curves:
        return harmonizer.predict(image, mask).curves

    begin = time.perf_counter()
    looks = harmonize._look(pairs(), predict, EVERY, harmonize._Counts(), first=0)
    smooth = harmonize._fetch_ahead(smooth_looks(looks, width_s=0.5), 64)
    frames = harmonize._fetch_ahead(pairs(), 4)
    for (frame, frame_mask), change in zip(frames, smooth, strict=True):
        frame.recolor(frame_mask, change)
    return num_frames / (time.perf_counter() - begin)


if __name__ == "__main__":
    main()
