"""The interface of a change of color, which rendering uses; and simple changes."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.curves import Curves
from imharmony.images import profiles
from imharmony.images.photo import Box, from_array, to_array

__all__ = ["Chain", "CurveTransform", "Transform", "as_transform"]

FloatArray = npt.NDArray[np.floating[Any]]
TableArray = npt.NDArray[np.unsignedinteger[Any]]


class Transform(Protocol):
    """A change of color that can be rendered; immutable."""

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""

    @property
    def curves(self) -> Curves | None:
        """The same change as curves; None where it depends on the place."""

    def blend(self, strength: float) -> "Transform":
        """Multiply the change: 0 gives the identity, above 1 exaggerates."""

    def luminance(self) -> "Transform":
        """Give all channels the same change, for gray photos."""

    def make_table(self, dtype: npt.DTypeLike) -> TableArray | None:
        """Tabulate it, (3, 256) or (3, 65536); None where it depends on the place."""

    def map_box(self, color: pyvips.Image, box: Box) -> pyvips.Image:
        """Change all colors of a part of a photo.

        Parameters
        ----------
        color : pyvips.Image
            Gray or RGB without alpha, of any depth and profile.
        box : Box
            Where in the photo `color` was cut from; of its size.

        Returns
        -------
        pyvips.Image
            Format, channels and profile of `color`.
        """

    def map_levels(self, levels: npt.NDArray[np.uint8], box: Box) -> FloatArray:
        """Change sRGB-encoded colors (h, w, 3) of a box; not rounded, 0 to 255."""


@dataclass(frozen=True)
class CurveTransform:
    """Curves as a transform: the same change everywhere."""

    curves: Curves

    @property
    def is_identity(self) -> bool:
        """Whether the curves change nothing."""
        return self.curves.is_identity

    def blend(self, strength: float) -> "CurveTransform":
        """Mix with the identity, as `Curves.blend`."""
        return CurveTransform(self.curves.blend(strength))

    def luminance(self) -> "CurveTransform":
        """Give all channels the mean curve, as `Curves.luminance`."""
        return CurveTransform(self.curves.luminance())

    def make_table(self, dtype: npt.DTypeLike) -> TableArray:
        """Tabulate the curves, as `Curves.table`."""
        return self.curves.table(dtype)

    def map_box(self, color: pyvips.Image, box: Box) -> pyvips.Image:
        """Map all colors through the curves, wherever they are."""
        if not profiles.is_srgb(color):
            return profiles.apply_in_srgb(color, self.curves)
        if color.format == "float":
            return profiles.map_floats(color, lambda x: np.clip(self.curves(x), 0, 1))
        table = self.make_table(np.uint8 if color.format == "uchar" else np.uint16)
        # (1, 256 or 65536, C)
        return color.maplut(from_array(table[: color.bands].T[np.newaxis]))

    def map_levels(self, levels: npt.NDArray[np.uint8], box: Box) -> FloatArray:
        """Map 8-bit colors through the curves without rounding."""
        samples = np.repeat(np.arange(256) / 255, 3).reshape(256, 3)
        heights = np.clip(self.curves(samples), 0, 1) * 255
        channels = [heights[:, c][levels[..., c]] for c in range(3)]
        return np.stack(channels, axis=-1)


@dataclass(frozen=True)
class Chain:
    """One transform after another, as curves and then a change by place."""

    first: Transform
    then: Transform
    """Gets the colors that `first` gives."""

    @property
    def is_identity(self) -> bool:
        """Whether neither changes anything."""
        return self.first.is_identity and self.then.is_identity

    @property
    def curves(self) -> None:
        """None: the change depends on the place."""
        return None

    def blend(self, strength: float) -> "Chain":
        """Blend each by itself: 0 gives the identity, 1 both as they are."""
        return Chain(self.first.blend(strength), self.then.blend(strength))

    def luminance(self) -> "Chain":
        """Give all channels the same change, of each."""
        return Chain(self.first.luminance(), self.then.luminance())

    def make_table(self, dtype: npt.DTypeLike) -> None:
        """Return None: the change depends on the place."""
        return

    def map_box(self, color: pyvips.Image, box: Box) -> pyvips.Image:
        """Change all colors of a part of a photo by both; see `Transform`.

        Photos of 8 bit have 16 in between, so that they are rounded once.
        """
        if color.format != "uchar":
            return self.then.map_box(self.first.map_box(color, box), box)
        wide = (color * 257).cast("ushort")
        deep = "rgb16" if color.bands == 3 else "grey16"
        changed = self.map_box(wide.copy(interpretation=deep), box)
        narrow = (changed / 257).rint().cast("uchar")
        return narrow.copy(interpretation=color.interpretation)

    def map_levels(self, levels: npt.NDArray[np.uint8], box: Box) -> FloatArray:
        """Change 8-bit colors of a box by both without rounding; see `Transform`."""
        values = (self.first.map_levels(levels, box) / 255).astype(np.float32)
        image = from_array(values).copy(interpretation="scrgb")
        return np.asarray(to_array(self.then.map_box(image, box)) * 255.0)


def as_transform(change: Curves | Transform) -> Transform:
    """Take curves as the transform that they are."""
    return CurveTransform(change) if isinstance(change, Curves) else change
