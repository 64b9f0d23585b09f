"""Curves over time, without any picture."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imharmony.curves import Curves
from imharmony.curves.knots import FloatArray
from imharmony.curves.smoothing import (
    Look,
    RunningMean,
    from_heights,
    smooth_looks,
    to_heights,
)

IDENTITY = to_heights(Curves.identity())


def gray(exponent: float) -> FloatArray:
    heights: FloatArray = IDENTITY**exponent
    return heights


def mid(curves: Curves) -> float:
    return float(curves(np.full(3, 0.5))[0])


def test_sampling_keeps_what_8_bit_pixels_get() -> None:
    curves = Curves.from_params(np.random.default_rng(0).uniform(0.2, 2, (3, 64)))
    table = from_heights(to_heights(curves)).table(np.uint8)
    np.testing.assert_array_equal(table, curves.table(np.uint8))


@given(st.lists(st.floats(0.4, 2.5), min_size=1, max_size=30), st.floats(0, 1))
def test_means_of_curves_are_curves_between_them(
    exponents: list[float], width_s: float
) -> None:
    looks = [Look(i / 10, 0, gray(value)) for i, value in enumerate(exponents)]
    smoothed = list(smooth_looks(looks, width_s=width_s))
    assert len(smoothed) == len(looks)
    middles = [0.5**value for value in exponents]
    for curves in smoothed:
        assert curves.is_monotone
        assert curves.knots_y[0][[0, -1]].tolist() == [0, 1]
        assert min(middles) - 0.01 < mid(curves) < max(middles) + 0.01


def test_noise_is_smoothed() -> None:
    rng = np.random.default_rng(0)
    looks = [Look(i / 24, 0, gray(rng.normal(1, 0.05))) for i in range(240)]
    before = [255 * mid(curves) for curves in smooth_looks(looks, width_s=0)]
    after = [255 * mid(curves) for curves in smooth_looks(looks)]
    assert np.abs(np.diff(before)).mean() > 4
    assert np.percentile(np.abs(np.diff(after)), 95) < 0.5


def test_a_ramp_is_neither_early_nor_late() -> None:
    looks = [Look(i / 24, 0, IDENTITY * (0.5 + i / 480)) for i in range(240)]
    middles = [mid(curves) for curves in smooth_looks(looks)]
    expected = [0.5 * (0.5 + i / 480) for i in range(240)]
    np.testing.assert_allclose(middles[48:192], expected[48:192], atol=1e-3)


def test_scenes_do_not_leak_into_each_other() -> None:
    looks = [Look(i / 24, int(i >= 30), gray(0.5 if i < 30 else 2)) for i in range(60)]
    middles = [mid(curves) for curves in smooth_looks(looks)]
    np.testing.assert_allclose(middles[:30], 0.5**0.5, atol=1e-4)
    np.testing.assert_allclose(middles[30:], 0.5**2, atol=1e-4)


def test_frames_without_curves_get_those_around_them() -> None:
    looks = [
        Look(i / 24, 0, gray(1 + i / 48) if i % 6 == 0 else None) for i in range(48)
    ]
    steps = np.diff([255 * mid(curves) for curves in smooth_looks(looks)])
    assert np.abs(steps).max() < 2
    assert (steps < 0).all()


def test_scene_without_curves_is_left_alone() -> None:
    looks = [Look(0, 0, gray(0.5)), Look(1, 1), Look(2, 1), Look(3, 2, gray(2))]
    smoothed = list(smooth_looks(looks))
    assert [curves.is_identity for curves in smoothed] == [False, True, True, False]


def test_a_few_seconds_of_looks_are_held() -> None:
    asked = 0

    def looks() -> Iterator[Look]:  # endless
        nonlocal asked
        while True:
            asked += 1
            yield Look(asked / 24, 0, gray(0.7))

    smoothed = smooth_looks(looks())
    for count in range(1, 500):
        next(smoothed)
        assert asked - count < 24 * 1.5 + 3


def test_running_mean_settles_and_forgets() -> None:
    rng = np.random.default_rng(0)
    mean = RunningMean()
    middles = []
    for i in range(240):
        heights = mean.add(gray(rng.normal(1, 0.05)), time_s=i / 24)
        middles.append(255 * mid(from_heights(heights)))
    assert np.percentile(np.abs(np.diff(middles)[24:]), 95) < 1
    mean.forget()
    np.testing.assert_array_equal(mean.add(gray(2), time_s=10), gray(2))


def test_mean_with_curves_that_turn_back_may_turn_back() -> None:
    waves = IDENTITY + 0.05 * np.sin(np.linspace(0, 40, IDENTITY.shape[-1]))
    waves = np.clip(waves, 0, 1)
    looks = [Look(k / 25, 0, heights) for k, heights in enumerate([waves, waves])]
    (first, _) = smooth_looks(looks, width_s=1.0)
    np.testing.assert_allclose(to_heights(first), waves, atol=1e-6)
