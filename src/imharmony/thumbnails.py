"""What a network sees: small copies of the composite and of its foreground."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony import profiles
from imharmony.errors import ImageError
from imharmony.photo import (
    FULL_SCALE,
    is_premultiplied,
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
    masks are soft, 1 = foreground.
    """

    composite: npt.NDArray[np.float32]
    """The whole photo, shape (3, h, w)."""
    mask: npt.NDArray[np.float32]
    """The whole mask, shape (1, h, w)."""
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
    whole = _rgb_thumbnail(photo if background is None else background, size)
    outer = np.zeros((1, *size), np.float32)
    return Thumbnails(
        composite=whole,
        mask=_thumbnail(mask, size) if background is None else outer,
        foreground=_rgb_thumbnail(box.crop(photo), size),
        foreground_mask=_thumbnail(box.crop(mask), size),
    )


def _rgb_thumbnail(
    photo: pyvips.Image, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    if is_premultiplied(photo):  # the mean of what is seen, and little to divide
        photo = straighten(stretch(photo, size))
    color, _ = split_alpha(photo)
    if not profiles.is_srgb(color):
        # Converting a photo is slow, so a small copy is converted; not one as small
        # as the thumbnail, since means of other encodings are other colors.
        height, width = (8 * n for n in size)
        if color.height > height or color.width > width:
            smaller = min(color.height, height), min(color.width, width)
            color = stretch(
                color.clamp() if color.format == "float" else color, smaller
            )
        color = profiles.to_srgb(color)
    thumbnail = _thumbnail(color, size)
    return np.ascontiguousarray(np.broadcast_to(thumbnail, (3, *size)))


def _thumbnail(image: pyvips.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Shrink in the image's own format, then turn (h, w, C) into floats (C, h, w)."""
    if image.format == "float":
        # Before the filter: one highlight far above white must not spread.
        image = image.clamp()
    full = np.float32(FULL_SCALE[image.format])
    pixels = to_array(stretch(image, size)).astype(np.float32) / full
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
