"""What harmonizing gives: a change of color, how it came about, and the picture."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np

from imharmony.curves import Curves
from imharmony.curves.knots import check_strength
from imharmony.errors import UsageError, WarningCode, warn
from imharmony.images import adapters, files
from imharmony.images.photo import Box
from imharmony.rendering.transform import CurveTransform, Transform

__all__ = [
    "FittedCurves",
    "Notice",
    "ObjectsResult",
    "Predicted",
    "Result",
    "announce",
]

ImageT = TypeVar("ImageT")

NO_CHANGE = CurveTransform(Curves.identity())

_SENTENCES = {
    WarningCode.MASK_EMPTY: "the mask is empty: nothing to harmonize",
    WarningCode.MASK_FULL: "the mask covers everything: there is no background to fit "
    "to",
    WarningCode.MASK_INVERTED: "the mask looks inverted (it covers most of the photo "
    "and its whole rim); white is the foreground",
    WarningCode.LABEL_IGNORED: "these weights know no labels; the given one is ignored",
    WarningCode.NO_CURVE: "the network's answer defines no curve; unchanged",
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
    seam_pairs: int = 0
    """Pairs of pixels across the mask's edge that the network looked at."""
    same_scene: float | None = None
    """Probability that foreground and surroundings are of one scene, as the network
    judges by those pairs; None where there are none."""

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


@dataclass(frozen=True, eq=False, repr=False)
class Result(Generic[ImageT]):
    """A harmonized picture, or a batch of them, and the changes of color that made it.

    Two results are equal if their pictures and predictions are. A batch is a sequence
    of results: `result[i]` is the one of picture `i`.

    Parameters
    ----------
    image : array, image or tensor
        What the composite was: its type, shape and dtype.
    predictions : tuple of Predicted
        One, or one for each picture of a batch.
    is_batch : bool
        Whether the first axis of `image` counts pictures.
    """

    image: ImageT
    predictions: tuple[Predicted, ...]
    is_batch: bool = False

    @property
    def predicted(self) -> Predicted:
        """The change of color of the one picture.

        Raises
        ------
        UsageError
            If this is a batch.
        """
        if self.is_batch:
            msg = f"a batch of {len(self)} pictures has as many changes of color"
            raise UsageError(f"{msg}: see result[0] and so on, or predictions")
        return self.predictions[0]

    @property
    def curves(self) -> Curves:
        """As of `predicted`."""
        return self.predicted.curves

    @property
    def transform(self) -> Transform:
        """As of `predicted`."""
        return self.predicted.transform

    @property
    def stages(self) -> tuple[Curves, ...]:
        """As of `predicted`."""
        return self.predicted.stages

    @property
    def label(self) -> str | None:
        """As of `predicted`."""
        return self.predicted.label

    @property
    def strength(self) -> float:
        """As of `predicted`."""
        return self.predicted.strength

    @property
    def seam_pairs(self) -> int:
        """As of `predicted`."""
        return self.predicted.seam_pairs

    @property
    def same_scene(self) -> float | None:
        """As of `predicted`."""
        return self.predicted.same_scene

    @property
    def box(self) -> Box | None:
        """As of `predicted`."""
        return self.predicted.box

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What may surprise, about all pictures."""
        return tuple(notice for one in self.predictions for notice in one.warnings)

    def save(
        self,
        path: str | PathLike[str],
        *,
        overwrite: bool = False,
        quality: int | None = None,
    ) -> None:
        """Write the picture to a file, whole or not at all.

        Parameters
        ----------
        path : path
            .jpg, .jpeg, .png, .webp, .tif, .tiff or .avif. float64 is written as
            32-bit float, by formats that can hold it.
        overwrite : bool
            Whether an existing file may be replaced.
        quality : int or None
            1 to 100, for JPEG, WebP and AVIF.

        Raises
        ------
        UsageError
            If the file exists, its format cannot hold the picture, or this is a batch.
        ImageError
            If writing fails.
        """
        if self.is_batch:
            msg = f"{path}: expected one picture, got a batch of {len(self)}"
            raise UsageError(f"{msg}; result[0].save writes the first")
        image = adapters.to_vips(self.image, name=str(path))
        files.write_photo(image, Path(path), overwrite=overwrite, quality=quality)

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, index: int) -> "Result[ImageT]":
        predicted = self.predictions[index]
        if not self.is_batch:
            return self
        pictures: Any = self.image
        return Result(pictures[index], (predicted,))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        if (self.predictions, self.is_batch) != (other.predictions, other.is_batch):
            return False
        mine, theirs = (
            adapters.open_picture(one.image, name="image").pixels
            for one in (self, other)
        )
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs)

    def __hash__(self) -> int:
        return hash(self.predictions)

    def __repr__(self) -> str:
        pixels = adapters.open_picture(self.image, name="image").pixels
        pixel_type = f"{pixels.dtype} {pixels.shape}"
        if self.is_batch:
            return f"Result({pixel_type}, {len(self)} pictures)"
        change = self.transform.curves or "a change by place"
        return f"Result({pixel_type}, label {self.label!r}, {change})"


@dataclass(frozen=True, eq=False)
class ObjectsResult:
    """A picture of several harmonized objects."""

    image: Any = field(repr=False)
    """What the composite was: array, Pillow image or tensor, of the same shape and
    dtype."""
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


Announced = TypeVar("Announced", Predicted, FittedCurves, Result[Any])


def announce(result: Announced) -> Announced:
    """Warn about each notice of a result, and return the result.

    A public function calls this; the warnings point at the line that called it.
    """
    for notice in result.warnings:
        warn(notice, notice.code)
    return result
