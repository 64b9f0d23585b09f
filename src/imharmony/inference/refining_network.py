"""Networks that correct, place by place, what the curves of another network gave."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves.fitting import fit_curves
from imharmony.errors import UsageError, WarningCode, WeightsError
from imharmony.images.photo import Box
from imharmony.inference.crossings import GAPS
from imharmony.inference.network import Network
from imharmony.inference.request import Request
from imharmony.inference.seam import Seam
from imharmony.inference.thumbnails import Thumbnails, make_thumbnails
from imharmony.inference.weights import Weights
from imharmony.rendering.bilateral_grid import BilateralGrid
from imharmony.rendering.transform import Chain, CurveTransform
from imharmony.results import NO_CHANGE, FittedCurves, Notice, Predicted

__all__ = ["RefiningNetwork"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Refined:
    """A composite's thumbnail, and what was made of it in two steps."""

    before: FloatArray
    """(3, h, w) float32, RGB, sRGB-encoded, [0, 1]."""
    curved: FloatArray
    """Likewise: with the curves."""
    after: FloatArray
    """Likewise: what the network made of that."""
    weights: FloatArray
    """(h, w): how much each pixel tells about the foreground."""


class RefiningNetwork(Network):
    """A network on top of one that predicts curves.

    Parameters
    ----------
    weights : Weights
    curves : Network
        One that predicts curves.
    """

    has_curves = False

    def __init__(self, weights: Weights, curves: Network) -> None:
        super().__init__(weights)
        if not curves.has_curves:
            msg = f"{weights.source}: refines a network of curves, the metadata name"
            raise WeightsError(f"{msg} {weights.contract.refines}")
        self._curves = curves

    def fit_curves(self, request: Request) -> FittedCurves:
        """Find the curves that come nearest to what both networks do."""
        notices = self._check(request)
        if request.box is None or not request.has_regions:
            return FittedCurves(
                NO_CHANGE, warnings=notices, box=request.box, rms=0.0, largest=0.0
            )
        predicted = self._curves.predict(request)
        answer = self._refine(request, predicted)
        if not isinstance(answer, _Refined):
            notices = (*notices, Notice(answer))
            return FittedCurves(
                predicted.full, warnings=notices, box=request.box, rms=0.0, largest=0.0
            )
        fitted = fit_curves(answer.before, answer.after, answer.weights)
        return FittedCurves(
            CurveTransform(fitted.curves),
            label=predicted.label,
            warnings=notices,
            box=request.box,
            seam_pairs=predicted.seam_pairs,
            same_scene=predicted.same_scene,
            rms=fitted.rms,
            largest=fitted.largest,
        )

    def run(
        self,
        thumbnails: Thumbnails,
        *,
        label: str | None = None,
        seam: Seam | None = None,
        same_scene: float = 0.0,
    ) -> FloatArray:
        """Run the graph on one composite that curves were put on.

        Parameters
        ----------
        thumbnails : Thumbnails
            Of the size in `contract.thumbnail_size`, one view.
        label : str or None
            Not used: the curves know it.
        seam : Seam or None
            Its inner pixels as the curves left them; None stands for no seam.
        same_scene : float
            Probability that foreground and surroundings are of one scene.

        Returns
        -------
        ndarray of float32, shape (3, h, w)
            The refined thumbnail, sRGB-encoded, in [0, 1]; where the mask is at most
            one half it is what was given.
        """
        seam = seam or Seam.none(self.contract.seam_pairs)
        feeds = {
            "composite": thumbnails.composite,
            "mask": thumbnails.mask,
            "seam": seam.colors[None],
            "seam_weight": seam.weight[None],
            "seam_place": seam.place[None],
            "same_scene": np.array([same_scene], np.float32),
        }
        (harmonized,) = self.weights.run(["harmonized"], feeds)
        picture: FloatArray = harmonized[0]
        return picture

    def _ask(
        self, request: Request, box: Box, notices: tuple[Notice, ...]
    ) -> Predicted:
        predicted = self._curves.predict(request)
        answer = self._refine(request, predicted)
        if not isinstance(answer, _Refined):
            change = Chain(predicted.full, BilateralGrid.identity())
            notices = (*predicted.warnings, Notice(answer, _CURVES_ALONE[answer]))
            return _replace_change(predicted, change, notices)
        size = request.image.height, request.image.width
        grid = BilateralGrid.fit(
            answer.curved, answer.after, answer.weights, box=box, size=size
        )
        return _replace_change(
            predicted, Chain(predicted.full, grid), predicted.warnings
        )

    def _check(self, request: Request) -> tuple[Notice, ...]:
        notices = super()._check(request)
        if request.reference is not None:
            msg = "reference: these weights see the composite alone; expected none"
            raise UsageError(f"{msg}, got another photo")
        return notices

    def _refine(self, request: Request, predicted: Predicted) -> _Refined | WarningCode:
        """Show the composite with its curves to the network."""
        small = make_thumbnails(
            request.image,
            request.mask,
            size=self.contract.thumbnail_size,
            box=request.box,
        )
        mask = small.mask[0, 0]  # (h, w)
        weights = np.maximum(2 * mask - 1, 0)
        if not weights.any():
            return WarningCode.FOREGROUND_TOO_SMALL
        before = small.composite[0]
        curves = predicted.full.curves
        assert curves is not None  # noqa: S101  # of a network of curves
        image = np.moveaxis(curves(np.moveaxis(before, 0, -1)), -1, 0)
        curved = (before + mask * (image.clip(0, 1) - before)).astype(np.float32)
        same_scene = request.same_scene
        if same_scene < 0:
            same_scene = predicted.same_scene or 0.0
        shown = Thumbnails(
            curved[None], small.mask, small.foreground, small.foreground_mask
        )
        seam = request.sample_seam(self.contract.seam_pairs)
        colors = seam.colors.copy()
        colors[..., :3] = curves(colors[..., :3]).clip(0, 1)
        colors[seam.weight == 0] = 0
        seam = Seam(colors, seam.weight, seam.place)
        after = self.run(shown, seam=seam, same_scene=same_scene)
        if not np.isfinite(after).all():
            return WarningCode.NOT_FINITE
        return _Refined(before, curved, after.clip(0, 1), weights)

    def _check_graph(self) -> None:
        height, width = self.contract.thumbnail_size
        composite = [3, height, width]
        inputs = {
            "composite": composite,
            "mask": [1, height, width],
            "seam": [GAPS, self.contract.seam_pairs, 6],
            "seam_weight": [GAPS, self.contract.seam_pairs],
            "seam_place": [self.contract.seam_pairs, 2],
            "same_scene": [],
        }
        self.weights.check_shapes(inputs, {"harmonized": composite, "strength": []})


_CURVES_ALONE = {
    WarningCode.FOREGROUND_TOO_SMALL: "the foreground is too small or too thin to be "
    "seen in the network's thumbnail; the curves alone are applied",
    WarningCode.NOT_FINITE: "the network's picture is not finite; the curves alone are "
    "applied",
}


def _replace_change(
    predicted: Predicted, change: Chain, notices: tuple[Notice, ...]
) -> Predicted:
    """Take the place of a prediction's curves."""
    return Predicted(
        change,
        (),
        predicted.label,
        notices,
        predicted.box,
        seam_pairs=predicted.seam_pairs,
        same_scene=predicted.same_scene,
    )
