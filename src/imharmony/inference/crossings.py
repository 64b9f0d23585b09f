"""Where rows and columns of pixels cross the edge of a mask.

A row or column crosses the edge where a run of foreground pixels ends. The background
begins at the next pixel or, at a soft edge, up to `REACH` pixels further. The module
searches evenly spread rows and columns of the mask's box. Each crossing gives `GAPS`
pairs of pixels: the two at the edge, and pairs further to both sides, at distances that
grow with the photo's size. All is counted in whole pixels, so the same photo and mask
give the same pairs on every machine.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "GAPS",
    "MIN_PAIRS",
    "NUM_LINES",
    "NUM_PAIRS",
    "REACH",
    "Crossings",
    "Window",
    "find_crossings",
    "gap_lengths",
]

UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

FOREGROUND = 250
"""Lowest mask level, of 8 bit, that is foreground: 0.98."""
BACKGROUND = 5
"""Highest mask level that is background: 0.02."""
REACH = 16
"""Largest distance of the two pixels at an edge, in pixels."""
NUM_LINES = 192
"""Most rows, and most columns, that are searched."""
NUM_PAIRS = 512
"""Most crossings that are kept."""
MIN_PAIRS = 8
"""With fewer crossings there is no seam."""
GAPS = 4
"""Number of pairs of each crossing; see `gap_lengths`."""


def gap_lengths(height: int, width: int) -> tuple[int, ...]:
    """Say how far the pixels of each pair lie from the edge, in pixels.

    The first pair is one pixel away; the others 1, 2 and 4 pixels for every 512 pixels
    of the photo's shorter side.

    Examples
    --------
    >>> gap_lengths(2048, 3072)
    (1, 4, 8, 16)
    >>> gap_lengths(288, 400)
    (1, 1, 1, 2)
    """
    shorter = min(height, width)
    return (1, *(max(1, (n * shorter + 256) // 512) for n in (1, 2, 4)))


@dataclass(frozen=True)
class Crossings:
    """Pixels on both sides of a mask's edge; G gaps, M crossings."""

    inner: IntArray
    """(G, M, 2): row and column of the foreground's pixel."""
    outer: IntArray
    """(G, M, 2): the background's."""
    is_valid: BoolArray
    """(G, M): whether both pixels lie in the photo, each on its side of the edge."""

    def __len__(self) -> int:
        return int(self.inner.shape[1])

    def spread(self, count: int) -> "Crossings":
        """Keep at most `count` crossings, evenly chosen."""
        if len(self) <= count:
            return self
        return self.keep(_choose_evenly(len(self), count))

    def keep(self, chosen: IntArray | BoolArray) -> "Crossings":
        """Keep the chosen crossings, given by number or by one truth value each."""
        inner, outer = self.inner[:, chosen], self.outer[:, chosen]
        return Crossings(inner, outer, self.is_valid[:, chosen])


@dataclass(frozen=True)
class Window:
    """The rows and columns of a mask that are searched, and where they lie."""

    top: int
    left: int
    height: int
    width: int
    """These four: the part of the mask that is read, its box and a margin around."""
    rows: IntArray
    columns: IntArray
    """The numbers, in the photo, of the rows and columns that are searched."""
    gaps: tuple[int, ...]

    @classmethod
    def around(
        cls,
        box: tuple[int, int, int, int],
        size: tuple[int, int],
        *,
        num_lines: int = NUM_LINES,
        gaps: tuple[int, ...] | None = None,
    ) -> "Window":
        """Choose the rows and columns to search in a mask.

        Parameters
        ----------
        box : tuple of int
            The mask's: top, left, height, width, as of `images.masks.mask_box`.
        size : (height, width)
            Of the photo.
        num_lines : int
            Most rows, and most columns.
        gaps : tuple of int or None
            None takes `gap_lengths` of the size.
        """
        gaps = gaps or gap_lengths(*size)
        margin = REACH + max(gaps)
        starts, lengths = [], []
        for start, length, full in zip(box[:2], box[2:], size, strict=True):
            starts.append(max(0, start - margin))
            lengths.append(min(full, start + length + margin) - starts[-1])
        rows, columns = (
            start + _choose_evenly(length, num_lines)
            for start, length in zip(box[:2], box[2:], strict=True)
        )
        (top, left), (rows_read, columns_read) = starts, lengths
        return cls(top, left, rows_read, columns_read, rows, columns, gaps)

    def search(self, rows: UInt8Array, columns: UInt8Array) -> Crossings:
        """Find the crossings on the chosen rows and columns.

        Parameters
        ----------
        rows : ndarray of uint8, shape (R, width)
            The chosen rows, cut to the window.
        columns : ndarray of uint8, shape (C, height)
            The chosen columns, likewise.

        Returns
        -------
        Crossings
            Those of the rows from the top, each from the left, then those of the
            columns.
        """
        line, inner, outer, is_valid = _search(rows, self.gaps)
        across, up, down, is_valid_too = _search(columns, self.gaps)
        R = len(line)
        places = np.empty((2, len(self.gaps), R + len(across), 2), np.intp)
        places[:, :, :R, 0] = self.rows[line]
        places[0, :, :R, 1], places[1, :, :R, 1] = inner, outer
        places[:, :, :R, 1] += self.left
        places[:, :, R:, 1] = self.columns[across]
        places[0, :, R:, 0], places[1, :, R:, 0] = up, down
        places[:, :, R:, 0] += self.top
        both = np.concatenate([is_valid, is_valid_too], axis=1)
        return Crossings(places[0], places[1], both)


