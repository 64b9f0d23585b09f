"""Arrays to photos and back, masks, and the rendering of curves.

Inside, a photo is a `pyvips.Image`: EXIF, ICC profile and XMP travel on it, and
work on it is put off until its pixels are asked for, so that one `render` serves
arrays and files. Photos have 1 to 4 channels (gray, gray and alpha, RGB, RGBA) of
8 or 16 bit or 32-bit float; masks have one channel of 8 bit, 0 background, 255
foreground.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony import profiles
from imharmony.curves import Curves
from imharmony.errors import HarmonizeWarning, ImageError, ShapeError

__all__ = [
    "FULL_SCALE",
    "GRAY_NAMES",
    "PREMULTIPLIED",
    "RGB_NAMES",
    "Box",
    "alpha_mask",
    "check_finite",
    "from_array",
    "is_premultiplied",
    "mask_box",
    "mask_from_array",
    "render",
    "render_into",
    "scale_mask",
    "split_alpha",
    "straighten",
    "stretch",
    "tag",
    "to_array",
    "to_rgb",
]

PixelArray = npt.NDArray[Any]

FULL_SCALE = {"uchar": 255, "ushort": 65535, "float": 1}
"""What stands for 1 in each libvips format: white, or fully opaque."""

PREMULTIPLIED = "imharmony-premultiplied"
"""Field of a photo whose colors are multiplied by its alpha."""

STRIP_BYTES = 2**22
"""What is worked on at once where all of a picture would need as much memory again."""

_TILE_ROWS = 512  # of a file read piece by piece: whole tiles, mostly
_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
GRAY_NAMES = {"uchar": "b-w", "ushort": "grey16", "float": "b-w"}
RGB_NAMES = {"uchar": "srgb", "ushort": "rgb16", "float": "scrgb"}


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, image: pyvips.Image) -> pyvips.Image:
        """Cut the rectangle out of an image."""
        return image.crop(self.left, self.top, self.width, self.height)

    def of(self, pixels: PixelArray) -> PixelArray:
        """Look at the rectangle in an array."""
        rows = slice(self.top, self.top + self.height)
        return pixels[rows, self.left : self.left + self.width]

    def strips(self, num_rows: int) -> Iterator["Box"]:
        """Split it into boxes of at most so many rows, from the top."""
        for top in range(0, self.height, num_rows):
            height = min(num_rows, self.height - top)
            yield replace(self, top=self.top + top, height=height)


def alpha_mask(alpha: pyvips.Image) -> pyvips.Image:
    """Turn an alpha channel, as `split_alpha` gives it, into a mask of 8 bit.

    Examples
    --------
    >>> alpha = from_array(np.array([[0, 65535]], dtype=np.uint16))
    >>> alpha_mask(alpha).numpy().tolist()
    [[0, 255]]
    """
    return scale_mask(alpha, FULL_SCALE[alpha.format], "alpha channel")


def mask_from_array(mask: PixelArray, *, size: tuple[int, int]) -> pyvips.Image:
    """Turn an array into a mask.

    Parameters
    ----------
    mask : ndarray of bool, uint8, uint16 or float, shape (H, W) or (H, W, 1)
        1 = foreground: True, 255, 65535 or 1.0; soft edges are kept at 8 bit. Whole
        numbers with no value above 1 count as truth values.
    size : (height, width)
        Size of the photo in pixels.

    Returns
    -------
    pyvips.Image
        One channel of 8 bit, 0 background, 255 foreground. Shares memory with
        `mask` where that is contiguous and of type uint8.

    Raises
    ------
    ShapeError
        If `mask` is not of that shape or not of that size.
    ImageError
        If its type is another, or a float is NaN or outside [0, 1].

    Examples
    --------
    >>> mask_from_array(np.array([[0.0, 0.5, 1.0]]), size=(1, 3)).numpy().tolist()
    [[0, 128, 255]]
    """
    if mask.shape not in (size, (*size, 1)):
        raise ShapeError(
            f"mask: expected shape ({size[0]}, {size[1]}), the photo's height and "
            f"width, got {mask.shape}"
        )
    return from_array(_as_8_bit(mask), name="mask")


def from_array(image: PixelArray, *, name: str = "image") -> pyvips.Image:
    """Wrap an array as a photo.

    Parameters
    ----------
    image : ndarray of uint8, uint16 or float32, shape (H, W) or (H, W, C)
        Gray, gray and alpha, RGB or RGBA for C from 1 to 4; sRGB-encoded, straight
        alpha; floats nominally in [0, 1].
    name : str
        What error messages call the input.

    Returns
    -------
    pyvips.Image
        Shares memory with `image` where that is contiguous: do not change the array
        while the photo is in use.

    Raises
    ------
    ShapeError
        If `image` is of another shape, or empty.
    ImageError
        If its type is another, or it holds NaN or infinity.

    Examples
    --------
    >>> photo = from_array(np.zeros((2, 3, 4), dtype=np.uint16))
    >>> photo.height, photo.width, photo.bands, photo.interpretation
    (2, 3, 4, 'rgb16')
    """
    num_channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or num_channels not in (1, 2, 3, 4) or not image.size:
        raise ShapeError(
            f"{name}: expected shape (H, W) or (H, W, C) with H and W at least 1 and "
            f"C from 1 to 4, got {image.shape}"
        )
    if image.dtype.name not in _FORMATS:
        raise ImageError(
            f"{name}: expected dtype uint8, uint16 or float32, got {image.dtype}"
        )
    height, width = image.shape[:2]
    native = image.astype(image.dtype.newbyteorder("="), copy=False)
    pixels = np.ascontiguousarray(native)
    photo = pyvips.Image.new_from_memory(
        pixels, width, height, num_channels, _FORMATS[image.dtype.name]
    )
    check_finite(photo, name)
    return tag(photo)


def to_array(image: pyvips.Image) -> PixelArray:
    """Compute the pixels of a photo or mask.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (H, W, C)
        A new array; C is 1 for gray, unlike the (H, W) that `from_array` accepts.

    Examples
    --------
    >>> to_array(from_array(np.zeros((2, 3), dtype=np.uint8))).shape
    (2, 3, 1)
    """
    pixels: PixelArray = image.numpy()
    return pixels.reshape(image.height, image.width, image.bands)


def split_alpha(photo: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image | None]:
    """Separate the gray or RGB channels from the alpha channel, if there is one.

    Examples
    --------
    >>> color, alpha = split_alpha(from_array(np.zeros((2, 3, 4), dtype=np.uint8)))
    >>> color.bands, alpha.bands
    (3, 1)
    """
    if not photo.hasalpha():
        return photo, None
    num_colors = photo.bands - 1
    return photo.extract_band(0, n=num_colors), photo.extract_band(num_colors)


def is_premultiplied(photo: pyvips.Image) -> bool:
    """Whether a photo's colors are multiplied by its alpha; few formats allow it."""
    return bool(photo.hasalpha() and photo.get_typeof(PREMULTIPLIED))


