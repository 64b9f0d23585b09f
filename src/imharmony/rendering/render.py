"""Render a change of color: recolor the foreground, leave the rest alone.

One way for photos that are opened from files, put off until their pixels are asked
for, and one that writes into an array; both give the same bytes.
"""

import pyvips

from imharmony.curves import Curves
from imharmony.errors import ShapeError
from imharmony.images import profiles
from imharmony.images.masks import mask_box
from imharmony.images.photo import (
    FULL_SCALE,
    as_format,
    is_premultiplied,
    split_alpha,
    straighten,
)
from imharmony.images.pixels import STRIP_BYTES, Box, PixelArray, get_pixels, to_array
from imharmony.rendering.table import Table, add_alpha_row
from imharmony.rendering.transform import Transform, as_transform
from imharmony.threads import share_out

__all__ = ["render", "render_into", "render_over"]

_PART_BYTES = 3 * 2**17
"""What one thread renders at once. Numbers into a table take 8 times as much."""


def render(
    photo: pyvips.Image,
    mask: pyvips.Image,
    change: Curves | Transform,
    *,
    box: Box | None = None,
) -> pyvips.Image:
    """Apply a change of color to the foreground of a photo.

    Computes `M * f(I) + (1 - M) * I` within the mask's box, at the photo's depth.
    Gray photos get the luminance of the change and stay gray. Where an embedded
    profile is not sRGB, f converts to sRGB, applies the change, and converts back.

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float, sRGB-encoded or with a profile.
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size.
    change : Curves or Transform
        Colors outside [0, 1] are clipped to it.
    box : Box or None
        What `mask_box` says of the mask; None looks for it.

    Returns
    -------
    pyvips.Image
        Format, channels and metadata of `photo`. Bit-identical to it where the mask
        is 0, and everywhere in the alpha channel. `photo` itself if the mask is
        empty or the change is none. Whole numbers are within one step of
        the formula. Floats beyond [0, 1] keep their distance from its nearer end,
        so that highlights above white survive.

    Raises
    ------
    ShapeError
        If photo and mask differ in size.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.masks import mask_from_array
    >>> from imharmony.images.photo import from_array
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
    if box is None or change.is_identity:
        return photo
    transform = _fit_channels(change, photo)
    return photo.insert(_render_box(photo, mask, transform, box), box.left, box.top)


def render_into(
    pixels: PixelArray,
    photo: pyvips.Image,
    mask: pyvips.Image,
    change: Curves | Transform,
    *,
    box: Box | None,
) -> None:
    """Apply a change of color to the foreground of a photo that lies in an array.

    Gives what `render` gives, in place. Whole numbers are looked up in tables by NumPy,
    in several threads; floats and premultiplied colors take the way of `render`.

    Parameters
    ----------
    pixels : ndarray of the photo's dtype, shape (H, W) or (H, W, C)
        The photo's own pixels, maybe those that it was made from. Only the box is
        read and written.
    photo, mask, change
        As for `render`.
    box : Box or None
        What `mask_box` says of the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.photo import from_array
    >>> pixels = np.full((1, 2), 0.5, dtype=np.float32)
    >>> photo, mask = from_array(pixels), from_array(np.array([[0, 255]], np.uint8))
    >>> knots, heights = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.75, 1.0])
    >>> curves = Curves((knots,) * 3, (heights,) * 3)
    >>> render_into(pixels, photo, mask, curves, box=mask_box(mask))
    >>> pixels.tolist()
    [[0.5, 0.75]]
    """
    if box is None or change.is_identity:
        return
    transform = _fit_channels(change, photo)
    pixels = pixels.reshape(photo.height, photo.width, photo.bands)
    rows = None
    is_plain = photo.format != "float" and not is_premultiplied(photo)
    if is_plain and profiles.is_srgb(photo):
        rows = transform.make_table(pixels.dtype.newbyteorder("="))
    if rows is not None:
        row_bytes = box.width * pixels[0, 0].nbytes
        num_rows = max(1, _PART_BYTES // row_bytes)
        table = Table(add_alpha_row(rows, photo), num_rows * box.width)
        weights = get_pixels(mask, box)[..., 0]

        def recolor(strip: Box) -> None:
            first = strip.top - box.top
            table.blend_into(strip.view(pixels), weights[first : first + strip.height])

        share_out(recolor, list(box.strips(num_rows)))
        return
    for strip in box.strips(max(1, STRIP_BYTES // (box.width * pixels[0, 0].nbytes))):
        strip.view(pixels)[...] = to_array(_render_box(photo, mask, transform, strip))


def _fit_channels(change: Curves | Transform, photo: pyvips.Image) -> Transform:
    """Take the luminance of a change for a gray photo."""
    transform = as_transform(change)
    return transform.luminance() if photo.bands < 3 else transform


def render_over(
    under: pyvips.Image,
    photo: pyvips.Image,
    mask: pyvips.Image,
    change: Curves | Transform,
) -> pyvips.Image:
    """Lay the changed foreground of a photo on another rendering of it.

    As `render`, but computes `M * f(I) + (1 - M) * U` where U is `under`, of the
    photo's size and format.
    """
    box = mask_box(mask)
    if box is None:
        return under
    transform = _fit_channels(change, photo)
    part = _render_box(photo, mask, transform, box, under=under)
    return under.insert(part, box.left, box.top)


def _render_box(
    photo: pyvips.Image,
    mask: pyvips.Image,
    transform: Transform,
    box: Box,
    *,
    under: pyvips.Image | None = None,
) -> pyvips.Image:
    """Change the foreground within one box; see `render`."""
    part, weights = box.crop(photo if under is None else under), box.crop(mask)
    mapped = _map_box(photo, transform, box)
    blended = weights.ifthenelse(mapped, part, blend=True)
    if photo.format == "float":  # in sums, -0.0 becomes 0.0
        blended = (weights > 0).ifthenelse(blended, part)
    return blended


def _map_box(photo: pyvips.Image, transform: Transform, box: Box) -> pyvips.Image:
    """Change all of one box, whatever the mask; alpha stays as it is."""
    color, alpha = split_alpha(straighten(box.crop(photo)))
    color = transform.map_box(color, box)
    mapped = color if alpha is None else color.bandjoin(alpha)
    if is_premultiplied(photo):
        mapped = mapped.premultiply(max_alpha=FULL_SCALE[photo.format])
        mapped = as_format(mapped, photo.format)
    return mapped
