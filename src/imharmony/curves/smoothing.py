"""Curves over time: smoothed so that a clip does not flicker.

Curves are averaged by their heights at 256 values, the values of 8-bit pixels. If all
of them rise, the mean rises; if all of them keep black and white, the mean does.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from imharmony.curves.curves import Curves
from imharmony.curves.knots import FloatArray

__all__ = [
    "STREAM_WIDTH_S",
    "WIDTH_S",
    "Look",
    "RunningMean",
    "from_heights",
    "smooth_looks",
    "to_heights",
]

_VALUES = np.linspace(0, 1, 256)

WIDTH_S = 0.5
"""How far curves are averaged around a frame: the standard deviation of the weights, a
bell curve, in seconds."""
STREAM_WIDTH_S = 1.0
"""Seconds after which a running mean has forgotten two thirds. It is longer than
`WIDTH_S`, since a running mean knows only the past."""
_NO_WIDTH_S = 1e-6
_REACH = 3.0  # standard deviations at which the bell curve is cut off


def to_heights(curves: Curves) -> FloatArray:
    """Sample curves at 256 values; gives (3, 256).

    Examples
    --------
    >>> to_heights(Curves.identity()).shape
    (3, 256)
    """
    columns = np.repeat(_VALUES[:, None], 3, axis=1)
    return np.ascontiguousarray(curves(columns).T)


def from_heights(heights: FloatArray) -> Curves:
    """Make curves from heights, the inverse of `to_heights`.

    Examples
    --------
    >>> from_heights(to_heights(Curves.identity())).is_identity
    True
    """
    red, green, blue = heights
    return Curves((_VALUES,) * 3, (red, green, blue))


@dataclass(frozen=True, eq=False)
class Look:
    """What smoothing needs to know of one frame."""

    time_s: float
    """When the frame is shown, in seconds."""
    scene: int
    """Number of the scene; frames of different scenes are never averaged."""
    heights: FloatArray | None = None
    """The frame's own curves as `to_heights` gives them; None where the network was
    not asked, or saw no foreground."""


def smooth_looks(
    looks: Iterable[Look], *, width_s: float = WIDTH_S
) -> Iterator[Curves]:
    """Average curves over the moments before and after each frame.

    Moments before and after count alike, so a change comes neither late nor early
    (zero phase). A frame without curves of its own gets the mean of the curves around
    it. Only a few seconds of looks are in memory at a time.

    Parameters
    ----------
    looks : iterable of Look
        One for each frame, in order of time.
    width_s : float
        Standard deviation of the weights, in seconds. With 0, a frame keeps its own
        curves or, if it has none, gets those of the last frame that has.

    Yields
    ------
    Curves
        One for each frame. The identity in scenes without any curves.

    Examples
    --------
    >>> brighter = to_heights(Curves.identity()) ** 0.8
    >>> looks = [Look(0.0, 0), Look(0.1, 0, brighter), Look(0.2, 1)]
    >>> [curves.is_identity for curves in smooth_looks(looks)]
    [False, False, True]
    """
    reach_s = _REACH * width_s
    waiting: deque[Look] = deque()
    known: deque[Look] = deque()
    for look in looks:
        while waiting and (
            look.scene != waiting[0].scene or look.time_s > waiting[0].time_s + reach_s
        ):
            yield _average(waiting.popleft(), known, width_s)
        waiting.append(look)
        if look.heights is not None:
            known.append(look)
        first = waiting[0]
        while len(known) > 1 and known[1].time_s < first.time_s - reach_s:
            known.popleft()
        while known and known[0].scene < first.scene:
            known.popleft()
    while waiting:
        first = waiting.popleft()
        yield _average(first, known, width_s)


def _average(look: Look, known: Iterable[Look], width_s: float) -> Curves:
    """Average the curves of a frame's scene, weighted by their distance in time."""
    same_scene = [other for other in known if other.scene == look.scene]
    pairs = [(other.time_s - look.time_s, other.heights) for other in same_scene]
    usable = [(time_s, heights) for time_s, heights in pairs if heights is not None]
    if not usable:
        return Curves.identity()
    distances = np.abs([time_s for time_s, _ in usable])
    nearest = distances.min()
    if width_s < _NO_WIDTH_S:
        before = [heights for time_s, heights in usable if time_s <= 0]
        return from_heights(before[-1] if before else usable[0][1])
    # Relative to the nearest: far from all curves, the nearest ones still count.
    weights = np.exp(-(distances**2 - nearest**2) / (2 * width_s**2))
    stack = np.stack([heights for _, heights in usable])
    # Averaged as differences from one of them: the mean of equal curves is exact.
    base = stack[int(distances.argmin())]
    mean = base + np.tensordot(weights / weights.sum(), stack - base, axes=1)
    if (np.diff(stack) >= 0).all():  # a rounding must not make the mean turn back
        mean = np.maximum.accumulate(mean, axis=-1)
    return from_heights(mean)


class RunningMean:
    """A mean of the curves so far that forgets slowly, for streams.

    At first it is a plain mean, so that one odd frame counts less and less. After
    about `width_s` seconds it is an exponential mean.

    Parameters
    ----------
    width_s : float
        Seconds after which two thirds are forgotten; 0 keeps the newest only.

    Examples
    --------
    >>> mean = RunningMean()
    >>> for height in (0.4, 0.6):
    ...     heights = mean.add(np.full((3, 256), height), time_s=0.0)
    >>> round(float(heights[0, 0]), 3)
    0.5
    """

    def __init__(self, width_s: float = STREAM_WIDTH_S) -> None:
        self._width_s = width_s
        self.forget()

    def forget(self) -> None:
        """Forget all curves, as at a new scene."""
        self._heights: FloatArray | None = None
        self._count = 0
        self._time_s = 0.0

    def add(self, heights: FloatArray, *, time_s: float) -> FloatArray:
        """Add the curves of one frame, and return the mean."""
        self._count += 1
        if self._heights is None or self._width_s == 0:
            self._heights = heights
        else:
            passed = 1 - math.exp(-max(0.0, time_s - self._time_s) / self._width_s)
            share = max(1 / self._count, passed)
            self._heights = self._heights + share * (heights - self._heights)
        self._time_s = time_s
        return self._heights
