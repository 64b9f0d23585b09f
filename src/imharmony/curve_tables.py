"""Curves as tables of color: .cube files and HaldCLUT pictures.

Both say what becomes of colors on an even grid; their readers interpolate linearly
between. A 3D table can hold more than three curves: it is read if it does not.
"""

import io
import math
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curve_json import MAX_HEIGHT
from imharmony.curves import CHANNELS, Curves
from imharmony.errors import CurveError, UsageError

__all__ = [
    "HALD_SIZE",
    "HALD_SIZES",
    "PNG_HEAD",
    "ROWS",
    "check_size",
    "from_cube",
    "from_hald",
    "resample",
    "to_cube",
    "to_hald",
]

FloatArray = npt.NDArray[np.floating[Any]]

ROWS = 4096
"""Rows of a 1D .cube: 12 bit. Readers take up to 65536; Resolve documents 4096."""
MAX_ROWS = 65536
MAX_SIZE = 65
"""Samples per channel of a 3D .cube: the most that DaVinci Resolve takes."""
HALD_SIZE = 64
"""Samples per channel of a HaldCLUT of level 8, the usual one."""
HALD_SIZES = tuple(level**2 for level in range(2, 17))
"""Samples per channel of a HaldCLUT: squares of its level."""

# Rounding to 8 bit can move two equal heights one step apart.
MAX_SPREAD = 1 / 255

PNG_HEAD = b"\x89PNG\r\n\x1a\n"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_ROW = re.compile(rf"\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*", re.ASCII)
_DOMAIN = {
    "DOMAIN_MIN": "0 0 0",
    "DOMAIN_MAX": "1 1 1",
    "LUT_1D_INPUT_RANGE": "0 1",
    "LUT_3D_INPUT_RANGE": "0 1",
}


def check_size(kind: str, size: int | None) -> None:
    """Refuse a number of samples per channel that a kind of file cannot have.

    Raises
    ------
    UsageError
        If `size` is not None and `kind` is not "cube" or "hald", or has no such size.

    Examples
    --------
    >>> check_size("cube", 33)
    >>> check_size("json", 33)
    Traceback (most recent call last):
    imharmony.errors.UsageError: size applies to .cube and HaldCLUT files, not to json
    """
    if size is None:
        return
    if kind not in ("cube", "hald"):
        raise UsageError(f"size applies to .cube and HaldCLUT files, not to {kind}")
    if kind == "cube" and not 2 <= size <= MAX_SIZE:
        raise UsageError(f"size: a 3D .cube has 2 to {MAX_SIZE} samples, got {size}")
    if kind == "hald" and size not in HALD_SIZES:
        known = ", ".join(map(str, HALD_SIZES))
        raise UsageError(f"size: a HaldCLUT has {known} samples, got {size}")


def resample(curves: Curves, size: int) -> Curves:
    """Sample curves at even steps, clipped to [0, 1]: what a table keeps of them.

    Examples
    --------
    >>> x, y = np.array([0.0, 0.3, 1.0]), np.array([0.0, 0.9, 1.0])
    >>> resample(Curves((x, x, x), (y, y, y)), 3).knots_y[0].round(3).tolist()
    [0.0, 0.929, 1.0]
    """
    x = np.arange(size) / (size - 1)
    red, green, blue = np.clip(curves(np.stack([x] * 3, axis=-1)), 0, 1).T
    return Curves((x, x, x), (red, green, blue))


def to_cube(curves: Curves, *, size: int | None = None) -> str:
    """Write a .cube file.

    Parameters
    ----------
    curves : Curves
        Heights are clipped to [0, 1].
    size : int, optional
        2 to 65 writes a 3D table of so many samples per channel. Default: a 1D
        table of `ROWS` rows.

    Raises
    ------
    UsageError
        If there is no such size.

    Notes
    -----
    Adobe, "Cube LUT Specification", version 1.0, 2013. Without the lines on the
    domain, it is 0 to 1 in every dialect. A number has 6 decimals: 0.03 of a 16-bit
    step.

    Examples
    --------
    >>> to_cube(Curves.identity(), size=2).splitlines()[1:4]
    ['LUT_3D_SIZE 2', '0.000000 0.000000 0.000000', '1.000000 0.000000 0.000000']
    """
    check_size("cube", size)
    table = resample(curves, size or ROWS).knots_y
    reds, greens, blues = ([f"{y:.6f}" for y in column.tolist()] for column in table)
    if size is None:
        rows = [" ".join(row) for row in zip(reds, greens, blues, strict=True)]
    else:  # red changes fastest
        rows = [f"{r} {g} {b}" for b in blues for g in greens for r in reds]
    head = [
        "# Color curves of imharmony, for sRGB-encoded values",
        f"LUT_1D_SIZE {ROWS}" if size is None else f"LUT_3D_SIZE {size}",
    ]
    return "\n".join([*head, *rows, ""])


