"""What a batch of training pairs is, and how pictures become thumbnails of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.training.data.looks import FloatArray, UInt8Array

__all__ = [
    "Box",
    "Pair",
    "Scene",
    "SinglePair",
    "halve",
    "mask_limits",
    "positions",
    "random_part",
    "resize",
    "resize_part",
    "stack",
]

Box = tuple[slice, slice]
"""Rows and columns."""


class Pair(NamedTuple):
    """A batch of training pairs; the crop is the mask's box, the rest the photo."""

    composite: Tensor
    """(B, 3, h, w) float in [0, 1], sRGB-encoded."""
    real: Tensor
    mask: Tensor
    """(B, 1, h, w)"""
    foreground: Tensor
    """(B, 3, h, w): the composite's crop."""
    foreground_real: Tensor
    foreground_mask: Tensor
    semantic_label: Tensor
    """(B,) long; −1 where unknown."""


class Scene(NamedTuple):
    """A pair's photo, or its crop, before it is stacked."""

    composite: FloatArray
    """(3, h, w) float32 in [0, 1], sRGB-encoded."""
    real: FloatArray
    mask: FloatArray
    """(1, h, w)"""


class SinglePair(NamedTuple):
    """One pair before it is stacked."""

    photo: Scene
    crop: Scene
    semantic_label: int


def stack(pairs: Sequence[SinglePair]) -> Pair:
    """Make a batch of pairs of one size."""
    columns = zip(*((*pair.photo, *pair.crop) for pair in pairs), strict=True)
    tensors = [torch.from_numpy(np.stack(arrays)) for arrays in columns]
    labels = [pair.semantic_label for pair in pairs]
    tensors.append(torch.tensor(labels, dtype=torch.long))
    return Pair(*tensors)


def resize(pixels: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Resize (H, W, C) or (H, W) to (C, h, w) uint8, antialiased bilinear."""
    # Strides make torch slow, and it warns of arrays that nobody may write to.
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    tensor = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
    small = F.interpolate(tensor[None], size, mode="bilinear", antialias=True)
    return small[0].contiguous().numpy()


def halve(
    photo: UInt8Array, mask: UInt8Array, size: tuple[int, int]
) -> list[UInt8Array]:
    """Halve a photo and its mask as long as they are 1.5 times a size (height, width).

    Parameters
    ----------
    photo, mask : ndarray of uint8, shape (H, W, 3) and (H, W)
    size : tuple of int

    Returns
    -------
    list of ndarray of uint8
        Both in one, halved once, twice and so on: (H // 2, W // 2, 4) and so on.
        Means of four pixels each; an odd last row or column is lost.

    Examples
    --------
    >>> ramp = np.arange(24, dtype=np.uint8).reshape(4, 6)
    >>> [layer[..., 3].tolist() for layer in halve(np.dstack([ramp] * 3), ramp, (1, 2))]
    [[[4, 6, 8], [16, 18, 20]]]
    """
    layers: list[UInt8Array] = []
    parts: list[UInt8Array] = [photo, mask[..., None]]
    while True:
        height, width = (length // 2 for length in parts[0].shape[:2])
        if 2 * height < 3 * size[0] or 2 * width < 3 * size[1]:
            return layers
        halves = []
        for part in parts:
            even = part[: 2 * height, : 2 * width]
            rows = np.add(even[::2], even[1::2], dtype=np.uint16)
            sums = rows[:, ::2] + rows[:, 1::2]
            sums += 2
            sums >>= 2
            halves.append(sums.astype(np.uint8))
        parts = [np.concatenate(halves, axis=2)]
        layers += parts


def resize_part(
    photo: UInt8Array,
    mask: UInt8Array,
    halved: Sequence[UInt8Array],
    part: Box,
    size: tuple[int, int],
) -> UInt8Array:
    """Resize a part of a photo and its mask, from the smallest layer that has enough.

    Parameters
    ----------
    photo, mask : ndarray of uint8, shape (H, W, 3) and (H, W)
    halved : sequence of ndarray
        What `halve` makes of them.
    part : Box
        Of the photo; rounded to whole pixels of the layer that is taken, of which it
        covers 1.5 times the size or more.
    size : tuple of int
        Height and width.

    Returns
    -------
    ndarray of uint8, shape (4, h, w)
        Red, green, blue and mask: one call costs less than two.
    """
    times, scale = 0, 1
    while times < len(halved) and all(
        2 * (side.stop - side.start) >= 3 * 2 * scale * length
        for side, length in zip(part, size, strict=True)
    ):
        times, scale = times + 1, 2 * scale
    if not times:
        return resize(np.concatenate([photo[part], mask[part][..., None]], 2), size)
    rows, columns = (
        slice(round(side.start / scale), round(side.stop / scale)) for side in part
    )
    return resize(halved[times - 1][rows, columns], size)


def mask_limits(mask: UInt8Array) -> Box:
    """Rows and columns of the smallest box that holds the mask; of all if empty.

    Examples
    --------
    >>> mask_limits(np.array([[0, 0, 0], [0, 9, 0]], np.uint8))
    (slice(1, 2, None), slice(1, 2, None))
    """
    sides = []
    for axis, length in ((1, mask.shape[0]), (0, mask.shape[1])):
        used = np.flatnonzero(mask.any(axis=axis))
        limits = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, length)
        sides.append(slice(*limits))
    return sides[0], sides[1]


def positions(box: Box, part: Box, size: tuple[int, int]) -> FloatArray:
    """Where in a box the pixels of a part lie, once it has been resized.

    Parameters
    ----------
    box, part : Box
        Of the same photo.
    size : tuple of int
        Height and width of the resized part, in pixels.

    Returns
    -------
    ndarray of float32, shape (2, h, w)
        Down and across: 0 and 1 are the box's rims, beyond them is outside.

    Examples
    --------
    >>> box = (slice(0, 2), slice(2, 6))
    >>> positions(box, (slice(0, 2), slice(0, 8)), (1, 4))[1].tolist()
    [[-0.25, 0.25, 0.75, 1.25]]
    """
    axes = []
    for outer, inner, length in zip(box, part, size, strict=True):
        scale = (inner.stop - inner.start) / length
        pixels = inner.start + scale * (np.arange(length) + 0.5)
        axes.append((pixels - outer.start) / (outer.stop - outer.start))
    found: FloatArray = np.array(np.meshgrid(*axes, indexing="ij"), np.float32)
    return found


def random_part(rng: np.random.Generator, inner: Box, shape: tuple[int, ...]) -> Box:
    """Choose a random box between the object's and the photo's."""
    amount = rng.uniform(0, 0.8) if rng.random() < 0.6 else 0.0
    sides = []
    for part, length in zip(inner, shape, strict=True):
        start = int(part.start * amount * rng.random())
        stop = length - int((length - part.stop) * amount * rng.random())
        sides.append(slice(start, stop))
    return sides[0], sides[1]
