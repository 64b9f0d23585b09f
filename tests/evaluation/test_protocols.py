"""Protocols: one striped picture scored by hand under each, and resampling by hand."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imharmony.errors import UsageError
from imharmony.evaluation.protocols.metrics import Metrics, measure_all
from imharmony.evaluation.protocols.protocol import (
    DCCF_FULL,
    DOVENET_256,
    FULL,
    HDNET_256,
    IDIH_256,
    OURS_256,
    PCT_FULL,
    PROTOCOLS,
    S2CRNET_256,
    Protocol,
    choose_protocols,
)
from imharmony.evaluation.protocols.resampling import one_bit, resample
from imharmony.evaluation.protocols.scene import Scene

UInt8Array = npt.NDArray[np.uint8]

# Double precision, sums of 200,000 terms.
ROUNDING = 1e-6


# By hand. 256x256 in four upright stripes of 64 columns, all channels alike:
#
#                  stripe 1  stripe 2  stripe 3  stripe 4
#   real               100       100       100       200
#   composite          110       104       101       200
#   prediction         106.6     102       101.5     200
#   mask (gray)        255       102         0         0      m = 1, 0.4, 0, 0
#   mask (hard)        255         0         0         0      m = 1, 0, 0, 0
#
# Since stripes are equal, means over the picture are means over the four stripes.
REAL = (100, 100, 100, 200)
COMPOSITE = (110, 104, 101, 200)
PREDICTION = (106.6, 102, 101.5, 200)
GRAY, HARD = (255, 102, 0, 0), (255, 0, 0, 0)


def stripes(levels: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.tile(np.repeat(levels, 64), (256, 1)).astype(np.float64)


def pixels(levels: tuple[float, ...]) -> UInt8Array:
    gray = np.repeat(stripes(levels)[..., None], 3, axis=2)
    return gray.astype(np.uint8)


def scene(mask: tuple[int, ...]) -> Scene:
    return Scene(pixels(COMPOSITE), pixels(REAL), stripes(mask).astype(np.uint8))


def by_hand(protocol: Protocol, *, mask: tuple[int, ...]) -> dict[str, Metrics]:
    """Measure the prediction, and the composite itself, on the striped scene."""
    prepared = protocol.prepare(scene(mask))
    prediction = np.repeat(stripes(PREDICTION)[..., None], 3, axis=2)
    return measure_all(
        prepared,
        protocol,
        {
            "prediction": lambda tile: tile.view(prediction),
            "composite": lambda tile: tile.view(prepared.composite).astype(np.float64),
        },
    )


def decibel(peak: float, mse: float) -> float:
    return float(10 * np.log10(peak**2 / mse))


@pytest.mark.parametrize("protocol", [FULL, OURS_256])
def test_ours_round_and_blend_over_the_composite(protocol: Protocol) -> None:
    # The mask above 127 is stripe 1. The picture is 107, 104, 101, 200 and differs by
    # 7, 4, 1, 0: MSE (49 + 16 + 1 + 0) / 4 = 16.5, fMSE 49.
    metrics = by_hand(protocol, mask=GRAY)["prediction"]
    assert metrics.mse == pytest.approx(16.5, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(255, 16.5), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(49, abs=ROUNDING)


def test_pct_full_weighs_the_unrounded_error_by_the_mask() -> None:
    # m·d² is 6.6² = 43.56, 0.4 · 2² = 1.6, 0, 0: MSE 45.16 / 4 = 11.29, fMSE
    # 45.16 / 1.4 = 32.25714, SE = 45.16 · 3 channels · 256 · 64 pixels / 10⁶.
    metrics = by_hand(PCT_FULL, mask=GRAY)["prediction"]
    assert metrics.mse == pytest.approx(11.29, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(255, 11.29 + 1e-6), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(45.16 / 1.4, abs=ROUNDING)
    assert metrics.se == pytest.approx(45.16 * 3 * 256 * 64 / 1e6, abs=ROUNDING)


def test_dccf_full_takes_the_real_photos_maximum_as_peak() -> None:
    # As pct-full, but the real photo reaches 200 only.
    metrics = by_hand(DCCF_FULL, mask=GRAY)["prediction"]
    assert metrics.mse == pytest.approx(11.29, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(200, 11.29 + 1e-6), abs=ROUNDING)


def test_idih256_counts_the_whole_unrounded_picture() -> None:
    # d² is 43.56, 4, 1.5² = 2.25, 0: MSE 49.81 / 4 = 12.4525; fMSE as in pct-full.
    metrics = by_hand(IDIH_256, mask=GRAY)["prediction"]
    assert metrics.mse == pytest.approx(12.4525, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(200, 12.4525 + 1e-6), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(45.16 / 1.4, abs=ROUNDING)


def test_hdnet256_rounds_down_and_divides_by_the_masks_area() -> None:
    # 106, 102, 101, 200 differ by 6, 2, 1, 0: MSE 41 / 4 = 10.25. The mask covers a
    # quarter: fMSE 10.25 · 4 = 41.
    metrics = by_hand(HDNET_256, mask=HARD)["prediction"]
    assert metrics.mse == pytest.approx(10.25, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(255, 10.25), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(41, abs=ROUNDING)


def test_hdnet256_gives_the_composite_the_real_background() -> None:
    # 110, 100, 100, 200: only stripe 1 differs, by 10.
    metrics = by_hand(HDNET_256, mask=HARD)["composite"]
    assert metrics.mse == pytest.approx(100 / 4, abs=ROUNDING)


def test_dovenet256_takes_the_predictions_range_as_peak() -> None:
    # MSE as in hdnet256; the prediction spans 200 − 101 = 99. fMSE of the masked
    # pictures: 6² = 36.
    metrics = by_hand(DOVENET_256, mask=HARD)["prediction"]
    assert metrics.mse == pytest.approx(10.25, abs=ROUNDING)
    assert metrics.psnr == pytest.approx(decibel(99, 10.25), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(36, abs=ROUNDING)


def test_dovenet256_leaves_the_composites_background() -> None:
    # d is 10, 4, 1, 0: (100 + 16 + 1) / 4.
    metrics = by_hand(DOVENET_256, mask=HARD)["composite"]
    assert metrics.mse == pytest.approx(117 / 4, abs=ROUNDING)


def test_s2crnet256_masks_both_pictures_softly_but_counts_every_masked_pixel() -> None:
    # (m·d)² is 36 and (0.4 · 2)² = 0.64 on the two stripes where m > 0: 36.64 / 2.
    metrics = by_hand(S2CRNET_256, mask=GRAY)["prediction"]
    assert metrics.psnr == pytest.approx(decibel(99, 10.25), abs=ROUNDING)
    assert metrics.fmse == pytest.approx(18.32, abs=ROUNDING)


@pytest.mark.parametrize(
    ("protocol", "area"),
    [(FULL, 1.0), (PCT_FULL, 1.4), (IDIH_256, 1.4), (S2CRNET_256, 2.0)],
)
def test_each_protocol_has_its_own_area(protocol: Protocol, area: float) -> None:
    prepared = protocol.prepare(scene(GRAY))
    assert protocol.measure_area(prepared) == pytest.approx(area * 256 * 64)


def test_no_two_protocols_give_the_same_numbers() -> None:
    rows = {
        name: tuple(
            round(value, 9)
            for mask in (GRAY, HARD)
            for value in list(vars(by_hand(protocol, mask=mask)["prediction"]).values())
        )
        for name, protocol in PROTOCOLS.items()
        if name != "256"  # differs from `full` by its size alone
    }
    assert len(set(rows.values())) == len(rows)


# Resampling. A row repeats 200, 0, 0, 200 and shrinks to a quarter. OpenCV looks at the
# two middle pixels of each four: 0. A triangle of eight pixels weighs those at a
# distance of 0.5, 1.5, 2.5, 3.5 by 7, 5, 3, 1 parts of 32: the two 200s at 1.5 and the
# two of the neighbors at 2.5 make 200 · (2 · 5 + 2 · 3) / 32 = 100.
COLUMNS = np.tile(np.array([200, 0, 0, 200], np.uint8), 256)[None].repeat(1024, axis=0)


@pytest.mark.parametrize("kind", ["libvips linear", "Pillow bilinear"])
def test_antialiased_resampling_averages(kind: str) -> None:
    small = resample(COLUMNS, (256, 256), kind)  # type: ignore[arg-type]
    assert set(small[1:-1, 1:-1].ravel().tolist()) == {100}


def test_opencvs_resampling_looks_at_two_pixels() -> None:
    assert not resample(COLUMNS, (256, 256), "OpenCV linear").any()


def test_a_prepared_scene_is_resampled_by_its_protocol() -> None:
    big = Scene(
        np.repeat(COLUMNS[..., None], 3, axis=2),
        np.zeros((1024, 1024, 3), np.uint8),
        np.full((1024, 1024), 255, np.uint8),
    )
    middles = {
        name: int(protocol.prepare(big).composite[128, 128, 0])
        for name, protocol in PROTOCOLS.items()
        if protocol.size
    }
    assert middles == {
        "256": 100,
        "idih256": 0,
        "hdnet256": 100,
        "dovenet256": 100,
        "s2crnet256": 100,
    }


def test_the_mask_of_256_is_cut_at_one_half_after_resampling() -> None:
    # The columns above make 100 of 255, which is background; inverted ones 155.
    mask = np.where(COLUMNS > 0, np.uint8(200), np.uint8(0))
    black = np.zeros((1024, 1024, 3), np.uint8)
    prepared = OURS_256.prepare(Scene(black, black, mask))
    assert not prepared.mask[1:-1, 1:-1].any()
    prepared = OURS_256.prepare(Scene(black, black, 255 - mask))
    assert (prepared.mask[1:-1, 1:-1] == 255).all()


def test_the_mask_of_idih256_is_not_rounded() -> None:
    # Levels 0 and 1 in turn, halved by OpenCV: 0.5 everywhere.
    mask = np.tile(np.array([0, 1], np.uint8), (512, 256))
    black = np.zeros((512, 512, 3), np.uint8)
    prepared = IDIH_256.prepare(Scene(black, black, mask))
    assert set(prepared.mask.ravel().tolist()) == {0.5}


def test_the_1_bit_mask_takes_the_nearest_pixel() -> None:
    # Of each four columns, the third: (i + 0.5) · 4 = 4 i + 2.
    mask = np.tile(np.array([255, 255, 0, 255], np.uint8), (1024, 256))
    assert not one_bit(mask, (256, 256)).any()
    assert one_bit(255 - mask, (256, 256)).all()


def test_a_gray_mask_is_dithered_by_pillow() -> None:
    gray = np.full((64, 64), 102, np.uint8)
    bits = one_bit(gray, (64, 64))
    assert np.array_equal(bits > 0, np.asarray(Image.fromarray(gray).convert("1")))
    assert 0.35 < (bits > 0).mean() < 0.45


@pytest.mark.parametrize(
    ("kind", "resize"),
    [
        (
            "OpenCV linear",
            lambda p: cv2.resize(p, (256, 256), interpolation=cv2.INTER_LINEAR),
        ),
        (
            "Pillow bilinear",
            lambda p: np.asarray(
                Image.fromarray(p).resize((256, 256), Image.Resampling.BILINEAR)
            ),
        ),
    ],
)
def test_resampling_is_the_librarys_bit_for_bit(kind: str, resize: object) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 431, 3), dtype=np.uint8)
    expected = resize(picture)  # type: ignore[operator]
    assert np.array_equal(resample(picture, (256, 256), kind), expected)  # type: ignore[arg-type]


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    prepared = OURS_256.prepare(scene(HARD))
    assert np.array_equal(prepared.composite, pixels(COMPOSITE))


def test_resampling_by_nothing_refuses_another_size() -> None:
    with pytest.raises(UsageError, match=r"expected a picture of 2x2 pixels, got"):
        resample(np.zeros((1, 2), np.uint8), (2, 2), "none")


# Rounding


def test_rounding_down_forgives_the_last_bit() -> None:
    levels = np.nextafter(np.arange(256), -1)
    assert np.array_equal(DOVENET_256.quantize(levels), np.arange(256))


def test_predictions_are_clamped() -> None:
    beyond = np.array([-3.0, 258.0])
    for protocol in (FULL, DOVENET_256, PCT_FULL):
        assert protocol.quantize(beyond).tolist() == [0, 255]


# Without the extra


@pytest.mark.parametrize(
    ("protocol", "module"),
    [(IDIH_256, "cv2"), (HDNET_256, "PIL"), (DOVENET_256, "PIL"), (S2CRNET_256, "PIL")],
)
def test_a_missing_library_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, protocol: Protocol, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        UsageError,
        match=rf"^{module} is not installed; pip install 'imharmony\[evaluate\]'$",
    ):
        protocol.check_installed()


@pytest.mark.parametrize("protocol", [FULL, OURS_256, PCT_FULL, DCCF_FULL])
def test_four_protocols_need_the_base_install_only(
    monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    for module in ("cv2", "PIL"):
        monkeypatch.setitem(sys.modules, module, None)
    protocol.check_installed()
    protocol.prepare(scene(GRAY))


# Names


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"protocol is one of full, 256, .* got 'psnr'"
    ):
        choose_protocols(["full,psnr"])


def test_every_protocol_is_known_by_its_own_name() -> None:
    assert list(PROTOCOLS) == [protocol.name for protocol in PROTOCOLS.values()]


def test_no_two_protocols_have_the_same_rules() -> None:
    for a in PROTOCOLS.values():
        for b in PROTOCOLS.values():
            assert (a is b) == (not a.differences(b))


def test_the_name_is_no_rule() -> None:
    assert FULL.differences(replace(FULL, name="other", source="elsewhere")) == []
