"""Frames one after another, from Python."""

import numpy as np
import pytest

from imharmony import Harmonizer
from imharmony.curves import Curves
from imharmony.curves.smoothing import from_heights, to_heights
from imharmony.errors import HarmonizeWarning, UsageError
from imharmony.rendering.transform import CurveTransform
from imharmony.results import Predicted
from imharmony.streams import Stream
from tests.video.clips import Pixels, disc, paste, scene

MASK = np.rint(255 * disc()).astype(np.uint8)


def frame(**options: float) -> Pixels:
    pixels: Pixels = np.rint(255 * paste(scene(**options), disc())).astype(np.uint8)  # type: ignore[arg-type]
    return pixels


class Jitter:
    """Predicts another curve each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.asked = 0

    def __call__(self, *_: object) -> Predicted:
        self.asked += 1
        exponent = self.rng.normal(0.8, 0.05)
        curves = from_heights(to_heights(Curves.identity()) ** exponent)
        return Predicted(CurveTransform(curves), (curves,), "food")


def mid_grays(
    stream: Stream, frames: list[Pixels]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    middles = [stream(pixels, MASK).curves(np.full(3, 0.5))[0] for pixels in frames]
    return 255 * np.array(middles)


def test_still_scene_does_not_flicker() -> None:
    frames = [frame()] * 120
    before = mid_grays(Stream(Jitter(), width_s=0), frames)
    after = mid_grays(Stream(Jitter()), frames)
    assert np.abs(np.diff(before)).mean() > 3
    assert np.percentile(np.abs(np.diff(after))[30:], 95) < 0.5


def test_switched_light_is_followed_at_once() -> None:
    def predict(image: object, _: object) -> Predicted:
        light = float(image.avg())  # type: ignore[attr-defined]
        curves = from_heights(to_heights(Curves.identity()) ** (0.5 + light / 255))
        return Predicted(CurveTransform(curves), (curves,), "food")

    frames = [frame(light=0.4)] * 30 + [frame(light=0.9)] * 30
    middles = mid_grays(Stream(predict), frames)
    assert np.ptp(middles[:30]) == 0
    assert abs(middles[30] - middles[-1]) < 0.5
    assert abs(middles[29] - middles[30]) > 10


def test_network_is_asked_every_so_many_frames_and_at_cuts() -> None:
    jitter = Jitter()
    stream = Stream(jitter, every=5)
    for pixels in [frame()] * 12 + [frame(number=4)] * 3:
        stream(pixels, MASK)
    assert jitter.asked == 3 + 1


def test_result_is_the_frame_recolored_within_the_mask() -> None:
    stream = Harmonizer().stream(rate=24)
    pixels = frame()
    before = pixels.copy()
    result = stream(pixels, MASK)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(result.image[MASK == 0], pixels[MASK == 0])
    expected = Harmonizer()(pixels, MASK)
    assert result.label == expected.label
    gap = np.abs(result.image.astype(int) - expected.image.astype(int))
    assert gap.max() <= 1
    out = pixels.copy()
    assert stream(out, MASK, out=out).image is out


@pytest.mark.parametrize("shape", [(64, 96), (64, 96, 1), (64, 96, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_of_any_kind(shape: tuple[int, ...], dtype: str) -> None:
    pixels = np.full(shape, 0.4, np.float32)
    if dtype != "float32":
        pixels = (pixels * np.iinfo(dtype).max).astype(dtype)
    image = Harmonizer().stream()(pixels, MASK).image
    assert (image.shape, image.dtype) == (shape, np.dtype(dtype))


def test_frames_without_foreground_are_left_alone() -> None:
    stream = Harmonizer().stream()
    nothing = np.zeros_like(MASK)
    with pytest.warns(HarmonizeWarning, match="the mask is empty"):
        result = stream(frame(), nothing)
    np.testing.assert_array_equal(result.image, frame())
    assert stream(frame(), MASK).stages


@pytest.mark.parametrize("options", [{"rate": 0}, {"every": 0}, {"width_s": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Stream(Jitter(), **options)  # type: ignore[arg-type]


def test_seam_holds_for_all_frames() -> None:
    harmonizer = Harmonizer()
    rng = np.random.default_rng(0)
    frame = rng.integers(60, 190, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    frame[mask > 0] //= 2
    for seam in ("trust", "ignore"):
        stream = harmonizer.stream(seam=seam)
        wanted = harmonizer.predict(frame, mask, seam=seam).curves
        values = np.linspace(0, 1, 9)[:, None].repeat(3, axis=1)
        for _ in range(2):
            shown = stream(frame, mask).predicted.curves
            np.testing.assert_allclose(shown(values), wanted(values), atol=0.02)
    with pytest.raises(UsageError, match="seam is one of"):
        harmonizer.stream(seam="perhaps")  # type: ignore[arg-type]
