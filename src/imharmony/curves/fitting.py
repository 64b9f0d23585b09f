"""Find the curves that come nearest to the change of a network without curves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves import Curves
from imharmony.curves.knots import put_in_order

__all__ = ["NUM_PIECES", "Fitted", "fit_curves"]

FloatArray = npt.NDArray[np.floating[Any]]

NUM_PIECES = 64
"""Of a fitted curve, as many as the networks' that predict curves."""

# Where the mean squared error costs its own size: of a squared bend between pieces,
# which joins knots that few colors are near, and of a squared height off the identity,
# which is there for values that no color has.
BEND_COST = 1e-3
HEIGHT_COST = 1e-8


@dataclass(frozen=True)
class Fitted:
    """Curves, and how far the colors they give are from those they should give."""

    curves: Curves
    rms: float
    """Root of the mean squared difference over pixels and channels, in 8-bit steps."""
    largest: float
    """Largest difference, in 8-bit steps."""


def fit_curves(before: FloatArray, after: FloatArray, weights: FloatArray) -> Fitted:
    """Fit a monotone curve per channel to a change of colors.

    Parameters
    ----------
    before, after : ndarray of float, shape (3, h, w)
        RGB, sRGB-encoded, in [0, 1].
    weights : ndarray of float, shape (h, w), 0 or more
        How much each pixel counts.

    Returns
    -------
    Fitted
        Curves of `NUM_PIECES` pieces within [0, 1], never falling, ends free: a network
        may lift black. Least squares, and where that falls, the mean of the nearest
        rising curves above and below it. The identity if all weights are 0.

    Examples
    --------
    >>> before = np.random.default_rng(0).random((3, 32, 32))
    >>> fitted = fit_curves(before, 0.1 + 0.8 * before, np.ones((32, 32)))
    >>> fitted.curves
    Curves(65 knots, monotone, mid gray -> 0.50 0.50 0.50)
    >>> round(fitted.rms, 2), round(fitted.largest, 1)
    (0.0, 0.0)
    """
    rows, columns = weights.nonzero()
    if not len(rows):
        return Fitted(Curves.identity(), 0.0, 0.0)
    share = weights[rows, columns].astype(np.float64)
    share /= share.sum()
    knots = np.arange(NUM_PIECES + 1) / NUM_PIECES
    old = before[:, rows, columns].T.astype(np.float64)  # (N, 3)
    new = after[:, rows, columns].T.astype(np.float64)
    heights = [
        knots + _fit_change(old[:, c], new[:, c] - old[:, c], share) for c in range(3)
    ]
    rising = [put_in_order(y).clip(0, 1) for y in heights]
    curves = Curves((knots,) * 3, (rising[0], rising[1], rising[2]))
    error = 255 * (curves(old) - new)
    rms = float(np.sqrt(share @ (error**2).mean(axis=1)))
    return Fitted(curves, rms, float(np.abs(error).max()))


def _fit_change(old: FloatArray, change: FloatArray, share: FloatArray) -> FloatArray:
    """Fit what is added at each knot to changes (N,) of values (N,)."""
    piece = np.minimum((old * NUM_PIECES).astype(np.intp), NUM_PIECES - 1)
    above = old * NUM_PIECES - piece
    gram = np.zeros((NUM_PIECES + 1, NUM_PIECES + 1))
    moment = np.zeros(NUM_PIECES + 1)
    ends = ((0, 1 - above), (1, above))
    for i, one in ends:
        np.add.at(moment, piece + i, share * one * change)
        for j, other in ends:
            np.add.at(gram, (piece + i, piece + j), share * one * other)
    bend = np.diff(np.eye(NUM_PIECES + 1), n=2, axis=0)
    gram += BEND_COST * bend.T @ bend + HEIGHT_COST * np.eye(NUM_PIECES + 1)
    return np.asarray(np.linalg.solve(gram, moment))
