"""The strongest simple baseline: an affine fit over the pixels at the mask's edge.

No learning: where the foreground came from the same scene, pixels that face each other
across the edge show the same materials, so per channel a gain and an offset that bring
one side to the other come near the truth.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.evaluation.methods.baselines import has_regions, recolor_by_table
from imharmony.evaluation.protocols.metrics import Recoloring, scene_composite
from imharmony.evaluation.protocols.scene import Scene
from imharmony.images import photo
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.inference.seam import sample_seam

__all__ = ["fit_across_seam"]

FloatArray = npt.NDArray[np.floating[Any]]

_ROUNDS = 15
_MAX_GAIN = 5.0
_VARIANCE = 1e-4  # of two sides without contrast: their gain is 1


def fit_across_seam(scene: Scene) -> Recoloring:
    """Give the foreground the gain and offset that fit its edge to what faces it.

    Parameters
    ----------
    scene : Scene
        Its facing pixels are sampled as the networks' are, at the size it has.

    Returns
    -------
    Recoloring
        The composite's where there is no seam.
    """
    mask = np.rint(scene.mask).astype(np.uint8)
    if not has_regions(mask):
        return scene_composite(scene)
    mask_image = mask_from_array(mask, size=scene.size)
    box = mask_box(mask_image)
    if box is None:
        return scene_composite(scene)
    seam = sample_seam(photo.from_array(scene.composite), mask_image, box)
    if not seam.num_pairs:
        return scene_composite(scene)
    nearest = seam.colors[0, : seam.num_pairs].astype(np.float64)
    table = np.empty((3, 256))
    for channel in range(3):
        gain, offset = _fit(nearest[:, channel], nearest[:, channel + 3])
        table[channel] = gain * np.arange(256) + 255 * offset
    return recolor_by_table(scene, table.clip(0, 255))


def _fit(inner: FloatArray, outer: FloatArray) -> tuple[float, float]:
    """Bring one side's mean and deviation to the other's; outliers weigh less.

    The ratio of deviations, not the slope of a regression: both sides are noisy, and a
    slope would come out too small.
    """
    weight = np.ones(len(inner))
    gain, offset = 1.0, 0.0
    for _ in range(_ROUNDS):
        mean_in, mean_out = (np.average(x, weights=weight) for x in (inner, outer))
        variance_in, variance_out = (
            np.average((x - mean) ** 2, weights=weight)
            for x, mean in ((inner, mean_in), (outer, mean_out))
        )
        gain = ((variance_out + _VARIANCE) / (variance_in + _VARIANCE)) ** 0.5
        gain = float(np.clip(gain, 1 / _MAX_GAIN, _MAX_GAIN))
        offset = float(mean_out - gain * mean_in)
        missed = np.abs(outer - gain * inner - offset)
        scale = max(1.4826 * float(np.median(missed)), 1 / 255)
        weight = 1 / (1 + (missed / (2 * scale)) ** 2)  # Cauchy's
    return gain, offset
