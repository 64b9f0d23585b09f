"""Time harmonizing an array in memory; the foreground's box is a quarter of the frame.

Warm up, repeat, take the median. The copy of the photo is the floor, measured in the
same run; the curve as the paper renders it (K clamped steps over the whole frame, here
in NumPy) is the baseline. Peak memory is that of a fresh process holding photo, mask
and result, above one that has only imported the package and loaded the network.

    python benchmarks/array_to_array.py [--output FILE.json]
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pyvips

from imharmony import Harmonizer, photo, thumbnails

NUM_THREADS = 2
REPEATS = 15
LIBVIPS_CACHE = 100  # operations; libvips's default

Pixels = npt.NDArray[Any]


def make_inputs(size: int, dtype: str) -> tuple[Pixels, Pixels]:
    """Return a smooth noisy photo and an ellipse with a soft edge as its mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j].astype(np.float32)
    waves = [np.sin(3 * x + (4 + c) * y + c) for c in range(3)]
    values = 0.5 + 0.4 * np.stack(waves, axis=-1)
    values += rng.normal(0, 0.02, values.shape).astype(np.float32)
    full = np.iinfo(dtype).max
    composite = (values.clip(0, 1) * full).astype(dtype)
    distance = np.hypot((x - 0.5) / 0.25, (y - 0.5) / 0.25)  # box: half by half
    mask = ((1 - distance).clip(0, 0.02) * (255 / 0.02)).astype(np.uint8)
    return composite, mask


def median_ms(run: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """First quartile, median and third quartile of the wall time, milliseconds."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def reference_loop(composite: Pixels, mask: Pixels, params: Pixels) -> Pixels:
    """Render two stages of K clamped steps over the frame, then blend."""
    full = np.float32(np.iinfo(composite.dtype).max)
    x = original = composite.astype(np.float32) / full
    K = params.shape[2]
    for stage in params:
        y = np.zeros_like(x)
        for k in range(K):
            y += stage[:, k] * np.clip(x - k / K, 0, 1 / K)
        x = y * (K / stage.sum(axis=1))
    M = mask[..., None] / np.float32(255)
    blended = M * x + (1 - M) * original
    return np.asarray(np.rint(blended * full).astype(composite.dtype))


def measure(size: int, dtype: str) -> dict[str, Any]:
    """Measure one size: whole, parts, floor and baseline."""
    composite, mask = make_inputs(size, dtype)
    harmonizer = Harmonizer(num_threads=NUM_THREADS)
    image = photo.from_array(composite)
    mask_image = photo.mask_from_array(mask, size=(size, size))
    contract = harmonizer.contract
    small = thumbnails.make_thumbnails(image, mask_image, size=contract.thumbnail_size)
    predicted = harmonizer.predict(image, mask_image)
    params = np.ones((2, 3, contract.num_pieces), np.float32)
    rows: dict[str, Callable[[], object]] = {
        "copy of the photo": composite.copy,
        "whole": lambda: harmonizer(composite, mask),
        "  thumbnails": lambda: thumbnails.make_thumbnails(
            image, mask_image, size=contract.thumbnail_size
        ),
        "  mask to 8 bit, box": lambda: photo.mask_box(
            photo.mask_from_array(mask, size=(size, size))
        ),
        "  network": lambda: harmonizer._network.predict(small, label=None),
        "  render": lambda: photo.to_array(
            photo.render(image, mask_image, predicted.curves)
        ),
    }
    times = {}
    for name, run in rows.items():
        # Parts are timed on one opened photo, which libvips would remember from the
        # call before; the whole opens it anew, and remembers as it does in use.
        pyvips.cache_set_max(0 if name.startswith(" ") else LIBVIPS_CACHE)
        times[name] = median_ms(run, REPEATS)
    pyvips.cache_set_max(LIBVIPS_CACHE)
    times["reference loop, NumPy"] = median_ms(
        lambda: reference_loop(composite, mask, params), 3
    )
    return {"size": size, "dtype": dtype, "ms": times}


def peak_memory_mb(size: int, dtype: str, *, harmonizes: bool) -> float:
    """Peak resident memory of a fresh process, without and with the work.

    From Linux's /proc: getrusage would count the parent's memory before the exec.
    """
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from imharmony import Harmonizer; from array_to_array import make_inputs;"
        "h = Harmonizer(num_threads=2);"
        "small = make_inputs(64, sys.argv[3]); h(*small);"
        "import numpy as np; n = int(sys.argv[2]);"
        "c = np.zeros((n, n, 3), sys.argv[3]); c[...] = 90;"
        "m = np.zeros((n, n), np.uint8); q = slice(n // 4, 3 * n // 4); m[q, q] = 255;"
        + ("r = h(c, m);" if harmonizes else "del c, m;")
        + "status = open('/proc/self/status').read();"
        + "print(status.split('VmHWM:')[1].split()[0])"
    )
    folder = str(Path(__file__).parent)
    number = size if harmonizes else 8
    command = [sys.executable, "-c", script, folder, str(number), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) / 1024


def main() -> None:
    """Run everything, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048, 4096])
    arguments = parser.parse_args()
    record: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": platform.processor() or platform.machine(),
        "threads": NUM_THREADS,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "libvips": ".".join(str(pyvips.version(i)) for i in range(3)),
        "results": [],
    }
    print({key: value for key, value in record.items() if key != "results"})
    for dtype in ("uint8", "uint16"):
        idle = peak_memory_mb(8, dtype, harmonizes=False)
        for size in arguments.sizes:
            result = measure(size, dtype)
            result["peak_mb"] = peak_memory_mb(size, dtype, harmonizes=True)
            result["idle_mb"] = idle
            record["results"].append(result)
            whole = result["ms"]["whole"][1]
            print(f"\n{size} x {size}, {dtype}; peak {result['peak_mb']:.0f} MB, "
                  f"{idle:.0f} MB of it idle")  # fmt: skip
            for name, (low, middle, high) in result["ms"].items():
                print(f"  {name:24} {middle:9.2f} ms  ({low:.2f} to {high:.2f})  "
                      f"whole is {whole / middle:.3g} times this")  # fmt: skip
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
