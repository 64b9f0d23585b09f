"""Harmonize arrays: load a network once, call it often."""

import threading
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.curves.knots import check_strength
from imharmony.curves.smoothing import STREAM_WIDTH_S
from imharmony.errors import HarmonizeWarning, ImageError, ShapeError, UsageError
from imharmony.images import photo
from imharmony.inference.contract import Contract
from imharmony.inference.models import DEFAULT_MODEL, load_network, weights_of
from imharmony.inference.request import Request
from imharmony.rendering.objects import join_masks, render_objects
from imharmony.rendering.render import render_into
from imharmony.results import FittedCurves, ImageArray, ObjectsResult, Predicted, Result
from imharmony.streams import Stream

__all__ = ["Harmonizer", "harmonize"]

P = TypeVar("P", bound=Predicted)


class Harmonizer:
    """A loaded network; safe to call from several threads.

    Parameters
    ----------
    model : str
        Name of a model, a key of `models.MODELS`.
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
        source = weights_of(model) if weights is None else Path(weights)
        self._network = load_network(source, num_threads=num_threads, provider=provider)

    @property
    def contract(self) -> Contract:
        """What the loaded weights expect and give."""
        return self._network.contract

    @property
    def has_curves(self) -> bool:
        """Whether the network predicts curves, not a change that varies by place."""
        return self._network.has_curves

    def __call__(
        self,
        composite: ImageArray,
        mask: npt.NDArray[np.generic],
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: ImageArray | None = None,
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
        reference : ndarray like `composite`, of any size, or None
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
            cannot be written or shares memory, or the network cannot use a reference.
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
                composite, mask, label, strength, reference, premultiplied, out
            )
        )

    def predict(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: pyvips.Image | None = None,
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
        reference : pyvips.Image or None
            As `files.read_photo` gives it: another photo to fit the foreground to.

        Returns
        -------
        Predicted

        Raises
        ------
        UsageError
            If the label is unknown, the strength negative, or the network cannot use
            a reference.

        Warns
        -----
        HarmonizeWarning
            As for calling the harmonizer.
        """
        return _announce(self._predict(image, mask, label, strength, reference))

    def predict_objects(
        self,
        image: pyvips.Image,
        masks: Sequence[pyvips.Image],
        *,
        labels: Sequence[str | None] | None = None,
        strength: float = 1.0,
        reference: pyvips.Image | None = None,
    ) -> tuple[Predicted, ...]:
        """Predict the change of each of several objects.

        Each is fitted to what is none of them; `rendering.objects.render_objects`
        applies the changes together. Networks that give a picture take the other
        objects for background.

        Parameters
        ----------
        image, strength, reference
            As for `predict`.
        masks : sequence of pyvips.Image
            One for each object, at least one.
        labels : sequence of str or None
            What each object is; None lets the network guess all.

        Returns
        -------
        tuple of Predicted
            One for each object, in their order.

        Raises
        ------
        UsageError
            As `predict`, or if there are no masks or labels of another number.

        Warns
        -----
        HarmonizeWarning
            As for calling the harmonizer, for each object.
        """
        check_strength(strength)
        if not masks:
            raise UsageError("masks: expected one for each object, got none")
        if labels is not None and len(labels) != len(masks):
            msg = f"labels: expected {len(masks)}, one for each mask"
            raise UsageError(f"{msg}, got {len(labels)}")
        covered = join_masks(masks) if len(masks) > 1 else None
        return tuple(
            _announce(
                self._network.predict(
                    Request(image, mask, label, reference, covered)
                ).at_strength(strength)
            )
            for mask, label in zip(masks, labels or [None] * len(masks), strict=True)
        )

    def harmonize_objects(
        self,
        composite: ImageArray,
        masks: Sequence[npt.NDArray[np.generic]],
        *,
        labels: Sequence[str | None] | None = None,
        strength: float = 1.0,
        reference: ImageArray | None = None,
    ) -> ObjectsResult:
        """Recolor several objects of a composite, each in its own way.

        Parameters
        ----------
        composite, strength, reference
            As for calling the harmonizer.
        masks : sequence of ndarray
            One for each object, as `mask` for calling the harmonizer.
        labels : sequence of str or None
            What each object is; None lets the network guess all.

        Returns
        -------
        ObjectsResult

        Raises
        ------
        ImageError, ShapeError, UsageError
            As for calling the harmonizer, and as `predict_objects`.

        Examples
        --------
        >>> composite = np.full((32, 48, 3), 90, dtype=np.uint8)
        >>> left, right = np.zeros((2, 32, 48), dtype=np.uint8)
        >>> left[8:24, 4:20] = right[8:24, 28:44] = 255
        >>> result = Harmonizer().harmonize_objects(composite, [left, right])
        >>> result.image.shape, len(result.objects)
        ((32, 48, 3), 2)
        """
        image = photo.from_array(composite, name="composite")
        size = (image.height, image.width)
        images = [photo.mask_from_array(mask, size=size) for mask in masks]
        other = None
        if reference is not None:
            other = photo.from_array(reference, name="reference")
        objects = self.predict_objects(
            image, images, labels=labels, strength=strength, reference=other
        )
        changes = [each.transform for each in objects]
        rendered = render_objects(image, list(zip(images, changes, strict=True)))
        pixels = photo.to_array(rendered).reshape(composite.shape)
        return ObjectsResult(pixels, objects)

    def stream(
        self,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: ImageArray | None = None,
        rate: float = 30.0,
        every: int = 1,
        width_s: float = STREAM_WIDTH_S,
    ) -> Stream:
        """Begin a stream of frames, as from a camera, that is not to flicker.

        Parameters
        ----------
        label, strength, reference
            As for calling the harmonizer, for all frames.
        rate : float
            Frames a second, where the times of the frames are not told.
        every : int
            The network is asked about every so many frames, and at each new scene.
        width_s : float
            Seconds after which two thirds of older curves are forgotten; 0 takes the
            newest alone, which flickers.

        Returns
        -------
        Stream
            To be called with each frame and its mask.

        Raises
        ------
        UsageError
            If a number is out of range.

        Examples
        --------
        >>> stream = Harmonizer().stream(rate=24)
        >>> frame = np.full((48, 64, 3), 90, dtype=np.uint8)
        >>> mask = np.zeros((48, 64), dtype=np.uint8)
        >>> mask[12:36, 16:40] = 255
        >>> [stream(frame, mask).image.shape for _ in range(2)]
        [(48, 64, 3), (48, 64, 3)]
        """
        check_strength(strength)
        other = None
        if reference is not None:
            other = photo.from_array(reference, name="reference")

        def predict(image: pyvips.Image, mask: pyvips.Image) -> Predicted:
            return _announce(self._predict(image, mask, label, strength, other))

        return Stream(predict, rate=rate, every=every, width_s=width_s)

    def fit_curves(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: pyvips.Image | None = None,
    ) -> FittedCurves:
        """Find the curves that come nearest to what a network without curves does.

        Parameters
        ----------
        image, mask, label, strength, reference
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
        check_strength(strength)
        request = Request(image, mask, label, reference)
        fitted = self._network.fit_curves(request).at_strength(strength)
        return _announce(fitted)

    def _render(
        self,
        composite: ImageArray,
        mask: npt.NDArray[np.generic],
        label: str | None,
        strength: float,
        reference: ImageArray | None = None,
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
        if reference is not None:
            other = photo.from_array(reference, name="reference")
        predicted = self._predict(image, mask_image, label, strength, other)
        if out is None:
            out = np.empty(composite.shape, composite.dtype.newbyteorder("="))
        if not _is_same(out, composite):
            np.copyto(out, composite)
        render_into(out, image, mask_image, predicted.transform, box=predicted.box)
        parts = {part.name: getattr(predicted, part.name) for part in fields(predicted)}
        return Result(**parts, image=out)

    def _predict(
        self,
        image: pyvips.Image,
        mask: pyvips.Image,
        label: str | None,
        strength: float,
        reference: pyvips.Image | None,
    ) -> Predicted:
        check_strength(strength)
        request = Request(image, mask, label, reference)
        return self._network.predict(request).at_strength(strength)


def harmonize(
    composite: ImageArray,
    mask: npt.NDArray[np.generic],
    *,
    label: str | None = None,
    strength: float = 1.0,
    reference: ImageArray | None = None,
    premultiplied: bool = False,
    out: ImageArray | None = None,
) -> Result:
    """Harmonize with the default model, loaded on the first call.

    Parameters
    ----------
    composite, mask, label, strength, reference, premultiplied, out
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
        composite, mask, label, strength, reference, premultiplied, out
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
    for notice in predicted.warnings:
        warnings.warn(HarmonizeWarning(notice, notice.code), stacklevel=3)
    return predicted
