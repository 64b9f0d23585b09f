"""Curves as few points joined by a smooth line: Photoshop's .acv files.

A channel has 2 to 16 points of whole numbers from 0 to 255; between them runs a
natural cubic spline. What is written is the spline closest to the curve that a
search finds.
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves import CHANNELS, Curves
from imharmony.errors import CurveError

__all__ = ["MAX_POINTS", "from_acv", "natural_spline", "to_acv"]

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

VERSION = 4
MAX_POINTS = 16
"""Points of a channel that Photoshop's dialog lets a user set."""
MAX_POINTS_READ = 19  # what the format's description allows
MIN_GAP = 4  # Photoshop's dialog keeps points this far apart

TOP = 255
LEVELS = np.arange(TOP + 1.0)
# A reader's table has 256 entries; four knots each leave nothing of the spline out.
KNOTS_PER_LEVEL = 4

# An error of half a step is that of rounding: more points would not show.
GOOD_ENOUGH = 0.5
MAX_SWEEPS = 20


def natural_spline(x: FloatArray, y: FloatArray, at: FloatArray) -> FloatArray:
    """Evaluate natural cubic splines; outside their points they are constant.

    Parameters
    ----------
    x, y : ndarrays of float, shape (M, N)
        Points of M splines; each row of `x` rises strictly. N at least 2.
    at : ndarray of float, shape (P,)
        Where to evaluate.

    Returns
    -------
    ndarray of float64, shape (M, P)

    Notes
    -----
    The second derivative is piecewise-linear and 0 at both ends; that the first has
    no jumps makes the linear system for its values at the points.

    Examples
    --------
    >>> x, y = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 1.0, 0.0]])
    >>> natural_spline(x, y, np.array([-1.0, 0.5, 1.0])).tolist()
    [[0.0, 0.6875, 1.0]]
    """
    M, N = x.shape
    width, slope = np.diff(x), np.diff(y) / np.diff(x)  # (M, N - 1)
    inner = np.arange(1, N - 1)
    system = np.zeros((M, N, N))
    system[:, [0, N - 1], [0, N - 1]] = 1
    system[:, inner, inner - 1] = width[:, :-1]
    system[:, inner, inner] = 2 * (width[:, :-1] + width[:, 1:])
    system[:, inner, inner + 1] = width[:, 1:]
    jumps = np.zeros((M, N, 1))
    jumps[:, inner, 0] = 6 * np.diff(slope)
    bend = np.linalg.solve(system, jumps)[..., 0]  # (M, N): second derivatives
    inside = np.clip(at, x[:, :1], x[:, -1:])  # (M, P)
    piece = (x[:, 1:-1, np.newaxis] <= inside[:, np.newaxis]).sum(axis=1)

    def of_piece(values: FloatArray) -> FloatArray:
        return np.take_along_axis(values, piece, axis=1)

    left, right = of_piece(bend), of_piece(bend[:, 1:])
    h, t = of_piece(width), inside - of_piece(x)
    start = of_piece(slope) - h * (2 * left + right) / 6
    value: FloatArray = of_piece(y) + t * (
        start + t * (left / 2 + t * (right - left) / (6 * h))
    )
    return value


def to_acv(curves: Curves) -> bytes:
    """Write a Photoshop curves file: the points whose spline is closest.

    Parameters
    ----------
    curves : Curves
        Heights are clipped to [0, 1].

    Returns
    -------
    bytes
        Version 4, five curves as Photoshop writes them: one for all channels and one
        for a fourth, both straight, around red, green and blue.

    Notes
    -----
    Adobe, "Photoshop File Formats Specification", section on curves.

    Examples
    --------
    >>> to_acv(Curves.identity())[:16].hex(" ", 2)
    '0004 0005 0002 0000 0000 00ff 00ff 0002'
    """
    heights = np.clip(curves(np.stack([LEVELS / TOP] * 3, axis=-1)), 0, 1).T * TOP
    straight = np.array([[0, 0], [TOP, TOP]])
    channels = [straight, *map(_choose_points, heights), straight]
    words = [VERSION, len(channels)]
    for points in channels:
        words += [len(points), *points[:, ::-1].ravel().tolist()]  # output, input
    return struct.pack(f">{len(words)}H", *words)


