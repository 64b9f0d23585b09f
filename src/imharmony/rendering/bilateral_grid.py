"""Local recoloring: a network's change of a small picture, applied to the whole photo.

A coarse grid lies over the foreground. Each node holds one curve per channel and a 3x3
mix of the channels; between nodes both are interpolated. The grid is fitted to the
network's small input and output, and applied to the photo at its own size and depth.
"""

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
from imharmony.rendering.grid_fitting import (
    NUM_FEATURES,
    NUM_KNOTS,
    fit_nodes,
    weigh_knots,
)

__all__ = ["NUM_KNOTS", "BilateralGrid"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class BilateralGrid:
    """A change of color that varies smoothly over a photo; immutable.

    At a node, the change of channel c of a color I is `curve_c(I_c) + mix_c . I`. The
    curve is given by its knots. Between nodes the change is the mean of the four nodes
    around, weighted bilinearly.

    Parameters
    ----------
    corner : (top, left)
        Where the first node lies in the photo, in pixels; (0, 0) is the corner of the
        first pixel, not its middle.
    cell : (height, width)
        Distances of nodes in pixels. They are powers of two, so that all weights are
        exact, and a part of a photo gets the same bytes as in the whole.
    nodes : ndarray of float32, shape (rows, columns, 3, NUM_KNOTS + 3)
        For each channel the heights of the knots, then the mix. Both are changes: 0
        changes nothing. Read-only.

    Raises
    ------
    ShapeError
        If `nodes` is of another shape, or has fewer than 2 rows or columns.

    Notes
    -----
    The grid over place and value is that of [1]_; fitting it between a small picture
    and its processed version, to apply it to the large one, is [2]_. Differs from
    [2]_: there, luminance is the one guide and each node holds an affine map for each
    of its values; here, each channel is its own guide and has a curve. By their way,
    global curves and looks come out a fifth to a half farther off.

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
        if nodes.shape[2:] != (3, NUM_FEATURES) or min(nodes.shape[:2]) < 2:
            raise ShapeError(
                f"expected nodes of shape (rows, columns, 3, {NUM_FEATURES}), at "
                f"least 2 rows and columns, got {nodes.shape}"
            )
        nodes.setflags(write=False)
        object.__setattr__(self, "nodes", nodes)

    @classmethod
    def identity(cls) -> "BilateralGrid":
        """Return a grid that changes nothing."""
        nodes = np.zeros((2, 2, 3, NUM_FEATURES), np.float32)
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
            How much each small pixel counts. Where the weight is 0, the change is
            that of the places nearby.
        box : Box
            The box of the photo's foreground, which the grid covers.
        size : (height, width)
            Of the photo.

        Returns
        -------
        BilateralGrid
            The identity if all weights are 0.

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
        if not weights.any():
            return cls.identity()
        cell, nodes = fit_nodes(before, after, weights, box=box, size=size)
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
        """None, since curves cannot say a change that depends on the place."""
        return None

    def make_table(self, dtype: npt.DTypeLike) -> None:
        """Return None, since a table cannot say it either."""
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
        """Change the colors of a part of the photo, when its pixels are asked for.

        Parameters
        ----------
        color : pyvips.Image
            Gray or RGB without alpha, 8 or 16 bit or float, sRGB-encoded. Gray is
            taken as RGB with equal channels; the first channel comes back.
        box : Box
            The part of the photo that `color` is.

        Returns
        -------
        pyvips.Image
            In the format of `color`, with as many channels. Whole numbers are rounded
            and clipped. Floats are clipped to [0, 1]; a float that was outside is then
            moved outside again, as far as it was.
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
            index.extract_band(c).maplut(_tabulate_hats(index.format)) for c in range(3)
        ]
        features = hats[0].bandjoin([*hats[1:], value, value, value])  # 3 F bands
        change = (features * self._upsample(box)).recomb(_make_sums())
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
            premultiplied=True,  # there is no alpha that libvips would multiply by
        )


@cache
def _tabulate_hats(index_format: str) -> pyvips.Image:
    """Tabulate `weigh_knots` for all whole numbers of 8 or 16 bit."""
    levels = np.linspace(0, 1, FULL_SCALE[index_format] + 1)
    return pyvips.Image.new_from_array(
        weigh_knots(levels).astype(np.float32)[np.newaxis]
    )


@cache
def _make_sums() -> pyvips.Image:
    """Make the matrix (3, 3 F) that adds the features of each channel."""
    channel = np.repeat([0, 1, 2, 0, 1, 2], [NUM_KNOTS] * 3 + [3] * 3)
    return pyvips.Image.new_from_array((channel == np.arange(3)[:, None]).tolist())
