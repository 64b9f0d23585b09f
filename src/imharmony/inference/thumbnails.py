"""What a network sees: small copies of the composite and of its foreground."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.errors import ImageError
from imharmony.images import profiles
from imharmony.images.photo import (
    FULL_SCALE,
    is_premultiplied,
    mask_box,
    split_alpha,
    straighten,
)
from imharmony.images.pixels import (
    Box,
    PixelArray,
    is_streamed,
    pixels_of,
    strips_of,
    to_array,
)
from imharmony.threads import share_out

__all__ = ["Thumbnails", "make_thumbnails"]

FloatArray = npt.NDArray[np.float32]
Job = Callable[[], None]

_MIN_BLOCKS, _MAX_BLOCKS = 3, 8
"""Per pixel of a thumbnail: what large photos are first averaged to."""
_MAX_PRODUCT = 2**17
"""Multiplications of a product of matrices, nearly: so few that BLAS starts no threads
for it. They wait spinning for each other, and on a busy machine for long."""

_MAX_SUMS = 2**19
"""Of rows of blocks, held at once as floats. More have memory new from the system each
time, which takes longer than all else."""


@dataclass(frozen=True)
class Thumbnails:
    """The inputs of a network, not yet multiplied by their masks.

    All are float32 in [0, 1], RGB, sRGB-encoded, of the same height and width; the
    masks are soft, 1 = foreground. B counts the views of the surroundings.
    """

    composite: npt.NDArray[np.float32]
    """The photo, shape (B, 3, h, w); of some views only what is nearer the object."""
    mask: npt.NDArray[np.float32]
    """The mask in the same frames, shape (B, 1, h, w)."""
    foreground: npt.NDArray[np.float32]
    """The box of the mask cut from the photo, shape (3, h, w)."""
    foreground_mask: npt.NDArray[np.float32]
    """The box of the mask cut from the mask, shape (1, h, w)."""


def make_thumbnails(
    photo: pyvips.Image,
    mask: pyvips.Image,
    *,
    size: tuple[int, int],
    reference: pyvips.Image | None = None,
    contexts: Sequence[float] = (0.0,),
    box: Box | None = None,
    covered: pyvips.Image | None = None,
) -> Thumbnails:
    """Shrink a photo, its mask, and the box of its foreground to one size.

    Nothing keeps its aspect ratio; small photos are enlarged. Alpha is dropped, gray
    becomes RGB, and floats are clipped to [0, 1].

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float, sRGB-encoded or with a profile.
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size.
    size : (height, width)
        Of the thumbnails, in pixels.
    reference : pyvips.Image or None
        Another photo whose colors the foreground should fit, of any size; nothing of
        it is foreground. None takes the photo around the foreground. Figure 8
        of [1]_.
    contexts : sequence of float
        One view of the photo each: how far its frame is drawn in from the photo's
        rim (0) to the box of the mask (1). Not used with `reference`, which makes
        one view.
    box : Box or None
        What `photo.mask_box` says of the mask; None looks for it.
    covered : pyvips.Image or None
        Mask of all objects, of which `mask` is one: the views show it as what is not
        background. None takes `mask`.

    Returns
    -------
    Thumbnails
        Of smooth pictures within 2 / 255 of an antialiased bilinear filter, as
        Pillow's and torchvision's are: large pictures are first averaged over blocks
        of pixels, mostly three or more per pixel of the thumbnail.

    Raises
    ------
    ImageError
        If the mask is zero everywhere.

    Notes
    -----
    The foreground is cut out at full resolution and then stretched, as the data
    class of the released code of [1]_ does. Differs from the paper: its figure 2
    masks the thumbnail of the whole photo.

    The photo is read once for all views and the foreground; a box of under three
    eighths of the photo's height or width once more. Of the mask only the box is read.

    References
    ----------
    .. [1] J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
       Rendering Network for Efficient and High-Resolution Image
       Harmonization", ECCV 2022, arXiv:2109.05750.

    Examples
    --------
    >>> from imharmony.images.photo import from_array, mask_from_array
    >>> photo = from_array(np.full((40, 60), 51, dtype=np.uint8))
    >>> mask = mask_from_array(np.eye(40, 60), size=(40, 60))
    >>> thumbnails = make_thumbnails(photo, mask, size=(8, 8))
    >>> thumbnails.foreground.shape, round(float(thumbnails.foreground.mean()), 3)
    ((3, 8, 8), 0.2)
    """
    box = box or mask_box(mask)
    if box is None:
        raise ImageError("expected a mask with a foreground, got 0 everywhere")
    whole = Box(0, 0, photo.height, photo.width)
    if reference is None:
        frames = [_drawn_in(whole, box, share) for share in contexts]
        is_fine = covered is None and _is_fine(whole, box, size)
        seen = [*frames, box] if is_fine else frames
        shown, shown_box = (mask, box) if covered is None else (covered, whole)
        outer, jobs = _shrink(photo, whole, seen, size, shown, shown_box)
    else:
        is_fine = False
        frames = [Box(0, 0, reference.height, reference.width)]
        outer, jobs = _shrink(reference, frames[0], frames, size)
    inner = outer
    if not is_fine:  # the box needs blocks of its own
        inner, more = _shrink(photo, box, [box], size, mask, box)
        jobs += more
    share_out(lambda job: job(), jobs)
    views = np.empty((len(frames), len(outer.means), *size), np.float32)
    cut = np.empty((len(inner.means), *size), np.float32)
    jobs = [partial(outer.stretch, *each) for each in zip(frames, views, strict=True)]
    jobs.append(partial(inner.stretch, box, cut))
    share_out(lambda job: job(), jobs)
    return Thumbnails(_rgb(views[:, :-1]), views[:, -1:], _rgb(cut[:-1]), cut[-1:])


@dataclass(frozen=True)
class _Blocks:
    """Means of blocks of pixels in some region of a photo."""

    region: Box
    factors: tuple[int, int]
    """Height and width of a block; the last ones may be cut off by the region."""
    means: FloatArray
    """(C + 1, rows, columns) in [0, 1]: gray or RGB as sRGB, and the mask."""

    def stretch(self, frame: Box, stretched: FloatArray) -> None:
        """Stretch what lies in a frame to (C + 1, h, w)."""
        down, across = self.factors
        size = stretched.shape[1:]
        rows, y = _weights(
            frame.top - self.region.top, frame.height, factor=down, new_length=size[0]
        )
        columns, x = _weights(
            frame.left - self.region.left, frame.width, factor=across,
            new_length=size[1],
        )  # fmt: skip
        means = self.means[:, rows, columns]
        per_row = means[0].size / size[0]  # blocks
        step = max(1, int((_MAX_PRODUCT / per_row) ** 0.5))
        is_used = y > 0
        begins = is_used.argmax(axis=1)
        ends = y.shape[1] - is_used[:, ::-1].argmax(axis=1)
        for first in range(0, size[0], step):
            # Some rows at once, which weigh a part of the blocks only.
            some = slice(first, min(first + step, size[0]))
            used = slice(begins[first], ends[some.stop - 1])
            np.matmul(y[some, used] @ means[:, used], x.T, out=stretched[:, some])
        stretched.clip(0, 1, out=stretched)  # a sum may be 1 and a rounding


def _drawn_in(whole: Box, box: Box, share: float) -> Box:
    """Draw a photo's frame in towards a box, to whole pixels outside."""
    top, left = int(box.top * share), int(box.left * share)
    below = whole.height - box.top - box.height
    beside = whole.width - box.left - box.width
    bottom = ceil(whole.height - below * share - 1e-6)
    right = ceil(whole.width - beside * share - 1e-6)
    return Box(top, left, bottom - top, right - left)


