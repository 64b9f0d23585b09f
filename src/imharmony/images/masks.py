"""Masks from arrays, from alpha channels and from pictures of numbered objects."""

import numpy as np
import pyvips

from imharmony.errors import ImageError, ShapeError, warn
from imharmony.images.photo import (
    FULL_SCALE,
    from_array,
    split_alpha,
    straighten,
    tag,
)
from imharmony.images.pixels import STRIP_BYTES, Box, PixelArray, get_pixels, to_array

__all__ = [
    "alpha_mask",
    "mask_box",
    "mask_from_array",
    "scale_mask",
    "split_labels",
    "split_mask",
    "warn_if_faint",
]

MAX_OBJECTS = 64
"""Most values that a picture of objects may hold. One with soft edges holds more."""

_TILE_ROWS = 512  # rows read at once of a streamed file: whole tiles, mostly


def alpha_mask(alpha: pyvips.Image) -> pyvips.Image:
    """Turn an alpha channel, as `split_alpha` gives it, into a mask of 8 bit.

    Examples
    --------
    >>> alpha = from_array(np.array([[0, 65535]], dtype=np.uint16))
    >>> alpha_mask(alpha).numpy().tolist()
    [[0, 255]]
    """
    return scale_mask(alpha, FULL_SCALE[alpha.format], "alpha channel")


def split_mask(
    photo: pyvips.Image, *, name: str, may_be_full: bool = False
) -> tuple[pyvips.Image, pyvips.Image]:
    """Take the alpha channel of a photo as its mask.

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels.
    name : str
        What error messages call it.
    may_be_full : bool
        Whether the alpha channel may be opaque everywhere. The foreground is then the
        whole photo, and is fitted to another one.

    Returns
    -------
    photo, mask : pyvips.Image
        The photo without alpha, its colors not multiplied by alpha; a mask of 8 bit.
        A cut-out, which has one flat color under its transparent pixels, keeps its
        alpha.

    Raises
    ------
    ImageError
        If there is no alpha channel, or one that cuts nothing out. Also if the photo
        is a cut-out and `may_be_full` is false: there is no background to fit to.

    Examples
    --------
    >>> pixels = np.array([[[9, 9, 9, 0], [7, 7, 7, 0], [5, 5, 5, 255]]], np.uint8)
    >>> photo, mask = split_mask(from_array(pixels), name="cat.png")
    >>> photo.bands, to_array(mask).ravel().tolist()
    (3, [0, 0, 255])
    """
    color, alpha = split_alpha(straighten(photo))
    if alpha is None:
        msg = f"{name}: no mask given and no alpha channel to use as one"
        raise ImageError(msg)
    mask = alpha_mask(alpha)
    if _is_flat_where(color, mask == 0):
        if not may_be_full:
            raise ImageError(
                f"{name}: no mask given, and one flat color under the transparent "
                "pixels: a cut-out without a background to fit to; paste it on one, "
                "or give a reference"
            )
        return straighten(photo), mask
    if not may_be_full and mask.min() == 255:
        msg = f"{name}: no mask given, and the alpha channel is opaque everywhere"
        raise ImageError(f"{msg}, so it cuts no foreground out")
    return color, mask


def _is_flat_where(color: pyvips.Image, where: pyvips.Image) -> bool:
    """Whether `where` has pixels, and all of them have one color."""
    if where.max() == 0:
        return False
    full = FULL_SCALE[color.format]
    for band in color.bandsplit():
        highest = where.ifthenelse(band, 0).max()
        lowest = where.ifthenelse(band, full).min()
        if highest > lowest:
            return False
    return True


