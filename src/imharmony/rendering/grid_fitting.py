"""Fit the nodes of a bilateral grid to the change of a small picture.

With x the unknowns of one channel, all nodes after each other, the fit minimizes

    sum of s_n · (f_n · x − d_n)²             what the pixels say
    + SPATIAL_COST / M · sum of (x_i − x_j)²  neighboring nodes i, j stay alike
    + TONE_COST / M · sum of (bends of x_i)²  the curve of each node stays straight
    + RIDGE_COST / M · |x|²                   what nothing tells stays 0

over N pixels with shares s_n and changes d_n, and M nodes. The features f_n of a pixel
are those of its color times its weights among the four nodes around it, so a pixel
couples only these. An affine map of the whole foreground is fitted first; the nodes get
what it leaves. So nodes without pixels take their neighbors' change, and values without
pixels continue the curve.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.images.pixels import Box

__all__ = ["NUM_FEATURES", "NUM_KNOTS", "fit_nodes", "weigh_knots"]

FloatArray = npt.NDArray[np.floating[Any]]

NUM_KNOTS = 9
"""Of a node's curve for one channel, evenly spaced from 0 to 1."""

NUM_FEATURES = NUM_KNOTS + 3
"""Of one channel: its hats, then R, G, B."""

MAX_CELLS = 10
"""Along each side of the foreground's box; at least half as many in large photos."""

# What deviations cost, where the mean squared error of the fit costs its own size.
# Chosen on four photographs under nine changes of light and look, shrunk to 128 x 128:
# a tenth or ten times of the first two changes the error of most by less than a fifth.
SPATIAL_COST = 1e-3  # of a squared difference between neighboring nodes
TONE_COST = 1e-3  # of a squared bend of a node's curve
RIDGE_COST = 1e-7  # of what a node adds to the affine map of the whole foreground
AFFINE_RIDGE_COST = 1e-6  # of that map itself: what few colors leave open is no change

# OpenBLAS starts threads for products of more than 2**18 multiplications; on a busy
# machine they wait for each other, and a fit of 0.1 s took 3 s. So products are kept
# below, here and in `_solve` (12 nodes of 12 unknowns: 144 * 12 * 144).
_GROUP_PIXELS = 2**18 // (4 * NUM_FEATURES) ** 2  # 113


