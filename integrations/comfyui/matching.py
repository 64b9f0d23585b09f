"""Match an inpainted region with the untouched picture around it."""

from typing import Any

import numpy as np

from imharmony import Curves, Harmonizer
from imharmony.curves.fitting import fit_curves

from .batches import FloatArray

__all__ = ["blend", "match_region", "measure_drift"]

BLOCK_PX = 8  # latents are 8 times smaller; their noise is gone from means of a block
MIN_BLOCKS = 64
MAX_RMS = 4.0  # 8-bit steps. More is not a drift of colors: the content differs.


def match_region(
    original: FloatArray,
    inpainted: FloatArray,
    mask: FloatArray,
    harmonizer: Harmonizer,
    *,
    strength: float = 1.0,
    undo_drift: bool = True,
    **options: Any,
) -> tuple[FloatArray, Curves]:
    """Put an inpainted region into its original, in the original's colors.

    Parameters
    ----------
    original, inpainted : ndarray of float32, shape (H, W, 3)
        RGB, sRGB-encoded, in [0, 1].
    mask : ndarray of float32, shape (H, W)
        1 where it was inpainted; values between blend.
    harmonizer : Harmonizer
    strength : float
        0 gives the inpainted region as it is.
    undo_drift : bool
        Whether to undo first what `measure_drift` finds.
    **options
        For the harmonizer: label and seam.

    Returns
    -------
    matched : ndarray of float32, shape (H, W, 3)
        The original bit for bit where the mask is 0.
    curves : Curves
        What was applied to the inpainted region.
    """
    drift = Curves.identity()
    if undo_drift:
        drift = measure_drift(inpainted, original, mask)
    composite = blend(original, np.clip(drift(inpainted), 0, 1), mask)
    curves = drift.then(harmonizer(composite, mask, **options).curves)
    curves = curves.blend(strength)
    return blend(original, np.clip(curves(inpainted), 0, 1), mask), curves


def measure_drift(before: FloatArray, after: FloatArray, mask: FloatArray) -> Curves:
    """Find the curves that lead from one picture to the other outside the mask.

    A picture that goes through a diffusion model's encoder and decoder comes back with
    other colors also where nothing was inpainted. There, both pictures show the same
    thing, so that the change can be read off them pixel by pixel.

    Parameters
    ----------
    before, after : ndarray of float32, shape (H, W, 3)
    mask : ndarray of float32, shape (H, W)

    Returns
    -------
    Curves
        The identity if the pictures are equal there, if less than `MIN_BLOCKS` blocks
        of `BLOCK_PX` lie wholly outside the mask, or if no curves explain the
        difference (root of the mean squared error above `MAX_RMS`).
    """
    outside = _block_means(mask[..., np.newaxis])[..., 0] == 0
    rows, columns = outside.nonzero()
    if len(rows) < MIN_BLOCKS:
        return Curves.identity()
    old = _block_means(before)[rows, columns].T[:, np.newaxis]  # (3, 1, N)
    new = _block_means(after)[rows, columns].T[:, np.newaxis]
    if np.array_equal(old, new):
        return Curves.identity()
    fitted = fit_curves(old, new, np.ones(old.shape[1:]))
    return fitted.curves if fitted.rms <= MAX_RMS else Curves.identity()


def blend(below: FloatArray, above: FloatArray, mask: FloatArray) -> FloatArray:
    """Lay one picture over another; where the mask is 0 or 1, bits are kept."""
    weight = mask[..., np.newaxis]
    mixed = below + weight * (above - below)
    return np.where(weight == 0, below, np.where(weight == 1, above, mixed))


def _block_means(picture: FloatArray) -> FloatArray:
    """Average blocks (H, W, C) -> (H // 8, W // 8, C); a rest is left out."""
    height, width = (length // BLOCK_PX for length in picture.shape[:2])
    whole = picture[: height * BLOCK_PX, : width * BLOCK_PX]
    blocks = whole.reshape(height, BLOCK_PX, width, BLOCK_PX, -1)
    return np.asarray(blocks.mean(axis=(1, 3)))