def mask_from_array(mask: PixelArray, *, size: tuple[int, int]) -> pyvips.Image:
    """Turn an array into a mask.

    Parameters
    ----------
    mask : ndarray of bool, whole numbers or float, shape (H, W) or (H, W, 1)
        Foreground is True, 1.0, 255, or 65535 of uint16. Soft edges are kept at 8 bit.
        In whole numbers with no value above 1, the 1 is foreground.
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
        If its type is another; if a float is NaN or outside [0, 1]; or if a whole
        number is outside 0 to 255, unless the type is uint16.

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
    rows = np.zeros(mask.height, np.uint8)  # the largest value of each row
    columns = np.zeros(mask.width, np.uint8)
    whole = Box(0, 0, mask.height, mask.width)
    for strip in whole.strips(max(_TILE_ROWS, STRIP_BYTES // mask.width)):
        values = get_pixels(mask, strip)[..., 0]
        rows_of_strip = rows[strip.top : strip.top + strip.height]
        values.max(axis=1, out=rows_of_strip)
        foreground_rows = rows_of_strip.nonzero()[0]
        if len(foreground_rows):
            values = values[foreground_rows[0] : foreground_rows[-1] + 1]
            np.maximum(columns, values.max(axis=0), out=columns)
    down, across = rows.nonzero()[0], columns.nonzero()[0]
    if not len(down):
        return None
    top, bottom, left, right = (int(i) for i in (*down[[0, -1]], *across[[0, -1]]))
    return Box(top, left, bottom - top + 1, right - left + 1)


def split_labels(
    image: pyvips.Image, *, size: tuple[int, int], name: str = "labels"
) -> list[pyvips.Image]:
    """Make one mask for each value of a picture; each value marks an object.

    Parameters
    ----------
    image : pyvips.Image
        Gray of 8 or 16 bit, or RGB with equal channels. The value 0 is no object.
    size : (height, width)
        Of the photo.
    name : str
        What error messages call the input.

    Returns
    -------
    list of pyvips.Image
        Hard masks, in the order of the values.

    Raises
    ------
    ShapeError
        If the picture is not of the photo's size.
    ImageError
        If it is of floats, is in color, holds no object, or holds more than
        `MAX_OBJECTS`.

    Examples
    --------
    >>> labels = from_array(np.array([[0, 3, 7, 7]], dtype=np.uint8))
    >>> [mask.numpy().ravel().tolist() for mask in split_labels(labels, size=(1, 4))]
    [[0, 255, 0, 0], [0, 0, 255, 255]]
    """
    values = to_array(split_alpha(image)[0])
    if values.shape[:2] != size:
        raise ShapeError(
            f"{name}: expected a mask of the photo's size, {size[0]}x{size[1]} "
            f"(height x width), got {values.shape[0]}x{values.shape[1]}"
        )
    if values.dtype.kind == "f" or (values != values[..., :1]).any():
        raise ImageError(f"{name}: expected one whole number a pixel, got colors")
    numbers = values[..., 0]
    objects = np.unique(numbers[numbers > 0])
    if not 1 <= len(objects) <= MAX_OBJECTS:
        msg = f"{name}: expected 1 to {MAX_OBJECTS} values beside 0, one an object"
        raise ImageError(f"{msg}, got {len(objects)}")
    return [
        from_array(np.multiply(numbers == number, 255, dtype=np.uint8))
        for number in objects
    ]


def scale_mask(image: pyvips.Image, full: int, name: str) -> pyvips.Image:
    """Scale channels to 0 .. 255.

    `full` becomes 255. In a mask whose largest value is 1, the 1 becomes 255.
    """
    high = image.max()
    if full == 1:
        _check_range(image.min(), high, name)
    warn_if_faint(high, full, name)
    if image.format == "uchar" and high != 1:
        return image
    scale = 255 if high == 1 else 255 / full
    return tag((image * scale).rint().cast("uchar"))


def warn_if_faint(high: float, full: int, name: str) -> None:
    """Warn of a mask so dark that its foreground will hardly change.

    A largest value of 1 is no reason to warn: it means foreground.
    """
    if 0 < high < full / 4 and high != 1:
        msg = (
            f"{name}: the brightest value is {high:g} of {full}, so the foreground "
            f"changes by {100 * high / full:.2g} % at most; white is the foreground. "
            "Class numbers, and 8-bit values stored in 16 bit, have to be made white"
        )
        warn(msg)


def _as_8_bit(mask: PixelArray) -> PixelArray:
    """Scale a mask to 0 .. 255 as `scale_mask` does, strip by strip.

    Arrays of 8 bit come back as they are.
    """
    if mask.dtype == np.bool_:
        return np.multiply(mask.view(np.uint8), 255, dtype=np.uint8)
    if np.issubdtype(mask.dtype, np.floating):
        high = mask.max(initial=0)
        _check_range(mask.min(initial=0), high, "mask")
        warn_if_faint(float(high), 1, "mask")
        factor = 255.0
    elif mask.dtype in (np.uint8, np.uint16):
        high = mask.max(initial=0)
        warn_if_faint(float(high), np.iinfo(mask.dtype).max, "mask")
        if high != 1 and mask.dtype == np.uint8:
            return mask
        factor = 255 if high == 1 else 255 / 65535
    elif np.issubdtype(mask.dtype, np.integer):
        low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
        if low < 0 or high > 255:
            msg = "mask: expected whole numbers 0 and 1, or 0 to 255, got"
            raise ImageError(f"{msg} {low} to {high}")
        factor = 255 if high == 1 else 1
    else:
        raise ImageError(
            f"mask: expected dtype bool, whole numbers or float, got {mask.dtype}"
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
