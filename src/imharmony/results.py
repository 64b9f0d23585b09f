"""What harmonizing gives: a change of color, how it came about, and the picture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imharmony.curves import Curves
from imharmony.errors import UsageError
from imharmony.images.photo import Box
from imharmony.rendering.bilateral_grid import BilateralGrid

__all__ = ["FittedCurves", "ImageArray", "Predicted", "Result"]

ImageArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predicted:
    """The change of color for one composite, and how it came about."""

    transform: Curves | BilateralGrid
    """What is rendered: all stages in one, strength included. The identity where the
    network found nothing worth changing. A grid, where colors change by place, from
    networks that give a picture."""
    stages: tuple[Curves, ...]
    """The network's stages, first one first, at full strength."""
    label: str | None
    """Semantic label used: given, guessed, or None where the network has none."""
    warnings: tuple[str, ...]
    """What may surprise about a valid result; each was also warned about."""
    box: Box | None
    """The smallest rectangle that holds the mask; None if the mask is empty."""

    @property
    def curves(self) -> Curves:
        """The transform, where it is curves.

        Raises
        ------
        UsageError
            If it is a grid.
        """
        if isinstance(self.transform, Curves):
            return self.transform
        msg = "this network predicts no curves, but a change that varies by place"
        raise UsageError(f"{msg}: see transform, or Harmonizer.fit_curves")


@dataclass(frozen=True)
class Result(Predicted):
    """A harmonized picture and the change of color that made it."""

    image: ImageArray
    """Shape and dtype of the composite."""


@dataclass(frozen=True)
class FittedCurves(Predicted):
    """Curves that come nearest to what a network without curves did."""

    rms: float
    """Root of the mean squared difference over the foreground of the network's
    picture, in 8-bit steps, at full strength."""
    largest: float
    """Largest difference there, in 8-bit steps."""
