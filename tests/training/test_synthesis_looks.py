"""Looks: functions of a color, an expert's and those of the time of day."""

import numpy as np
import pytest

from imharmony.colors import decode_srgb
from imharmony.training.data import looks as module
from imharmony.training.data.looks import (
    TIMES,
    UNTOUCHED,
    FloatArray,
    Look,
    UInt8Array,
    after,
    daylight_look,
    lattice,
    retouch_look,
)

# One step of single precision near 1, twice.
ROUNDING = 2.5e-7
RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8), (3, 256))


def colors(count: int = 200, seed: int = 0) -> UInt8Array:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (3, count), dtype=np.uint8)


def identity_grid(n: int) -> FloatArray:
    return lattice(n).T.reshape(n, n, n, 3).astype(np.float32)


# What a look is made of


def test_the_untouched_look_is_the_identity() -> None:
    np.testing.assert_allclose(UNTOUCHED.apply(RAMP), RAMP / 255, rtol=0, atol=ROUNDING)


def test_saturation_zero_gives_gray() -> None:
    gray = UNTOUCHED._replace(saturation=0.0).apply(colors())
    assert np.ptp(gray, axis=0).max() < ROUNDING


def test_toning_leaves_black_and_tints_white() -> None:
    toning = np.array([[0.1, 0.0, 0.0], [0.0, 0.0, 0.2]], np.float32)
    toned = UNTOUCHED._replace(toning=toning).apply(RAMP)
    assert toned[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert toned[:, 255].tolist() == pytest.approx([1.0, 1.0, 1.2])


@pytest.mark.parametrize("n", [2, 5, 17])
def test_a_grid_of_its_own_points_is_the_identity(n: int) -> None:
    found = UNTOUCHED._replace(grid=identity_grid(n)).apply(colors())
    np.testing.assert_allclose(found, colors() / 255, rtol=0, atol=4 * ROUNDING)


def test_a_grid_is_interpolated_trilinearly() -> None:
    n = 4
    grid = np.random.default_rng(1).random((n, n, n, 3)).astype(np.float32)
    levels = colors(50)
    found = UNTOUCHED._replace(grid=grid).apply(levels)
    for i, color in enumerate(levels.T / 255 * (n - 1)):
        low = np.minimum(color.astype(int), n - 2)
        expected = np.zeros(3)
        for corner in np.ndindex(2, 2, 2):
            share = np.where(corner, color - low, 1 - (color - low)).prod()
            expected += share * grid[tuple(low + corner)]
        np.testing.assert_allclose(found[:, i], expected, rtol=0, atol=1e-5)


def test_a_grid_takes_colors_outside_its_cube_at_the_surface() -> None:
    bright = UNTOUCHED.table * np.float32(2)
    found = Look(bright, grid=identity_grid(3)).apply(RAMP)
    np.testing.assert_allclose(found, bright.clip(0, 1), rtol=0, atol=4 * ROUNDING)


def test_a_look_after_a_base_is_both_in_a_row() -> None:
    base = np.sqrt(np.linspace(0, 1, 256))[None].repeat(3, axis=0)
    square = Look((np.linspace(0, 1, 256) ** 2)[None].repeat(3, axis=0))
    both = after(base, square).apply(RAMP)
    # Between two entries the square bends by less than (1/255)² / 4.
    np.testing.assert_allclose(both, RAMP / 255, rtol=0, atol=5e-6)


@pytest.mark.parametrize("make", [retouch_look, daylight_look])
def test_a_look_does_not_depend_on_the_shape_of_a_picture(make: object) -> None:
    levels = colors(48).reshape(3, 6, 8)
    for seed in range(20):
        look = make(np.random.default_rng(seed), 1.0)  # type: ignore[operator]
        flat = look.apply(levels.reshape(3, 48)).reshape(3, 6, 8)
        found = look.apply(levels)
        np.testing.assert_allclose(found, flat, rtol=0, atol=10 * ROUNDING)


# Times of day


def one_time(
    monkeypatch: pytest.MonkeyPatch, name: str, *, count: int = 20
) -> list[Look]:
    monkeypatch.setattr(module, "TIMES", {name: TIMES[name]})
    return [daylight_look(np.random.default_rng(seed), 1.0) for seed in range(count)]


def mean_gray(looks: list[Look]) -> FloatArray:
    """What mid-gray becomes, on average, in linear light."""
    gray = np.full((3, 1), 128, np.uint8)
    values = np.mean([look.apply(gray).clip(0, 1)[:, 0] for look in looks], axis=0)
    linear: FloatArray = ((values + 0.055) / 1.055) ** 2.4  # IEC 61966-2-1
    return linear


def test_daylight_of_no_strength_changes_nothing() -> None:
    for seed in range(10):
        found = daylight_look(np.random.default_rng(seed), 0.0).apply(colors())
        np.testing.assert_allclose(found, colors() / 255, rtol=0, atol=1e-6)


def test_every_time_of_day_gets_drawn() -> None:
    names = list(TIMES)
    drawn = {
        names[np.random.default_rng(seed).integers(len(names))] for seed in range(40)
    }
    assert drawn == set(names)


@pytest.mark.parametrize(
    ("name", "stops"), [("night", (-2.6, -1.0)), ("dusk", (-1.6, -0.4))]
)
def test_it_gets_dark(
    monkeypatch: pytest.MonkeyPatch, name: str, stops: tuple[float, float]
) -> None:
    exposure = np.log2(mean_gray(one_time(monkeypatch, name)).mean() / 0.2159)
    assert stops[0] < exposure < stops[1]


@pytest.mark.parametrize(
    ("name", "is_warm"), [("golden hour", True), ("overcast", False), ("dusk", False)]
)
def test_light_is_warm_in_the_evening_and_cold_in_the_shade(
    monkeypatch: pytest.MonkeyPatch, name: str, is_warm: bool
) -> None:
    red, _, blue = mean_gray(one_time(monkeypatch, name))
    assert (red > blue) == is_warm


def test_haze_lifts_black(monkeypatch: pytest.MonkeyPatch) -> None:
    black = np.zeros((3, 1), np.uint8)
    looks = one_time(monkeypatch, "overcast")
    assert min(look.apply(black).min() for look in looks) > 0.02


def test_at_night_red_turns_darker_than_blue(monkeypatch: pytest.MonkeyPatch) -> None:
    red_and_blue = np.array([[200, 0], [0, 0], [0, 200]], np.uint8)
    for look in one_time(monkeypatch, "night"):
        # The light's own color is taken off: what is left is the eye's.
        found = look._replace(table=UNTOUCHED.table, saturation=1.0).apply(red_and_blue)
        assert found[:, 0].max() < found[:, 1].max()


def test_daylight_never_reverses_an_order_of_tones() -> None:
    for seed in range(40):
        table = daylight_look(np.random.default_rng(seed), 1.0).table
        assert np.diff(table, axis=-1).min() > -ROUNDING


def test_the_grid_of_the_night_is_close_to_what_it_samples() -> None:
    rods = 0.5
    mixed = (1 - rods) * np.eye(3) + rods * np.outer(module._ROD_COLOR, module._RODS)
    levels = colors(2000)
    exact = module._to_srgb(mixed @ decode_srgb(levels / 255))
    found = UNTOUCHED._replace(grid=module._mix_rods(rods)).apply(levels)
    assert np.abs(found - exact).max() < 0.7 / 255