def fit_nodes(
    before: FloatArray,
    after: FloatArray,
    weights: FloatArray,
    *,
    box: Box,
    size: tuple[int, int],
) -> tuple[tuple[int, int], FloatArray]:
    """Fit nodes to the change of a small picture; parameters as `BilateralGrid.fit`.

    Returns
    -------
    tuple
        The distances of nodes (height, width) in pixels of the photo, and the nodes,
        (rows, columns, 3, NUM_FEATURES).
    """
    rows, columns = weights.nonzero()
    share = weights[rows, columns].astype(np.float64)
    share /= share.sum()
    colors = before[:, rows, columns].T.astype(np.float64)  # (N, 3)
    change = after[:, rows, columns].T - colors
    affine = _fit_affine(colors, change, share)  # (4, 3)
    change -= colors @ affine[:3] + affine[3]
    scale = size[0] / weights.shape[0], size[1] / weights.shape[1]
    cell = _choose_cell(box.height, scale[0]), _choose_cell(box.width, scale[1])
    down = ((rows + 0.5) * scale[0] - box.top).clip(0, box.height)
    across = ((columns + 0.5) * scale[1] - box.left).clip(0, box.width)
    places = _Places.among(
        down / cell[0],
        across / cell[1],
        shape=(-(-box.height // cell[0]) + 1, -(-box.width // cell[1]) + 1),
    )
    nodes = np.empty((*places.shape, 3, NUM_FEATURES))
    for c in range(3):
        features = np.concatenate([weigh_knots(colors[:, c]), colors], axis=1)  # (N, F)
        nodes[:, :, c] = _fit_channel(features, change[:, c], share, places)
    nodes[..., :NUM_KNOTS] += affine[3][:, None]
    nodes[..., NUM_KNOTS:] += affine[:3].T
    return cell, nodes


def weigh_knots(values: FloatArray) -> FloatArray:
    """Share values (N,) of [0, 1] between the two knots around: (N, NUM_KNOTS)."""
    knots = np.arange(NUM_KNOTS) / (NUM_KNOTS - 1)
    distance = np.abs(values[:, None] - knots) * (NUM_KNOTS - 1)
    return np.asarray(np.maximum(1 - distance, 0))


@dataclass(frozen=True)
class _Places:
    """Where N small pixels lie among the nodes."""

    shape: tuple[int, int]
    """(rows, columns) of nodes."""
    weights: FloatArray
    """(N, 4): of the nodes around, row by row."""
    groups: list[tuple[int, int, npt.NDArray[np.intp]]]
    """Row and column of a cell, and pixels in it, at most `_GROUP_PIXELS`."""

    @classmethod
    def among(
        cls, down: FloatArray, across: FloatArray, *, shape: tuple[int, int]
    ) -> "_Places":
        """Find the places of pixels, given in steps between nodes."""
        row = np.minimum(down.astype(np.intp), shape[0] - 2)
        column = np.minimum(across.astype(np.intp), shape[1] - 2)
        v, u = (down - row)[:, None], (across - column)[:, None]
        weights = np.concatenate(
            [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u], axis=1
        )
        cell = row * shape[1] + column
        order = np.argsort(cell, kind="stable")
        starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
        groups = [
            (int(row[whole[0]]), int(column[whole[0]]), whole[first:][:_GROUP_PIXELS])
            for whole in np.split(order, starts[1:])
            for first in range(0, len(whole), _GROUP_PIXELS)
        ]
        return cls(shape, weights, groups)


def _choose_cell(extent: int, small_pixel: float) -> int:
    """Choose how far nodes are apart; not less than a pixel of the small picture."""
    return int(2 ** math.ceil(math.log2(max(extent / MAX_CELLS, small_pixel, 1))))


def _fit_affine(
    colors: FloatArray, change: FloatArray, share: FloatArray
) -> FloatArray:
    """Map colors (N, 3) to their changes (N, 3) as a matrix (4, 3), offset last."""
    features = np.column_stack([colors, np.ones(len(colors))])
    gram = np.einsum("n,ni,nj->ij", share, features, features, optimize=False)
    moment = np.einsum("n,ni,nj->ij", share, features, change, optimize=False)
    return np.linalg.solve(gram + AFFINE_RIDGE_COST * np.eye(4), moment)


def _fit_channel(
    features: FloatArray, change: FloatArray, share: FloatArray, places: _Places
) -> FloatArray:
    """Fit one channel of all nodes to changes (N,): (rows, columns, F).

    The objective above has its minimum where `matrix @ x == right`.
    """
    num_rows, num_columns = places.shape
    matrix, right = _sum_pixels(features, change, share, places)
    _add_costs(matrix, places.shape)
    band = (num_columns + 1) * NUM_FEATURES
    nodes = _solve(matrix, right, block=NUM_FEATURES, band=band)
    return nodes.reshape(num_rows, num_columns, NUM_FEATURES)


def _sum_pixels(
    features: FloatArray, change: FloatArray, share: FloatArray, places: _Places
) -> tuple[FloatArray, FloatArray]:
    """Sum s_n · f_n f_nᵀ and s_n · d_n f_n, cell by cell."""
    num_rows, num_columns = places.shape
    F = NUM_FEATURES
    num_unknowns = num_rows * num_columns * F
    matrix, right = np.zeros((num_unknowns, num_unknowns)), np.zeros(num_unknowns)
    for row, column, group in places.groups:
        spread = places.weights[group][:, :, None] * features[group][:, None]
        spread = spread.reshape(len(group), 4 * F)
        weighted = spread.T * share[group]
        first = (row * num_columns + column) * F
        below = first + num_columns * F
        around = np.r_[first : first + 2 * F, below : below + 2 * F]
        matrix[np.ix_(around, around)] += weighted @ spread
        right[around] += weighted @ change[group]
    return matrix, right


def _add_costs(matrix: FloatArray, shape: tuple[int, int]) -> None:
    """Add what bends, unlike neighbors and any change at all cost."""
    num_rows, num_columns = shape
    num_nodes = num_rows * num_columns
    F = NUM_FEATURES
    bend = np.zeros((F, F))
    bend[:NUM_KNOTS, :NUM_KNOTS] = _make_differences(NUM_KNOTS, order=2)
    alone = (TONE_COST * bend + RIDGE_COST * np.eye(F)) / num_nodes
    for i in range(0, num_nodes * F, F):
        matrix[i : i + F, i : i + F] += alone
    alike = np.kron(_make_differences(num_rows), np.eye(num_columns))
    alike += np.kron(np.eye(num_rows), _make_differences(num_columns))
    unknowns = np.arange(F)
    for i, j in np.argwhere(alike):
        cost = SPATIAL_COST / num_nodes * alike[i, j]
        matrix[i * F + unknowns, j * F + unknowns] += cost


def _make_differences(count: int, *, order: int = 1) -> FloatArray:
    """Sum of squared differences of neighbors in a line, as a quadratic form."""
    step = np.diff(np.eye(count), n=order, axis=0)
    return np.asarray(step.T @ step)


def _solve(
    matrix: FloatArray, right: FloatArray, *, block: int, band: int
) -> FloatArray:
    """Solve a symmetric positive system by blocks; spoils its input.

    Gauss elimination: with the first block's unknowns y and the others z,

        A y + C z = b,  Cᵀ y + D z = d   gives   (D − Cᵀ A⁻¹ C) z = d − Cᵀ A⁻¹ b,

    block after block; then y = A⁻¹ b − A⁻¹ C z, from the last block back. No unknown is
    coupled to one more than a band behind its block, so only that part of D changes.
    """
    starts = range(0, len(right), block)
    for i in starts:
        at, ahead = slice(i, i + block), slice(i + block, i + block + band)
        coupling = matrix[at, ahead]
        solved = np.linalg.solve(
            matrix[at, at], np.column_stack([coupling, right[at]])
        )  # A⁻¹ C and A⁻¹ b
        matrix[ahead, ahead] -= coupling.T @ solved[:, :-1]
        right[ahead] -= coupling.T @ solved[:, -1]
        matrix[at, ahead], right[at] = solved[:, :-1], solved[:, -1]
    for i in reversed(starts):
        ahead = slice(i + block, i + block + band)
        right[i : i + block] -= matrix[i : i + block, ahead] @ right[ahead]
    return right
