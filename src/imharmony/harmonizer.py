"""Harmonize arrays: load a network once, call it often."""

import threading
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony import photo, rendering
from imharmony.curves import Curves
from imharmony.errors import (
    CurveError,
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
)
from imharmony.networks import Contract, Network, label_index
from imharmony.thumbnails import make_thumbnails

__all__ = ["MODELS", "Harmonizer", "Result", "harmonize"]

WEIGHTS = Path(__file__).parent / "weights"
MODELS = {"s2crnet-cs": WEIGHTS / "s2crnet-cs.onnx"}
"""Bundled models by name."""
DEFAULT_MODEL = "s2crnet-cs"

EMPTY = "the mask is empty: nothing to harmonize"
FULL = "the mask covers everything: there is no background to fit to"
INVERTED = (
    "the mask looks inverted (it covers most of the photo and its whole rim); white is "
    "the foreground"
)

ImageArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predicted:
    """The curves for one composite, and how they came about."""

    curves: Curves
    """What is rendered: all stages in one, strength included. The identity where the
    network found nothing worth changing."""
    stages: tuple[Curves, ...]
    """The network's stages, first one first, at full strength."""
    label: str | None
    """Semantic label used: given, guessed, or None where the network has none."""
    warnings: tuple[str, ...]
    """What may surprise about a valid result; each was also warned about."""
    box: photo.Box | None
    """The smallest rectangle that holds the mask; None if the mask is empty."""


@dataclass(frozen=True)
class Result(Predicted):
    """A harmonized picture and the curves that made it."""

    image: ImageArray
    """Shape and dtype of the composite."""


P = TypeVar("P", bound=Predicted)


class Harmonizer:
    """A loaded network; safe to call from several threads.

    Parameters
    ----------
    model : str
        Name of a bundled model, a key of `MODELS`.
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
        If the weights file cannot be used.

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
        if weights is None:
            if model not in MODELS:
                msg = f"model is one of {', '.join(MODELS)}, got {model!r}"
                raise UsageError(msg)
            weights = MODELS[model]
        self._network = Network(
            Path(weights), num_threads=num_threads, provider=provider
        )

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
            background.
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
            If the label is unknown, the strength negative or not finite, or `out`
            cannot be written or shares memory. `out` is then as before.

        Warns
        -----
        HarmonizeWarning
            If the mask is empty or covers everything (the composite is returned),
            or looks inverted; if the slopes define no curve (likewise returned).

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
        """Predict the curves of an opened photo; `rendering.render` applies them.

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
            If the label is unknown or the strength negative.

        Warns
        -----
        HarmonizeWarning
            As for calling the harmonizer.
        """
        return _announce(self._predict(image, mask, label, strength, background))

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
        rendering.render_into(
            out, image, mask_image, predicted.curves, box=predicted.box
        )
        return Result(**vars(predicted), image=out)

    def _predict(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        label: str | None,
        strength: float,
        background: pyvips.Image | None = None,
    ) -> Predicted:
        if label is not None:
            label_index(label)  # an unknown label is an error with any mask
        identity = Curves.identity().blend(strength)
        box = photo.mask_box(mask)
        notes = _judge_mask(mask, box, has_background=background is not None)
        has_regions = not set(notes) & {EMPTY, FULL}
        if label is not None and not self.contract.has_semantic_label:
            notes = (*notes, "these weights know no labels; the given one is ignored")
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


def _judge_mask(
    mask: pyvips.Image, box: photo.Box | None, *, has_background: bool
) -> tuple[str, ...]:
    """Say what looks wrong; reads a mask again only if all of its rim is bright."""
    if box is None:
        return (EMPTY,)
    frame = photo.Box(0, 0, mask.height, mask.width)
    if has_background or box != frame:
        return ()
    # An object rarely fills most of the photo and all of its rim.
    last_row, last_column = mask.height - 1, mask.width - 1
    rim = (
        replace(frame, height=1),
        replace(frame, height=1, top=last_row),
        replace(frame, width=1),
        replace(frame, width=1, left=last_column),
    )
    if min(side.crop(mask).avg() for side in rim) <= 242:
        return ()
    if mask.min() == 255:
        return (FULL,)
    return (INVERTED,) if mask.avg() > 127 else ()


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
