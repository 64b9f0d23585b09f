"""Local recoloring: what a network did to a small picture, done to the whole photo.

A coarse grid over the foreground holds at each node one curve per channel and a 3x3
mix of the channels; in between it is interpolated. It is fitted to the network's input
and output, and applied to the photo at its own size and depth.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.colors import BT709_LUMA
from imharmony.curves.knots import check_strength
from imharmony.errors import ShapeError
from imharmony.images import profiles
from imharmony.images.photo import FULL_SCALE, Box, from_array, to_array

__all__ = ["NUM_KNOTS", "BilateralGrid"]

FloatArray = npt.NDArray[np.floating[Any]]

NUM_KNOTS = 9
"""Of a node's curve for one channel, evenly spaced from 0 to 1."""

MAX_CELLS = 10
"""Along each side of the foreground's box; at least half as many in large photos."""

# What deviations cost, where the mean squared error of the fit costs its own size.
# Chosen on four photographs under nine changes of light and look, shrunk to 128 x 128:
# a tenth or ten times of the first two changes the error of most by less than a fifth.
SPATIAL_COST = 1e-3  # of a squared difference between neighboring nodes
TONE_COST = 1e-3  # of a squared bend of a node's curve
RIDGE_COST = 1e-7  # of what a node adds to the affine map of the whole foreground
AFFINE_RIDGE_COST = 1e-6  # of that map itself: what few colors leave open is no change

_NUM_FEATURES = NUM_KNOTS + 3  # of one channel: its hats, then R, G, B

# OpenBLAS starts threads for products of more than 2**18 multiplications; on a busy
# machine they wait for each other, and a fit of 0.1 s took 3 s. So products are kept
# below, here and in `_solve` (12 nodes of 12 unknowns: 144 * 12 * 144).
_GROUP_PIXELS = 2**18 // (4 * _NUM_FEATURES) ** 2  # 113


