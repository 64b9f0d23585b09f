"""Curves as HaldCLUT pictures: a PNG whose pixels are a 3D table."""

import math
import struct

import numpy as np

from imharmony.curve_files.tables import HALD_SIZES, check_size, resample, separate
from imharmony.curves import Curves
from imharmony.errors import CurveError
from imharmony.images import files, photo

__all__ = ["HALD_SIZE", "PNG_HEAD", "from_hald", "to_hald"]

HALD_SIZE = 64
"""Samples per channel of a HaldCLUT of level 8, the usual one."""

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def to_hald(curves: Curves, *, size: int = HALD_SIZE) -> bytes:
    """Write a HaldCLUT: a PNG of 16 bit that holds every color of a 3D table.

    Parameters
    ----------
    curves : Curves
        Heights are clipped to [0, 1].
    size : int
        Samples per channel: a square from 4 to 256. The picture is `size ** 1.5`
        pixels high and wide, 512 for the 64 of level 8.

    Raises
    ------
    UsageError
        If there is no such size.

    Notes
    -----
    Eskil Steenberg, "Hald CLUT"; red changes fastest.

    Examples
    --------
    >>> to_hald(Curves.identity(), size=4)[1:4]
    b'PNG'
    """
    check_size("hald", size)
    table = resample(curves, size).knots_y
    red, green, blue = (np.rint(65535 * y).astype(np.uint16) for y in table)
    samples = np.empty((size, size, size, 3), np.uint16)
    samples[..., 0] = red
    samples[..., 1] = green[:, np.newaxis]
    samples[..., 2] = blue[:, np.newaxis, np.newaxis]
    side = math.isqrt(size) ** 3
    picture = photo.from_array(samples.reshape(side, side, 3))
    return files.encode_photo(picture, ".png")


def from_hald(data: bytes, *, name: str) -> Curves:
    """Read a HaldCLUT of 8 or 16 bit, of level 2 to 16, if it is three curves.

    Raises
    ------
    CurveError
        If the data is not a HaldCLUT in PNG, or holds more than three curves.
    DecodeError
        If the PNG is damaged.

    Examples
    --------
    >>> from_hald(to_hald(Curves.identity(), size=16), name="look.png")
    Curves(16 knots, monotone, mid gray -> 0.50 0.50 0.50)
    """
    if not data.startswith(PNG_HEAD) or len(data) < 24:
        raise CurveError(f"{name}: expected a PNG, got {data[:8]!r} and so on")
    width, height = struct.unpack(">II", data[16:24])  # before anything is decoded
    sizes = {math.isqrt(size) ** 3: size for size in HALD_SIZES}  # by side
    if width != height or width not in sizes:
        raise CurveError(
            f"{name}: expected a HaldCLUT, whose sides are 8, 27, 64 and so on up to "
            f"{max(sizes)} pixels, got {height}x{width} (height x width)"
        )
    color, _ = photo.split_alpha(files.read_photo(data, name=name))
    if color.bands != 3:
        raise CurveError(f"{name}: expected a HaldCLUT in RGB, got gray")
    size = sizes[width]
    samples = photo.to_array(color).reshape(size, size, size, 3)
    return separate(samples, full=photo.FULL_SCALE[color.format], name=name)
