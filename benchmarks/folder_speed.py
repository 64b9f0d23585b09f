"""Measure pictures a second: a shell loop, a folder on one core, a folder on all.

    python benchmarks/folder_speed.py COMPOSITE MASK

Makes copies of a composite and its mask at 640x427 in a temporary folder and harmonizes
them by the command line, in turns. Start-up is left out of the folders' figures: it is
measured by a folder of one picture. Linux only, for `os.sched_setaffinity`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imharmony.images import files, mask_files, photo

CLI = (sys.executable, "-m", "imharmony.cli", "harmonize")


def run(args: Sequence[object], cores: set[int]) -> float:
    """Run a command on some cores; gives its seconds."""
    begin = time.perf_counter()
    subprocess.run(
        [*CLI, *map(str, args)],
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return time.perf_counter() - begin


def fill(folder: Path, composite: Path, mask: Path, count: int) -> list[Path]:
    """Write composites, each a little different, and their masks."""
    folder.mkdir()
    image = photo.stretch(files.read_photo(composite), (427, 640))
    size = image.height, image.width
    weights = mask_files.read_mask(mask, size=size, resize=True)
    pixels = photo.to_array(image)[..., :3]
    paths = []
    for number in range(count):
        path = folder / f"{number:04d}.jpg"
        shifted = photo.from_array(np.roll(pixels, number, axis=1))
        rolled = photo.from_array(np.roll(photo.to_array(weights), number, axis=1))
        files.write_photo(shifted, path)
        files.write_photo(rolled, folder / f"{number:04d}_mask.png")
        paths.append(path)
    return paths


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("composite", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    loop: list[float] = []
    single: list[float] = []
    shared: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = fill(folder / "many", given.composite, given.mask, given.count)
        fill(folder / "few", given.composite, given.mask, 4)
        for turn in range(given.turns):
            for path in many[:5]:
                mask = path.with_name(f"{path.stem}_mask.png")
                target = folder / f"{turn}-{path.name}"
                loop.append(1 / run([path, mask, "-o", target], cores))
            for speeds, some, workers in (
                (single, one, 1),
                (shared, cores, len(cores)),
            ):
                seconds = []
                for kind in ("few", "many"):
                    target = folder / f"{turn}-{kind}-{workers}-{len(some)}"
                    args = [folder / kind, "-o", target, "--workers", workers]
                    seconds.append(run(args, some))
                speeds.append((given.count - 4) / (seconds[1] - seconds[0]))
    print("pictures a second, medians")
    print(f"shell loop, a process a picture: {np.median(loop):.2f}")
    print(f"folder, one process on one core: {np.median(single):.1f}")
    print(f"folder, {len(cores)} processes: {np.median(shared):.1f}")
    print(f"{len(cores)} cores to one: {np.median(shared) / np.median(single):.2f}")
    print(f"folder to loop: {np.median(shared) / np.median(loop):.1f}")
    print(f"load: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
