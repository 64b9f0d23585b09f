"""Means of blocks of pixels, the first step from a large photo to a thumbnail.

Every pixel is read once, to average blocks of pixels. Thumbnails are made of the means.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.images import profiles
from imharmony.images.photo import (
    FULL_SCALE,
    is_premultiplied,
    split_alpha,
    straighten,
)
from imharmony.images.pixels import (
    Box,
    PixelArray,
    cut_strips,
    get_pixels,
    is_streamed,
    to_array,
)

__all__ = ["BlockMeans", "Job", "can_share_blocks"]

FloatArray = npt.NDArray[np.float32]
Job = Callable[[], None]

_MIN_BLOCKS, _MAX_BLOCKS = 3, 8
"""Fewest and most blocks for one pixel of a thumbnail, along each side."""

_MAX_PRODUCT = 2**17
"""Multiplications of the largest matrix product that OpenBLAS runs on one thread. More
threads spin while they wait for each other, which is slow on busy machines."""

_SMALL = 64
"""Height of a thumbnail up to which the first of two products is the larger one."""

_MAX_SUMS = 2**19
"""Most floats of sums that are kept at once. A larger array is fetched from the system
anew each time, which takes longer than the sums."""


class BlockMeans:
    """Means of blocks of pixels in a region of a photo, and of its mask.

    It is used in three steps: made, it knows where its blocks lie; `fill_colors` and
    `fill_mask` give jobs that average the pixels and may run at the same time;
    `stretch` makes thumbnails of the means.

    Parameters
    ----------
    photo : pyvips.Image
        As for `make_thumbnails`.
    region : Box
        The part of the photo that is averaged.
    frames : sequence of Box
        The parts of the region that will be stretched.
    size : (height, width)
        Of the thumbnails, in pixels.
    """

    def __init__(
        self,
        photo: pyvips.Image,
        region: Box,
        frames: Sequence[Box],
        size: tuple[int, int],
    ) -> None:
        down = _choose_block_length(
            region.height, min(f.height for f in frames), size[0]
        )
        across = _choose_block_length(
            region.width, min(f.width for f in frames), size[1]
        )
        self.region = region
        self.factors = down, across
        """Height and width of a block. The region may cut off the last ones."""
        is_plain = profiles.is_srgb(photo) and not is_premultiplied(photo)
        self._photo = photo
        self._converted: pyvips.Image | None = None
        num_colors = photo.bands - photo.hasalpha()
        if is_streamed(photo) or not is_plain:
            self._converted = _shrink_by_libvips(region.crop(photo), self.factors)
            num_colors = self._converted.bands
        shape = ceil(region.height / down), ceil(region.width / across)
        self.means = np.zeros((num_colors + 1, *shape), np.float32)
        """(C + 1, rows, columns) in [0, 1]: gray or RGB as sRGB, and the mask."""

    def fill_colors(self) -> list[Job]:
        """Give the jobs that average the photo."""
        if self._converted is None:
            return self._average(self._photo, self.region, self.means[:-1])
        self.means[:-1] = _compute(self._converted)
        return []

    def fill_mask(self, mask: pyvips.Image, box: Box) -> list[Job]:
        """Give the jobs that average a mask, of which only the box is read."""
        region, (down, across) = self.region, self.factors
        top, left = (box.top - region.top) // down, (box.left - region.left) // across
        bottom = ceil((box.top + box.height - region.top) / down)
        right = ceil((box.left + box.width - region.left) / across)
        first_row, first_column = region.top + top * down, region.left + left * across
        blocks = Box(
            first_row,
            first_column,
            min(region.top + bottom * down, mask.height) - first_row,
            min(region.left + right * across, mask.width) - first_column,
        )
        part = self.means[-1:, top:bottom, left:right]
        if not is_streamed(mask):
            return self._average(mask, blocks, part)
        part[...] = _compute(_shrink_by_libvips(blocks.crop(mask), self.factors))
        return []

    def _average(
        self, image: pyvips.Image, blocks: Box, means: FloatArray
    ) -> list[Job]:
        """Give the jobs that average some blocks into means (C, rows, columns)."""
        down, _ = self.factors
        jobs: list[Job] = []
        num_values = _MAX_SUMS * down
        for strip in cut_strips(image, blocks, multiple=down, num_values=num_values):
            first = (strip.top - blocks.top) // down
            rows = means[:, first : first + ceil(strip.height / down)]
            jobs.append(partial(_average_strip, image, strip, self.factors, rows))
        return jobs

    def stretch(self, frame: Box, stretched: FloatArray) -> None:
        """Stretch the means of a frame to (C + 1, h, w)."""
        height, width = stretched.shape[1:]
        rows, y = _weigh_blocks(
            frame.top - self.region.top, frame.height, self.factors[0], height
        )
        columns, x = _weigh_blocks(
            frame.left - self.region.left, frame.width, self.factors[1], width
        )
        means = self.means[:, rows, columns]
        # A few new rows at a time: they need only a few rows of blocks.
        most = (_MAX_PRODUCT / (means[0].size / height)) ** 0.5
        if height > _SMALL:
            most = min(most, _MAX_PRODUCT / (means.shape[2] * width))
        step = max(1, int(most))
        is_used = y > 0
        begins = is_used.argmax(axis=1)
        ends = y.shape[1] - is_used[:, ::-1].argmax(axis=1)
        for first in range(0, height, step):
            some = slice(first, min(first + step, height))
            used = slice(begins[first], ends[some.stop - 1])
            np.matmul(y[some, used] @ means[:, used], x.T, out=stretched[:, some])
        stretched.clip(0, 1, out=stretched)  # a sum may be 1 and a rounding


def can_share_blocks(whole: Box, box: Box, size: tuple[int, int]) -> bool:
    """Whether blocks that are fine enough for a box are few enough for the photo."""
    sides = ((whole.height, box.height, size[0]), (whole.width, box.width, size[1]))
    return all(
        _choose_block_length(length, part, new) <= max(1, part // (_MIN_BLOCKS * new))
        for length, part, new in sides
    )


def _choose_block_length(length: int, shortest: int, new_length: int) -> int:
    """Choose the length of a block along one axis, in pixels."""
    most = shortest // (_MIN_BLOCKS * new_length)
    return max(1, most, length // (_MAX_BLOCKS * new_length))


@lru_cache(maxsize=16)  # photos often have one size
def _weigh_blocks(
    start: int, length: int, factor: int, new_length: int
) -> tuple[slice, FloatArray]:
    """Weigh blocks along one axis as an antialiased bilinear filter weighs pixels.

    `length` pixels from `start` on become `new_length` pixels.

    Returns
    -------
    tuple
        Which N blocks have a part in that; weights (new_length, N), read-only, of
        which each row sums to 1.
    """
    first, last = start // factor, ceil((start + length) / factor)
    edges = np.clip(np.arange(first, last + 1) * factor - start, 0, length)
    scale = length / new_length  # old pixels for each new one
    reach = max(scale, factor)
    middles = (edges[1:] + edges[:-1]) / (2 * reach)
    centers = (np.arange(new_length) + 0.5) * (scale / reach)
    weights = np.subtract.outer(centers, middles, dtype=np.float32)
    np.abs(weights, out=weights)
    np.maximum(1 - weights, 0, out=weights)
    weights *= np.diff(edges).astype(np.float32)  # blocks may lie partly outside
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return slice(first, last), weights


def _average_strip(
    image: pyvips.Image, strip: Box, factors: tuple[int, int], means: FloatArray
) -> None:
    """Average blocks of pixels, of as many channels as `means` has.

    Rows are added first, since adding whole rows is quick. A matrix product then adds
    the columns and separates the channels.
    """
    down, across = factors
    pixels: PixelArray = get_pixels(image, strip)
    if pixels.dtype == np.float32:
        # Before the mean: one highlight far above white must not spread.
        pixels = pixels.clip(0, 1)
    full = FULL_SCALE[image.format]
    if factors == (1, 1):
        colors = pixels.transpose(2, 0, 1)[: len(means)]
        np.divide(colors, np.float32(full), out=means)
        return
    height, width, num_channels = pixels.shape
    num_columns = means.shape[2]
    sums = _sum_rows(pixels, down, num_columns * across)
    kernel = np.tile(np.eye(len(means), num_channels, dtype=np.float32), across)
    blocks = sums.reshape(len(sums), num_columns, across * num_channels)
    # One product for each row of blocks, so that each is small; see _MAX_PRODUCT.
    totals = kernel @ blocks.transpose(0, 2, 1)  # (rows, C, columns)
    np.divide(totals.transpose(1, 0, 2), down * across * full, out=means)
    # The last blocks may hold fewer pixels.
    if height % down:
        means[:, -1] *= down / (height % down)
    if width % across:
        means[:, :, -1] *= across / (width % across)


def _sum_rows(pixels: PixelArray, down: int, width: int) -> FloatArray:
    """Add up every `down` rows of (H, W, C); zeros follow up to `width`."""
    height, _, num_channels = pixels.shape
    length = pixels.shape[1] * num_channels
    whole, rest = divmod(height, down)
    wide = _choose_sum_type(pixels.dtype, down)
    sums = np.zeros((whole + bool(rest), width * num_channels), wide)
    rows = pixels[: whole * down].reshape(whole, down, length)
    np.add.reduce(rows, axis=1, out=sums[:whole, :length])
    if rest:
        left = pixels[whole * down :].reshape(rest, length)
        np.add.reduce(left, axis=0, out=sums[whole, :length])
    return sums.astype(np.float32, copy=False)


def _choose_sum_type(dtype: np.dtype[Any], count: int) -> type[np.generic]:
    """Choose the smallest type that holds a sum of some pixels."""
    if dtype == np.float32:
        return np.float32
    return np.uint16 if dtype == np.uint8 and count <= 257 else np.uint32


def _shrink_by_libvips(image: pyvips.Image, factors: tuple[int, int]) -> pyvips.Image:
    """Let libvips average blocks of pixels and convert to sRGB, without alpha.

    Converting a profile is slow, so a small copy is converted; not one as small as
    the thumbnail, since means of other encodings are other colors.
    """
    if image.format == "float":
        image = image.clamp()
    small, _ = split_alpha(straighten(image.shrink(factors[1], factors[0], ceil=True)))
    if not profiles.is_srgb(small):
        small = profiles.to_srgb(small)
    return small.clamp() if small.format == "float" else small


def _compute(small: pyvips.Image) -> FloatArray:
    """Compute a picture's pixels: (C, rows, columns) in [0, 1]."""
    means: FloatArray = to_array(small).transpose(2, 0, 1).astype(np.float32)
    return means / np.float32(FULL_SCALE[small.format])
