"""Stretch 8-bit pictures exactly as the libraries do that protocols are defined by.

Pillow and OpenCV come with the evaluate extra and are imported when first needed.
"""

from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError
from imharmony.images import photo

__all__ = ["Resampling", "not_installed", "one_bit", "resample"]

Resampling = Literal["none", "libvips linear", "OpenCV linear", "Pillow bilinear"]
UInt8Array = npt.NDArray[np.uint8]
Pixels = TypeVar("Pixels", npt.NDArray[np.uint8], npt.NDArray[np.float32])


def resample(picture: Pixels, size: tuple[int, int], method: Resampling) -> Pixels:
    """Stretch a picture; the aspect ratio is not kept.

    Parameters
    ----------
    picture : ndarray of uint8 (OpenCV's: or float32), shape (H, W) or (H, W, 3)
    size : (height, width)
        In pixels.
    method : str
        "libvips linear" and "Pillow bilinear" are antialiased: a triangle two pixels
        of the smaller picture wide. "OpenCV linear" is not: it weighs the 2×2 pixels
        around each sampled point. All map centers of pixels to centers and round to
        8 bit. At the rim libvips repeats the last pixels, Pillow weighs those there
        are. "none" refuses another size than the picture's own.

    Returns
    -------
    ndarray
        Of the picture's type; the picture itself where the size is right already.

    Raises
    ------
    UsageError
        If the library is not installed.

    Examples
    --------
    >>> row = np.array([[0, 0, 0, 80, 80, 0, 0, 0]], dtype=np.uint8)
    >>> resample(row, (1, 2), "libvips linear").tolist()
    [[20, 20]]
    """
    if picture.shape[:2] == size:
        return picture
    if method == "none":
        msg = f"expected a picture of {size[0]}x{size[1]} pixels, got {picture.shape}"
        raise UsageError(msg)
    if method == "libvips linear":
        image = photo.stretch(photo.from_array(picture), size)
        return photo.to_array(image).reshape(*size, *picture.shape[2:])
    by_library = (
        _resample_by_opencv if method == "OpenCV linear" else _resample_by_pillow
    )
    stretched: Pixels = by_library(picture, size)
    return stretched


def one_bit(mask: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Make a mask 1-bit as Pillow's `convert("1")` does, then take nearest pixels.

    Gray is dithered by Floyd and Steinberg's method, Pillow's default.

    Examples
    --------
    >>> one_bit(np.array([[255, 255, 0, 0]], dtype=np.uint8), (1, 2)).tolist()
    [[255, 0]]
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    bits = Image.fromarray(mask).convert("1")
    nearest = bits.resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(nearest, np.uint8) * np.uint8(255)


def not_installed(error: ModuleNotFoundError) -> UsageError:
    """Say which package is missing and what installs it."""
    return UsageError(
        f"{error.name} is not installed; pip install 'imharmony[evaluate]'"
    )


def _resample_by_opencv(picture: Any, size: tuple[int, int]) -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def _resample_by_pillow(picture: Any, size: tuple[int, int]) -> Any:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    image = Image.fromarray(picture)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
