"""Metrics against plain loops and scikit-image."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import (
    mean_squared_error,
    peak_signal_noise_ratio,
    structural_similarity,
)

from imharmony.evaluation.protocols.metrics import (
    TILE_PX,
    cut,
    measure,
    measure_all,
    ssim_map,
)
from imharmony.evaluation.protocols.protocol import FULL, HDNET_256, PCT_FULL, Protocol
from imharmony.evaluation.protocols.scene import Scene
from imharmony.images.pixels import Box

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

# Double precision, up to a million terms.
ROUNDING = 1e-9
# Single precision in SSIM, against scikit-image in double.
SINGLE = 2e-6

SIZE = (60, 72)


def noise(seed: int, size: tuple[int, int] = SIZE) -> UInt8Array:
    """Slow waves and noise, so that SSIM is neither 0 nor 1."""
    rng = np.random.default_rng(seed)
    waves = 120 + 60 * np.sin(np.arange(size[1]) / 9)[None, :, None]
    pixels = waves + rng.normal(0, 12, (*size, 3))
    levels: UInt8Array = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    return levels


def disc(size: tuple[int, int] = SIZE, *, radius: float = 15) -> UInt8Array:
    """A mask with soft edges, off center."""
    y, x = np.mgrid[: size[0], : size[1]]
    soft = radius - np.hypot(y - 0.4 * size[0], x - 0.6 * size[1])
    mask: UInt8Array = (255 * (soft / 4).clip(0, 1)).astype(np.uint8)
    return mask


def hard(mask: UInt8Array) -> UInt8Array:
    return np.where(mask > 127, np.uint8(255), np.uint8(0))


def scene(mask: UInt8Array, size: tuple[int, int] = SIZE) -> Scene:
    return Scene(noise(1, size), noise(2, size), mask)


# By hand


def test_identical_pictures_have_no_error() -> None:
    picture = noise(0)
    metrics = measure(picture, Scene(picture, picture, hard(disc())), FULL)
    assert (metrics.mse, metrics.psnr, metrics.fmse) == (0.0, 100.0, 0.0)
    assert metrics.ssim == 1.0


def test_psnr_of_identical_pictures_is_what_the_epsilon_leaves() -> None:
    # 10·log10(255² / 1e-6)
    picture = noise(0)
    metrics = measure(picture, Scene(picture, picture, disc()), PCT_FULL)
    assert metrics.psnr == pytest.approx(10 * np.log10(255**2 * 1e6))


def test_black_against_white_has_a_psnr_of_zero() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    mask = np.full((4, 4), 255, np.uint8)
    assert measure(black + np.uint8(255), Scene(black, black, mask), FULL).psnr == 0.0


def test_full_is_a_plain_loop() -> None:
    there = scene(hard(disc()))
    picture = noise(0)
    total = inside = count = 0
    for i in range(SIZE[0]):
        for j in range(SIZE[1]):
            is_inside = there.mask[i, j] > 127
            shown = picture[i, j] if is_inside else there.composite[i, j]
            squares = sum(
                (int(p) - int(r)) ** 2
                for p, r in zip(shown, there.real[i, j], strict=True)
            )
            total += squares
            inside += squares if is_inside else 0
            count += 3 if is_inside else 0
    metrics = measure(picture, there, FULL)
    assert metrics.mse == total / (3 * SIZE[0] * SIZE[1])
    assert metrics.fmse == inside / count
    assert metrics.se == inside / 1e6


@pytest.mark.parametrize("protocol", [FULL, PCT_FULL, HDNET_256])
def test_without_foreground_its_error_is_zero(protocol: Protocol) -> None:
    there = scene(np.zeros(SIZE, np.uint8))
    assert measure(noise(0), there, protocol).fmse == 0.0


def test_a_flat_prediction_has_no_range_and_a_psnr_of_zero() -> None:
    protocol = replace(FULL, region="whole image", peak="the prediction's range")
    flat = np.full((*SIZE, 3), 90, np.uint8)
    assert measure(flat, scene(hard(disc())), protocol).psnr == 0.0


# Against scikit-image


def test_mse_and_psnr_are_scikit_images() -> None:
    there, picture = scene(np.full(SIZE, 255, np.uint8)), noise(0)
    metrics = measure(picture, there, FULL)
    assert metrics.mse == pytest.approx(
        mean_squared_error(picture, there.real), abs=ROUNDING
    )
    assert metrics.psnr == pytest.approx(
        peak_signal_noise_ratio(there.real, picture, data_range=255),  # type: ignore[no-untyped-call]
        abs=ROUNDING,
    )


def reference_ssim(picture: npt.NDArray[np.generic], real: UInt8Array) -> float:
    """Wang et al.'s settings, as scikit-image's documentation names them."""
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        picture.astype(np.float64),
        real.astype(np.float64),
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


@pytest.mark.parametrize("seeds", [(0, 1), (2, 2), (3, 7)])
def test_ssim_is_scikit_images(seeds: tuple[int, int]) -> None:
    picture, real = (noise(seed) for seed in seeds)
    assert ssim_map(picture, real).mean() == pytest.approx(
        reference_ssim(picture, real), abs=SINGLE
    )


@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (0, 255), (250, 255)])
def test_ssim_of_flat_pictures_is_scikit_images(levels: tuple[int, int]) -> None:
    picture, real = (np.full((20, 20, 3), level, np.uint8) for level in levels)
    assert ssim_map(picture, real).mean() == pytest.approx(
        reference_ssim(picture, real), abs=SINGLE
    )


def test_measured_ssim_is_of_the_blended_picture() -> None:
    there, picture = scene(hard(disc())), noise(0)
    shown = np.where(there.mask[..., None] > 0, picture, there.composite)
    assert measure(picture, there, FULL).ssim == pytest.approx(
        reference_ssim(shown, there.real), abs=SINGLE
    )


def test_ssim_of_pct_full_is_of_the_prediction_in_the_real_photo() -> None:
    there, picture = scene(disc()), noise(0)
    m = there.mask[..., None] / 255
    shown = m * picture + (1 - m) * there.real
    assert measure(picture, there, PCT_FULL).ssim == pytest.approx(
        reference_ssim(shown, there.real), abs=SINGLE
    )


def test_ssim_is_not_defined_under_eleven_pixels() -> None:
    size = (10, 30)
    there = scene(np.full(size, 255, np.uint8), size)
    assert np.isnan(measure(noise(0, size), there, FULL).ssim)


# Parts of a picture


@pytest.mark.parametrize("protocol", [FULL, PCT_FULL])
@pytest.mark.parametrize("radius", [0, 4, 15, 200])
def test_measuring_around_the_foreground_is_measuring_everything(
    protocol: Protocol, radius: float
) -> None:
    mask = disc(radius=radius)
    there = scene(hard(mask) if protocol is FULL else mask)
    weight = there.mask[..., None] / 255.0
    shown = weight * noise(0) + (1 - weight) * there.composite
    everywhere = replace(protocol, region="whole image")
    local, whole = (
        measure_all(there, rules, {"": lambda tile: tile.view(shown)})[""]
        for rules in (protocol, everywhere)
    )
    if protocol is FULL:
        assert local.mse == pytest.approx(whole.mse, abs=ROUNDING)
        assert local.ssim == pytest.approx(whole.ssim, abs=SINGLE)
    assert local.fmse == pytest.approx(whole.fmse, abs=ROUNDING)


def test_only_tiles_near_the_foreground_are_asked_for() -> None:
    there = scene(hard(disc(radius=4)))
    asked: list[Box] = []

    def recolor(tile: Box) -> FloatArray:
        asked.append(tile)
        return tile.view(noise(0)).astype(np.float64)

    measure_all(there, FULL, {"": recolor})
    rows, columns = np.nonzero(there.mask)
    assert asked
    for tile in asked:  # 5 pixels for the centers of SSIM's windows, 5 for the windows
        assert tile.top >= rows.min() - 10
        assert tile.left >= columns.min() - 10
        assert tile.top + tile.height <= rows.max() + 11
        assert tile.left + tile.width <= columns.max() + 11


def test_a_picture_of_several_tiles_is_the_sum_of_them() -> None:
    size = (TILE_PX + 9, 2 * TILE_PX + 1)
    there = scene(np.full(size, 255, np.uint8), size)
    picture = noise(0, size)
    metrics = measure(picture, there, FULL)
    assert metrics.mse == mean_squared_error(picture, there.real)
    assert metrics.ssim == pytest.approx(
        float(ssim_map(picture, there.real).mean(dtype=np.float64)), abs=ROUNDING
    )


def test_tiles_cover_every_pixel_once() -> None:
    covered = np.zeros((20, 9), int)
    for tile in cut(Box(3, 0, 17, 7), side_px=4):
        tile.view(covered)[...] += 1
        assert all(0 < side <= 4 for side in (tile.height, tile.width))
    assert (covered[3:, :7] == 1).all()
    assert covered.sum() == 17 * 7
