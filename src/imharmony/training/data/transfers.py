"""Looks that take the colors of another photograph's object, as iHarmony4 did.

reinhard
    Means and deviations in the decorrelated log-LMS space of E. Reinhard et al.,
    "Color Transfer between Images", IEEE CG&A 21(5), 2001.
xiao
    Means and covariances of RGB: X. Xiao, L. Ma, "Color Transfer in Correlated Color
    Space", VRCIA 2006.
fecker
    Cumulative histograms per channel, after U. Fecker et al., "Histogram-Based
    Prefiltering for Luminance and Chrominance Compensation of Multiview Video", IEEE
    TCSVT 18(9), 2008. Differs from the paper: red, green and blue in place of luma and
    chroma, and few quantiles.
pitie
    The whole distribution, by one-dimensional matches along rotated axes, and the
    grain of the original put back where pictures are large: F. Pitié, A. C. Kokaram,
    R. Dahyot, "Automated Colour Grading Using Colour Distribution Transfer", CVIU
    107(1-2), 2007.

All take some pixels of both objects, uint8 (3, N), RGB, sRGB-encoded, and a strength
from 0, nothing, to 1, all of the transfer.

Examples
--------
A gray object takes on the other's gray:

>>> own, other = (np.full((3, 9), level, np.uint8) for level in (50, 100))
>>> [f"{make(own, other, 1.0).apply(own)[0, 0]:.2f}" for make in TRANSFERS.values()]
['0.39', '0.39', '0.39', '0.39']
"""

import numpy as np

from imharmony.evaluation.methods.baselines import lab_statistics
from imharmony.training.data.looks import (
    LEVELS,
    UNTOUCHED,
    FloatArray,
    Look,
    UInt8Array,
    lattice,
)

__all__ = [
    "TRANSFERS",
    "fecker_look",
    "pitie_look",
    "regrain",
    "reinhard_look",
    "xiao_look",
]

MAX_SCALE = 2.5  # more contrast shows the noise of the original, less leaves no object


def reinhard_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Move means and deviations to another object's, within a factor of 2.5."""
    mean, deviation = lab_statistics(own.T / 255, np.ones(own.shape[1]))
    mean_other, deviation_other = lab_statistics(other.T / 255, np.ones(other.shape[1]))
    scale = deviation_other / np.maximum(deviation, 1e-3)
    scale = scale.clip(1 / MAX_SCALE, MAX_SCALE)
    offset = mean_other - scale * mean
    transfer = np.stack([np.full(3, strength), scale, offset]).astype(np.float32)
    return UNTOUCHED._replace(transfer=transfer)


def fecker_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Match 33 quantiles of each channel: few enough to stay smooth."""
    ranks = np.linspace(0, 1, 33)
    rising = np.arange(35) * 1e-9  # np.interp wants knots that rise
    table = np.empty((3, 256))
    own_knots, other_knots = (_find_quantiles(p, ranks) for p in (own, other))
    for c in range(3):
        knots_x = np.concatenate([[0.0], own_knots[:, c], [1.0]]) + rising
        knots_y = np.concatenate([[0.0], other_knots[:, c], [1.0]])
        table[c] = np.interp(LEVELS, knots_x, knots_y)
    table = LEVELS + strength * (table - LEVELS)
    return Look(table.astype(np.float32))


def _find_quantiles(pixels: UInt8Array, ranks: FloatArray) -> FloatArray:
    """Heights in [0, 1] of the values (3, N) at ranks in [0, 1], (R, 3).

    As np.quantile gives them, but bytes are sorted much faster than floats.
    """
    place = ranks * (pixels.shape[1] - 1)
    below = place.astype(np.intp)
    above = np.minimum(below + 1, pixels.shape[1] - 1)
    values = np.sort(pixels, axis=1) / 255
    low, high = values[:, below], values[:, above]
    heights: FloatArray = (low + (high - low) * (place - below)).T
    return heights


def xiao_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Move mean and principal axes to another object's, within a factor of 2.5.

    Differs from the paper: an axis and its negative are the same axis, and which of
    them a decomposition returns is chance, so the nearer one is taken. Otherwise
    light would turn dark now and then.
    """
    mean, mean_other = (p.mean(axis=1)[:, None] / 255 for p in (own, other))
    variances, axes = np.linalg.eigh(np.cov(own / 255))
    variances_other, axes_other = np.linalg.eigh(np.cov(other / 255))
    axes_other = axes_other * np.where((axes * axes_other).sum(axis=0) < 0, -1, 1)
    scale = np.sqrt(variances_other.clip(1e-6) / variances.clip(1e-6))
    turn = axes_other * scale.clip(1 / MAX_SCALE, MAX_SCALE) @ axes.T  # (3, 3)
    # A linear function is what is interpolated between the corners of the cube.
    corners = lattice(2)
    return _make_grid_look(corners, turn @ (corners - mean) + mean_other, strength)


