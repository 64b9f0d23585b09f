"""JPEG to JPEG with kept blocks, in turns with libvips that encodes all pixels anew.

`python benchmarks/jpeg_writing.py [HEIGHT] [RUNS]` prints the least processor time and
wall time of both ways, and their ratio. Processor time is of use beside other load;
wall time on an idle machine alone. The picture is the README's example, enlarged, with
noise; the foreground's box is a quarter of the frame.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips

from imharmony.curves import Curves
from imharmony.images import files, jpeg_coefficients
from imharmony.images.masks import mask_from_array
from imharmony.rendering.render import render

EXAMPLE = Path(__file__).parents[1] / "examples" / "composite.png"
QUALITY = 92


def make_file(height: int) -> bytes:
    """Enlarge the example, with noise, at 4:4:4 as libvips does at this quality."""
    small = pyvips.Image.new_from_file(str(EXAMPLE))[:3]
    large = small.resize(height / small.height, kernel="lanczos3")
    noise = pyvips.Image.gaussnoise(large.width, large.height, sigma=4, seed=1)
    noisy = (large + noise).cast("uchar").copy(interpretation="srgb")
    data: bytes = noisy.jpegsave_buffer(Q=QUALITY, subsample_mode="on")
    return data


def recolor(photo: pyvips.Image) -> pyvips.Image:
    """Darken the foreground."""
    covered = np.zeros((photo.height, photo.width), bool)
    height, width = covered.shape
    box = np.s_[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    covered[box] = True
    knots = np.array([0.0, 0.5, 1.0])
    curves = Curves((knots,) * 3, (np.array([0, 0.4, 1]),) * 3)
    return render(photo, mask_from_array(covered, size=covered.shape), curves)


def main(height: int = 2000, num_runs: int = 9) -> None:
    """Measure, and print a table."""
    data = make_file(height)
    rendered = recolor(files.read_photo(data))
    original = jpeg_coefficients.get_original(rendered)
    assert original is not None  # noqa: S101  (it was read from a JPEG)
    ways: dict[str, Callable[[], bytes]] = {
        "kept blocks": lambda: jpeg_coefficients.replace_blocks(original, rendered),
        "all anew": lambda: rendered.jpegsave_buffer(Q=QUALITY, subsample_mode="on"),
    }
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(num_runs + 1):
        for name, way in ways.items():
            start_cpu, start_wall = time.process_time(), time.perf_counter()
            way()
            if turn:  # the first warms up
                cpu[name].append(time.process_time() - start_cpu)
                wall[name].append(time.perf_counter() - start_wall)
    print(f"{rendered.width}x{rendered.height}, {len(data)} bytes")
    for kind, times in (("processor", cpu), ("wall", wall)):
        kept, anew = (1000 * min(times[name]) for name in ways)
        print(f"{kind}: {kept:.0f} ms, anew {anew:.0f} ms, ratio {kept / anew:.2f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
