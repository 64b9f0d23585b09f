"""Baselines and the ceiling: statistics by repetition, scikit-image, brute force."""

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from skimage.exposure import match_histograms as reference_match

from imharmony.errors import ImageError, UsageError
from imharmony.evaluation.methods.baselines import (
    LAB_FROM_LOG_LMS,
    ceiling,
    lab_from_rgb,
    lab_statistics,
    match_histograms,
    recolor_by_table,
    reinhard,
    rgb_from_lab,
)
from imharmony.evaluation.methods.cloning import clone_seamlessly
from imharmony.evaluation.protocols.metrics import Recoloring, measure_all
from imharmony.evaluation.protocols.protocol import FULL, PCT_FULL
from imharmony.evaluation.protocols.scene import Scene
from imharmony.images.pixels import Box

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

# Double precision, some thousand terms.
ROUNDING = 1e-9
# Reinhard's result is clipped to the range, which moves a statistic by less.
CLIPPED = 1e-4

SIZE = (48, 56)
BASELINES: list[Callable[[Scene], Recoloring]] = [
    reinhard,
    match_histograms,
    ceiling,
    clone_seamlessly,
]


def noise(seed: int, size: tuple[int, int] = SIZE) -> UInt8Array:
    """Noise around a color, well inside the range."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(rng.uniform(90, 160, 3), 15, (*size, 3))
    levels: UInt8Array = np.rint(pixels.clip(20, 235)).astype(np.uint8)
    return levels


def square(size: tuple[int, int] = SIZE) -> UInt8Array:
    """A mask that is foreground in the middle ninth."""
    mask = np.zeros(size, np.uint8)
    rows, columns = (slice(n // 3, 2 * n // 3) for n in size)
    mask[rows, columns] = 255
    return mask


def scene(mask: UInt8Array | None = None) -> Scene:
    """A scene whose foreground has other means and deviations than its background."""
    mask = square() if mask is None else mask
    foreground = noise(9) // 2 + np.uint8(20)
    composite = np.where(mask[..., None] > 0, foreground, noise(4))
    return Scene(composite, noise(4), mask)


def whole(scene: Scene, recoloring: Recoloring) -> FloatArray:
    picture = recoloring(Box(0, 0, *scene.size))
    return np.asarray(picture, np.float64)


# All


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_background_stays(baseline: Callable[[Scene], Recoloring]) -> None:
    there = scene()
    moved = whole(there, baseline(there))
    outside = there.mask == 0
    assert np.array_equal(moved[outside], there.composite[outside])
    assert not np.array_equal(moved[~outside], there.composite[~outside])


@pytest.mark.parametrize("baseline", BASELINES)
def test_tiles_are_parts_of_the_whole(
    baseline: Callable[[Scene], Recoloring],
) -> None:
    there = scene()
    recoloring = baseline(there)
    tile = Box(10, 20, 27, 31)
    np.testing.assert_allclose(
        recoloring(tile), tile.view(whole(there, recoloring)), rtol=0, atol=ROUNDING
    )


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("baseline", [reinhard, match_histograms, clone_seamlessly])
def test_without_foreground_or_background_nothing_changes(
    baseline: Callable[[Scene], Recoloring], value: int
) -> None:
    there = scene(np.full(SIZE, value, np.uint8))
    assert np.array_equal(whole(there, baseline(there)), there.composite)


def test_a_soft_mask_blends() -> None:
    soft = scene(square() // 5)  # 51 of 255: 0.2
    hard = Scene(soft.composite, soft.real, square())
    moved, full = (whole(there, ceiling(there)) for there in (soft, hard))
    blended = np.where(
        soft.mask[..., None] > 0, 0.2 * full + 0.8 * soft.composite, full
    )
    np.testing.assert_allclose(moved, blended, rtol=0, atol=ROUNDING)


# Reinhard's transfer


def test_the_lab_transform_is_orthonormal() -> None:
    unit = LAB_FROM_LOG_LMS @ LAB_FROM_LOG_LMS.T
    np.testing.assert_allclose(unit, np.eye(3), rtol=0, atol=ROUNDING)


def test_lab_turns_back_into_rgb() -> None:
    rgb = np.random.default_rng(0).uniform(0.1, 1, (50, 3))
    back = rgb_from_lab(lab_from_rgb(rgb))
    np.testing.assert_allclose(back, rgb, rtol=0, atol=ROUNDING)


def test_gray_has_almost_no_color_in_lab() -> None:
    # The rows of the published matrix sum to 1 within 0.3 percent.
    lab = lab_from_rgb(np.full((1, 3), 0.5))
    assert np.abs(lab[0, 1:]).max() < 2e-3


def test_weighted_statistics_are_those_of_repeated_pixels() -> None:
    rgb = np.random.default_rng(1).uniform(0.1, 1, (20, 3))
    weight = np.arange(20) % 4
    lab = lab_from_rgb(np.repeat(rgb, weight, axis=0))
    mean, deviation = lab_statistics(rgb, weight.astype(float))
    np.testing.assert_allclose(mean, lab.mean(axis=0), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(deviation, lab.std(axis=0), rtol=0, atol=ROUNDING)


def test_reinhard_gives_the_foreground_the_backgrounds_statistics() -> None:
    there = scene()
    moved = whole(there, reinhard(there)).reshape(-1, 3) / 255
    is_inside = (there.mask > 0).ravel()
    inside, outside = (
        lab_statistics(moved, side.astype(float)) for side in (is_inside, ~is_inside)
    )
    np.testing.assert_allclose(inside, outside, rtol=0, atol=CLIPPED)


# Histogram matching


def test_histogram_matching_is_scikit_images() -> None:
    there = scene()
    inside = there.mask > 0
    foreground, background = there.composite[inside], there.composite[~inside]
    matched = reference_match(  # of floats, since it would cut whole numbers off
        foreground[None].astype(float), background[None].astype(float), channel_axis=-1
    )
    moved = whole(there, match_histograms(there))[inside]
    np.testing.assert_allclose(moved, matched[0], rtol=0, atol=ROUNDING)


def test_histogram_matching_by_hand() -> None:
    # The foreground's levels 10, 10, 30, 50 have heights 0.5, 0.75, 1; the background's
    # 100, 200 have 0.5, 1. So 10 → 100, 50 → 200, 30 halfway.
    row = np.array([[10, 10, 30, 50, 100, 200]], np.uint8)
    composite = np.repeat(row[..., None], 3, axis=2)
    mask = np.array([[255] * 4 + [0] * 2], np.uint8)
    there = Scene(composite, composite, mask)
    moved = whole(there, match_histograms(there))[0, :, 0]
    assert moved.tolist() == [100, 100, 150, 200, 100, 200]


# The ceiling


def test_the_ceiling_is_the_mean_of_the_real_levels_by_hand() -> None:
    # Level 10 is 20 twice and 50 once: 30. Level 11 is 7. Level 12 is background.
    composite = np.array([10, 10, 10, 11, 12], np.uint8)
    real = np.array([20, 20, 50, 7, 99], np.uint8)
    pictures = [np.repeat(row[None, :, None], 3, axis=2) for row in (composite, real)]
    mask = np.array([[255] * 4 + [0]], np.uint8)
    there = Scene(pictures[0], pictures[1], mask)
    assert whole(there, ceiling(there))[0, :, 0].tolist() == [30, 30, 30, 7, 12]


def test_no_table_beats_the_ceiling() -> None:
    there = scene()
    rng = np.random.default_rng(0)
    best = measure_all(there, PCT_FULL, {"": ceiling(there)})[""]
    inside = there.mask > 0
    table = np.tile(np.arange(256.0), (3, 1))
    for channel in range(3):
        levels = there.composite[inside][:, channel]
        for level in np.unique(levels):
            real = there.real[inside][:, channel][levels == level]
            table[channel, level] = real.mean()
    for _ in range(20):
        other = recolor_by_table(there, table + rng.normal(0, 0.5, table.shape))
        assert measure_all(there, PCT_FULL, {"": other})[""].mse > best.mse


def test_the_ceiling_undoes_any_curve() -> None:
    # A gain per channel that merges no levels.
    real = noise(3) // 2
    composite = (real * np.array([1, 2, 2], np.uint8)).astype(np.uint8)
    there = Scene(np.where(square()[..., None] > 0, composite, real), real, square())
    assert measure_all(there, FULL, {"": ceiling(there)})[""].mse == 0.0


# Seamless cloning


def gradient(size: tuple[int, int]) -> FloatArray:
    y, x = np.mgrid[: size[0], : size[1]]
    rgb = np.stack([60 + 0.8 * x, 180 - 0.9 * y, 90 + 0.5 * (x + y)], axis=-1)
    return rgb.astype(np.float64)


CORNERS = {
    "inside": (slice(20, 50), slice(25, 60)),
    "at the top": (slice(0, 30), slice(25, 60)),
    "at the left": (slice(20, 50), slice(0, 30)),
    "at the bottom and right": (slice(50, 80), slice(60, 90)),
    "a single pixel": (slice(40, 41), slice(40, 41)),
}


@pytest.mark.parametrize("place", list(CORNERS))
def test_cloning_takes_a_constant_cast_away(place: str) -> None:
    size = (80, 90)
    real = np.rint(gradient(size)).astype(np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[CORNERS[place]] = 255
    cast = np.array([30, -25, 20]) * (mask[..., None] > 0)
    composite = (real.astype(np.int32) + cast).astype(np.uint8)
    there = Scene(composite, real, mask)
    inside = mask > 0
    before = np.abs(cast[inside]).mean()  # 25
    moved = whole(there, clone_seamlessly(there))
    assert np.abs(moved[inside] - real[inside]).mean() < before / 5


def test_cloning_needs_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UsageError, match=r"cv2 is not installed; pip install"):
        clone_seamlessly(scene())


def test_a_failure_of_opencv_is_an_image_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cv2

    def fail(*_: object) -> None:
        raise cv2.error("out of memory")

    monkeypatch.setattr(cv2, "seamlessClone", fail)
    with pytest.raises(ImageError, match="OpenCV's seamless cloning failed on a compo"):
        clone_seamlessly(scene())
