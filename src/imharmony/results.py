"""What harmonizing gives: a change of color, how it came about, and the picture."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from imharmony.curves import Curves
from imharmony.curves.knots import check_strength
from imharmony.errors import UsageError, WarningCode
from imharmony.images.photo import Box
from imharmony.rendering.transform import CurveTransform, Transform

__all__ = [
    "FittedCurves",
    "ImageArray",
    "Notice",
    "ObjectsResult",
    "Predicted",
    "Result",
]

ImageArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]

NO_CHANGE = CurveTransform(Curves.identity())

_SENTENCES = {
    WarningCode.MASK_EMPTY: "the mask is empty: nothing to harmonize",
    WarningCode.MASK_FULL: "the mask covers everything: there is no background to fit "
    "to",
    WarningCode.MASK_INVERTED: "the mask looks inverted (it covers most of the photo "
    "and its whole rim); white is the foreground",
    WarningCode.LABEL_IGNORED: "these weights know no labels; the given one is ignored",
    WarningCode.NO_CURVE: "the network's slopes define no curve; unchanged",
    WarningCode.FOREGROUND_TOO_SMALL: "the foreground is too small or too thin to be "
    "seen in the network's thumbnail; unchanged",
    WarningCode.NOT_FINITE: "the network's picture is not finite; unchanged",
}


class Notice(str):
    """What may surprise about a valid result: a sentence, and a code for programs.

    Examples
    --------
    >>> Notice(WarningCode.MASK_EMPTY), Notice(WarningCode.MASK_EMPTY).code.value
    ('the mask is empty: nothing to harmonize', 'mask_empty')
    """

    __slots__ = ("code",)

    code: WarningCode

    def __new__(cls, code: WarningCode, sentence: str | None = None) -> Self:
        """Take the sentence that belongs to the code, or another."""
        notice = super().__new__(cls, sentence or _SENTENCES[code])
        notice.code = code
        return notice

    def __getnewargs__(self) -> tuple[WarningCode, str]:  # type: ignore[override]
        return self.code, str(self)


@dataclass(frozen=True)
class Predicted:
    """The change of color for one composite, and how it came about."""

    full: Transform
    """All stages of the network in one, at full strength. No change where the network
    sees nothing worth changing."""
    stages: tuple[Curves, ...] = ()
    """The network's stages, first one first, at full strength."""
    label: str | None = None
    """Semantic label used: given, guessed, or None where the network has none."""
    warnings: tuple[Notice, ...] = ()
    """What may surprise about a valid result; each was also warned about."""
    box: Box | None = None
    """The smallest rectangle that holds the mask; None if the mask is empty."""
    strength: float = 1.0
    """How much of the change is rendered: 0 none, 1 all, above 1 exaggerates."""

    @cached_property
    def transform(self) -> Transform:
        """What is rendered, strength included."""
        return self.full.blend(self.strength)

    @property
    def curves(self) -> Curves:
        """What is rendered, as curves.

        Raises
        ------
        UsageError
            If the change depends on the place, so that no curves say it.
        """
        curves = self.transform.curves
        if curves is None:
            msg = "this network predicts no curves, but a change that varies by place"
            raise UsageError(f"{msg}: see transform, or Harmonizer.fit_curves")
        return curves

    def at_strength(self, strength: float) -> Self:
        """Return the same prediction at another strength; no network is run.

        Parameters
        ----------
        strength : float
            Of the network's full change, whatever the strength now is.

        Raises
        ------
        UsageError
            If `strength` is negative, NaN or infinite.

        Examples
        --------
        >>> Predicted(NO_CHANGE).at_strength(0.5).strength
        0.5
        """
        check_strength(strength)
        return replace(self, strength=strength)


@dataclass(frozen=True, kw_only=True)
class Result(Predicted):
    """A harmonized picture and the change of color that made it."""

    image: ImageArray
    """Shape and dtype of the composite."""


@dataclass(frozen=True, eq=False)
class ObjectsResult:
    """A picture of several harmonized objects."""

    image: ImageArray = field(repr=False)
    """Shape and dtype of the composite."""
    objects: tuple[Predicted, ...]
    """The change of each object, in the order of the masks."""


@dataclass(frozen=True, kw_only=True)
class FittedCurves(Predicted):
    """Curves that come nearest to what a network without curves did."""

    rms: float
    """Root of the mean squared difference over the foreground of the network's
    picture, in 8-bit steps, at full strength."""
    largest: float
    """Largest difference there, in 8-bit steps."""
