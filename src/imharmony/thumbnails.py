"""What a network sees: small copies of the composite and of its foreground."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony import profiles
from imharmony.errors import ImageError
from imharmony.photo import (
    FULL_SCALE,
    Box,
    mask_box,
    split_alpha,
    straighten,
    stretch,
    to_array,
)

__all__ = ["Thumbnails", "make_thumbnails"]


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
    background: pyvips.Image | None = None,
    contexts: Sequence[float] = (0.0,),
    box: Box | None = None,
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
    background : pyvips.Image or None
        Another photo whose colors the foreground should fit, of any size; nothing of
        it is foreground. None takes the photo around the foreground. Figure 8
        of [1]_.
    contexts : sequence of float
        One view of the photo each: how far its frame is drawn in from the photo's
        rim (0) to the box of the mask (1). Not used with `background`, which makes
        one view.
    box : Box or None
        What `photo.mask_box` says of the mask; None looks for it.

    Returns
    -------
    Thumbnails
        Of smooth pictures within 2 / 255 of an antialiased bilinear filter computed
        in float, within 6 / 255 along the border, which libvips weights as if the
        picture went on outside.

    Raises
    ------
    ImageError
        If the mask is zero everywhere.

    Notes
    -----
    The foreground is cut out at full resolution and then stretched, as the data
    class of the released code of [1]_ does. Differs from the paper: its figure 2
    masks the thumbnail of the whole photo.

    The photo is read once for all views, its box once more for the foreground, and
    of the mask only the box.

    References
    ----------
    .. [1] J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
       Rendering Network for Efficient and High-Resolution Image
       Harmonization", ECCV 2022, arXiv:2109.05750.

    Examples
    --------
    >>> from imharmony.photo import from_array, mask_from_array
    >>> photo = from_array(np.full((40, 60), 51, dtype=np.uint8))
    >>> mask = mask_from_array(np.eye(40, 60), size=(40, 60))
    >>> thumbnails = make_thumbnails(photo, mask, size=(8, 8))
    >>> thumbnails.foreground.shape, round(float(thumbnails.foreground.mean()), 3)
    ((3, 8, 8), 0.2)
    """
    box = box or mask_box(mask)
    if box is None:
        raise ImageError("expected a mask with a foreground, got 0 everywhere")
    if background is None:
        colors, factors = _colors(photo, size)
        # In memory: several views are cut from it.
        colors = colors if factors == (1, 1) else colors.copy_memory()
        both = _with_mask(colors, mask, box, factors)
        frames = [_frame(box, photo, share, factors) for share in contexts]
        views = [_stretched(frame.crop(both), size) for frame in frames]
        full = np.float32(FULL_SCALE[colors.format])
        composite = np.stack([_rgb(view[:-1]) for view in views]) / full
        weights = np.stack([view[-1:] for view in views]) / np.float32(255)
        if (box.height, box.width) == (photo.height, photo.width):
            # Frame and box are the same: so are all views of them.
            return Thumbnails(composite, weights, composite[0], weights[0])
    else:
        composite = _rgb(_thumbnail(_colors(background, size)[0], size))[None]
        weights = np.zeros((1, 1, *size), np.float32)
    inner = _thumbnail(_colors(box.crop(photo), size)[0], size)
    inner_weights = _thumbnail(box.crop(mask), size)
    return Thumbnails(composite, weights, _rgb(inner), inner_weights)


def _factors(image: pyvips.Image, size: tuple[int, int]) -> tuple[int, int]:
    """By how much to shrink, down and across, before all else: to 8 times the size.

    Means of whole blocks of pixels are quick, and made once for all views.
    """
    height, width = size
    if image.height <= 16 * height and image.width <= 16 * width:
        return 1, 1
    return max(1, image.height // (8 * height)), max(1, image.width // (8 * width))


def _shrink(image: pyvips.Image, factors: tuple[int, int]) -> pyvips.Image:
    """Average blocks of pixels; parts of blocks at the ends count as whole ones."""
    if factors == (1, 1):
        return image
    if image.format == "float":
        # Before the mean: one highlight far above white must not spread.
        image = image.clamp()
    return image.shrink(factors[1], factors[0], ceil=True)


def _colors(
    photo: pyvips.Image, size: tuple[int, int]
) -> tuple[pyvips.Image, tuple[int, int]]:
    """Shrink a large photo, and give its gray or RGB channels as sRGB.

    Converting a profile is slow, so a small copy is converted; not one as small as
    the thumbnail, since means of other encodings are other colors.
    """
    factors = _factors(photo, size)
    color, _ = split_alpha(straighten(_shrink(photo, factors)))
    return color if profiles.is_srgb(color) else profiles.to_srgb(color), factors


def _with_mask(
    colors: pyvips.Image, mask: pyvips.Image, box: Box, factors: tuple[int, int]
) -> pyvips.Image:
    """Join a mask, 0 to 255, to a shrunk photo; of the mask, only its box is read."""
    if colors.format == "float":
        colors = colors.clamp()
    if factors == (1, 1):
        return colors.bandjoin(mask)
    down, across = factors
    top, left = box.top // down, box.left // across
    bottom = min(ceil((box.top + box.height) / down) * down, mask.height)
    right = min(ceil((box.left + box.width) / across) * across, mask.width)
    blocks = Box(top * down, left * across, bottom - top * down, right - left * across)
    small = _shrink(blocks.crop(mask), factors)
    small = small.embed(left, top, colors.width, colors.height)
    return colors.bandjoin(small).copy_memory()


def _frame(
    box: Box, photo: pyvips.Image, share: float, factors: tuple[int, int]
) -> Box:
    """Draw the photo's frame in towards a box; in pixels of the shrunk photo."""
    down, across = factors
    top, left = box.top * share, box.left * share
    bottom = photo.height - (photo.height - box.top - box.height) * share
    right = photo.width - (photo.width - box.left - box.width) * share
    rows = int(top / down), ceil(bottom / down - 1e-6)
    columns = int(left / across), ceil(right / across - 1e-6)
    return Box(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0])


def _thumbnail(image: pyvips.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Stretch to floats (C, h, w) in [0, 1]."""
    if image.format == "float":
        image = image.clamp()
    return _stretched(image, size) / np.float32(FULL_SCALE[image.format])


def _stretched(image: pyvips.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Stretch in the image's own format, then turn (h, w, C) into floats (C, h, w)."""
    channels = to_array(stretch(image, size)).transpose(2, 0, 1)
    return channels.astype(np.float32, order="C")


def _rgb(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Repeat gray; floats (C, h, w) become (3, h, w)."""
    return np.ascontiguousarray(np.broadcast_to(channels, (3, *channels.shape[1:])))