# On 24 pairs of objects, whose distributions lie 42 8-bit steps apart: twelve steps
# leave 0.9 (six 2.1, twenty 0.7), and 2.3 when the points of this grid carry them (17³:
# 4.0). Grid and unevenly spread pixels differ by 6 steps: the grid is the smoother one.
PITIE_GRID = 33
_PITIE_STEPS = 12
_PITIE_KNOTS = 65


def pitie_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Match the distributions along the axes of twelve rotations, one after another.

    The points of a grid move along with the pixels, so that the transfer becomes a
    function of a color: beyond the object's own colors it shifts by a constant.
    """
    points = np.concatenate([own / 255, lattice(PITIE_GRID)], axis=1)
    moved = _transfer_distribution(points, own.shape[1], other / 255)
    points = points[:, own.shape[1] :]
    look = _make_grid_look(points, moved[:, own.shape[1] :], strength)
    return look._replace(is_grainy=True)


def _transfer_distribution(
    points: FloatArray, count: int, other: FloatArray
) -> FloatArray:
    """Move points (3, M) so that the first `count` are distributed as others (3, N)."""
    rising = np.arange(_PITIE_KNOTS) * 1e-9  # np.interp wants knots that rise
    ranks, ranks_other = (
        np.linspace(0, n - 1, _PITIE_KNOTS).round().astype(int)
        for n in (count, other.shape[1])
    )
    for rotation in _draw_rotations():
        turned = rotation @ points
        sorted_own = np.sort(turned[:, :count])[:, ranks]  # (3, 65)
        sorted_other = np.sort(rotation @ other)[:, ranks_other]
        for c in range(3):
            knots = sorted_own[c] + rising
            turned[c] += np.interp(turned[c], knots, sorted_other[c] - knots)
        points = rotation.T @ turned
    return points


def _draw_rotations() -> FloatArray:
    """Give the same evenly random rotations at every call, (12, 3, 3); none first."""
    random = np.random.default_rng(0).normal(size=(_PITIE_STEPS, 3, 3))
    random[0] = np.eye(3)
    return np.linalg.qr(random)[0]


def _make_grid_look(points: FloatArray, moved: FloatArray, strength: float) -> Look:
    """Make a look that moves the points of a lattice, (3, n³)."""
    n = round(points.shape[1] ** (1 / 3))
    grid = (points + strength * (moved - points)).T.reshape(n, n, n, 3)
    return UNTOUCHED._replace(grid=np.ascontiguousarray(grid, np.float32))


TRANSFERS = {
    "reinhard": reinhard_look,
    "fecker": fecker_look,
    "xiao": xiao_look,
    "pitie": pitie_look,
}


def regrain(original: FloatArray, moved: FloatArray, mask: UInt8Array) -> FloatArray:
    """Give recolored pixels the grain of the original back.

    Finds the picture whose gradients are the original's and whose colors are the
    recolored ones, weighing gradients more where the original is flat and colors more
    at its edges. That is the original plus a smoothed change, solved from coarse to
    fine.

    Parameters
    ----------
    original, moved : ndarray of float32, shape (3, H, W)
        RGB, sRGB-encoded, [0, 1].
    mask : ndarray of uint8, shape (H, W)
        Where `moved` means anything: above 0.

    Returns
    -------
    ndarray of float32, shape (3, H, W)
        May leave [0, 1] a little. `moved` itself where the mask is 0.

    Notes
    -----
    With I the original and T the recolored picture, J minimizes the sum of
    φ·|∇J − ∇I|² + ψ·|J − T|², φ = 30 / (1 + 10·|∇I|), ψ = min(|∇I| / 5, 1) with
    gradients in 8-bit steps: after the second stage of Pitié et al., 2007.

    Examples
    --------
    A change that is the same everywhere has no grain of its own:

    >>> original = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    >>> mask = np.full((8, 8), 255, np.uint8)
    >>> regrained = regrain(original, original + np.float32(0.1), mask)
    >>> float(np.abs(regrained - original - 0.1).max()) < 1e-6
    True
    """
    inside = (mask > 0).astype(np.float32)
    change = _smooth(original, moved - original, inside, level=0)
    return np.where(inside > 0, original + change, moved)


_SWEEPS = (4, 16, 32, 64)  # at full size, half, a quarter, and below


def _smooth(
    original: FloatArray, change: FloatArray, inside: FloatArray, *, level: int
) -> FloatArray:
    """Smooth a change (3, H, W) where the original is flat; starts from half size."""
    height, width = inside.shape
    smooth = change
    if min(height, width) >= 8:
        half = _smooth(
            _halve(original, inside),
            _halve(change, inside),
            _halve(inside[None], np.ones_like(inside))[0],
            level=level + 1,
        )
        smooth = half.repeat(2, axis=1).repeat(2, axis=2)
        smooth = np.pad(smooth, ((0, 0), (0, 1), (0, 1)), mode="edge")
        smooth = smooth[:, :height, :width]
    around = np.pad(original, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rise_y = (around[:, 2:, 1:-1] - around[:, :-2, 1:-1]) / 2
    rise_x = (around[:, 1:-1, 2:] - around[:, 1:-1, :-2]) / 2
    steps = 255 * np.hypot(rise_y, rise_x).mean(axis=0)  # (H, W)
    colors = inside * np.minimum(steps / 5, 1)
    flatness = inside * 30 / (1 + 10 * steps)
    down = (flatness[1:] + flatness[:-1]) / 2 * (inside[1:] * inside[:-1])
    right = (flatness[:, 1:] + flatness[:, :-1]) / 2 * (inside[:, 1:] * inside[:, :-1])
    total = np.maximum(colors, 1e-6)
    total[1:] += down
    total[:-1] += down
    total[:, 1:] += right
    total[:, :-1] += right
    for _ in range(_SWEEPS[min(level, len(_SWEEPS) - 1)]):  # Jacobi's method
        pulled = np.maximum(colors, 1e-6) * change
        pulled[:, 1:] += down * smooth[:, :-1]
        pulled[:, :-1] += down * smooth[:, 1:]
        pulled[:, :, 1:] += right * smooth[:, :, :-1]
        pulled[:, :, :-1] += right * smooth[:, :, 1:]
        smooth = pulled / total
    return smooth


def _halve(x: FloatArray, weight: FloatArray) -> FloatArray:
    """Average 2×2 pixels (C, H, W) by their weight (H, W); an odd last one is lost."""
    height, width = (length // 2 * 2 for length in weight.shape)
    weight = np.maximum(weight[:height, :width], 1e-6)
    blocks = (-1, height // 2, 2, width // 2, 2)
    weighted = (x[:, :height, :width] * weight).reshape(blocks).sum(axis=(2, 4))
    halved: FloatArray = weighted / weight.reshape(blocks).sum(axis=(2, 4))
    return halved