@lru_cache(maxsize=16)  # photos often have one size
def _weights(
    start: int, length: int, *, factor: int, new_length: int
) -> tuple[slice, FloatArray]:
    """Weigh blocks of pixels as an antialiased bilinear filter does pixels.

    Of a line of blocks, from `start` on `length` pixels become `new_length`. Returns
    which blocks have a part in that, and weights (new_length, N), each row's sum 1;
    read-only.
    """
    first, last = start // factor, ceil((start + length) / factor)
    edges = np.clip(np.arange(first, last + 1) * factor - start, 0, length)
    scale = length / new_length  # pixels of one that is new
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


def _shrink(
    photo: pyvips.Image,
    region: Box,
    frames: Sequence[Box],
    size: tuple[int, int],
    mask: pyvips.Image | None = None,
    box: Box | None = None,
) -> tuple[_Blocks, list[Job]]:
    """Average a region of a photo; the means are there when all jobs are done.

    Of the mask, only its box is read.
    """
    down = _factor(region.height, min(frame.height for frame in frames), size[0])
    across = _factor(region.width, min(frame.width for frame in frames), size[1])
    shape = ceil(region.height / down), ceil(region.width / across)
    colors = None
    num_colors = photo.bands - photo.hasalpha()
    is_plain = profiles.is_srgb(photo) and not is_premultiplied(photo)
    if is_streamed(photo) or not is_plain:
        colors = _converted(region.crop(photo), (down, across))
        num_colors = len(colors)
    means = np.zeros((num_colors + 1, *shape), np.float32)
    jobs: list[Job] = []
    if colors is None:
        jobs += _averaging(photo, region, (down, across), means[:-1])
    else:
        means[:-1] = colors
    if mask is not None and box is not None:
        top, left = (box.top - region.top) // down, (box.left - region.left) // across
        bottom = ceil((box.top + box.height - region.top) / down)
        right = ceil((box.left + box.width - region.left) / across)
        first_row, first_column = region.top + top * down, region.left + left * across
        blocks = Box(
            first_row, first_column,
            min(region.top + bottom * down, mask.height) - first_row,
            min(region.left + right * across, mask.width) - first_column,
        )  # fmt: skip
        part = means[-1:, top:bottom, left:right]
        if is_streamed(mask):
            part[...] = _converted(blocks.crop(mask), (down, across))
        else:
            jobs += _averaging(mask, blocks, (down, across), part)
    return _Blocks(region, (down, across), means), jobs


