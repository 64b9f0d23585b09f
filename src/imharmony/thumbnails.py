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
    box = mask_box(mask)
    if box is None:
        raise ImageError("expected a mask with a foreground, got 0 everywhere")
    inner = _colors(box.crop(photo), size)
    foreground = _thumbnail(inner, size, num_channels=3)
    foreground_mask = _thumbnail(box.crop(mask), size)
    if background is not None:
        composite = _thumbnail(_colors(background, size), size, num_channels=3)[None]
        outside = np.zeros((1, 1, *size), np.float32)
        return Thumbnails(composite, outside, foreground, foreground_mask)
    colors, weights = _colors(photo, size), _smaller(mask, size)
    scale = colors.height / photo.height, colors.width / photo.width
    frames = [_frame(box, photo, share, scale) for share in contexts]
    views = [_thumbnail(f.crop(colors), size, num_channels=3) for f in frames]
    masks = [_thumbnail(f.crop(weights), size) for f in frames]
    return Thumbnails(np.stack(views), np.stack(masks), foreground, foreground_mask)


def _frame(
    box: Box, photo: pyvips.Image, share: float, scale: tuple[float, float]
) -> Box:
    """Draw the photo's frame in towards a box; in pixels of a copy at some scale."""
    top, left = box.top * share, box.left * share
    bottom = photo.height - (photo.height - box.top - box.height) * share
    right = photo.width - (photo.width - box.left - box.width) * share
    rows = int(top * scale[0]), ceil(bottom * scale[0] - 1e-6)
    columns = int(left * scale[1]), ceil(right * scale[1] - 1e-6)
    return Box(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0])


def _smaller(image: pyvips.Image, size: tuple[int, int]) -> pyvips.Image:
    """Shrink a large image to eight times the size, once for all views."""
    height, width = (8 * n for n in size)
    if image.height <= 2 * height and image.width <= 2 * width:
        return image
    if image.format == "float":
        # Before the filter: one highlight far above white must not spread.
        image = image.clamp()
    small = stretch(image, (min(image.height, height), min(image.width, width)))
    return small.copy_memory()


def _colors(photo: pyvips.Image, size: tuple[int, int]) -> pyvips.Image:
    """Shrink a large photo, and give its gray or RGB channels as sRGB.

    Converting a profile is slow, so a small copy is converted; not one as small as
    the thumbnail, since means of other encodings are other colors.
    """
    color, _ = split_alpha(straighten(_smaller(photo, size)))
    return color if profiles.is_srgb(color) else profiles.to_srgb(color)


def _thumbnail(
    image: pyvips.Image, size: tuple[int, int], *, num_channels: int = 1
) -> npt.NDArray[np.float32]:
    """Shrink in the image's own format, then turn (h, w, C) into floats (C, h, w)."""
    if image.format == "float":
        image = image.clamp()
    full = np.float32(FULL_SCALE[image.format])
    pixels = to_array(stretch(image, size)).astype(np.float32) / full
    channels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(channels, (num_channels, *size)))
