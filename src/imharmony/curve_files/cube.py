"""Curves as .cube files: 1D and 3D tables in text."""

import io
import re
from collections.abc import Iterator

import numpy as np

from imharmony.curve_files.record import MAX_HEIGHT
from imharmony.curve_files.tables import MAX_SIZE, check_size, resample, separate
from imharmony.curves import Curves
from imharmony.errors import CurveError

__all__ = ["ROWS", "from_cube", "to_cube"]

ROWS = 4096
"""Rows of a 1D .cube: 12 bit. Readers take up to 65536; Resolve documents 4096."""
MAX_ROWS = 65536

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_ROW = re.compile(rf"\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*", re.ASCII)
_DOMAIN = {
    "DOMAIN_MIN": "0 0 0",
    "DOMAIN_MAX": "1 1 1",
    "LUT_1D_INPUT_RANGE": "0 1",
    "LUT_3D_INPUT_RANGE": "0 1",
}


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
        return separate(table.reshape(size, size, size, 3), full=1, name=name)
    x = np.arange(size) / (size - 1)
    curves = Curves((x, x, x), (table[:, 0], table[:, 1], table[:, 2]))
    if size <= ROWS:
        return curves
    x = np.arange(ROWS) / (ROWS - 1)
    red, green, blue = curves(np.stack([x] * 3, axis=-1)).T
    return Curves((x, x, x), (red, green, blue))


def _read_rows(text: str, name: str) -> tuple[str, int, list[tuple[float, ...]]]:
    """Collect the rows of a .cube; also say whether 1D or 3D, and the size."""
    dimensions, size, num_rows = "", 0, 0
    rows: list[tuple[float, ...]] = []
    number = 1

    def error(expected: str, got: str) -> CurveError:
        return CurveError(f"{name}, line {number}: expected {expected}, got {got}")

    for number, line in _number_lines(text):  # noqa: B007  (errors name the last one too)
        row = _ROW.fullmatch(line)
        quoted_line = repr(line if len(line) < 60 else line[:60] + "...")
        if row and not dimensions:
            raise error("LUT_1D_SIZE or LUT_3D_SIZE first", quoted_line)
        if row and len(rows) == num_rows:
            raise error(f"{num_rows} rows", "more")
        if row:
            values = tuple(map(float, row.groups()))
            if max(map(abs, values)) > MAX_HEIGHT:
                raise error(f"numbers up to {MAX_HEIGHT:g}", quoted_line)
            rows.append(values)
            continue
        keyword, *values_given = line.split()
        if keyword in ("LUT_1D_SIZE", "LUT_3D_SIZE"):
            if dimensions:
                raise error("one table", f"a second one, {quoted_line}")
            dimensions = keyword[4:6]
            largest = MAX_ROWS if dimensions == "1D" else MAX_SIZE
            size = _read_whole_number(values_given)
            if not 2 <= size <= largest:
                raise error(f"a {keyword} of 2 to {largest}", quoted_line)
            num_rows = size if dimensions == "1D" else size**3
        elif keyword in _DOMAIN:
            if not _are_equal(values_given, _DOMAIN[keyword].split()):
                raise error(f"{keyword} {_DOMAIN[keyword]}", quoted_line)
        elif keyword != "TITLE":
            raise error("three numbers or a keyword", quoted_line)
    if not dimensions:
        raise error("LUT_1D_SIZE or LUT_3D_SIZE", "neither")
    if len(rows) < num_rows:
        raise error(f"{num_rows} rows", f"{len(rows)} at the end of the file")
    return dimensions, size, rows


def _number_lines(text: str) -> Iterator[tuple[int, str]]:
    """Count the lines from 1; leave out empty ones and comments."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _read_whole_number(words: list[str]) -> int:
    """Read one whole number of up to six digits; 0 is nothing of that kind."""
    if len(words) == 1 and re.fullmatch(r"\d{1,6}", words[0], re.ASCII):
        return int(words[0])
    return 0


def _are_equal(words: list[str], expected: list[str]) -> bool:
    if len(words) != len(expected):
        return False
    is_number = all(re.fullmatch(_NUMBER, word, re.ASCII) for word in words)
    return is_number and list(map(float, words)) == list(map(float, expected))