@dataclass(frozen=True, eq=False)
class BilateralGrid:
    """A change of color that varies smoothly over a photo; immutable.

    At a node, the change of channel c of a color I is `curve_c(I_c) + mix_c . I`, the
    curve by its knots, and between nodes it is the mean of the four around, weighted
    bilinearly.

    Parameters
    ----------
    corner : (top, left)
        Where the first node lies, in pixels of the photo, between pixels.
    cell : (height, width)
        Distances of nodes in pixels, powers of two: so that all weights are exact, and
        a part of a photo gets the bytes it gets in the whole.
    nodes : ndarray of float32, shape (rows, columns, 3, NUM_KNOTS + 3)
        For each channel the knots' heights, then the mix; changes, so 0 is none.
        Read-only.

    Raises
    ------
    ShapeError
        If `nodes` is of another shape, or has fewer than 2 rows or columns.

    Notes
    -----
    The grid over place and value is that of [1]_; fitting it between a small picture
    and its processed version, to apply it to the large one, is [2]_. Differs from
    [2]_: each channel is its own guide, and its slopes and offset of every value
    are a curve. With luminance as the one guide and an affine map at every node, as
    there, global curves and looks come out a fifth to a half farther off.

    References
    ----------
    .. [1] J. Chen, S. Paris, F. Durand, "Real-time Edge-Aware Image Processing with
       the Bilateral Grid", ACM Transactions on Graphics 26(3), 2007.
    .. [2] J. Chen, A. Adams, N. Wadhwa, S. Hasinoff, "Bilateral Guided Upsampling",
       ACM Transactions on Graphics 35(6), 2016.

    Examples
    --------
    Everything 0.2 brighter at the left end, nothing changed at the right end:

    >>> nodes = np.zeros((2, 2, 3, NUM_KNOTS + 3), np.float32)
    >>> nodes[:, 0, :, :NUM_KNOTS] = 0.2
    >>> grid = BilateralGrid((0, 0), (1, 4), nodes)
    >>> from imharmony.images.photo import from_array, to_array
    >>> gray = from_array(np.full((1, 4), 100, np.uint8))
    >>> to_array(grid.recolor(gray, Box(0, 0, 1, 4))).ravel().tolist()
    [145, 132, 119, 106]
    """

    corner: tuple[int, int]
    cell: tuple[int, int]
    nodes: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        nodes = np.array(self.nodes, np.float32)
        if nodes.shape[2:] != (3, _NUM_FEATURES) or min(nodes.shape[:2]) < 2:
            raise ShapeError(
                f"expected nodes of shape (rows, columns, 3, {_NUM_FEATURES}), at "
                f"least 2 rows and columns, got {nodes.shape}"
            )
        nodes.setflags(write=False)
        object.__setattr__(self, "nodes", nodes)

    @classmethod
    def identity(cls) -> "BilateralGrid":
        """Return a grid that changes nothing."""
        nodes = np.zeros((2, 2, 3, _NUM_FEATURES), np.float32)
        return cls((0, 0), (1, 1), nodes)

    @classmethod
    def fit(
        cls,
        before: FloatArray,
        after: FloatArray,
        weights: FloatArray,
        *,
        box: Box,
        size: tuple[int, int],
    ) -> "BilateralGrid":
        """Fit a grid to what was done to a small picture of a whole photo.

        Parameters
        ----------
        before, after : ndarray of float, shape (3, h, w)
            RGB, sRGB-encoded, in [0, 1].
        weights : ndarray of float, shape (h, w), 0 or more
            How much each small pixel counts. Where it is 0, nothing is known: the
            change goes on there as it is nearby.
        box : Box
            Of the photo's foreground, in pixels of the photo; the grid covers it.
        size : (height, width)
            Of the photo.

        Returns
        -------
        BilateralGrid
            The identity if all weights are 0.

        Notes
        -----
        Least squares: an affine map of colors for the whole foreground first, then
        for what it leaves the nodes, with neighbors kept alike and curves kept
        straight. So nodes without pixels take their neighbors' change, and values
        without pixels continue the curve.

        Examples
        --------
        >>> before = np.random.default_rng(0).uniform(0.2, 0.8, (3, 16, 16))
        >>> box = Box(0, 0, 64, 64)
        >>> grid = BilateralGrid.fit(
        ...     before, before / 2, np.ones((16, 16)), box=box, size=(64, 64)
        ... )
        >>> from imharmony.images.photo import from_array, to_array
        >>> photo = from_array(np.full((64, 64, 3), 120, np.uint8))
        >>> np.unique(to_array(grid.recolor(photo, box))).tolist()
        [60]
        """
        rows, columns = weights.nonzero()
        if not len(rows):
            return cls.identity()
        share = weights[rows, columns].astype(np.float64)
        share /= share.sum()
        colors = before[:, rows, columns].T.astype(np.float64)  # (N, 3)
        change = after[:, rows, columns].T - colors
        affine = _fit_affine(colors, change, share)  # (4, 3)
        change -= colors @ affine[:3] + affine[3]
        height, width = weights.shape
        down = (rows + 0.5) * (size[0] / height) - box.top
        across = (columns + 0.5) * (size[1] / width) - box.left
        cell = (
            _cell(box.height, size[0] / height), _cell(box.width, size[1] / width)
        )  # fmt: skip
        places = _Places.of(
            down.clip(0, box.height) / cell[0],
            across.clip(0, box.width) / cell[1],
            shape=(-(-box.height // cell[0]) + 1, -(-box.width // cell[1]) + 1),
        )
        nodes = np.empty((*places.shape, 3, _NUM_FEATURES))
        for c in range(3):
            features = np.concatenate([_hats(colors[:, c]), colors], axis=1)  # (N, F)
            nodes[:, :, c] = _fit_nodes(features, change[:, c], share, places)
        nodes[..., :NUM_KNOTS] += affine[3][:, None]
        nodes[..., NUM_KNOTS:] += affine[:3].T
        return cls((box.top, box.left), cell, nodes.astype(np.float32))

    def _key(self) -> tuple[Any, ...]:
        return self.corner, self.cell, self.nodes.shape, self.nodes.tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BilateralGrid):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed anywhere."""
        return not self.nodes.any()

    def blend(self, strength: float) -> "BilateralGrid":
        """Multiply the change: 0 gives the identity, above 1 exaggerates.

        Raises
        ------
        UsageError
            If `strength` is negative, NaN or infinite.

        Examples
        --------
        >>> BilateralGrid.identity().blend(2.0).is_identity
        True
        """
        check_strength(strength)
        return replace(self, nodes=self.nodes * np.float32(strength))

    def luminance(self) -> "BilateralGrid":
        """Give all channels the mean change, weighted as luma, for gray photos.

        The weights are those of ITU-R BT.709.
        """
        mean = np.tensordot(self.nodes, BT709_LUMA, (2, 0))  # (rows, columns, F)
        return replace(self, nodes=np.repeat(mean[:, :, None], 3, axis=2))

    @property
    def curves(self) -> None:
        """None: the change depends on the place, so no curves say it."""
        return None

    def make_table(self, dtype: npt.DTypeLike) -> None:
        """Return None, likewise."""
        return

    def map_box(self, color: pyvips.Image, box: Box) -> pyvips.Image:
        """Recolor a part of a photo with any profile; see `Transform`."""
        if profiles.is_srgb(color):
            return self.recolor(color, box)
        return profiles.recolor_in_srgb(color, lambda srgb: self.recolor(srgb, box))

    def map_levels(self, levels: npt.NDArray[np.uint8], box: Box) -> FloatArray:
        """Recolor 8-bit colors of a box without rounding; see `Transform`."""
        values = (from_array(levels) / 255).copy(interpretation="scrgb")
        return np.asarray(to_array(self.recolor(values, box)) * 255.0)

    def recolor(self, color: pyvips.Image, box: Box) -> pyvips.Image:
        """Change the colors of a part of the photo; put off until pixels are asked for.

        Parameters
        ----------
        color : pyvips.Image
            Gray or RGB without alpha, 8 or 16 bit or float, sRGB-encoded. Gray is
            taken as RGB with equal channels, of which the first comes back.
        box : Box
            Where in the photo `color` was cut from; of its size.

        Returns
        -------
        pyvips.Image
            Of the format and channels of `color`. Whole numbers are rounded and
            clipped; floats clipped to [0, 1], those beyond it keep their distance from
            its nearer end.
        """
        full = FULL_SCALE[color.format]
        inside = color.clamp() if color.format == "float" else color
        value = inside / full  # [0, 1]
        index = inside
        if color.format == "float":
            index = (inside * 65535).rint().cast("ushort")
        if color.bands == 1:
            value, index = (x.bandjoin([x, x]) for x in (value, index))
        hats = [
            index.extract_band(c).maplut(_hat_table(index.format)) for c in range(3)
        ]
        features = hats[0].bandjoin([*hats[1:], value, value, value])  # 3 F bands
        change = (features * self._upsample(box)).recomb(_sums())
        if color.bands == 1:
            change = change.extract_band(0)
        if color.format == "float":
            changed = (inside + change).clamp() + (color - inside)
        else:
            changed = (color + change * full).rint()
        return changed.cast(color.format).copy(interpretation=color.interpretation)

    def _upsample(self, box: Box) -> pyvips.Image:
        """Interpolate the nodes at the pixels of a box: 3 F bands, as the features."""
        knots, mixes = np.split(self.nodes, [NUM_KNOTS], axis=3)
        shape = self.nodes.shape[:2]
        bands = np.concatenate(
            [knots.reshape(*shape, -1), mixes.reshape(*shape, -1)], 2
        )
        height, width = self.cell
        # The center of pixel i lies at (i + 0.5) / cell in steps between nodes.
        return pyvips.Image.new_from_array(bands).affine(
            [width, 0, 0, height],
            interpolate=pyvips.Interpolate.new("bilinear"),
            odx=self.corner[1] - 0.5,
            ody=self.corner[0] - 0.5,
            oarea=[box.left, box.top, box.width, box.height],
            extend="copy",
            premultiplied=True,  # or rather: there is no alpha
        )


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
    def of(
        cls, down: FloatArray, across: FloatArray, *, shape: tuple[int, int]
    ) -> "_Places":
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


def _cell(extent: int, small_pixel: float) -> int:
    """Choose how far nodes are apart; not less than a pixel of the small picture."""
    return int(2 ** math.ceil(math.log2(max(extent / MAX_CELLS, small_pixel, 1))))


def _hats(values: FloatArray) -> FloatArray:
    """Share values (N,) of [0, 1] between the two knots around: (N, NUM_KNOTS)."""
    knots = np.arange(NUM_KNOTS) / (NUM_KNOTS - 1)
    distance = np.abs(values[:, None] - knots) * (NUM_KNOTS - 1)
    return np.asarray(np.maximum(1 - distance, 0))


@cache
def _hat_table(index_format: str) -> pyvips.Image:
    """Tabulate `_hats` for all whole numbers of 8 or 16 bit."""
    levels = np.linspace(0, 1, FULL_SCALE[index_format] + 1)
    return pyvips.Image.new_from_array(_hats(levels).astype(np.float32)[np.newaxis])


@cache
def _sums() -> pyvips.Image:
    """Make the matrix (3, 3 F) that adds up the features of each channel."""
    channel = np.repeat([0, 1, 2, 0, 1, 2], [NUM_KNOTS] * 3 + [3] * 3)
    return pyvips.Image.new_from_array((channel == np.arange(3)[:, None]).tolist())


def _fit_affine(
    colors: FloatArray, change: FloatArray, share: FloatArray
) -> FloatArray:
    """Map colors (N, 3) to their changes (N, 3) as a matrix (4, 3), offset last."""
    features = np.column_stack([colors, np.ones(len(colors))])
    gram = np.einsum("n,ni,nj->ij", share, features, features, optimize=False)
    moment = np.einsum("n,ni,nj->ij", share, features, change, optimize=False)
    return np.linalg.solve(gram + AFFINE_RIDGE_COST * np.eye(4), moment)


def _fit_nodes(
    features: FloatArray, change: FloatArray, share: FloatArray, places: _Places
) -> FloatArray:
    """Fit one channel of all nodes to changes (N,): (rows, columns, F)."""
    num_rows, num_columns = places.shape
    F = _NUM_FEATURES
    num_nodes = num_rows * num_columns
    matrix = np.zeros((num_nodes * F, num_nodes * F))
    right = np.zeros(num_nodes * F)
    for row, column, group in places.groups:
        spread = places.weights[group][:, :, None] * features[group][:, None]
        spread = spread.reshape(len(group), 4 * F)
        weighted = spread.T * share[group]
        first = (row * num_columns + column) * F
        below = first + num_columns * F
        around = np.r_[first : first + 2 * F, below : below + 2 * F]
        matrix[np.ix_(around, around)] += weighted @ spread
        right[around] += weighted @ change[group]
    bend = np.zeros((F, F))
    bend[:NUM_KNOTS, :NUM_KNOTS] = _differences(NUM_KNOTS, order=2)
    alone = (TONE_COST * bend + RIDGE_COST * np.eye(F)) / num_nodes
    for i in range(0, num_nodes * F, F):
        matrix[i : i + F, i : i + F] += alone
    alike = np.kron(_differences(num_rows), np.eye(num_columns))
    alike += np.kron(np.eye(num_rows), _differences(num_columns))
    for i, j in np.argwhere(alike):
        unknowns = np.arange(F)
        cost = SPATIAL_COST / num_nodes * alike[i, j]
        matrix[i * F + unknowns, j * F + unknowns] += cost
    nodes = _solve(matrix, right, block=F, band=(num_columns + 1) * F)
    return nodes.reshape(num_rows, num_columns, F)


def _differences(count: int, *, order: int = 1) -> FloatArray:
    """Sum of squared differences of neighbors in a line, as a quadratic form."""
    step = np.diff(np.eye(count), n=order, axis=0)
    return np.asarray(step.T @ step)


def _solve(
    matrix: FloatArray, right: FloatArray, *, block: int, band: int
) -> FloatArray:
    """Solve a symmetric positive system by blocks; spoils its input.

    No unknown is coupled to one more than a band behind its block.
    """
    starts = range(0, len(right), block)
    for i in starts:
        at, ahead = slice(i, i + block), slice(i + block, i + block + band)
        coupling = matrix[at, ahead]
        both = np.column_stack([coupling, right[at]])
        both = np.linalg.solve(matrix[at, at], both)
        matrix[ahead, ahead] -= coupling.T @ both[:, :-1]
        right[ahead] -= coupling.T @ both[:, -1]
        matrix[at, ahead], right[at] = both[:, :-1], both[:, -1]
    for i in reversed(starts):
        ahead = slice(i + block, i + block + band)
        right[i : i + block] -= matrix[i : i + block, ahead] @ right[ahead]
    return right
