"""Batches of training pairs, and the thumbnails in them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.inference.crossings import GAPS
from imharmony.training.data.looks import FloatArray, UInt8Array

__all__ = [
    "Box",
    "Edge",
    "Pair",
    "Scene",
    "SeamSamples",
    "SinglePair",
    "Swatch",
    "corners",
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


_NO_PAIRS = torch.zeros(0, GAPS, 1, 6)
_NO_COLORS = torch.zeros(0, 3, 1, 1)


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
    seam: Tensor = _NO_PAIRS
    """(B, G, N, 6): facing pixels, inner and outer, at each gap; without rows where no
    seams are drawn."""
    seam_weight: Tensor = _NO_PAIRS[..., 0]
    """(B, G, N): 1 where there is a pair of pixels, else 0."""
    seam_place: Tensor = _NO_PAIRS[:, 0, :, :2]
    """(B, N, 2): where in the picture, down and across, from 0 to 1."""
    edge: Tensor = _NO_PAIRS
    """(E, G, N, 6): seams of regions that were pasted, or edited in place."""
    edge_weight: Tensor = _NO_PAIRS[..., 0]
    is_same_scene: Tensor = _NO_PAIRS[:, 0, 0, 0]
    """(E,): 1 for edited in place, 0 for pasted."""
    swatch: Tensor = _NO_COLORS
    """(S, 3, h', w'): of further pairs, some of the object's colors in the
    composite."""
    swatch_real: Tensor = _NO_COLORS
    swatch_mask: Tensor = _NO_COLORS[:, :1]
    """(S, 1, h', w')"""
    around: Tensor = _NO_COLORS
    """(S, 3, h', w'): some of the composite's colors around it."""
    around_mask: Tensor = _NO_COLORS[:, :1]
    """(S, 1, h', w'): 1 for background."""
    swatch_seam: Tensor = _NO_PAIRS
    """(S, G, N, 6) and (S, G, N): the seams of these pairs."""
    swatch_seam_weight: Tensor = _NO_PAIRS[..., 0]
    same_scene: Tensor = _NO_PAIRS[:, 0, 0, 0]
    """(B,): probability of a same scene, where curves have been applied already."""


class Scene(NamedTuple):
    """A pair's photo, or its crop, before it is stacked."""

    composite: FloatArray
    """(3, h, w) float32 in [0, 1], sRGB-encoded."""
    real: FloatArray
    mask: FloatArray
    """(1, h, w)"""


class SeamSamples(NamedTuple):
    """The seam of one picture."""

    colors: FloatArray
    """(G, N, 6) float32: red, green, blue of the inner and of the outer pixel."""
    weight: FloatArray
    """(G, N) float32: 1 where there is a pair, else 0."""
    place: FloatArray
    """(N, 2) float32: row and column in the photo; in a batch, shares of what is shown
    of it."""

    @classmethod
    def none(cls, num_pairs: int) -> "SeamSamples":
        """Give the samples of a picture without a seam."""
        colors = np.zeros((GAPS, num_pairs, 6), np.float32)
        weight = np.zeros((GAPS, num_pairs), np.float32)
        return cls(colors, weight, np.zeros((num_pairs, 2), np.float32))


class Edge(NamedTuple):
    """A seam, and whether its region belongs to the scene."""

    samples: SeamSamples
    is_same_scene: bool


class Swatch(NamedTuple):
    """A pair of which only colors are drawn."""

    composite: FloatArray
    """(3, h, w) float32 in [0, 1], sRGB-encoded: some of the object's."""
    real: FloatArray
    mask: FloatArray
    """(1, h, w)"""
    around: FloatArray
    """(3, h, w): some of the composite's around it."""
    around_mask: FloatArray
    """(1, h, w): 1 for background."""
    seam: SeamSamples


class SinglePair(NamedTuple):
    """One pair before it is stacked."""

    photo: Scene
    crop: Scene
    semantic_label: int
    seam: SeamSamples
    edge: Edge | None = None


def stack(pairs: Sequence[SinglePair], swatches: Sequence[Swatch] = ()) -> Pair:
    """Make a batch of pairs of one size, and of pairs of colors alone."""
    columns = zip(*((*pair.photo, *pair.crop) for pair in pairs), strict=True)
    tensors = [torch.from_numpy(np.stack(arrays)) for arrays in columns]
    labels = [pair.semantic_label for pair in pairs]
    tensors.append(torch.tensor(labels, dtype=torch.long))
    batch = Pair(*tensors)
    seams = [pair.seam for pair in pairs]
    if seams[0].weight.size:
        colors, weight = _stack_seams(seams)
        place = torch.from_numpy(np.stack([seam.place for seam in seams]))
        batch = batch._replace(seam=colors, seam_weight=weight, seam_place=place)
    edges = [pair.edge for pair in pairs if pair.edge is not None]
    if edges:
        colors, weight = _stack_seams([edge.samples for edge in edges])
        is_same = torch.tensor([float(edge.is_same_scene) for edge in edges])
        batch = batch._replace(edge=colors, edge_weight=weight, is_same_scene=is_same)
    if swatches:
        *parts, seams_of_them = zip(*swatches, strict=True)
        colors, weight = _stack_seams(seams_of_them)
        swatch, real, mask, around, around_mask = (
            torch.from_numpy(np.stack(arrays)) for arrays in parts
        )
        batch = batch._replace(
            swatch=swatch,
            swatch_real=real,
            swatch_mask=mask,
            around=around,
            around_mask=around_mask,
            swatch_seam=colors,
            swatch_seam_weight=weight,
        )
    return batch


def _stack_seams(seams: Sequence[SeamSamples]) -> tuple[Tensor, Tensor]:
    colors, weights, _ = zip(*seams, strict=True)
    return torch.from_numpy(np.stack(colors)), torch.from_numpy(np.stack(weights))


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


def corners(box: Box) -> tuple[int, int, int, int]:
    """Give a box as top, left, height and width.

    Examples
    --------
    >>> corners((slice(1, 3), slice(4, 9)))
    (1, 4, 2, 5)
    """
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return rows.start, columns.start, height, width


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
    places: FloatArray = np.array(np.meshgrid(*axes, indexing="ij"), np.float32)
    return places


def random_part(rng: np.random.Generator, inner: Box, shape: tuple[int, ...]) -> Box:
    """Choose a random box between the object's and the photo's."""
    amount = rng.uniform(0, 0.8) if rng.random() < 0.6 else 0.0
    sides = []
    for part, length in zip(inner, shape, strict=True):
        start = int(part.start * amount * rng.random())
        stop = length - int((length - part.stop) * amount * rng.random())
        sides.append(slice(start, stop))
    return sides[0], sides[1]