def straighten(photo: pyvips.Image) -> pyvips.Image:
    """Divide premultiplied colors by alpha; other photos come back as they are.

    Examples
    --------
    >>> photo = from_array(np.array([[[60, 30, 0, 128]]], dtype=np.uint8)).copy()
    >>> photo.set_type(pyvips.GValue.gint_type, PREMULTIPLIED, 1)
    >>> to_array(straighten(photo)).ravel().tolist()
    [120, 60, 0, 128]
    """
    if not is_premultiplied(photo):
        return photo
    straight = photo.unpremultiply(max_alpha=FULL_SCALE[photo.format])
    straight = _as_format(straight, photo.format).copy(
        interpretation=photo.interpretation
    )
    straight.remove(PREMULTIPLIED)
    return straight


def mask_box(mask: pyvips.Image) -> Box | None:
    """Find the smallest box that holds all pixels of a mask that are not zero.

    Reads the mask once.

    Returns
    -------
    Box or None
        None if the mask is zero everywhere.

    Examples
    --------
    >>> mask = np.zeros((4, 5), dtype=bool)
    >>> mask[1, 2:4] = True
    >>> mask_box(mask_from_array(mask, size=(4, 5)))
    Box(top=1, left=2, height=1, width=2)
    """
    rows = np.zeros(mask.height, np.uint8)  # the largest value of each
    columns = np.zeros(mask.width, np.uint8)
    whole = Box(0, 0, mask.height, mask.width)
    for strip in whole.strips(max(_TILE_ROWS, STRIP_BYTES // mask.width)):
        values = strip.crop(mask).numpy().reshape(strip.height, strip.width)
        rows[strip.top : strip.top + strip.height] = values.max(axis=1)
        np.maximum(columns, values.max(axis=0), out=columns)
    down, across = rows.nonzero()[0], columns.nonzero()[0]
    if not len(down):
        return None
    top, bottom, left, right = (int(i) for i in (*down[[0, -1]], *across[[0, -1]]))
    return Box(top, left, bottom - top + 1, right - left + 1)


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
        mapped = _as_format(mapped, photo.format)
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


def to_rgb(photo: pyvips.Image) -> pyvips.Image:
    """Repeat the gray channel of a photo three times; RGB comes back as it is.

    Warns
    -----
    HarmonizeWarning
        If the photo has a profile: one for gray does not fit RGB and is dropped.

    Examples
    --------
    >>> to_rgb(from_array(np.zeros((2, 3, 2), dtype=np.uint8))).bands
    4
    """
    color, alpha = split_alpha(photo)
    if color.bands == 3:
        return photo
    rgb = tag(color.bandjoin([color, color] + ([] if alpha is None else [alpha])))
    if rgb.remove("icc-profile-data"):
        msg = "the color profile of a gray picture is dropped, since it becomes RGB"
        warnings.warn(msg, HarmonizeWarning, stacklevel=2)
    return rgb


def stretch(
    image: pyvips.Image, size: tuple[int, int], *, kernel: str = "linear"
) -> pyvips.Image:
    """Resize an image; the aspect ratio is not kept.

    The filter is as wide as the kernel in pixels of the smaller picture, as in
    Pillow's and torchvision's antialiased resizing. Alpha is not premultiplied.

    Parameters
    ----------
    image : pyvips.Image
        Any channels and format, at least 1x1.
    size : (height, width)
        In pixels.
    kernel : "linear" or "cubic"
        A triangle two pixels wide, or the Catmull-Rom spline, four pixels wide, which
        is sharper but overshoots.

    Examples
    --------
    >>> image = from_array(np.array([[0, 100]], dtype=np.uint8))
    >>> stretch(image, (1, 4)).numpy().tolist()
    [[0, 25, 75, 100]]
    """
    height, width = size
    # gap: from 8 times on, a plain mean of whole pixels does a part of the shrinking.
    # Faster at large sizes, and keeps the rounding of libvips's filter weights below
    # one 8-bit step; without, 20 times would darken by one step, 117 times by seven.
    shrunk = image.reduce(
        max(1.0, image.width / width),
        max(1.0, image.height / height),
        kernel=kernel,
        gap=4,
    )
    if (shrunk.height, shrunk.width) == size:
        return shrunk
    # Not `pyvips.Image.resize`, which enlarges half a pixel off center. With idx and
    # odx the centers of pixels, not their corners, are mapped to each other.
    return shrunk.affine(
        [width / shrunk.width, 0, 0, height / shrunk.height],
        interpolate=pyvips.Interpolate.new("bi" + kernel),
        idx=0.5,
        idy=0.5,
        odx=-0.5,
        ody=-0.5,
        oarea=[0, 0, width, height],
        extend="copy",
        premultiplied=True,  # or rather: leave alpha alone
    )


def check_finite(image: pyvips.Image, name: str) -> None:
    """Raise an `ImageError` if a float picture holds NaN or infinity."""
    # NaN and infinity times 0 are NaN, which is not 0: one pass, no memory.
    if image.format == "float" and (image * 0 == 0).min() == 0:
        raise ImageError(f"{name}: expected finite numbers, got NaN or infinity")


def tag(image: pyvips.Image) -> pyvips.Image:
    """Say of what kind the channels are, so that alpha is recognized."""
    names = GRAY_NAMES if image.bands < 3 else RGB_NAMES
    return image.copy(interpretation=names[image.format])


def scale_mask(image: pyvips.Image, full: int, name: str) -> pyvips.Image:
    """Scale channels to 0 .. 255, where `full` or a largest value of 1 is 255."""
    high = image.max()
    if full == 1:
        _check_range(image.min(), high, name)
    if image.format == "uchar" and high != 1:
        return image
    scale = 255 if high == 1 else 255 / full
    return tag((image * scale).rint().cast("uchar"))


def _as_8_bit(mask: PixelArray) -> PixelArray:
    """Scale a mask to 0 .. 255 as `scale_mask` does, strip by strip.

    Arrays of 8 bit come back as they are.
    """
    if mask.dtype == np.bool_:
        return np.multiply(mask.view(np.uint8), 255, dtype=np.uint8)
    if np.issubdtype(mask.dtype, np.floating):
        _check_range(mask.min(initial=0), mask.max(initial=0), "mask")
        factor = 255.0
    elif mask.dtype in (np.uint8, np.uint16):
        high = mask.max(initial=0)
        if high != 1 and mask.dtype == np.uint8:
            return mask
        factor = 255 if high == 1 else 255 / 65535
    else:
        raise ImageError(
            f"mask: expected dtype bool, uint8, uint16 or float, got {mask.dtype}"
        )
    scaled = np.empty(mask.shape, np.uint8)
    step = max(1, STRIP_BYTES // (8 * max(1, mask.shape[1])))
    for top in range(0, len(mask), step):
        strip = np.multiply(mask[top : top + step], factor, dtype=np.float32)
        scaled[top : top + step] = np.rint(strip, out=strip)
    return scaled


def _check_range(low: float, high: float, name: str) -> None:
    """Raise an `ImageError` unless a float mask lies within [0, 1]."""
    if not np.isfinite(high - low):
        raise ImageError(f"{name}: expected finite numbers, got NaN or infinity")
    if not 0 <= low <= high <= 1:
        raise ImageError(
            f"{name}: expected a float mask within [0, 1], got {low:g} to {high:g}"
        )


def _as_format(image: pyvips.Image, name: str) -> pyvips.Image:
    """Round floats to whole numbers where the format is one of those."""
    return (image if name == "float" else image.rint()).cast(name)


def _table_image(color: pyvips.Image, curves: Curves) -> pyvips.Image:
    """Tabulate the curves for the channels of a photo without alpha."""
    table = curves.table(np.uint8 if color.format == "uchar" else np.uint16)
    return from_array(table[: color.bands].T[np.newaxis])  # (1, 256 or 65536, C)
