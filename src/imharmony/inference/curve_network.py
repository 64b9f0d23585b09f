"""Networks that predict curves."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves import Curves
from imharmony.errors import CurveError, UsageError, WarningCode
from imharmony.images.photo import Box
from imharmony.inference.choices import AUTO
from imharmony.inference.crossings import GAPS
from imharmony.inference.network import Network
from imharmony.inference.request import Request
from imharmony.inference.seam import Seam
from imharmony.inference.thumbnails import Thumbnails, make_thumbnails
from imharmony.labels import LABELS, label_index
from imharmony.rendering.transform import CurveTransform
from imharmony.results import NO_CHANGE, FittedCurves, Notice, Predicted

__all__ = ["CurveNetwork", "Slopes"]

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Slopes:
    """What the graph gives for one composite."""

    curve_params: FloatArray
    """(N, 3, K) float32: slopes of each stage; or (N, 3, K + 1), heights."""
    label: str | None
    """The label used: the one given, the guessed one, or None without labels."""
    same_scene: float | None = None
    """Probability that foreground and surroundings are of one scene; None of networks
    that do not look at the seam, and without a seam."""


class CurveNetwork(Network):
    """A network that predicts curves, such as S2CRNet."""

    has_curves = True

    def fit_curves(self, request: Request) -> FittedCurves:
        """Refuse: there is nothing to fit."""
        raise UsageError("these weights predict curves; there are none to fit")

    def run(
        self,
        thumbnails: Thumbnails,
        *,
        label: str | None = None,
        seam: Seam | None = None,
        same_scene: float = AUTO,
    ) -> Slopes:
        """Run the graph on one composite.

        Parameters
        ----------
        thumbnails : Thumbnails
            Of the size in `contract.thumbnail_size`.
        label : str or None
            One of `LABELS`; None lets the network guess, or takes "others" where
            it cannot.
        seam : Seam or None
            Of networks that look at it; None stands for no seam.
        same_scene : float
            Probability of a same scene to go by; below 0 for the network's own.

        Raises
        ------
        UsageError
            If the label is unknown.
        """
        one_hot = np.zeros((1, len(self.contract.labels)), np.float32)
        if label is None and not self.contract.guesses_label:
            label = LABELS[-1]
        if label is not None:
            one_hot[0, label_index(label, self.contract.labels)] = 1
        feeds = {
            "composite": thumbnails.composite,
            "mask": thumbnails.mask,
            "foreground": thumbnails.foreground[None],
            "foreground_mask": thumbnails.foreground_mask[None],
            "semantic_label": one_hot,
        }
        outputs = ["curve_params", "label_logits"]
        seam = seam or Seam.none(self.contract.seam_pairs)
        if self.contract.seam_pairs:
            feeds["seam"], feeds["seam_weight"] = seam.colors[None], seam.weight[None]
            feeds["same_scene"] = np.array([same_scene], np.float32)
            outputs.append("probability")
        curve_params, logits, *probability = self.weights.run(outputs, feeds)
        if not self.contract.has_semantic_label:
            label = None
        elif label is None:
            label = self.contract.labels[int(logits[0].argmax())]
        is_known = bool(probability) and seam.num_pairs > 0
        known = float(probability[0][0]) if is_known else None
        return Slopes(curve_params[0], label, known)

    def _ask(
        self, request: Request, box: Box, notices: tuple[Notice, ...]
    ) -> Predicted:
        thumbnails = make_thumbnails(
            request.image,
            request.mask,
            size=self.contract.thumbnail_size,
            reference=request.reference,
            contexts=self.contract.contexts,
            box=box,
            covered=request.covered,
        )
        seam = None
        if self.contract.seam_pairs:
            seam = request.sample_seam(self.contract.seam_pairs)
        slopes = self.run(
            thumbnails,
            label=request.label,
            seam=seam,
            same_scene=request.same_scene,
        )
        has_heights = self.contract.slopes == "heights"
        build = Curves.from_heights if has_heights else Curves.from_params
        try:
            stages = tuple(map(build, slopes.curve_params))
        except CurveError as error:
            msg = f"the network's answer defines no curve ({error}); unchanged"
            notices = (*notices, Notice(WarningCode.NO_CURVE, msg))
            return Predicted(NO_CHANGE, (), slopes.label, notices, box)
        full = CurveTransform(reduce(Curves.then, stages))
        return Predicted(
            full,
            stages,
            slopes.label,
            notices,
            box,
            seam_pairs=seam.num_pairs if seam else 0,
            same_scene=slopes.same_scene,
        )

    def _check_graph(self) -> None:
        height, width = self.contract.thumbnail_size
        labels = [len(self.contract.labels)]
        inputs = {
            "composite": [3, height, width],
            "mask": [1, height, width],
            "foreground": [3, height, width],
            "foreground_mask": [1, height, width],
            "semantic_label": labels,
        }
        num_params = self.contract.num_pieces + (self.contract.slopes == "heights")
        params = [self.contract.num_stages, 3, num_params]
        outputs = {"curve_params": params, "label_logits": labels}
        if self.contract.seam_pairs:
            inputs["seam"] = [GAPS, self.contract.seam_pairs, 6]
            inputs["seam_weight"] = [GAPS, self.contract.seam_pairs]
            inputs["same_scene"] = []
            outputs |= {"probability": [], "strength": []}
        self.weights.check_shapes(inputs, outputs)
