"""Harmonize arrays: load a network once, call it often."""

import threading
import warnings
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.curves import Curves, fitting
from imharmony.errors import (
    CurveError,
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
)
from imharmony.images import photo
from imharmony.images.mask_check import EMPTY, FULL, judge_mask
from imharmony.inference import repainting
from imharmony.inference.contract import Contract
from imharmony.inference.models import (
    DEFAULT_MODEL,
    MODELS,
    OPTIONAL_MODELS,
    WEIGHTS,
    weights_of,
)
from imharmony.inference.network import Network
from imharmony.inference.thumbnails import make_thumbnails
from imharmony.labels import label_index
from imharmony.rendering.bilateral_grid import BilateralGrid
from imharmony.rendering.render import render_into
from imharmony.results import FittedCurves, ImageArray, Predicted, Result

__all__ = [
    "MODELS",
    "OPTIONAL_MODELS",
    "WEIGHTS",
    "Harmonizer",
    "Predicted",
    "Result",
    "harmonize",
    "weights_of",
]

NO_LABELS = "these weights know no labels; the given one is ignored"

P = TypeVar("P", bound=Predicted)


class Harmonizer:
    """A loaded network; safe to call from several threads.

    Parameters
    ----------
    model : str
        Name of a model, a key of `MODELS` or `OPTIONAL_MODELS`.
    weights : path or None
        A weights file to use instead, as `imharmony export` writes it.
    num_threads : int
        Threads the network uses within one call.
    provider : str or None
        An ONNX Runtime execution provider; None takes the CPU.

    Raises
    ------
    UsageError
        If the model or the provider is unknown.
    WeightsError
        If the weights file cannot be used, or is not part of this installation.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> composite = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    >>> mask = np.zeros((48, 64), dtype=np.uint8)
    >>> mask[12:36, 16:40] = 255
    >>> result = Harmonizer("s2crnet-cs")(composite, mask, label="person")
    >>> result.image.shape, str(result.image.dtype)
    ((48, 64, 3), 'uint8')
    >>> bool((result.image == composite)[mask == 0].all())
    True
    >>> result.curves.is_monotone
    True
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        weights: str | Path | None = None,
        num_threads: int = 2,
        provider: str | None = None,
    ) -> None:
        source = weights_of(model) if weights is None else Path(weights)
        self._network = Network(source, num_threads=num_threads, provider=provider)

    @property
    def contract(self) -> Contract:
        """What the loaded weights expect and give."""
        return self._network.contract

    def __call__(
        self,
        composite: ImageArray,
        mask: npt.NDArray[np.generic],
        *,
        label: str | None = None,
        strength: float = 1.0,
        background: ImageArray | None = None,
        premultiplied: bool = False,
        out: ImageArray | None = None,
    ) -> Result:
        """Recolor the foreground of a composite so that it fits its background.

        Parameters
        ----------
        composite : ndarray of uint8, uint16 or float32
            Shape (H, W, 3), or (H, W, 4) with straight alpha, which is kept as it
            is. Gray (H, W) and (H, W, 1) work too and stay gray. sRGB-encoded;
            float values nominally in [0, 1].
        mask : ndarray of bool, uint8, uint16 or float, shape (H, W) or (H, W, 1)
            1, 255, 65535 or True = foreground; values between blend. Read at 8 bit.
        label : str or None
            What the foreground is: person, animal, food, vehicle or others. None
            lets the network guess.
        strength : float
            0 leaves the composite, 1 is what the network predicts, above 1
            exaggerates with the range kept.
        background : ndarray like `composite`, of any size, or None
            Another photo to fit the foreground to. None takes the composite's own
            background, the only one that networks which give a picture can see.
        premultiplied : bool
            Whether the composite's colors are multiplied by its alpha, as compositing
            programs keep them. They are in the result, too.
        out : ndarray of the composite's shape and dtype, or None
            Where to put the result, any order of its bytes in memory. It may be the
            composite itself, of which only the mask's box is then written; otherwise
            it must not share memory with composite or mask. None makes a new array.

        Returns
        -------
        Result
            Background pixels, where the mask is 0, are the composite's bit for bit.

        Raises
        ------
        ImageError, ShapeError
            If an array is not as described.
        UsageError
            If the label is unknown, the strength negative or not finite, `out`
            cannot be written or shares memory, or the network cannot use a background.
            `out` is then as before.

        Warns
        -----
        HarmonizeWarning
            If the mask is empty or covers everything (the composite is returned),
            or looks inverted; if the slopes define no curve, or the foreground is too
            small for a network that gives a picture (likewise returned).

        Notes
        -----
        J. Liang et al., "Spatial-Separated Curve Rendering Network for Efficient
        and High-Resolution Image Harmonization", ECCV 2022, arXiv:2109.05750.
        """
        return _announce(
            self._render(
                composite, mask, label, strength, background, premultiplied, out
            )
        )

    def predict(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        *,
        label: str | None = None,
        strength: float = 1.0,
        background: pyvips.Image | None = None,
    ) -> Predicted:
        """Predict the change of an opened photo; `render.render` applies it.

        Parameters
        ----------
        image : pyvips.Image
            As `files.read_photo` gives it.
        mask : pyvips.Image
            As `files.read_mask` gives it, of the same size.
        label, strength
            As for calling the harmonizer.
        background : pyvips.Image or None
            As `files.read_photo` gives it: another photo to fit the foreground to.

        Returns
        -------
        Predicted

        Raises
        ------
        UsageError
            If the label is unknown, the strength negative, or the network cannot use
            a background.

        Warns
        -----
        HarmonizeWarning
            As for calling the harmonizer.
        """
        return _announce(self._predict(image, mask, label, strength, background))

    def fit_curves(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        *,
        label: str | None = None,
        strength: float = 1.0,
        background: pyvips.Image | None = None,
    ) -> FittedCurves:
        """Find the curves that come nearest to what a network without curves does.

        Parameters
        ----------
        image, mask, label, strength, background
            As for `predict`.

        Returns
        -------
        FittedCurves
            With the residual. The identity where the photo would not be changed.

        Raises
        ------
        UsageError
            If the network predicts curves itself, or as for `predict`.

        Warns
        -----
        HarmonizeWarning
            As for calling the harmonizer.
        """
        if self.contract.output == "curves":
            raise UsageError("these weights predict curves; there are none to fit")
        seen = self._repaint(image, mask, label, background)
        fitted = fitting.fit_curves(seen.before, seen.after, seen.weights)
        return _announce(
            FittedCurves(
                transform=fitted.curves.blend(strength),
                stages=(),
                label=None,
                warnings=seen.notes,
                box=seen.box,
                rms=fitted.rms,
                largest=fitted.largest,
            )
        )

    def _render(
        self,
        composite: ImageArray,
        mask: npt.NDArray[np.generic],
        label: str | None,
        strength: float,
        background: ImageArray | None = None,
        premultiplied: bool = False,
        out: ImageArray | None = None,
    ) -> Result:
        image = photo.from_array(composite, name="composite")
        if premultiplied:
            image.set_type(pyvips.GValue.gint_type, photo.PREMULTIPLIED, 1)
        if out is not None:
            _check_out(out, composite, mask)
        size = (image.height, image.width)
        mask_image = photo.mask_from_array(mask, size=size)
        other = None
        if background is not None:
            other = photo.from_array(background, name="background")
        predicted = self._predict(image, mask_image, label, strength, other)
        if out is None:
            out = np.empty(composite.shape, composite.dtype.newbyteorder("="))
        if not _is_same(out, composite):
            np.copyto(out, composite)
        render_into(out, image, mask_image, predicted.transform, box=predicted.box)
        return Result(**vars(predicted), image=out)

    def _predict(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        label: str | None,
        strength: float,
        background: pyvips.Image | None = None,
    ) -> Predicted:
        if self.contract.output == "picture":
            return self._predict_grid(image, mask, label, strength, background)
        if label is not None:
            label_index(label)  # an unknown label is an error with any mask
        identity = Curves.identity().blend(strength)
        box = photo.mask_box(mask)
        notes = judge_mask(mask, box, has_background=background is not None)
        has_regions = not set(notes) & {EMPTY, FULL}
        if label is not None and not self.contract.has_semantic_label:
            notes = (*notes, NO_LABELS)
        if not has_regions:
            return Predicted(identity, (), None, notes, box)
        thumbnails = make_thumbnails(
            image,
            mask,
            size=self.contract.thumbnail_size,
            background=background,
            contexts=self.contract.contexts,
            box=box,
        )
        prediction = self._network.predict(thumbnails, label=label)
        try:
            stages = tuple(map(Curves.from_params, prediction.curve_params))
        except CurveError as error:
            notes = (
                *notes,
                f"the network's slopes define no curve ({error}); unchanged",
            )
            return Predicted(identity, (), prediction.label, notes, box)
        curves = stages[0]
        for stage in stages[1:]:
            curves = curves.then(stage)
        curves = curves.blend(strength)
        return Predicted(curves, stages, prediction.label, notes, box)

    def _predict_grid(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        label: str | None,
        strength: float,
        background: pyvips.Image | None,
    ) -> Predicted:
        """Predict by a network that gives a picture."""
        seen = self._repaint(image, mask, label, background)
        grid = BilateralGrid.identity()
        if seen.box is not None:
            grid = BilateralGrid.fit(
                seen.before,
                seen.after,
                seen.weights,
                box=seen.box,
                size=(image.height, image.width),
            )
        return Predicted(grid.blend(strength), (), None, seen.notes, seen.box)

    def _repaint(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        label: str | None,
        background: pyvips.Image | None,
    ) -> repainting.Repainted:
        """Run a network that gives a picture, where there is something to see."""
        if label is not None:
            label_index(label)  # an unknown label is an error with any mask
        if background is not None:
            msg = "background: these weights see the composite alone; expected none"
            raise UsageError(f"{msg}, got another photo")
        box = photo.mask_box(mask)
        notes = judge_mask(mask, box, has_background=False)
        has_regions = not set(notes) & {EMPTY, FULL}
        if label is not None:
            notes = (*notes, NO_LABELS)
        if not has_regions:
            return repainting.unchanged(notes, box)
        return repainting.repaint(self._network, image, mask, notes=notes, box=box)


def harmonize(
    composite: ImageArray,
    mask: npt.NDArray[np.generic],
    *,
    label: str | None = None,
    strength: float = 1.0,
    background: ImageArray | None = None,
    premultiplied: bool = False,
    out: ImageArray | None = None,
) -> Result:
    """Harmonize with the default model, loaded on the first call.

    Parameters
    ----------
    composite, mask, label, strength, background, premultiplied, out
        As for calling a `Harmonizer`.

    Returns
    -------
    Result

    Examples
    --------
    >>> composite = np.full((8, 8, 3), 200, dtype=np.uint8)
    >>> mask = np.eye(8, dtype=bool)
    >>> result = harmonize(composite, mask, strength=0.5)
    >>> bool((result.image == composite)[~mask].all())
    True
    """
    result = _default_harmonizer()._render(
        composite, mask, label, strength, background, premultiplied, out
    )
    return _announce(result)


_default: list[Harmonizer] = []
_default_lock = threading.Lock()


def _default_harmonizer() -> Harmonizer:
    """Return the one harmonizer that all plain `harmonize` calls share."""
    with _default_lock:
        if not _default:
            _default.append(Harmonizer())
        return _default[0]


def _check_out(
    out: ImageArray, composite: ImageArray, mask: npt.NDArray[np.generic]
) -> None:
    """Refuse an array that cannot hold the result."""
    if out.shape != composite.shape:
        msg = f"out: expected the composite's shape {composite.shape}, got {out.shape}"
        raise ShapeError(msg)
    if out.dtype != composite.dtype:
        msg = f"out: expected the composite's dtype {composite.dtype}, got {out.dtype}"
        raise ImageError(msg)
    if not out.flags.writeable:
        raise UsageError(
            "out: expected an array that can be written, got a read-only one"
        )
    shares = not _is_same(out, composite) and np.shares_memory(out, composite)
    if shares or np.shares_memory(out, mask):
        msg = "out: expected memory of its own, or the composite itself"
        raise UsageError(f"{msg}, got some of the composite's or of the mask's")


def _is_same(out: ImageArray, composite: ImageArray) -> bool:
    """Whether two arrays of one shape and dtype are the same pixels in memory."""
    keys = ("data", "strides")
    one, other = out.__array_interface__, composite.__array_interface__
    return all(one[key] == other[key] for key in keys)


def _announce(predicted: P) -> P:
    """Warn about each note, pointing at the line that called the public function."""
    for note in predicted.warnings:
        warnings.warn(note, HarmonizeWarning, stacklevel=3)
    return predicted
