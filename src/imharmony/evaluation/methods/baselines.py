"""Baselines that need no training, and the ceiling of all methods with one curve.

Reinhard's color transfer goes by means and deviations in the decorrelated log-LMS
space l-alpha-beta: E. Reinhard, M. Ashikhmin, B. Gooch, P. Shirley, "Color Transfer
between Images", IEEE Computer Graphics and Applications 21(5), 2001. As in most uses
of it, the transform is applied to sRGB-encoded values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.evaluation.protocols.metrics import (
    Recoloring,
    cut,
    scene_composite,
)
from imharmony.evaluation.protocols.scene import Scene
from imharmony.images.pixels import Box

__all__ = [
    "LAB_FROM_LOG_LMS",
    "LMS_FROM_RGB",
    "ceiling",
    "has_regions",
    "lab_statistics",
    "match_histograms",
    "recolor_by",
    "recolor_by_picture",
    "recolor_by_table",
    "reinhard",
]

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
    lms = np.maximum(_mix(rgb, LMS_FROM_RGB), MIN_LMS)
    return _mix(np.log10(lms), LAB_FROM_LOG_LMS)


def rgb_from_lab(lab: FloatArray) -> FloatArray:
    """Turn l, alpha, beta (N, 3) into RGB, which may leave [0, 1]."""
    return _mix(10 ** _mix(lab, LAB_FROM_LOG_LMS.T), np.linalg.inv(LMS_FROM_RGB))


def _mix(colors: FloatArray, matrix: FloatArray) -> FloatArray:
    """Multiply colors (N, 3) by a matrix."""
    # Not `@`: BLAS would start threads of its own beside those that score.
    return np.asarray(np.einsum("nc,dc->nd", colors, matrix))


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


def reinhard(scene: Scene) -> Recoloring:
    """Give the foreground the background's means and deviations in l-alpha-beta.

    Parameters
    ----------
    scene : Scene
        The mask's gray weighs both regions and blends.

    Returns
    -------
    Recoloring
        The composite's where there is no foreground or no background.

    Examples
    --------
    A foreground that already has the background's statistics stays:

    >>> rng = np.random.default_rng(0)
    >>> half = rng.integers(40, 200, (8, 8, 3), dtype=np.uint8)
    >>> composite = np.concatenate([half, half], axis=1)
    >>> mask = np.zeros((8, 16), np.uint8)
    >>> mask[:, :8] = 255
    >>> moved = reinhard(Scene(composite, composite, mask))
    >>> bool(np.abs(moved(Box(0, 0, 8, 16)) - composite).max() < 1e-6)
    True
    """
    if not has_regions(scene.mask):
        return scene_composite(scene)
    mean_f, deviation_f, mean_b, deviation_b = _measure_scene(scene)
    scale = deviation_b / np.maximum(deviation_f, 1e-6)

    def moved(rgb: FloatArray) -> FloatArray:
        lab = (lab_from_rgb(rgb) - mean_f) * scale + mean_b
        return np.clip(rgb_from_lab(lab), 0, 1)

    return recolor_by(scene, lambda levels: moved(levels / 255.0) * 255)


def match_histograms(scene: Scene) -> Recoloring:
    """Give the foreground the background's distribution, channel by channel.

    A level goes to the level at which the background's cumulative histogram is as
    high as the foreground's, between two levels in proportion (R. C. Gonzalez, R. E.
    Woods, "Digital Image Processing", histogram specification).

    Returns
    -------
    Recoloring
        The composite's where there is no foreground or no background.
    """
    if not has_regions(scene.mask):
        return scene_composite(scene)
    table = np.empty((3, 256))
    inside = _sum_levels(scene, lambda tile: _read_weights(scene, tile))
    outside = _sum_levels(scene, lambda tile: 1 - _read_weights(scene, tile))
    for channel in range(3):
        foreground, background = inside[channel], outside[channel]
        levels = np.flatnonzero(background)
        heights = np.cumsum(background[levels]) / background.sum()
        wanted = np.cumsum(foreground) / foreground.sum()
        table[channel] = np.interp(wanted, heights, levels)
    return recolor_by_table(scene, table)


def ceiling(scene: Scene) -> Recoloring:
    """Recolor by the best curve there is: what no method with one curve can beat.

    The curve of a channel takes each level to the mean of the real photo's levels
    where the composite has it, inside the mask: the conditional mean, which no other
    table beats in squared error. It needs the real photo, so it is a bound, not a
    method.
    """
    if not scene.mask.any():
        return scene_composite(scene)
    counts = _sum_levels(scene, lambda tile: _read_weights(scene, tile))
    sums = _sum_levels(
        scene, lambda tile: _read_weights(scene, tile) * tile.view(scene.real)
    )
    table = np.where(counts > 0, sums / np.maximum(counts, 1e-9), np.arange(256))
    return recolor_by_table(scene, table)


def has_regions(mask: npt.NDArray[Any]) -> bool:
    """Whether a mask leaves both a foreground and a background."""
    return bool(mask.any()) and bool(mask.min() < 255)


def recolor_by_table(scene: Scene, table: FloatArray) -> Recoloring:
    """Recolor the foreground by a table of levels 0 … 255, of shape (3, 256)."""
    return recolor_by(
        scene,
        lambda levels: np.stack(
            [table[channel][levels[:, channel]] for channel in range(3)], axis=-1
        ),
    )


def recolor_by(
    scene: Scene, change: Callable[[npt.NDArray[np.uint8]], FloatArray]
) -> Recoloring:
    """Blend what a function makes of colors (N, 3) over the composite by the mask."""

    def recolor(tile: Box) -> FloatArray:
        mask, composite = tile.view(scene.mask), tile.view(scene.composite)
        levels = composite.astype(np.float64)
        is_inside = mask > 0
        weight = (mask[is_inside] / 255.0)[:, None]
        old = composite[is_inside]
        levels[is_inside] = weight * change(old) + (1 - weight) * old
        return levels

    return recolor


def recolor_by_picture(scene: Scene, picture: npt.NDArray[np.uint8]) -> Recoloring:
    """Blend a picture (H, W, 3) over the composite by the mask."""

    def recolor(tile: Box) -> FloatArray:
        weight = _read_weights(scene, tile)
        return weight * tile.view(picture) + (1 - weight) * tile.view(scene.composite)

    return recolor


def _measure_scene(
    scene: Scene,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean and deviation of the foreground, then of the background, in l-alpha-beta."""
    moments = np.zeros((2, 3, 3))  # region; weight, first and second moment; channel
    for tile in cut(Box(0, 0, *scene.size)):
        lab = lab_from_rgb(tile.view(scene.composite).reshape(-1, 3) / 255.0)
        inside = tile.view(scene.mask).reshape(-1) / 255.0
        for region, weight in enumerate((inside, 1 - inside)):
            moments[region, 0] += weight.sum()
            moments[region, 1] += np.einsum("n,nc->c", weight, lab)
            moments[region, 2] += np.einsum("n,nc,nc->c", weight, lab, lab)
    sums, first, second = moments.transpose(1, 0, 2)
    mean = first / sums
    deviation = np.sqrt(np.maximum(second / sums - mean * mean, 0))
    return mean[0], deviation[0], mean[1], deviation[1]


def _sum_levels(scene: Scene, weigh: Callable[[Box], FloatArray]) -> FloatArray:
    """Sum weights (h, w, 1) or (h, w, 3) over the composite's levels: (3, 256)."""
    sums = np.zeros((3, 256))
    for tile in cut(Box(0, 0, *scene.size)):
        composite = tile.view(scene.composite)
        weights = np.broadcast_to(weigh(tile), composite.shape)
        for channel in range(3):
            levels = composite[..., channel].ravel()
            weight = weights[..., channel].ravel()
            sums[channel] += np.bincount(levels, weight, minlength=256)
    return sums


def _read_weights(scene: Scene, tile: Box) -> FloatArray:
    return np.asarray(tile.view(scene.mask) / 255.0)[..., None]
