"""Harmonize pictures in memory: load a network once, call it often."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy.typing as npt
import pyvips

from imharmony.curves.knots import check_strength
from imharmony.curves.smoothing import STREAM_WIDTH_S
from imharmony.errors import UsageError
from imharmony.images import adapters
from imharmony.images.adapters import (
    Depth,
    ForeignT,
    MaskLike,
    PictureLike,
    SupportsArray,
)
from imharmony.images.pixels import PixelArray
from imharmony.inference.choices import SeamUse, check_seam
from imharmony.inference.contract import Contract
from imharmony.inference.models import DEFAULT_MODEL, find_weights, load_network
from imharmony.inference.request import Request
from imharmony.inference.seam import Seam
from imharmony.opening import (
    Opened,
    Options,
    count_axes,
    open_batch,
    open_objects,
    open_pictures,
    render_opened,
)
from imharmony.rendering.objects import join_masks
from imharmony.results import (
    FittedCurves,
    ObjectsResult,
    Predicted,
    Result,
    announce,
)
from imharmony.streams import Stream

__all__ = ["Harmonizer"]


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
    >>> import numpy as np
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
        source = find_weights(model) if weights is None else Path(weights)
        self._network = load_network(source, num_threads=num_threads, provider=provider)

    @property
    def contract(self) -> Contract:
        """What the loaded weights expect and give."""
        return self._network.contract

    @property
    def has_curves(self) -> bool:
        """Whether the network predicts curves, not a change that varies by place."""
        return self._network.has_curves

    @overload
    def __call__(
        self,
        composite: npt.NDArray[Depth],
        mask: MaskLike | None = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: PictureLike | None = None,
        seam: SeamUse = "auto",
        premultiplied: bool = False,
        out: npt.NDArray[Depth] | None = None,
    ) -> Result[npt.NDArray[Depth]]: ...

    @overload
    def __call__(
        self,
        composite: ForeignT,
        mask: MaskLike | None = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: PictureLike | None = None,
        seam: SeamUse = "auto",
        premultiplied: bool = False,
    ) -> Result[ForeignT]: ...

    @overload
    def __call__(
        self,
        composite: SupportsArray | Sequence[Any],
        mask: MaskLike | None = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: PictureLike | None = None,
        seam: SeamUse = "auto",
        premultiplied: bool = False,
    ) -> Result[npt.NDArray[Any]]: ...

    def __call__(
        self,
        composite: Any,
        mask: Any = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: Any = None,
        seam: SeamUse = "auto",
        premultiplied: bool = False,
        out: PixelArray | None = None,
    ) -> Result[Any]:
        """Recolor the foreground of a composite so that it fits its background.

        Parameters
        ----------
        composite : ndarray, Pillow image, tensor, pyvips image, or list of floats
            uint8, uint16, float32 or float64, of shape (H, W, 3), or (H, W, 4) with
            straight alpha, which is kept as it is. Gray (H, W) and (H, W, 1) work too
            and stay gray. (N, H, W, 3) is a batch. sRGB-encoded, or as the profile of
            a Pillow image says; float values nominally in [0, 1].
        mask : likewise, shape (H, W), (H, W, 1) or (H, W, 3), or None
            1 = foreground: True, 1.0, 255, or 65535 of uint16. Whole numbers of any
            type are 0 and 1, or 0 to 255; values between blend. Read at 8 bit. Three
            channels must be equal. For a batch (N, H, W), or one for all. None takes
            the composite's alpha.
        label : str or None
            What the foreground is: person, animal, food, vehicle or others. None
            lets the network guess.
        strength : float
            0 leaves the composite, 1 is what the network predicts, above 1
            exaggerates with the range kept.
        reference : like `composite`, of any size, or None
            Another photo to fit the foreground to. None takes the composite's own
            background, the only one that networks which give a picture can see.
        seam : str
            What pixels that face each other across the mask's edge are taken for, by
            networks that look at them: "auto" lets the network judge whether the
            foreground belongs to the scene; "trust" says that it does, for a region
            that was edited, inpainted or relit in place; "ignore" does not go by them,
            for a paste on a busy edge.
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
            Its image is what the composite was: array, Pillow image, tensor or pyvips
            image, of the same shape and dtype. Background pixels, where the mask is 0,
            are the composite's bit for bit. Of float64, the change is computed in
            float32.

        Raises
        ------
        ImageError, ShapeError
            If an array is not as described, or there is neither a mask nor an alpha
            channel that cuts something out.
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
        options = Options(label, strength, reference, premultiplied, seam)
        return announce(self._harmonize(composite, mask, options, out))

    def predict(
        self,
        composite: Any,
        mask: Any = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: Any = None,
        seam: SeamUse | Seam = "auto",
        premultiplied: bool = False,
    ) -> Predicted:
        """Predict the change of one picture; `render` applies it.

        Errors and warnings are those of calling the harmonizer.

        Parameters
        ----------
        composite, mask, label, strength, reference, premultiplied
            As for calling the harmonizer; no batches. A `pyvips.Image` as
            `read_photo` gives it is used as it is, however large.
        seam : str or Seam
            Likewise; or pairs of pixels to look at in place of the picture's own,
            judged as in "auto".

        Returns
        -------
        Predicted
            Its `at_strength` does not ask the network again.

        Examples
        --------
        >>> import numpy as np
        >>> composite = np.full((8, 8, 3), 200, dtype=np.uint8)
        >>> harmonizer = Harmonizer()
        >>> predicted = harmonizer.predict(composite, np.eye(8))
        >>> weaker = harmonizer.render(predicted.at_strength(0.5), composite, np.eye(8))
        >>> weaker.strength
        0.5
        """
        options = Options(label, strength, reference, premultiplied, seam)
        opened = open_pictures(composite, mask, options)
        return announce(self._predict(opened, options))

    def render(
        self,
        predicted: Predicted,
        composite: Any,
        mask: Any = None,
        *,
        premultiplied: bool = False,
        out: PixelArray | None = None,
    ) -> Result[Any]:
        """Apply a predicted change to the picture that it was predicted for.

        Parameters
        ----------
        predicted : Predicted
        composite, mask, premultiplied, out
            As for calling the harmonizer; no batches.

        Returns
        -------
        Result
        """
        options = Options(None, predicted.strength, None, premultiplied)
        # Whether an opaque alpha makes sense, predicting has decided.
        opened = open_pictures(composite, mask, options, out, may_be_full=True)
        return render_opened(opened, predicted)

    def predict_objects(
        self,
        image: pyvips.Image,
        masks: Sequence[pyvips.Image],
        *,
        labels: Sequence[str | None] | None = None,
        strength: float = 1.0,
        reference: pyvips.Image | None = None,
        seam: SeamUse = "auto",
    ) -> tuple[Predicted, ...]:
        """Predict the change of each of several objects.

        Each is fitted to what is none of them; `rendering.objects.render_objects`
        applies the changes together. Networks that give a picture take the other
        objects for background. Warnings are those of calling the harmonizer, for each
        object.

        Parameters
        ----------
        image, strength, reference, seam
            As for `predict`; `seam` holds for all objects.
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
        """
        check_strength(strength)
        if not masks:
            raise UsageError("masks: expected one for each object, got none")
        if labels is not None and len(labels) != len(masks):
            msg = f"labels: expected {len(masks)}, one for each mask"
            raise UsageError(f"{msg}, got {len(labels)}")
        covered = join_masks(masks) if len(masks) > 1 else None
        return tuple(
            announce(
                self._network.predict(
                    Request(image, mask, label, reference, covered, seam)
                ).at_strength(strength)
            )
            for mask, label in zip(masks, labels or [None] * len(masks), strict=True)
        )

    def harmonize_objects(
        self,
        composite: PictureLike,
        masks: Sequence[MaskLike],
        *,
        labels: Sequence[str | None] | None = None,
        strength: float = 1.0,
        reference: PictureLike | None = None,
        seam: SeamUse = "auto",
    ) -> ObjectsResult:
        """Recolor several objects of a composite, each in its own way.

        Errors and warnings are those of calling the harmonizer and of
        `predict_objects`.

        Parameters
        ----------
        composite, strength, reference, seam
            As for calling the harmonizer; `seam` holds for all objects.
        masks : sequence of MaskLike
            One for each object, as `mask` for calling the harmonizer.
        labels : sequence of str or None
            What each object is; None lets the network guess all.

        Returns
        -------
        ObjectsResult

        Examples
        --------
        >>> import numpy as np
        >>> composite = np.full((32, 48, 3), 90, dtype=np.uint8)
        >>> left, right = np.zeros((2, 32, 48), dtype=np.uint8)
        >>> left[8:24, 4:20] = right[8:24, 28:44] = 255
        >>> result = Harmonizer().harmonize_objects(composite, [left, right])
        >>> result.image.shape, len(result.objects)
        ((32, 48, 3), 2)
        """
        opened = open_objects(composite, masks)
        other = None
        if reference is not None:
            other = adapters.to_vips(reference, name="reference")
        objects = self.predict_objects(
            opened.image,
            opened.masks,
            labels=labels,
            strength=strength,
            reference=other,
            seam=seam,
        )
        return ObjectsResult(opened.render([o.transform for o in objects]), objects)

    def stream(
        self,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: PictureLike | None = None,
        seam: SeamUse = "auto",
        rate: float = 30.0,
        every: int = 1,
        width_s: float = STREAM_WIDTH_S,
    ) -> Stream:
        """Begin a stream of frames, as from a camera, and keep it from flickering.

        Parameters
        ----------
        label, strength, reference, seam
            As for calling the harmonizer, for all frames.
        rate : float
            Frames a second, for frames that come without a time.
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
        >>> import numpy as np
        >>> frame = np.full((48, 64, 3), 90, dtype=np.uint8)
        >>> mask = np.zeros((48, 64), dtype=np.uint8)
        >>> mask[12:36, 16:40] = 255
        >>> [stream(frame, mask).image.shape for _ in range(2)]
        [(48, 64, 3), (48, 64, 3)]
        """
        check_strength(strength)
        options = Options(label, strength, reference, False, check_seam(seam))

        def predict(image: pyvips.Image, mask: pyvips.Image) -> Predicted:
            opened = Opened(image, mask, None, None, None)
            return announce(self._predict(opened, options))

        return Stream(predict, rate=rate, every=every, width_s=width_s)

    def fit_curves(
        self,
        composite: Any,
        mask: Any = None,
        *,
        label: str | None = None,
        strength: float = 1.0,
        reference: Any = None,
        seam: SeamUse = "auto",
        premultiplied: bool = False,
    ) -> FittedCurves:
        """Find the curves that come nearest to what a network without curves does.

        Parameters, errors and warnings are those of `predict`.

        Returns
        -------
        FittedCurves
            With the residual. The identity where the photo would not be changed.

        Raises
        ------
        UsageError
            Also if the network predicts curves itself.
        """
        options = Options(label, strength, reference, premultiplied, seam)
        request = open_pictures(composite, mask, options).make_request(options)
        return announce(self._network.fit_curves(request).at_strength(strength))

    def _harmonize(
        self, composite: Any, mask: Any, options: Options, out: PixelArray | None
    ) -> Result[Any]:
        """Harmonize one picture, or each of a batch."""
        if count_axes(composite) != 4:
            opened = open_pictures(composite, mask, options, out)
            return render_opened(opened, self._predict(opened, options))
        batch = open_batch(composite, mask, out)
        predictions = []
        for opened in batch.open(options):
            predicted = self._predict(opened, options)
            render_opened(opened, predicted)
            predictions.append(predicted)
        return Result(batch.give_back(), tuple(predictions), is_batch=True)

    def _predict(self, opened: Opened, options: Options) -> Predicted:
        request = opened.make_request(options)
        return self._network.predict(request).at_strength(options.strength)
