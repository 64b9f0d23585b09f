"""Photos, which are libvips images with metadata, from arrays and to arrays.

Inside, a photo is a `pyvips.Image`: EXIF, ICC profile and XMP travel on it, and
work on it is put off until its pixels are asked for, so that one way of rendering
serves arrays and files. Photos have 1 to 4 channels (gray, gray and alpha, RGB, RGBA)
of 8 or 16 bit or 32-bit float; masks have one channel of 8 bit, 0 background, 255
foreground.
"""

import numpy as np
import pyvips

from imharmony.errors import ImageError, ShapeError, warn
from imharmony.images.pixels import (
    ArrayImage,
    Box,
    PixelArray,
    to_array,
)

__all__ = [
    "FULL_SCALE",
    "GRAY_NAMES",
    "PREMULTIPLIED",
    "RGB_NAMES",
    "Box",
    "PixelArray",
    "as_format",
    "check_finite",
    "from_array",
    "is_premultiplied",
    "split_alpha",
    "straighten",
    "stretch",
    "tag",
    "to_array",
    "to_rgb",
]

FULL_SCALE = {"uchar": 255, "ushort": 65535, "float": 1}
"""What stands for 1 in each libvips format: white, or fully opaque."""

PREMULTIPLIED = "imharmony-premultiplied"
"""Field of a photo whose colors are multiplied by its alpha."""

_BRIGHT_MEAN, _BRIGHT_HIGHLIGHT = 2, 16
"""No photograph whose white is 1 is so bright on average, with such highlights."""
_FORMATS = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
GRAY_NAMES = {"uchar": "b-w", "ushort": "grey16", "float": "b-w"}
RGB_NAMES = {"uchar": "srgb", "ushort": "rgb16", "float": "scrgb"}


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
    shape = height, width, num_channels
    if photo.interpretation != _name_interpretation(photo):
        photo = tag(photo)
    return ArrayImage.around(photo, pixels.reshape(shape))


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
    straight = as_format(straight, photo.format).copy(
        interpretation=photo.interpretation
    )
    straight.remove(PREMULTIPLIED)
    return straight


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
    rgb.remove("imharmony-png-chunks")  # they are of a gray picture
    if rgb.remove("icc-profile-data"):
        msg = "the color profile of a gray picture is dropped, since it becomes RGB"
        warn(msg)
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
    """Raise an `ImageError` if a float picture holds NaN or infinity.

    Warns
    -----
    HarmonizeWarning
        If its values look as if white were 255 or 65535.
    """
    if image.format != "float":
        return
    # NaN and infinity times 0 are NaN, which is not 0: one pass, no memory.
    if (image * 0 == 0).min() == 0:
        raise ImageError(f"{name}: expected finite numbers, got NaN or infinity")
    mean = image.avg()
    if mean > _BRIGHT_MEAN and (high := image.max()) > _BRIGHT_HIGHLIGHT:
        full = 255 if high <= 255 else 65535
        msg = (
            f"{name}: float values of {mean:.3g} on average, where 1 is white: nearly "
            f"all is brighter than white and stays as it is; divide by {full} if that "
            "is its white"
        )
        warn(msg)


def tag(image: pyvips.Image) -> pyvips.Image:
    """Say of what kind the channels are, so that alpha is recognized."""
    return image.copy(interpretation=_name_interpretation(image))


def _name_interpretation(image: pyvips.Image) -> str:
    """Name the kind of an image's channels."""
    return (GRAY_NAMES if image.bands < 3 else RGB_NAMES)[image.format]


def as_format(image: pyvips.Image, name: str) -> pyvips.Image:
    """Round floats to whole numbers where the format is one of those."""
    return (image if name == "float" else image.rint()).cast(name)
