"""The step across the mask's edge, before and after, at the photographs' own size.

At pixels that face each other across the edge, the difference of both in a picture
less that in the real one: what the eye sees as a rim. Printed is its mean size over the
edge, in 8-bit steps, mean over the pairs; and the size of its mean over the edge, which
is what a whole object is off by there.

    python benchmarks/edge_step.py PAIRS [--models s2crnet-cs,hdnet-lite] [--limit N]

PAIRS is a folder as `imharmony synthesize` writes it.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony import Harmonizer
from imharmony.datasets.iharmony4 import find_pairs
from imharmony.images import files, mask_files, masks, photo
from imharmony.inference.crossings import find_crossings

Pixels = npt.NDArray[Any]


def steps(picture: Pixels, real: Pixels, inner: Pixels, outer: Pixels) -> Pixels:
    """Differences across the edge less those of the real picture, (N, 3)."""

    def across(x: Pixels) -> Pixels:
        sides = [x[at[:, 0], at[:, 1]].astype(float) for at in (outer, inner)]
        return np.asarray(sides[0] - sides[1])

    return across(picture) - across(real)


def main() -> None:
    """Harmonize all pairs, print means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--models", default="s2crnet-cs,hdnet-lite")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    names = arguments.models.split(",")
    harmonizers = {name: Harmonizer(name) for name in names}
    found: dict[str, list[tuple[float, float]]] = {}
    for pair in find_pairs(arguments.pairs)[: arguments.limit]:
        composite, real = (
            photo.to_array(files.read_photo(path))
            for path in (pair.composite, pair.real)
        )
        opened = mask_files.read_mask(pair.mask, size=real.shape[:2])
        mask = photo.to_array(opened)[..., 0]
        box = masks.mask_box(photo.from_array(mask))
        if box is None:
            continue
        limits = (box.top, box.left, box.height, box.width)
        crossings = find_crossings(mask, limits)
        inner, outer = crossings.inner[0], crossings.outer[0]
        if not len(inner):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = {n: h(composite, mask).image for n, h in harmonizers.items()}
        for name, picture in {"composite": composite, **made}.items():
            left = steps(picture, real, inner, outer)
            size = float(np.abs(left).mean())
            found.setdefault(name, []).append(
                (size, float(np.abs(left.mean(0)).mean()))
            )
    for name, values in found.items():
        size, signed = np.mean(values, axis=0)
        print(
            f"{name:12} {len(values):4} pairs, {size:5.1f} steps, {signed:5.1f} signed"
        )


if __name__ == "__main__":
    main()