def find_crossings(
    mask: UInt8Array,
    box: tuple[int, int, int, int],
    *,
    num_lines: int = NUM_LINES,
    gaps: tuple[int, ...] | None = None,
) -> Crossings:
    """Find the crossings of a mask in an array.

    Parameters
    ----------
    mask : ndarray of uint8, shape (H, W)
    box : tuple of int
        Top, left, height and width of the smallest box that holds the mask.
    num_lines, gaps
        See `Window.around`.

    Examples
    --------
    >>> mask = np.zeros((9, 9), np.uint8)
    >>> mask[3:6, 3:6] = 255
    >>> crossings = find_crossings(mask, (3, 3, 3, 3))
    >>> len(crossings), crossings.inner[0, 0].tolist(), crossings.outer[0, 0].tolist()
    (12, [3, 3], [3, 2])
    """
    H, W = mask.shape
    window = Window.around(box, (H, W), num_lines=num_lines, gaps=gaps)
    rows = mask[window.rows, window.left : window.left + window.width]
    part = mask[window.top : window.top + window.height, window.columns]
    return window.search(rows, np.ascontiguousarray(part.T))


def _choose_evenly(length: int, count: int) -> IntArray:
    """Choose up to `count` of `length` numbers, evenly."""
    count = min(length, count)
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _search(
    lines: UInt8Array, gaps: tuple[int, ...]
) -> tuple[IntArray, IntArray, IntArray, BoolArray]:
    """Find where lines (L, X) cross the edge.

    Returns
    -------
    tuple
        Of M crossings in order: the number of the line, (M,); the foreground pixel's
        and the background pixel's place along the line, (G, M) each; whether the pair
        is valid, (G, M).
    """
    X = lines.shape[1]
    flat = lines.reshape(-1)
    # A run of foreground begins or ends between two neighbors of one line.
    is_foreground = flat >= FOREGROUND
    at = np.flatnonzero(is_foreground[1:] != is_foreground[:-1])
    at = at[at % X != X - 1]
    ends = is_foreground[at]  # True: a run ends here; False: one begins after it
    inner = at + ~ends
    step = 2 * ends.astype(np.intp) - 1
    line = at // X
    first, last = line * X, line * X + X - 1
    # Walk to the nearest background pixel; drop a crossing that meets foreground first.
    outer = np.full(len(at), -1, np.intp)
    left = np.arange(len(at))
    for distance in range(1, REACH + 1):
        ahead = inner[left] + distance * step[left]
        is_inside = (ahead >= first[left]) & (ahead <= last[left])
        left, ahead = left[is_inside], ahead[is_inside]
        levels = flat[ahead]
        is_background = levels <= BACKGROUND
        outer[left[is_background]] = ahead[is_background]
        left = left[~is_background & (levels < FOREGROUND)]
        if not len(left):
            break
    is_found = outer >= 0
    line, first, last, inner, outer, step = (
        x[is_found] for x in (line, first, last, inner, outer, step)
    )
    further = step * (np.array(gaps)[:, None] - 1)  # (G, M)
    inner, outer = inner - further, outer + further
    low, high = np.minimum(inner, outer), np.maximum(inner, outer)
    is_valid = (low >= first) & (high <= last)
    top = len(flat) - 1
    is_valid &= flat[inner.clip(0, top)] >= FOREGROUND
    is_valid &= flat[outer.clip(0, top)] <= BACKGROUND
    return line, inner - first, outer - first, is_valid
