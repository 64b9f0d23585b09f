"""Boxes of pixels, strips to work on at once, and arrays behind libvips images.

A picture made of an array is worked on there; of other pictures libvips computes what
is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

__all__ = [
    "STREAM_BYTES",
    "STRIP_BYTES",
    "ArrayImage",
    "Box",
    "PixelArray",
    "cut_strips",
    "get_pixels",
    "is_streamed",
    "to_array",
]

PixelArray = npt.NDArray[Any]

STREAM_BYTES = 2**28
"""Decoded, a photo of up to this size is held in memory; a larger one is read piece by
piece, again for each use: a tiled TIFF from the file, others from a decoded copy that
libvips keeps in the folder for temporary files."""

STRIP_BYTES = 2**22
"""What is worked on at once where all of a picture would need as much memory again.
With less, threads would mostly wait for the interpreter's lock."""

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_FORMATS = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


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

    def view(self, pixels: PixelArray) -> PixelArray:
        """Look at the rectangle in an array."""
        rows = slice(self.top, self.top + self.height)
        return pixels[rows, self.left : self.left + self.width]

    def strips(self, num_rows: int) -> Iterator["Box"]:
        """Split it into boxes of at most so many rows, from the top."""
        for top in range(0, self.height, num_rows):
            height = min(num_rows, self.height - top)
            yield replace(self, top=self.top + top, height=height)


class ArrayImage(pyvips.Image):  # type: ignore[misc]
    """A picture whose pixels lie in an array, to be had without libvips."""

    __slots__ = ("pixels",)

    pixels: PixelArray
    """Contiguous, of native byte order, shape (H, W, C)."""

    @classmethod
    def around(cls, image: pyvips.Image, pixels: PixelArray) -> "ArrayImage":
        """Give a picture that libvips made of an array the array as well."""
        pyvips.gobject_lib.g_object_ref(image.pointer)
        wrapped = cls(image.pointer)
        # So that pictures made of this one keep the array, as those made of `image` do.
        wrapped._references.extend(image._references)
        wrapped.pixels = pixels
        return wrapped

    # What is asked for often: libvips takes a hundredth of a millisecond to answer.

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def bands(self) -> int:
        """Channels."""
        return int(self.pixels.shape[2])

    @property
    def format(self) -> str:
        """Type of the values, by libvips's name."""
        return _FORMATS[self.pixels.dtype]


def to_array(image: pyvips.Image) -> PixelArray:
    """Compute the pixels of a photo or mask.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (H, W, C)
        A new array; C is 1 for gray, unlike the (H, W) that `from_array` accepts.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> to_array(from_array(np.zeros((2, 3), dtype=np.uint8))).shape
    (2, 3, 1)
    """
    pixels: PixelArray = image.numpy()
    return pixels.reshape(image.height, image.width, image.bands)


def get_pixels(image: pyvips.Image, box: Box) -> PixelArray:
    """Look at the pixels in a box, or compute them.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (h, w, C)
        Not to be written to: of a picture made of an array, that array's memory.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    >>> get_pixels(from_array(pixels), Box(1, 2, 2, 1)).ravel().tolist()
    [6, 10]
    """
    if isinstance(image, ArrayImage):
        return box.view(image.pixels)
    # In this thread: libvips would start others.
    region = pyvips.Region.new(image)
    pixels = region.fetch(box.left, box.top, box.width, box.height)
    array: PixelArray = np.frombuffer(pixels, _DTYPES[image.format])
    return array.reshape(box.height, box.width, image.bands)


def is_streamed(image: pyvips.Image) -> bool:
    """Whether an image is too large to be in memory: libvips had better read it.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> is_streamed(from_array(np.zeros((2, 3), dtype=np.uint8)))
    False
    """
    if isinstance(image, ArrayImage):
        return False
    size: int = image.width * image.height * _count_pixel_bytes(image)
    return size > STREAM_BYTES


def cut_strips(
    image: pyvips.Image, box: Box, *, multiple: int = 1, num_values: int = STRIP_BYTES
) -> list[Box]:
    """Split a box into strips for `threads.share_out`, whose pixels `get_pixels` gives.

    All but the last have a multiple of some number of rows, and none much more than
    `STRIP_BYTES` or so many values.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.zeros((1600, 2000, 3), np.uint8))
    >>> [strip.height for strip in cut_strips(photo, Box(0, 0, 1600, 2000), multiple=8)]
    [696, 696, 208]
    """
    num_bytes = min(STRIP_BYTES, num_values * _count_value_bytes(image))
    num_rows = num_bytes // (box.width * _count_pixel_bytes(image))
    return list(box.strips(max(1, num_rows // multiple) * multiple))


def _count_pixel_bytes(image: pyvips.Image) -> int:
    return _count_value_bytes(image) * int(image.bands)


def _count_value_bytes(image: pyvips.Image) -> int:
    return np.dtype(_DTYPES[image.format]).itemsize