def _factor(length: int, shortest: int, new_length: int) -> int:
    """Choose how many pixels, of one axis, are averaged before all else."""
    most = shortest // (_MIN_BLOCKS * new_length)
    return max(1, most, length // (_MAX_BLOCKS * new_length))


def _is_fine(whole: Box, box: Box, size: tuple[int, int]) -> bool:
    """Whether blocks fine enough for a box are not too many for the whole photo."""
    sides = ((whole.height, box.height, size[0]), (whole.width, box.width, size[1]))
    return all(
        _factor(length, part, new) <= max(1, part // (_MIN_BLOCKS * new))
        for length, part, new in sides
    )


def _averaging(
    image: pyvips.Image, region: Box, factors: tuple[int, int], means: FloatArray
) -> list[Job]:
    """Split the work of averaging a region, into `means`, (C, rows, columns)."""
    down, _ = factors
    jobs: list[Job] = []
    num_values = _MAX_SUMS * down
    for strip in strips_of(image, region, multiple=down, num_values=num_values):
        first = (strip.top - region.top) // down
        rows = means[:, first : first + ceil(strip.height / down)]
        jobs.append(partial(_average, image, strip, factors, rows))
    return jobs


def _average(
    image: pyvips.Image, strip: Box, factors: tuple[int, int], means: FloatArray
) -> None:
    """Average blocks of pixels, of as many channels as there is room for means.

    Sums over rows come first, since those of whole rows are quick; a product of
    matrices then sums over columns and separates the channels.
    """
    down, across = factors
    pixels: PixelArray = pixels_of(image, strip)
    if pixels.dtype == np.float32:
        # Before the mean: one highlight far above white must not spread.
        pixels = pixels.clip(0, 1)
    if factors == (1, 1):
        colors = pixels.transpose(2, 0, 1)[: len(means)]
        np.divide(colors, np.float32(FULL_SCALE[image.format]), out=means)
        return
    height, width, num_channels = pixels.shape
    num_columns = means.shape[2]
    whole, rest = divmod(height, down)
    used = slice(width * num_channels)
    wide = _wide(pixels.dtype, down)
    sums = np.zeros((means.shape[1], num_columns * across * num_channels), wide)
    rows = pixels[: whole * down].reshape(whole, down, width * num_channels)
    np.add.reduce(rows, axis=1, out=sums[:whole, used])
    if rest:
        left = pixels[whole * down :].reshape(rest, width * num_channels)
        np.add.reduce(left, axis=0, out=sums[whole, used])
    kernel = np.tile(np.eye(len(means), num_channels, dtype=np.float32), across)
    blocks = sums.astype(np.float32, copy=False)
    blocks = blocks.reshape(len(sums), num_columns, across * num_channels)
    # Row by row; see _MAX_PRODUCT.
    totals = kernel @ blocks.transpose(0, 2, 1)  # (rows, C, columns)
    full = down * across * FULL_SCALE[image.format]
    np.divide(totals.transpose(1, 0, 2), full, out=means)
    if rest:
        means[:, -1] *= down / rest
    if width % across:
        means[:, :, -1] *= across / (width % across)


def _wide(dtype: np.dtype[Any], count: int) -> type[np.generic]:
    """Choose the smallest type that holds a sum of some pixels."""
    if dtype == np.float32:
        return np.float32
    return np.uint16 if dtype == np.uint8 and count <= 257 else np.uint32


def _converted(image: pyvips.Image, factors: tuple[int, int]) -> FloatArray:
    """Let libvips average blocks of pixels and convert to sRGB, (C, rows, columns).

    Converting a profile is slow, so a small copy is converted; not one as small as
    the thumbnail, since means of other encodings are other colors.
    """
    if image.format == "float":
        image = image.clamp()
    small, _ = split_alpha(straighten(image.shrink(factors[1], factors[0], ceil=True)))
    if not profiles.is_srgb(small):
        small = profiles.to_srgb(small)
    if small.format == "float":
        small = small.clamp()
    means: FloatArray = to_array(small).transpose(2, 0, 1).astype(np.float32)
    return means / np.float32(FULL_SCALE[small.format])


def _rgb(channels: FloatArray) -> FloatArray:
    """Repeat gray; floats (..., C, h, w) become (..., 3, h, w)."""
    shape = (*channels.shape[:-3], 3, *channels.shape[-2:])
    return np.ascontiguousarray(np.broadcast_to(channels, shape))
