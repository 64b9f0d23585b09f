"""The curve as the paper renders it, for comparison."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["reference_loop"]


def reference_loop(
    composite: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    curve_params: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """Render stages of K clamped steps each over the whole frame, then blend.

    Parameters
    ----------
    composite : ndarray of uint8 or uint16, shape (H, W, 3)
        RGB, sRGB-encoded.
    mask : ndarray of uint8, shape (H, W)
        255 = foreground.
    curve_params : ndarray of float32, shape (N, 3, K)
        Slopes of N stages.

    Returns
    -------
    ndarray, shape and dtype of `composite`

    Notes
    -----
    Equation (1) of J. Liang et al., "Spatial-Separated Curve Rendering Network for
    Efficient and High-Resolution Image Harmonization", ECCV 2022, arXiv:2109.05750,
    corrected as in its released code: steps clamped at 1 / K.

    Examples
    --------
    >>> composite = np.array([[[10, 20, 30]]], dtype=np.uint8)
    >>> mask, params = np.array([[255]], np.uint8), np.ones((2, 3, 64), np.float32)
    >>> reference_loop(composite, mask, params).tolist()
    [[[10, 20, 30]]]
    """
    full = np.float32(np.iinfo(composite.dtype).max)
    x = original = composite.astype(np.float32) / full
    K = curve_params.shape[2]
    for stage in curve_params:
        y = np.zeros_like(x)
        for k in range(K):
            y += stage[:, k] * np.clip(x - np.float32(k / K), 0, np.float32(1 / K))
        x = y * (K / stage.sum(axis=1))
    M = mask[..., None] / np.float32(255)
    blended = M * x + (1 - M) * original
    return np.asarray(np.rint(blended * full).astype(composite.dtype))
