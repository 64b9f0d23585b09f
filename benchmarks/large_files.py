"""Harmonize files that do not fit in memory, and read the peak memory of the process.

Makes the files first: a tiled 8-bit TIFF of 30,000 x 30,000 pixels with a tiled mask,
and a JPEG of 100 megapixels with a PNG mask. The foreground's box is a quarter of the
frame. The copy of the file is the floor. Needs about 12 GB of disk.

    python benchmarks/large_files.py FOLDER [--output FILE.json]
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyvips

# As a program of its own, so that the peak is that of a fresh process. From Linux's
# /proc: getrusage would count the parent's memory before the exec.
PROGRAM = """
import sys
from imharmony.cli import app
sys.argv = ["imharmony", *sys.argv[1:]]
app(standalone_mode=False)
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def scene(width: int, height: int) -> pyvips.Image:
    """Make waves in three colors with a camera's noise, streamed."""
    at = pyvips.Image.xyz(width, height)
    x, y = at[0] / width * 40, at[1] / height * 40
    waves = [(x * (c + 3)).sin() * 60 + (y * (9 + c)).cos() * 50 for c in range(3)]
    noise = pyvips.Image.gaussnoise(width, height, mean=128, sigma=4)
    return (pyvips.Image.bandjoin(waves[0], waves[1:]) + noise).cast("uchar")


def disc(width: int, height: int) -> pyvips.Image:
    """Make a soft ellipse in the middle, half as wide and high as the frame."""
    at = pyvips.Image.xyz(width, height)
    x, y = (at[0] / width - 0.5) * 4, (at[1] / height - 0.5) * 4
    return ((1 - (x * x + y * y) ** 0.5) * 12750).cast("uchar")


def make_files(folder: Path) -> dict[str, tuple[Path, Path, Path]]:
    """Write composite and mask of both cases, and name their outputs."""
    tiles = {"tile": True, "tile_width": 512, "tile_height": 512}
    cases = {
        "TIFF 30,000 x 30,000": ("large.tif", "large_mask.tif", "large_out.tif"),
        "JPEG 100 megapixels": ("photo.jpg", "photo_mask.png", "photo_out.jpg"),
    }
    made = {}
    for name, files in cases.items():
        composite, mask, output = (folder / file for file in files)
        size = (30_000, 30_000) if composite.suffix == ".tif" else (12_000, 8_400)
        if not composite.exists():
            picture = scene(*size).copy(interpretation="srgb")
            shape = disc(*size).copy(interpretation="b-w")
            if composite.suffix == ".tif":
                picture.tiffsave(str(composite), compression="lzw", **tiles)
                shape.tiffsave(str(mask), compression="deflate", **tiles)
            else:
                picture.jpegsave(str(composite), Q=92)
                shape.pngsave(str(mask), compression=1)
        made[name] = (composite, mask, output)
    return made


def measure(composite: Path, mask: Path, output: Path) -> dict[str, float]:
    """Run the command once, and copy the file once."""
    arguments = ["harmonize", str(composite), str(mask), "-o", str(output)]
    arguments += ["--max-pixels", "1000000000", "--overwrite"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    took_s = time.perf_counter() - start
    start = time.perf_counter()
    shutil.copyfile(composite, output.with_name("copy"))
    copy_s = time.perf_counter() - start
    output.with_name("copy").unlink()
    return {
        "seconds": took_s,
        "copy_s": copy_s,
        "peak_mb": float(done.stderr.splitlines()[-1]) / 1024,
        "input_mb": composite.stat().st_size / 2**20,
        "output_mb": output.stat().st_size / 2**20,
    }


def main() -> None:
    """Run both cases, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files are made and kept")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    record: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": platform.processor() or platform.machine(),
        "threads": os.cpu_count(),
        "libvips": ".".join(str(pyvips.version(i)) for i in range(3)),
    }
    for name, files in make_files(arguments.folder).items():
        record[name] = row = measure(*files)
        print(f"{name}: " + ", ".join(f"{key} {row[key]:.1f}" for key in row))
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