def from_acv(data: bytes, *, name: str) -> Curves:
    """Read a Photoshop curves file; the curve for all channels comes last.

    Raises
    ------
    CurveError
        If the data is not such a file; the message names `name` and the byte.

    Examples
    --------
    >>> from_acv(to_acv(Curves.identity()), name="look.acv")
    Curves(1021 knots, monotone, mid gray -> 0.50 0.50 0.50)
    """
    words = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype(np.int64)
    if len(words) < 2 or words[0] != VERSION or words[1] < 1:
        raise CurveError(
            f"{name}: expected a Photoshop curves file of version {VERSION}, got one "
            f"that starts with {data[:4]!r}"
        )
    start, channels = 2, []
    for channel in ("master", *CHANNELS)[: words[1]]:
        points = _read_points(words, start, f"{name}, byte {2 * start}: {channel}")
        start += 1 + points.size
        channels.append(points)
    straight = np.array([[0, 0], [TOP, TOP]])
    master, *colors = channels + [straight] * (4 - len(channels))
    x = np.arange(KNOTS_PER_LEVEL * TOP + 1) / (KNOTS_PER_LEVEL * TOP)
    red, green, blue = (_draw_spline(points, x) for points in colors)
    curves = Curves((x, x, x), (red, green, blue))
    if np.array_equal(master, straight):
        return curves
    y = _draw_spline(master, x)
    return curves.then(Curves((x, x, x), (y, y, y)))


def _read_points(words: IntArray, start: int, where: str) -> IntArray:
    """Read the (input, output) points of one channel."""
    count = int(words[start]) if start < len(words) else 0
    if not 2 <= count <= MAX_POINTS_READ:
        got = count if start < len(words) else "the end of the file"
        raise CurveError(f"{where} curve: expected 2 to 19 points, got {got}")
    points = words[start + 1 : start + 1 + 2 * count]
    if len(points) < 2 * count:
        got = f"the end of the file after {len(points) // 2}"
        raise CurveError(f"{where} curve: expected {count} points, got {got}")
    points = points.reshape(count, 2)[:, ::-1]
    if points.max() > TOP or np.diff(points[:, 0]).min() < 1:
        raise CurveError(
            f"{where} curve: expected points from 0 to {TOP} whose inputs rise, got "
            f"{', '.join(f'{x}->{y}' for x, y in points.tolist())}"
        )
    return points


def _draw_spline(points: IntArray, x: FloatArray) -> FloatArray:
    points_x, points_y = points[np.newaxis].astype(np.float64).transpose(2, 0, 1)
    heights = natural_spline(points_x, points_y, TOP * x)[0]
    shares: FloatArray = np.clip(heights, 0, TOP) / TOP
    return shares


def _choose_points(heights: FloatArray) -> IntArray:
    """Find few points (input, output) whose spline follows 256 heights closely."""
    ends = np.array([[0, heights[0]], [TOP, heights[-1]]])
    points = _improve(ends.round().astype(np.int64), heights)
    while len(points) < MAX_POINTS:
        if _measure_errors(points[np.newaxis], heights).max() <= GOOD_ENOUGH:
            return points
        points = _improve(_add_worst(points, heights), heights)
    return points


def _add_worst(points: IntArray, heights: FloatArray) -> IntArray:
    """Add a point where the spline is farthest off."""
    distances = np.abs(LEVELS[:, np.newaxis] - points[:, 0]).min(axis=1)
    errors = _measure_errors(points[np.newaxis], heights)[0]
    worst = int(np.where(distances >= MIN_GAP, errors, -1).argmax())
    where = np.searchsorted(points[:, 0], worst)
    return np.insert(points, where, [worst, round(heights[worst])], axis=0)


def _improve(points: IntArray, heights: FloatArray) -> IntArray:
    """Move one point after the other where that helps, until nothing does."""
    moves = np.array([[i, j] for i in (0, -1, 1, -3, 3) for j in (0, -1, 1)])
    for _ in range(MAX_SWEEPS):
        before = points
        for index in range(1, len(points) - 1):  # black and white stay where they are
            candidates = np.repeat(points[np.newaxis], len(moves), axis=0)
            candidates[:, index] += moves
            candidates = candidates[_are_allowed(candidates)]
            points = candidates[_measure_badness(candidates, heights).argmin()]
        if np.array_equal(points, before):
            break
    return points


def _measure_badness(candidates: IntArray, heights: FloatArray) -> FloatArray:
    """Sum the errors, (M,), so that large ones count most.

    Between mean and maximum: the mean leaves single peaks, and the maximum shows no
    progress where two peaks are equal.
    """
    badness: FloatArray = (_measure_errors(candidates, heights) ** 6).sum(axis=1)
    return badness


def _are_allowed(candidates: IntArray) -> npt.NDArray[np.bool_]:
    x, y = candidates[..., 0], candidates[..., 1]
    is_apart = np.diff(x).min(axis=1) >= MIN_GAP
    is_inside = (y.min(axis=1) >= 0) & (y.max(axis=1) <= TOP)
    allowed: npt.NDArray[np.bool_] = is_apart & is_inside
    return allowed


def _measure_errors(candidates: IntArray, heights: FloatArray) -> FloatArray:
    """Distances, in 8-bit steps at the 256 levels, of the splines of candidates."""
    x, y = candidates[..., 0].astype(np.float64), candidates[..., 1].astype(np.float64)
    errors: FloatArray = np.abs(np.clip(natural_spline(x, y, LEVELS), 0, TOP) - heights)
    return errors
