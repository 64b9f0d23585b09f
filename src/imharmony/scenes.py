"""Whether a frame of a clip continues the scene of the frame before it.

At a cut, or when a light is switched on, the colors jump. In a pan, or when an object
moves, they change little by little. So the distributions of colors of two frames are
compared, for background and foreground apart. Where the colors agree, the shapes are
compared.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.colors import BT709_LUMA

__all__ = ["SMALL", "SceneWatch", "shrink"]

SMALL = (36, 64)
"""Height and width of the small copies that are compared."""

Pixels = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating[Any]]

_NUM_BINS = 64
_BIN = 256 / _NUM_BINS
_JUMP = {"background": 4.0, "foreground": 8.0}
"""Mean distance of colors, in 8-bit steps, that is a jump after a still scene."""
_USUAL_TIMES = 3.0  # after moving frames, this many usual distances are added
_FORGET = 0.9  # share of the usual distance that is kept from frame to frame
_FEW = 8.0  # a region of fewer small pixels says nothing
_ALIKE = 0.3  # frames whose shapes correlate less are of different scenes
_FLAT = 4.0  # 8-bit steps; a frame of less contrast has no shapes


def shrink(pixels: Pixels, size: tuple[int, int] = SMALL) -> FloatArray:
    """Make a small copy of a frame or mask by averaging some of its pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, uint16, bool or float, shape (H, W) or (H, W, C)
        Whole numbers up to their largest value, floats up to 1.
    size : (height, width)
        Of the copy.

    Returns
    -------
    ndarray of float32, shape `size` or (*size, C)
        From 0 to 255.

    Examples
    --------
    >>> float(shrink(np.full((1080, 1920), 65535, np.uint16)).mean())
    255.0
    """
    height, width = size
    rows = _spread(pixels.shape[0], 4 * height)
    columns = _spread(pixels.shape[1], 4 * width)
    some = pixels[rows][:, columns]
    top = np.iinfo(some.dtype).max if some.dtype.kind == "u" else 1
    values = some.astype(np.float32) * np.float32(255 / top)
    shape = (height, 4, width, 4, *values.shape[2:])
    small: FloatArray = values.reshape(shape).mean(axis=(1, 3))
    return small


def _spread(length: int, count: int) -> npt.NDArray[np.intp]:
    """Spread so many positions evenly over a length."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)


@dataclass
class _Region:
    """The distribution of a region's colors, and how far it usually moves."""

    distribution: FloatArray | None = None
    usual: float = 0.0

    def measure_jump(self, distribution: FloatArray | None, jump: float) -> bool:
        """Take the next frame; say whether its colors jump from the last one's."""
        before, self.distribution = self.distribution, distribution
        if before is None or distribution is None:
            return False
        distance = float(np.abs(distribution - before).sum(axis=-1).mean()) * _BIN
        is_jump = distance > jump + _USUAL_TIMES * self.usual
        if is_jump:
            self.usual = 0.0
        else:
            self.usual = _FORGET * self.usual + (1 - _FORGET) * distance
        return is_jump


class SceneWatch:
    """Finds new scenes in small copies of frames, given one after another.

    Examples
    --------
    >>> watch = SceneWatch()
    >>> dark, light = (np.full((*SMALL, 3), value) for value in (60.0, 90.0))
    >>> mask = np.zeros(SMALL)
    >>> [watch.is_new(frame, mask) for frame in (dark, dark, light, light)]
    [True, False, True, False]
    """

    def __init__(self) -> None:
        self._background = _Region()
        self._foreground = _Region()
        self._gray: FloatArray | None = None

    def is_new(self, small: FloatArray, mask: FloatArray) -> bool:
        """Whether a frame begins a new scene; the first frame does.

        Parameters
        ----------
        small : ndarray of float, shape (h, w, 3)
            The frame, as `shrink` gives it.
        mask : ndarray of float, shape (h, w)
            Its mask, likewise: 255 = foreground.
        """
        weights = mask / 255
        foreground = _distribute(small, weights)
        background = _distribute(small, 1 - weights)
        jumps = (
            self._background.measure_jump(background, _JUMP["background"]),
            self._foreground.measure_jump(foreground, _JUMP["foreground"]),
        )
        gray = small @ np.array(BT709_LUMA)
        before, self._gray = self._gray, gray
        return before is None or any(jumps) or not _is_alike(before, gray)


def _distribute(small: FloatArray, weights: FloatArray) -> FloatArray | None:
    """Accumulate the histogram of each channel, (3, bins); None for too few pixels."""
    total = weights.sum()
    if total < _FEW:
        return None
    bins = np.clip(small / _BIN, 0, _NUM_BINS - 1).astype(np.intp)
    flat = weights.ravel() / total
    return np.stack(
        [
            np.bincount(bins[..., channel].ravel(), flat, _NUM_BINS).cumsum()
            for channel in range(3)
        ]
    )


def _is_alike(before: FloatArray, after: FloatArray) -> bool:
    """Whether two frames show the same shapes, or one shows hardly any."""
    one, other = before - before.mean(), after - after.mean()
    contrasts = float(one.std()), float(other.std())
    if min(contrasts) < _FLAT:
        return True
    return float((one * other).mean()) > _ALIKE * contrasts[0] * contrasts[1]
