"""Means with intervals, and paired tests, by resampling images.

All draws come from a seeded generator: the same scores give the same intervals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "bootstrap_means", "sign_flip_p", "take_interval"]

FloatArray = npt.NDArray[np.floating[Any]]

NUM_RESAMPLES = 2000
NUM_FLIPS = 10_000
QUANTILES = (0.025, 0.975)
CHUNK = 2**22  # random numbers held at once


@dataclass(frozen=True)
class Interval:
    """A mean and where it would fall in 95 of 100 samples of images like these."""

    mean: float
    low: float
    high: float


def bootstrap_means(
    values: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> FloatArray:
    """Means of images drawn with replacement, as many as there are.

    Parameters
    ----------
    values : ndarray, shape (N, K)
        K numbers of each of N images, at least one. All K are drawn together.
    num_resamples, seed : int

    Returns
    -------
    ndarray, shape (num_resamples, K)

    Notes
    -----
    B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of
    Statistics 7(1), 1979.

    Examples
    --------
    >>> bootstrap_means(np.array([[3.0], [3.0]]), num_resamples=2).tolist()
    [[3.0], [3.0]]
    """
    num_images = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((num_resamples, values.shape[1]))
    for resample in range(num_resamples):
        chosen = rng.integers(num_images, size=num_images)
        counts = np.bincount(chosen, minlength=num_images)
        means[resample] = counts @ values / num_images
    return means


def take_interval(mean: float, means: FloatArray) -> Interval:
    """Take the middle 95 percent of resampled means, shape (num_resamples,).

    Examples
    --------
    >>> take_interval(20.0, np.arange(41.0))
    Interval(mean=20.0, low=1.0, high=39.0)
    """
    low, high = np.quantile(means, QUANTILES)
    return Interval(float(mean), float(low), float(high))


def sign_flip_p(
    differences: FloatArray, *, num_flips: int = NUM_FLIPS, seed: int = 0
) -> float:
    """Test whether paired differences are centered on zero, two-sided.

    Were there nothing between two methods, each image's difference could as well have
    the other sign. The p-value is the share of random signs whose mean is at least as
    far from zero as the true one, the true signs among them (R. A. Fisher, "The Design
    of Experiments", 1935).

    Parameters
    ----------
    differences : ndarray, shape (N,)
        One per image, at least one.
    num_flips, seed : int

    Returns
    -------
    float
        Never below 1 / (num_flips + 1).

    Examples
    --------
    >>> sign_flip_p(np.zeros(5))
    1.0
    """
    rng = np.random.default_rng(seed)
    observed = abs(differences.sum())
    # Sums of the same terms in another order differ in their last bits.
    reached = observed * (1 - 1e-9)
    count, left = 1, num_flips
    while left:
        rows = min(left, max(1, CHUNK // len(differences)))
        signs = rng.integers(0, 2, (rows, len(differences)), dtype=np.int8)
        sums = 2 * (signs @ differences) - differences.sum()
        count += int((np.abs(sums) >= reached).sum())
        left -= rows
    return count / (num_flips + 1)
