"""Frames one after another, as from a camera: each harmonized at once, no flicker."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.curves.smoothing import (
    STREAM_WIDTH_S,
    RunningMean,
    from_heights,
    to_heights,
)
from imharmony.errors import UsageError
from imharmony.images import photo
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.images.pixels import PixelArray
from imharmony.rendering.render import render_into
from imharmony.rendering.transform import CurveTransform
from imharmony.results import Predicted, Result
from imharmony.scenes import SceneWatch, shrink

__all__ = ["Stream"]

Predict = Callable[[pyvips.Image, pyvips.Image], Predicted]


class Stream:
    """Harmonizes the frames of one stream; `Harmonizer.stream` makes it.

    Parameters
    ----------
    predict : callable
        Predicts the curves of a frame and its mask.
    rate : float
        Frames a second, for frames that come without a time.
    every : int
        The network is asked about every so many frames, and at each new scene.
    width_s : float
        Seconds after which two thirds of older curves are forgotten. 0 takes the
        newest alone, which flickers.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        rate: float = 30.0,
        every: int = 1,
        width_s: float = STREAM_WIDTH_S,
    ) -> None:
        if not rate > 0:
            raise UsageError(f"expected a rate above 0, got {rate}")
        if every < 1:
            raise UsageError(f"expected every frame, or every 2nd or more, got {every}")
        if not width_s >= 0:
            raise UsageError(f"expected a width of 0 s or more, got {width_s}")
        self._predict = predict
        self._rate = rate
        self._every = every
        self._watch = SceneWatch()
        self._mean = RunningMean(width_s)
        self._latest: Predicted | None = None
        self._num_frames = 0
        self._asked = 0

    def __call__(
        self,
        frame: PixelArray,
        mask: npt.NDArray[np.generic],
        *,
        time_s: float | None = None,
        out: PixelArray | None = None,
    ) -> Result[PixelArray]:
        """Harmonize the next frame.

        Parameters
        ----------
        frame, mask, out
            As composite, mask and `out` for calling a `Harmonizer`; `out` may be the
            frame.
        time_s : float or None
            When the frame was taken, in seconds from any moment.

        Returns
        -------
        Result
            Its curves are a mean over this scene so far. Its warnings are those of the
            last frame that the network was asked about.
        """
        if time_s is None:
            time_s = self._num_frames / self._rate
        image = photo.from_array(frame, name="frame")
        mask_image = mask_from_array(mask, size=(image.height, image.width))
        box = mask_box(mask_image)
        colors = frame if frame.ndim == 3 else frame[..., None]
        colors = colors[..., :3] if colors.shape[2] > 2 else colors[..., [0, 0, 0]]
        small_mask = shrink(photo.to_array(mask_image)[..., 0])
        is_new = self._watch.is_new(shrink(colors), small_mask)
        latest = self._latest
        if is_new:
            self._mean.forget()
        is_due = self._num_frames - self._asked >= self._every
        if latest is None or is_new or is_due or not latest.stages:
            latest = self._predict(image, mask_image)
            self._asked = self._num_frames
            if latest.stages:  # there was a foreground
                heights = self._mean.add(to_heights(latest.curves), time_s=time_s)
                smoothed = CurveTransform(from_heights(heights))
                latest = replace(latest, full=smoothed, strength=1.0)
            self._latest = latest
        self._num_frames += 1
        if out is None:
            out = np.empty(frame.shape, frame.dtype)
        if out is not frame:
            np.copyto(out, frame)
        render_into(out, image, mask_image, latest.transform, box=box)
        return Result(out, (replace(latest, box=box),))
