"""Rendering of curves: the foreground recolored, the rest left alone.

One way for photos that are opened from files, put off until their pixels are asked
for, and one that writes into an array; both give the same bytes.
"""

from typing import Any

import numpy as np
import pyvips

from imharmony import profiles
from imharmony.curves import Curves
from imharmony.errors import ShapeError
from imharmony.photo import (
    FULL_SCALE,
    STRIP_BYTES,
    Box,
    PixelArray,
    as_format,
    from_array,
    is_premultiplied,
    mask_box,
    split_alpha,
    straighten,
    to_array,
)

__all__ = ["render", "render_into"]


def render(
    photo: pyvips.Image,
    mask: pyvips.Image,
    curves: Curves,
    *,
    box: Box | None = None,
) -> pyvips.Image:
    """Apply color curves to the foreground of a photo.

    Computes `M * f(I) + (1 - M) * I` within the mask's box, at the photo's depth.
    Gray photos get the luminance of the curves and stay gray. Where an embedded
    profile is not sRGB, f converts to sRGB, applies the curves, and converts back.

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float, sRGB-encoded or with a profile.
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size.
    curves : Curves
        Heights outside [0, 1] are clipped to it.
    box : Box or None
        What `mask_box` says of the mask; None looks for it.

    Returns
    -------
    pyvips.Image
        Format, channels and metadata of `photo`. Bit-identical to it where the mask
        is 0, and everywhere in the alpha channel. `photo` itself if the mask is
        empty or the curves are the identity. Whole numbers are within one step of
        the formula. Floats beyond [0, 1] keep their distance from its nearer end,
        so that highlights above white survive.

    Raises
    ------
    ShapeError
        If photo and mask differ in size.

    Examples
    --------
    >>> from imharmony.photo import mask_from_array
    >>> knots = np.array([0.0, 0.5, 1.0])
    >>> brighter = Curves((knots,) * 3, (np.array([0.0, 0.8, 1.0]),) * 3)
    >>> photo = from_array(np.full((1, 2, 3), 0.5, dtype=np.float32))
    >>> mask = mask_from_array(np.array([[False, True]]), size=(1, 2))
    >>> to_array(render(photo, mask, brighter))[0, :, 0].tolist()
    [0.5, 0.800000011920929]
    """
    if (mask.height, mask.width) != (photo.height, photo.width):
        raise ShapeError(
            f"expected a mask of the photo's size, {photo.height}x{photo.width} "
            f"(height x width), got {mask.height}x{mask.width}"
        )
    box = box or mask_box(mask)
    if box is None or curves.is_identity:
        return photo
    if photo.bands < 3:
        curves = curves.luminance()
    return photo.insert(_render_box(photo, mask, curves, box), box.left, box.top)


def render_into(
    pixels: PixelArray,
    photo: pyvips.Image,
    mask: pyvips.Image,
    curves: Curves,
    *,
    box: Box | None,
) -> None:
    """Write what `render` gives into an array, without another picture in between.

    Parameters
    ----------
    pixels : ndarray of the photo's dtype, shape (H, W) or (H, W, C)
        May be the array that the photo was made from; then only the box is written.
    photo, mask, curves
        As for `render`.
    box : Box or None
        What `mask_box` says of the mask.

    Examples
    --------
    >>> pixels = np.full((1, 2), 0.5, dtype=np.float32)
    >>> photo, mask = from_array(pixels), from_array(np.array([[0, 255]], np.uint8))
    >>> knots, heights = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.75, 1.0])
    >>> curves = Curves((knots,) * 3, (heights,) * 3)
    >>> render_into(pixels, photo, mask, curves, box=mask_box(mask))
    >>> pixels.tolist()
    [[0.5, 0.75]]
    """
    if box is None or curves.is_identity:
        return
    if photo.bands < 3:
        curves = curves.luminance()
    pixels = pixels.reshape(photo.height, photo.width, photo.bands)
    for strip in box.strips(max(1, STRIP_BYTES // (box.width * pixels[0, 0].nbytes))):
        part = strip.of(pixels)
        if photo.format == "float":
            part[...] = to_array(_render_box(photo, mask, curves, strip))
        else:
            mapped = to_array(_map_box(photo, curves, strip))
            weights = to_array(strip.crop(mask))[..., 0]
            _blend_into(part, mapped, weights)


def _render_box(
    photo: pyvips.Image, mask: pyvips.Image, curves: Curves, box: Box
) -> pyvips.Image:
    """Apply curves within one box; see `render`."""
    part, weights = box.crop(photo), box.crop(mask)
    mapped = _map_box(photo, curves, box)
    blended = weights.ifthenelse(mapped, part, blend=True)
    if photo.format == "float":  # in sums, -0.0 becomes 0.0
        blended = (weights > 0).ifthenelse(blended, part)
    return blended


def _map_box(photo: pyvips.Image, curves: Curves, box: Box) -> pyvips.Image:
    """Apply curves, of luminance for gray, to all of one box, whatever the mask."""
    color, alpha = split_alpha(straighten(box.crop(photo)))
    if not profiles.is_srgb(photo):
        color = profiles.apply_in_srgb(color, curves)
    elif photo.format == "float":
        color = profiles.map_floats(color, lambda x: np.clip(curves(x), 0, 1))
    else:
        color = color.maplut(_table_image(color, curves))
    mapped = color if alpha is None else color.bandjoin(alpha)
    if is_premultiplied(photo):
        mapped = mapped.premultiply(max_alpha=FULL_SCALE[photo.format])
        mapped = as_format(mapped, photo.format)
    return mapped


def _blend_into(part: PixelArray, mapped: PixelArray, mask: PixelArray) -> None:
    """Blend whole numbers in place, rounding as libvips does, and quicker.

    Pixels are copied as a whole, in runs; only where the mask is soft is there any
    arithmetic. All are (h, w, C) or (h, w) and of the photo's depth, the mask of 8 bit.
    """
    pixel = f"V{part.itemsize * part.shape[2]}"  # all channels as one thing
    num_channels = part.shape[2]
    strides = (num_channels * part.itemsize, part.itemsize)
    is_loose = part.strides[1:] != strides or not part.dtype.isnative
    target = np.array(part, mapped.dtype, order="C") if is_loose else part
    before, after = (x.view(pixel)[..., 0] for x in (target, mapped))  # (h, w) each
    is_soft = mask - np.uint8(1) < 254  # 0 wraps to 255
    # No sum exceeds 255 times the largest value, nor that the type.
    wide = np.uint16 if mapped.dtype == np.uint8 else np.uint32
    weights = mask[is_soft].astype(wide)[:, None]  # (N, 1)
    old: Any
    new: Any
    old, new = (
        x[is_soft].view(mapped.dtype).reshape(-1, num_channels) for x in (before, after)
    )
    soft = (weights * new + (255 - weights) * old + 128) // 255
    np.copyto(before, after, where=mask == 255)
    before[is_soft] = soft.astype(mapped.dtype).view(pixel)[:, 0]
    if is_loose:
        part[...] = target


def _table_image(color: pyvips.Image, curves: Curves) -> pyvips.Image:
    """Tabulate the curves for the channels of a photo without alpha."""
    table = curves.table(np.uint8 if color.format == "uchar" else np.uint16)
    return from_array(table[: color.bands].T[np.newaxis])  # (1, 256 or 65536, C)
