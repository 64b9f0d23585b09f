"""Baselines that need no training.

Color transfer by means and deviations in the decorrelated log-LMS space l-alpha-beta:
E. Reinhard, M. Ashikhmin, B. Gooch, P. Shirley, "Color Transfer between Images",
IEEE Computer Graphics and Applications 21(5), 2001. As in most uses of it, the
transform is applied to sRGB-encoded values.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LAB_FROM_LOG_LMS", "LMS_FROM_RGB", "lab_statistics", "reinhard"]

FloatArray = npt.NDArray[np.floating[Any]]

LMS_FROM_RGB = np.array(
    [
        [0.3811, 0.5783, 0.0402],
        [0.1967, 0.7244, 0.0782],
        [0.0241, 0.1288, 0.8444],
    ]
)
"""Reinhard et al., equation (4)."""

LAB_FROM_LOG_LMS = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]
)
"""Reinhard et al., equation (6); orthonormal, so its inverse is its transpose."""

MIN_LMS = 1 / 255  # below this the logarithm would blow noise up


def lab_from_rgb(rgb: FloatArray) -> FloatArray:
    """Turn (N, 3) RGB in [0, 1] into l, alpha, beta."""
    lms = np.maximum(rgb @ LMS_FROM_RGB.T, MIN_LMS)
    return np.asarray(np.log10(lms) @ LAB_FROM_LOG_LMS.T)


def rgb_from_lab(lab: FloatArray) -> FloatArray:
    """Turn l, alpha, beta (N, 3) into RGB, which may leave [0, 1]."""
    return np.asarray(10 ** (lab @ LAB_FROM_LOG_LMS) @ np.linalg.inv(LMS_FROM_RGB).T)


def lab_statistics(
    rgb: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted mean and standard deviation of (N, 3) RGB in l-alpha-beta.

    Returns
    -------
    tuple of ndarray
        Two of shape (3,).
    """
    lab = lab_from_rgb(rgb)
    mean = np.average(lab, axis=0, weights=weight)
    return mean, np.sqrt(np.average((lab - mean) ** 2, axis=0, weights=weight))


def reinhard(
    composite: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Give the foreground the background's means and deviations.

    Parameters
    ----------
    composite : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB-encoded.
    mask : ndarray of uint8, shape (H, W)
        255 = foreground; values between blend.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        The composite itself where there is no foreground or no background.

    Examples
    --------
    A foreground that already has the background's statistics stays:

    >>> rng = np.random.default_rng(0)
    >>> half = rng.integers(40, 200, (8, 8, 3), dtype=np.uint8)
    >>> composite = np.concatenate([half, half], axis=1)
    >>> mask = np.zeros((8, 16), np.uint8)
    >>> mask[:, :8] = 255
    >>> int(np.abs(reinhard(composite, mask).astype(int) - composite).max())
    0
    """
    weight = mask.reshape(-1) / 255.0
    if weight.sum() in (0, weight.size):
        return composite
    rgb = composite.reshape(-1, 3) / 255.0
    mean_f, deviation_f = lab_statistics(rgb, weight)
    mean_b, deviation_b = lab_statistics(rgb, 1 - weight)
    lab = (lab_from_rgb(rgb) - mean_f) * (deviation_b / np.maximum(deviation_f, 1e-6))
    moved = rgb_from_lab(lab + mean_b).clip(0, 1)
    out = weight[:, None] * moved + (1 - weight[:, None]) * rgb
    rounded: npt.NDArray[np.uint8] = np.rint(out * 255).astype(np.uint8)
    return rounded.reshape(composite.shape)
