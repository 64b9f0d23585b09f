"""One channel of curves: knots with straight lines between, and operations on them."""

import numpy as np
import numpy.typing as npt

from imharmony.colors import FloatArray
from imharmony.errors import CurveError, UsageError

__all__ = [
    "MIN_KNOT_GAP",
    "MIN_SLOPE_SUM",
    "FloatArray",
    "Knots",
    "check_knots",
    "check_strength",
    "compose",
    "evaluate",
    "is_apart",
    "is_rising",
    "mix",
    "put_in_order",
    "running_share",
]

Knots = tuple[FloatArray, FloatArray]
"""Where a channel bends, and its heights there."""

# Smallest |sum of slopes| of a channel, as a share of the sum of their sizes: a
# share, because only the ratios of the slopes matter. Slopes come from a network in
# float32, where 64 values good to 6e-8 each have a sum good to 64 * 6e-8 = 4e-6.
# Dividing by 1e-3 makes that 4e-6 / 1e-3 = 0.4 percent of the curve, one step of an
# 8-bit photo; closer to zero, rounding noise would become visible color.
MIN_SLOPE_SUM = 1e-3

# Knots closer than one float64 rounding step of 1.0 cannot be told apart.
MIN_KNOT_GAP = float(np.finfo(np.float64).eps)  # 2.2e-16


def check_knots(channel: str, x: FloatArray, y: FloatArray) -> None:
    """Refuse knots that define no curve, naming the channel."""
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        expected = "knots_x and knots_y of one length, at least 2"
        got = f"shapes {x.shape} and {y.shape}"
    elif not np.isfinite([x, y]).all():
        expected, got = "finite knots", "NaN or infinity"
    elif x[0] != 0 or x[-1] != 1:
        expected, got = "knots_x from 0 to 1", f"{x[0]:g} to {x[-1]:g}"
    elif not is_apart(x).all():
        expected = f"knots_x to rise by {MIN_KNOT_GAP:.1e} or more from knot to knot"
        got = f"a step of {np.diff(x).min():g}"
    else:
        return
    raise CurveError(f"{channel} channel: expected {expected}, got {got}")


def running_share(channel: str, slopes: FloatArray) -> FloatArray:
    """Sum K slopes up to each knot, as a share of the whole: K + 1 heights."""
    broken = slopes[~np.isfinite(slopes)]
    if broken.size > 0:
        raise CurveError(f"{channel} channel: expected finite slopes, got {broken[0]}")
    scaled = slopes / (np.abs(slopes).max() or 1.0)  # so that no sum overflows
    sums = np.cumsum(scaled)
    # Differs from the released code: it adds 1e-30 to the sum, which makes everything
    # black at exactly zero and values of a million near it. We raise instead.
    if abs(sums[-1]) <= MIN_SLOPE_SUM * np.abs(scaled).sum():
        raise CurveError(
            f"{channel} channel: expected slopes whose sum is more than "
            f"{MIN_SLOPE_SUM:g} of the sum of their sizes, got slopes from "
            f"{slopes.min():g} to {slopes.max():g} that cancel out"
        )
    return np.concatenate([[0.0], sums / sums[-1]])


def compose(first: Knots, second: Knots) -> Knots:
    """Knots of the first curve, then the second."""
    x, y = _add_crossings(*first, levels=second[0])
    heights = evaluate(y, *second)
    is_ordered = is_rising(first[1]) and is_rising(second[1])
    return x, put_in_order(heights) if is_ordered else heights


def check_strength(strength: float) -> None:
    """Refuse a share of a change that cannot be applied.

    Raises
    ------
    UsageError
        If `strength` is negative, NaN or infinite.
    """
    if not (np.isfinite(strength) and strength >= 0):
        raise UsageError(f"expected a finite strength of 0 or more, got {strength}")


def mix(x: FloatArray, y: FloatArray, strength: float) -> Knots:
    """Knots of the mixture with the identity."""
    mixed: FloatArray = x + strength * (y - x)  # exact for the identity
    is_ordered = is_rising(y)
    if strength > 1:
        # Clipping and putting in order make plateaus at these heights: knots there.
        levels = np.append(mixed if is_ordered else [], [0.0, 1.0])
        x, mixed = _add_crossings(x, mixed, levels=levels)
        mixed = np.clip(mixed, 0.0, 1.0)
    return x, put_in_order(mixed) if is_ordered else mixed


def evaluate(at: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Interpolate at any values; rounding cannot carry it outside the range of y."""
    return np.clip(np.interp(at, x, y), y.min(), y.max())


def _add_crossings(x: FloatArray, y: FloatArray, *, levels: FloatArray) -> Knots:
    """Add a knot wherever a piece of the curve passes through one of the levels."""
    low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
    is_crossed = (low[:, None] < levels) & (levels < high[:, None])  # (N - 1, levels)
    piece, level = np.nonzero(is_crossed)
    share = (levels[level] - y[piece]) / (y[piece + 1] - y[piece])
    crossing = x[piece] + share * (x[piece + 1] - x[piece])
    gap = np.minimum(crossing - x[piece], x[piece + 1] - crossing)
    is_clear = gap >= MIN_KNOT_GAP
    new_x = np.concatenate([x, crossing[is_clear]])
    new_y = np.concatenate([y, levels[level][is_clear]])
    order = np.argsort(new_x, kind="stable")
    order = order[is_apart(new_x[order])]
    return new_x[order], new_y[order]


def is_apart(x: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of the sorted values are far enough from the one before; the first is."""
    is_far = np.ones(len(x), np.bool_)
    np.greater_equal(x[1:] - x[:-1], MIN_KNOT_GAP, out=is_far[1:])  # quicker than diff
    return is_far


def is_rising(y: FloatArray) -> bool:
    """Whether no height is below the one before."""
    return bool((y[1:] >= y[:-1]).all())


def put_in_order(y: FloatArray) -> FloatArray:
    """Mean of the nearest rising curves above and below; a rising one stays as is."""
    above = np.maximum.accumulate(y)
    below = np.minimum.accumulate(y[::-1])[::-1]
    return 0.5 * (above + below)
