"""Three color curves, one per channel: what a network predicts, and what is rendered.

`Curves` is the one thing that networks produce and that rendering, curve files,
plots and hand edits consume. The curves map sRGB-encoded values in [0, 1] and are
piecewise-linear, so two of them in a row, or mixed, are exactly such a curve again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.colors import BT709_LUMA
from imharmony.curves.knots import (
    MIN_SLOPE_SUM,
    FloatArray,
    Knots,
    check_knots,
    check_strength,
    compose,
    evaluate,
    is_apart,
    is_rising,
    mix,
    put_in_order,
    running_share,
)
from imharmony.errors import CurveError, ImageError, ShapeError, UsageError
from imharmony.threads import share_out

__all__ = ["CHANNELS", "MIN_SLOPE_SUM", "Curves"]

TableArray = npt.NDArray[np.unsignedinteger[Any]]

CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True, eq=False, repr=False)
class Curves:
    """Three piecewise-linear color curves in R, G, B order; immutable.

    Calling it maps float pixels; `table` is for whole numbers. Two objects are equal
    when their knots are: the same curve with one knot more is another object.

    Parameters
    ----------
    knots_x : three ndarrays of float64, shape (N,), N at least 2
        Where the curve may bend, sRGB-encoded. Rises from exactly 0 to exactly 1, by
        at least 2.2e-16 from knot to knot. N may differ between the channels, since
        a composition bends wherever one of its parts does. Copied and read-only.
    knots_y : three ndarrays of float64, shapes as in `knots_x`
        Heights at `knots_x`, sRGB-encoded, finite. They may leave [0, 1], and the
        ends need not be 0 and 1: a hand edit may lift black. Copied and read-only.

    Raises
    ------
    CurveError
        If the knots of a channel are not as described; the message names it.

    Examples
    --------
    >>> x, y = np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.6, 1.0])
    >>> Curves((x, x, x), (y, y, y))
    Curves(3 knots, monotone, mid gray -> 0.60 0.60 0.60)
    """

    knots_x: tuple[FloatArray, FloatArray, FloatArray]
    knots_y: tuple[FloatArray, FloatArray, FloatArray]
    _tables: dict[np.dtype[Any], TableArray] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("knots_x", "knots_y"):
            # + 0.0 copies, and makes -0.0 the 0.0 that it equals but hashes unlike.
            arrays = [np.asarray(a, np.float64) + 0.0 for a in getattr(self, name)]
            if len(arrays) != len(CHANNELS):
                raise CurveError(f"expected 3 arrays in {name}, got {len(arrays)}")
            for array in arrays:
                array.setflags(write=False)
            object.__setattr__(self, name, tuple(arrays))
        for channel, knots in zip(CHANNELS, self._channels(), strict=True):
            check_knots(channel, *knots)

    @classmethod
    def identity(cls) -> "Curves":
        """Return the curves that change nothing: two knots per channel.

        Examples
        --------
        >>> Curves.identity()
        Curves(2 knots, monotone, mid gray -> 0.50 0.50 0.50)
        """
        ends = np.array([0.0, 1.0])
        return _from_channels([(ends, ends)] * 3)

    @classmethod
    def from_params(cls, curve_params: FloatArray) -> "Curves":
        """Build curves from the slopes a network predicts.

        Parameters
        ----------
        curve_params : ndarray of float32 or float64, shape (3, K)
            Relative slopes of K pieces of equal width, rows in R, G, B order.
            Unitless: only the ratios within a row matter, so multiplying a row by
            any number but zero, also a negative one, changes nothing.

        Returns
        -------
        Curves
            K + 1 evenly spaced knots per channel, from exactly (0, 0) to exactly
            (1, 1). Monotone and within [0, 1] when no two slopes of a row have
            opposite signs; otherwise it may turn back and may leave [0, 1].

        Raises
        ------
        ShapeError
            If `curve_params` is not (3, K) with K at least 1.
        CurveError
            If a slope is NaN or infinite, or if the slopes of a channel sum to less
            than `MIN_SLOPE_SUM` times the sum of their sizes.

        Notes
        -----
        Implements eq. (1) of [1]_, corrected as in its released code.

        References
        ----------
        .. [1] J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
           Rendering Network for Efficient and High-Resolution Image
           Harmonization", ECCV 2022, arXiv:2109.05750.

        Examples
        --------
        A first piece twice as steep as the second brightens:

        >>> slopes = np.array([[2, 1], [1, 1], [1, 1]], dtype=np.float32)
        >>> Curves.from_params(slopes)
        Curves(3 knots, monotone, mid gray -> 0.67 0.50 0.50)
        """
        params = np.asarray(curve_params, dtype=np.float64)
        if params.ndim != 2 or len(params) != len(CHANNELS) or params.size == 0:
            raise ShapeError(
                f"expected curve_params of shape (3, K), got {params.shape}"
            )
        # Differs from the paper: eq. (1) clamps each piece at 1 and has no factor L,
        # which makes equal slopes darken. Clamped at 1/L and multiplied by L, as in
        # the released code, the sum over pieces is linear interpolation between the
        # running sums of the slopes.
        knots_x = np.arange(params.shape[1] + 1) / params.shape[1]  # (K + 1,)
        rows = zip(CHANNELS, params, strict=True)
        return _from_channels(
            (knots_x, running_share(channel, slopes)) for channel, slopes in rows
        )

    @classmethod
    def from_heights(cls, heights: FloatArray) -> "Curves":
        """Build curves from heights at evenly spaced values.

        Curves with free ends: black need not stay black, nor white stay white. With
        what lies below black, d0, and above white, d1, beside K slopes s, all of them
        positive, the heights are the running sums of d0, s1, …, sK over their total
        d0 + Σs + d1.

        Parameters
        ----------
        heights : ndarray of float32 or float64, shape (3, K + 1)
            At 0, 1/K, …, 1, sRGB-encoded, rows in R, G, B order.

        Returns
        -------
        Curves
            With these knots.

        Raises
        ------
        ShapeError
            If `heights` is not (3, K + 1) with K at least 1.
        CurveError
            If a height is NaN or infinite.

        Examples
        --------
        >>> Curves.from_heights(np.array([[0.1, 0.9], [0, 1], [0, 1]]))
        Curves(2 knots, monotone, mid gray -> 0.50 0.50 0.50)
        """
        knots_y = np.asarray(heights, dtype=np.float64)
        if knots_y.ndim != 2 or len(knots_y) != len(CHANNELS) or knots_y.shape[1] < 2:
            raise ShapeError(
                f"expected heights of shape (3, K + 1), got {knots_y.shape}"
            )
        knots_x = np.arange(knots_y.shape[1]) / (knots_y.shape[1] - 1)
        return _from_channels((knots_x, row) for row in knots_y)

    def __call__(self, image: FloatArray) -> FloatArray:
        """Map each color channel through its curve.

        Parameters
        ----------
        image : ndarray of any float dtype, shape (..., 3)
            RGB, sRGB-encoded, nominal range [0, 1]. Values outside map to the
            curve's ends; NaN stays NaN.

        Returns
        -------
        ndarray, shape and dtype of `image`
            RGB, sRGB-encoded. Not clipped: it never leaves the range of `knots_y`,
            which may be wider than [0, 1] (see `from_params`).

        Raises
        ------
        ShapeError
            If the last axis of `image` is not 3 long.
        ImageError
            If `image` is not of a float dtype.

        Examples
        --------
        >>> gray = np.full((1, 1, 3), 0.25, dtype=np.float32)
        >>> Curves.identity()(gray).ravel().tolist()
        [0.25, 0.25, 0.25]
        """
        if not np.issubdtype(image.dtype, np.floating):
            raise ImageError(
                f"expected an image of a float dtype, got {image.dtype}; "
                "whole numbers are mapped by the curves' table"
            )
        if image.ndim < 1 or image.shape[-1] != 3:
            raise ShapeError(f"expected an image of shape (..., 3), got {image.shape}")
        mapped = np.empty_like(image)
        for channel, (x, y) in enumerate(self._channels()):
            mapped[..., channel] = evaluate(image[..., channel], x, y)
        return mapped

    def table(self, dtype: npt.DTypeLike) -> TableArray:
        """Tabulate the curves for every value of a whole-number pixel.

        Parameters
        ----------
        dtype : uint8 or uint16
            Type of the pixels; its largest value stands for 1. Others: `UsageError`.

        Returns
        -------
        ndarray of `dtype`, shape (3, 256) or (3, 65536)
            Row c, column v is what value v of channel c becomes: rounded to the
            nearest whole number, halves up, clipped to the range. Read-only.

        Examples
        --------
        >>> Curves.identity().table(np.uint8)[0, 250:].tolist()
        [250, 251, 252, 253, 254, 255]
        """
        pixel_type = np.dtype(dtype)
        if pixel_type not in (np.uint8, np.uint16):
            raise UsageError(
                f"expected dtype uint8 or uint16 for a table, got {pixel_type}"
            )
        if pixel_type not in self._tables:
            top = np.iinfo(pixel_type).max
            values = np.arange(top + 1) / top
            table = np.empty((3, top + 1), pixel_type)

            def tabulate(channel: int) -> None:
                heights = evaluate(values, self.knots_x[channel], self.knots_y[channel])
                np.clip(np.floor(heights * top + 0.5), 0, top, out=heights)
                table[channel] = heights

            if pixel_type == np.uint8:
                for channel in range(3):
                    tabulate(channel)
            else:  # a millisecond of work
                share_out(tabulate, range(3))
            table.setflags(write=False)
            self._tables[pixel_type] = table
        return self._tables[pixel_type]

    def then(self, other: "Curves") -> "Curves":
        """Compose: these curves first, then `other`, as one.

        Exact, also for curves that turn back or leave [0, 1], where `other` is
        constant. It bends where these curves bend and where they reach a knot of
        `other`; knots closer than 2.2e-16 are merged. Monotone if both are.

        Examples
        --------
        >>> x, y = np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.8, 1.0])
        >>> brighter = Curves((x, x, x), (y, y, y))
        >>> brighter.then(brighter)
        Curves(4 knots, monotone, mid gray -> 0.92 0.92 0.92)
        """
        pairs = zip(self._channels(), other._channels(), strict=True)
        return _from_channels(compose(first, second) for first, second in pairs)

    def blend(self, strength: float) -> "Curves":
        """Mix with the identity: `(1 - strength) * x + strength * curve(x)`.

        Parameters
        ----------
        strength : float
            0 gives the identity, 1 these curves, between them the exact mixture.
            Above 1 the change is exaggerated: the mixture is clipped to [0, 1], and
            where it would make a monotone channel turn back, it becomes the mean of
            the nearest monotone curves above and below.

        Returns
        -------
        Curves
            Monotone in each channel in which these curves are.

        Raises
        ------
        UsageError
            If `strength` is negative, NaN or infinite.

        Examples
        --------
        >>> slopes = np.array([[2.0, 1.0]] * 3)
        >>> Curves.from_params(slopes).blend(0.5)
        Curves(3 knots, monotone, mid gray -> 0.58 0.58 0.58)
        """
        check_strength(strength)
        if strength == 0:
            return Curves.identity()
        if strength == 1:
            return self
        return _from_channels(mix(x, y, strength) for x, y in self._channels())

    def luminance(self) -> "Curves":
        """Give all three channels the mean of the curves, weighted as luma.

        For gray photos, which must stay gray. The weights are those of ITU-R BT.709.

        Examples
        --------
        >>> Curves.from_params(np.array([[3.0, 1.0], [1, 1], [1, 1]])).luminance()
        Curves(3 knots, monotone, mid gray -> 0.55 0.55 0.55)
        """
        x = np.unique(np.concatenate(self.knots_x))
        x = x[is_apart(x)]
        red, green, blue = (evaluate(x, *knots) for knots in self._channels())
        red_weight, _, blue_weight = BT709_LUMA
        # Green takes what is left of 1: three equal curves stay as they are, exactly.
        y = green + red_weight * (red - green) + blue_weight * (blue - green)
        return _from_channels([(x, put_in_order(y) if self.is_monotone else y)] * 3)

    @property
    def is_monotone(self) -> bool:
        """Whether no channel ever reverses the order of two values."""
        return all(is_rising(y) for y in self.knots_y)

    @property
    def is_identity(self) -> bool:
        """Whether every value in [0, 1] is mapped exactly to itself."""
        return all(np.array_equal(x, y) for x, y in self._channels())

    def _channels(self) -> Iterator[Knots]:
        return zip(self.knots_x, self.knots_y, strict=True)

    def _knot_bytes(self) -> tuple[bytes, ...]:
        return tuple(array.tobytes() for array in (*self.knots_x, *self.knots_y))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curves):
            return NotImplemented
        return self._knot_bytes() == other._knot_bytes()

    def __hash__(self) -> int:
        return hash(self._knot_bytes())

    def __reduce__(self) -> tuple[type["Curves"], tuple[Any, Any]]:
        # Through the constructor: NumPy pickles forget that an array is read-only.
        return Curves, (self.knots_x, self.knots_y)

    def __repr__(self) -> str:
        counts = [str(len(x)) for x in self.knots_x]
        knots = counts[0] if len(set(counts)) == 1 else "/".join(counts)
        order = "monotone" if self.is_monotone else "not monotone"
        grays = " ".join(f"{gray:.2f}" for gray in self(np.full(3, 0.5)))
        return f"Curves({knots} knots, {order}, mid gray -> {grays})"


def _from_channels(channels: Iterable[Knots]) -> Curves:
    red, green, blue = channels
    return Curves((red[0], green[0], blue[0]), (red[1], green[1], blue[1]))
