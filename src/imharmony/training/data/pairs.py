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
    "mask_limits",
    "random_part",
    "resize",
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


def random_part(rng: np.random.Generator, inner: Box, shape: tuple[int, ...]) -> Box:
    """Choose a random box between the object's and the photo's."""
    amount = rng.uniform(0, 0.8) if rng.random() < 0.6 else 0.0
    sides = []
    for part, length in zip(inner, shape, strict=True):
        start = int(part.start * amount * rng.random())
        stop = length - int((length - part.stop) * amount * rng.random())
        sides.append(slice(start, stop))
    return sides[0], sides[1]
