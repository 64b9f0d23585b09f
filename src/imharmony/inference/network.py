"""Loaded networks: a request in, a change of color out.

The two sorts of networks differ in what they give, curves or a picture. Whoever uses
them asks for neither; `models.load_network` chooses the class by the weights file.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from imharmony.errors import WarningCode
from imharmony.images.photo import Box
from imharmony.inference.contract import Contract
from imharmony.inference.request import Request
from imharmony.inference.thumbnails import Thumbnails
from imharmony.inference.weights import Weights
from imharmony.labels import label_index
from imharmony.results import NO_CHANGE, FittedCurves, Notice, Predicted

__all__ = ["Network"]


class Network(ABC):
    """A loaded network; safe to call from several threads.

    Parameters
    ----------
    weights : Weights

    Raises
    ------
    WeightsError
        If the graph does not fit its metadata.
    """

    has_curves: ClassVar[bool]
    """Whether it predicts curves, the same change everywhere."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.contract: Contract = weights.contract
        self._check_graph()

    @property
    def sha256(self) -> str:
        """Hash of the weights file."""
        return self.weights.sha256

    def predict(self, request: Request) -> Predicted:
        """Predict the change of one composite, at full strength.

        Raises
        ------
        UsageError
            If the label is unknown, or the network cannot use a reference.
        """
        notices = self._check(request)
        box = request.box
        if box is None or not request.has_regions:
            return Predicted(NO_CHANGE, warnings=notices, box=box)
        return self._ask(request, box, notices)

    @abstractmethod
    def fit_curves(self, request: Request) -> FittedCurves:
        """Find the curves that come nearest to what the network does.

        Raises
        ------
        UsageError
            If the network predicts curves itself, or as for `predict`.
        """

    @abstractmethod
    def run(self, thumbnails: Thumbnails, *, label: str | None = None) -> Any:
        """Run the graph on thumbnails and return what it gives."""

    @abstractmethod
    def _check_graph(self) -> None:
        """Raise a `WeightsError` unless the graph fits its metadata."""

    @abstractmethod
    def _ask(
        self, request: Request, box: Box, notices: tuple[Notice, ...]
    ) -> Predicted:
        """Predict for a composite with two regions."""

    def _check(self, request: Request) -> tuple[Notice, ...]:
        """Say what may surprise about a request, and refuse an impossible one."""
        codes = [request.mask_problem]
        if request.label is not None:
            label_index(request.label)  # an unknown label is an error with any mask
            if not self.contract.has_semantic_label:
                codes.append(WarningCode.LABEL_IGNORED)
        return tuple(Notice(code) for code in codes if code is not None)
