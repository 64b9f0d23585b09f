"""TIFF files in compressions that libvips lacks, read by tifffile.

Only where the extra `formats` is installed; without it the error says so.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from imharmony.errors import DecodeError, ImageError
from imharmony.images.pixels import PixelArray

__all__ = ["is_foreign", "read"]

_OWN = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}
"""Compressions that every libvips reads; TIFF 6.0, section 8, and tiff.h of libtiff."""

_NAMES = {
    32809: "ThunderScan",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "DNG lossy JPEG",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3


def is_foreign(info: dict[str, Any]) -> bool:
    """Whether a TIFF's first page is compressed in a way libvips may lack."""
    return _read_compression(info) not in _OWN


def read(source: Path | bytes, info: dict[str, Any], name: str) -> PixelArray:
    """Decode the first page by tifffile and imagecodecs.

    Parameters
    ----------
    source : Path or bytes
        The file, or what is in it.
    info : dict
        What `tifftools.read_tiff` says of it.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray, shape (H, W, C)

    Raises
    ------
    DecodeError
        If it cannot be decoded, or the extra is not installed.
    ImageError
        If its channels are not gray, RGB or a palette's.
    """
    number = _read_compression(info)
    called = f"{_NAMES.get(number, 'an unknown way')} (compression {number})"
    try:
        import imagecodecs  # noqa: F401
        import tifffile
    except ImportError as error:
        raise DecodeError(
            f"{name}: the TIFF is compressed by {called}, which needs another decoder; "
            "pip install 'imharmony[formats]'"
        ) from error
    tags = info["ifds"][0]["tags"]
    counts = tags.get(325, tags.get(279, {"data": []}))["data"]
    if 0 in counts:
        raise DecodeError(f"{name}: expected data in every tile or strip, got an empty")
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with tifffile.TiffFile(opened) as file:
            page = file.pages.first
            pixels: PixelArray = page.asarray()
            photometric, planar = int(page.photometric), int(page.planarconfig)
            colormap = page.colormap if photometric == _PALETTE else None
    except (
        *(tifffile.TiffFileError, RuntimeError, OSError, MemoryError),
        *(ValueError, TypeError, LookupError, ArithmeticError),
    ) as error:
        raise DecodeError(
            f"{name}: the TIFF data is damaged, truncated or of an unsupported kind, "
            f"compressed by {called} ({error})"
        ) from error
    if pixels.ndim == 3 and planar == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if photometric == _PALETTE and colormap is not None:
        return (colormap[:, pixels[:, :, 0]] // 257).astype(np.uint8).transpose(1, 2, 0)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ImageError(
            f"{name}: expected gray or RGB in a TIFF compressed by {called}, got "
            f"photometric interpretation {photometric}"
        )
    if photometric == _WHITE_IS_ZERO and pixels.dtype.kind == "u":
        pixels = np.concatenate([~pixels[:, :, :1], pixels[:, :, 1:]], axis=2)
    return pixels


def _read_compression(info: dict[str, Any]) -> int:
    return int(info["ifds"][0]["tags"].get(259, {"data": [1]})["data"][0])
