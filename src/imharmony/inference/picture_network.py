"""Networks that give a picture. A change by place, or curves, are fitted to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves.fitting import fit_curves
from imharmony.errors import UsageError, WarningCode, WeightsError
from imharmony.images.photo import Box
from imharmony.inference.network import Network
from imharmony.inference.request import Request
from imharmony.inference.thumbnails import Thumbnails, make_thumbnails
from imharmony.rendering.bilateral_grid import BilateralGrid
from imharmony.rendering.transform import CurveTransform
from imharmony.results import NO_CHANGE, FittedCurves, Notice, Predicted

__all__ = ["PictureNetwork", "Repainting"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Repainting:
    """A composite's thumbnail and what was made of it."""

    before: FloatArray
    """(3, h, w) float32, RGB, sRGB-encoded, [0, 1]."""
    after: FloatArray
    """Likewise."""
    weights: FloatArray
    """(h, w): how much each pixel tells about the foreground."""


class PictureNetwork(Network):
    """A network that gives the harmonized thumbnail, such as HDNet."""

    has_curves = False

    def fit_curves(self, request: Request) -> FittedCurves:
        """Find the curves that come nearest to what the network does."""
        notices = self._check(request)
        answer = None
        if request.has_regions:
            answer = self._repaint(request)
        if not isinstance(answer, Repainting):
            notices += () if answer is None else (Notice(answer),)
            return FittedCurves(
                NO_CHANGE, warnings=notices, box=request.box, rms=0.0, largest=0.0
            )
        fitted = fit_curves(answer.before, answer.after, answer.weights)
        return FittedCurves(
            CurveTransform(fitted.curves),
            warnings=notices,
            box=request.box,
            rms=fitted.rms,
            largest=fitted.largest,
        )

    def run(self, thumbnails: Thumbnails, *, label: str | None = None) -> FloatArray:
        """Run the graph on one composite.

        Parameters
        ----------
        thumbnails : Thumbnails
            Of the size in `contract.thumbnail_size`, one view.
        label : str or None
            Not used: such networks know no labels.

        Returns
        -------
        ndarray of float32, shape (3, h, w)
            The harmonized thumbnail, sRGB-encoded, nominally in [0, 1]; where the
            mask is at most one half it is the composite.
        """
        feeds = {"composite": thumbnails.composite, "mask": thumbnails.mask}
        (harmonized,) = self.weights.run(["harmonized"], feeds)
        picture: FloatArray = harmonized[0]
        return picture

    def _ask(
        self, request: Request, box: Box, notices: tuple[Notice, ...]
    ) -> Predicted:
        answer = self._repaint(request)
        if not isinstance(answer, Repainting):
            notices = (*notices, Notice(answer))
            return Predicted(NO_CHANGE, warnings=notices, box=box)
        size = request.image.height, request.image.width
        grid = BilateralGrid.fit(
            answer.before, answer.after, answer.weights, box=box, size=size
        )
        return Predicted(grid, warnings=notices, box=box)

    def _check(self, request: Request) -> tuple[Notice, ...]:
        notices = super()._check(request)
        if request.reference is not None:
            msg = "reference: these weights see the composite alone; expected none"
            raise UsageError(f"{msg}, got another photo")
        return notices

    def _repaint(self, request: Request) -> Repainting | WarningCode:
        """Show a composite to the network, or say why that leads to nothing."""
        small = make_thumbnails(
            request.image,
            request.mask,
            size=self.contract.thumbnail_size,
            box=request.box,
        )
        # Where the mask is below one half, the network gives the composite. At one
        # half, a pixel is as much background as foreground, and says nothing.
        weights = np.maximum(2 * small.mask[0, 0] - 1, 0)  # (h, w)
        if not weights.any():
            return WarningCode.FOREGROUND_TOO_SMALL
        after = self.run(small)
        if not np.isfinite(after).all():
            return WarningCode.NOT_FINITE
        return Repainting(small.composite[0], after.clip(0, 1), weights)

    def _check_graph(self) -> None:
        if self.contract.contexts != (0.0,):
            msg = (
                f"{self.weights.source}: networks that give a picture see the whole "
                f"photo, the metadata say contexts {self.contract.contexts}"
            )
            raise WeightsError(msg)
        height, width = self.contract.thumbnail_size
        composite = [3, height, width]
        inputs = {"composite": composite, "mask": [1, height, width]}
        self.weights.check_shapes(inputs, {"harmonized": composite})
