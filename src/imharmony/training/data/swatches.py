"""Swatches: pairs without pictures, only some colors of each region and of the seam.

What the seam says of a curve is learned from colors alone. No thumbnails are drawn,
and no encoder runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imharmony.inference.crossings import Crossings, find_crossings
from imharmony.training.data.looks import FloatArray, Look, UInt8Array
from imharmony.training.data.pairs import (
    Box,
    SeamSamples,
    Swatch,
    corners,
    positions,
    resize_part,
)
from imharmony.training.data.seam import scaled_gaps

__all__ = ["SHOWN_AGAIN", "Material", "draw_swatch", "gather", "swatch_numbers"]

SHOWN_AGAIN = 256
"""Pairs of a batch after which a swatch is shown again."""
SIDE = 64
"""Height and width that photo and object are shrunk to, as thumbnails are."""
_KEPT = 1024
"""Crossings, at most."""
STEP = 4
"""Of so many of these pixels and rows one is drawn."""


class Material(NamedTuple):
    """What swatches of one example are drawn from."""

    levels: UInt8Array
    """(4, 2, h, w): red, green, blue and mask of the photo and of the mask's box."""
    place: FloatArray
    """(2, 2, h, w): where in the box they lie, as `positions` gives it."""
    crossings: tuple[Crossings, ...]
    """Of its mask, the same ones at each scale of gaps."""
    box: Box
    samples: tuple[UInt8Array, UInt8Array]
    """Pixels of the photo and of the object, (3, N) each, that looks are judged by."""


def swatch_numbers(indices: Sequence[int], count: int, shown: int) -> list[int]:
    """Give the numbers of the swatches that go with some pairs of a batch.

    Parameters
    ----------
    indices : sequence of int
        Of the pairs.
    count : int
        Swatches for each.
    shown : int
        How often each swatch comes; the share 1/shown of a batch's are new.

    Examples
    --------
    >>> swatch_numbers([0, 1], 2, 1)
    [0, 1, 2, 3]
    >>> swatch_numbers([600], 4, 2), swatch_numbers([344], 4, 2)
    ([1200, 688, 1201, 689], [688, 176, 689, 177])
    """
    new = count // shown
    # Before a run's first pairs there were none: numbers below 0 are new ones.
    return [
        (index - times * SHOWN_AGAIN) * new + number
        for index in indices
        for number in range(new)
        for times in range(shown)
    ]


def gather(
    photo: UInt8Array, mask: UInt8Array, box: Box, scales: Sequence[int]
) -> Material:
    """Shrink a photo (H, W, 3) and its mask (H, W), and find its edge."""
    crossings = tuple(
        find_crossings(mask, corners(box), gaps=scaled_gaps(a)).spread(_KEPT)
        for a in scales
    )
    whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
    size = (SIDE, SIDE)
    parts = [resize_part(photo, mask, [], part, size) for part in (whole, box)]
    places = [positions(box, part, size) for part in (whole, box)]
    levels = np.stack(parts, axis=1)
    own = levels[:3, 1][:, levels[3, 1] > 127]
    if not own.size:
        own = levels[:3, 1].reshape(3, -1)
    samples = (
        np.ascontiguousarray(levels[:3, 0, ::2, ::2].reshape(3, -1)),
        np.ascontiguousarray(own[:, :: max(1, own.shape[1] // 1000)]),
    )
    return Material(levels, np.stack(places, axis=1), crossings, box, samples)


def draw_swatch(
    rng: np.random.Generator,
    material: Material,
    looks: tuple[Look, Look],
    seam: SeamSamples,
) -> Swatch:
    """Draw some colors of both regions under a pair's two looks.

    Parameters
    ----------
    rng : numpy.random.Generator
    material : Material
    looks : tuple of Look
        Of the rest and of the foreground.
    seam : SeamSamples
        Under the same looks.
    """
    down, across = rng.integers(STEP, size=2)
    some = (..., slice(down, None, STEP), slice(across, None, STEP))
    levels = np.ascontiguousarray(material.levels[some])  # (4, 2, h, w)
    masks = levels[3:] / np.float32(255)
    real = looks[0].apply(levels[:3]).clip(0, 1)
    own = looks[1].apply(levels[:3], material.place[some]).clip(0, 1)
    composite = real + masks * (own - real)
    return Swatch(
        composite[:, 1],
        real[:, 1],
        masks[:, 1],
        composite[:, 0],
        1 - masks[:, 0],
        seam,
    )