def from_cube(text: str, *, name: str) -> Curves:
    """Read a .cube file, 1D, or 3D if that is three curves.

    Returns
    -------
    Curves
        One knot per row of a 1D table, at most `ROWS`: longer ones are resampled.

    Raises
    ------
    CurveError
        If the text is not such a table; the message names `name` and the line.

    Examples
    --------
    >>> from_cube(to_cube(Curves.identity(), size=5), name="look.cube")
    Curves(5 knots, monotone, mid gray -> 0.50 0.50 0.50)
    >>> from_cube("LUT_1D_SIZE 1", name="look.cube")
    Traceback (most recent call last):
    imharmony.errors.CurveError: look.cube, line 1: expected a LUT_1D_SIZE of 2 to \
65536, got 'LUT_1D_SIZE 1'
    """
    dimensions, size, rows = _read_rows(text, name)
    table = np.array(rows)
    if dimensions == "3D":
        return _separate(table.reshape(size, size, size, 3), full=1, name=name)
    x = np.arange(size) / (size - 1)
    curves = Curves((x, x, x), (table[:, 0], table[:, 1], table[:, 2]))
    if size <= ROWS:
        return curves
    x = np.arange(ROWS) / (ROWS - 1)
    red, green, blue = curves(np.stack([x] * 3, axis=-1)).T
    return Curves((x, x, x), (red, green, blue))


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
    from imharmony.images import files, photo

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
    from imharmony.images import files, photo

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
    return _separate(samples, full=photo.FULL_SCALE[color.format], name=name)


def _read_rows(text: str, name: str) -> tuple[str, int, list[tuple[float, ...]]]:
    """Collect the rows of a .cube; also say whether 1D or 3D, and the size."""
    dimensions, size, num_rows = "", 0, 0
    rows: list[tuple[float, ...]] = []
    number = 1

    def error(expected: str, got: str) -> CurveError:
        return CurveError(f"{name}, line {number}: expected {expected}, got {got}")

    for number, line in _lines(text):  # noqa: B007  (errors name the last one too)
        row = _ROW.fullmatch(line)
        shown = repr(line if len(line) < 60 else line[:60] + "...")
        if row and not dimensions:
            raise error("LUT_1D_SIZE or LUT_3D_SIZE first", shown)
        if row and len(rows) == num_rows:
            raise error(f"{num_rows} rows", "more")
        if row:
            values = tuple(map(float, row.groups()))
            if max(map(abs, values)) > MAX_HEIGHT:
                raise error(f"numbers up to {MAX_HEIGHT:g}", shown)
            rows.append(values)
            continue
        keyword, *values_given = line.split()
        if keyword in ("LUT_1D_SIZE", "LUT_3D_SIZE"):
            if dimensions:
                raise error("one table", f"a second one, {shown}")
            dimensions = keyword[4:6]
            largest = MAX_ROWS if dimensions == "1D" else MAX_SIZE
            size = _whole_number(values_given)
            if not 2 <= size <= largest:
                raise error(f"a {keyword} of 2 to {largest}", shown)
            num_rows = size if dimensions == "1D" else size**3
        elif keyword in _DOMAIN:
            if not _are_equal(values_given, _DOMAIN[keyword].split()):
                raise error(f"{keyword} {_DOMAIN[keyword]}", shown)
        elif keyword != "TITLE":
            raise error("three numbers or a keyword", shown)
    if not dimensions:
        raise error("LUT_1D_SIZE or LUT_3D_SIZE", "neither")
    if len(rows) < num_rows:
        raise error(f"{num_rows} rows", f"{len(rows)} at the end of the file")
    return dimensions, size, rows


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Count the lines from 1; leave out empty ones and comments."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _whole_number(words: list[str]) -> int:
    """Read one whole number of up to six digits; 0 is nothing of that kind."""
    if len(words) == 1 and re.fullmatch(r"\d{1,6}", words[0], re.ASCII):
        return int(words[0])
    return 0


def _are_equal(words: list[str], expected: list[str]) -> bool:
    if len(words) != len(expected):
        return False
    is_number = all(re.fullmatch(_NUMBER, word, re.ASCII) for word in words)
    return is_number and list(map(float, words)) == list(map(float, expected))


def _separate(samples: npt.NDArray[Any], *, full: float, name: str) -> Curves:
    """Take the three curves out of a 3D table (blue, green, red, channel)."""
    size = len(samples)
    heights = []
    for channel, color in enumerate(CHANNELS):
        others = tuple(axis for axis in range(3) if axis != 2 - channel)
        low = samples[..., channel].min(axis=others) / full
        high = samples[..., channel].max(axis=others) / full
        spread = float((high - low).max())
        if spread > MAX_SPREAD + 1e-9:
            raise CurveError(
                f"{name}: expected a 3D table that is three curves, one per channel, "
                f"got one in which {color} depends on the others too, by up to "
                f"{spread:.2g} of the range"
            )
        heights.append((low + high) / 2)
    x = np.arange(size) / (size - 1)
    return Curves((x, x, x), (heights[0], heights[1], heights[2]))
