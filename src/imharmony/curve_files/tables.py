"""Tables of color on an even grid, which .cube files and HaldCLUT pictures hold.

Their readers interpolate linearly between. A 3D table can hold more than three curves:
it is read if it does not.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves import CHANNELS, Curves
from imharmony.errors import CurveError, UsageError

__all__ = ["HALD_SIZES", "MAX_SIZE", "check_size", "resample", "separate"]

MAX_SIZE = 65
"""Samples per channel of a 3D .cube: the most that DaVinci Resolve takes."""
HALD_SIZES = tuple(level**2 for level in range(2, 17))
"""Samples per channel of a HaldCLUT: squares of its level."""

# Rounding to 8 bit can move two equal heights one step apart.
MAX_SPREAD = 1 / 255


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


def separate(samples: npt.NDArray[Any], *, full: float, name: str) -> Curves:
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
