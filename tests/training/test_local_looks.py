"""Looks that no curve undoes: what they do, by hand, and where."""

from pathlib import Path

import numpy as np
import pytest

from imharmony.training.data.local_looks import (
    ColorMix,
    Material,
    SideLight,
    TintDrift,
    color_mix_look,
    drift_look,
    material_look,
    second_light_look,
)
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import UNTOUCHED, FloatArray, Look, UInt8Array
from imharmony.training.data.pastes import paste
from imharmony.training.data.pool import Pool, read_pool
from imharmony.training.data.synthesis import Synthesis

RIGHT = (0.0, 1.0)
SIZE = (32, 32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def row(places: list[float]) -> FloatArray:
    """Places along a row through the middle, (2, 1, N)."""
    return np.array([[[0.5] * len(places)], [places]], np.float32)


def gray(count: int, level: int = 100) -> UInt8Array:
    return np.full((3, 1, count), level, np.uint8)


def colors(*rows: tuple[int, int, int]) -> UInt8Array:
    return np.array(rows, np.uint8).T


# A second light


def test_a_lamp_multiplies_light_where_it_stands_and_nothing_at_the_far_side() -> None:
    lamp = SideLight(np.array([2.0, 1.0, 0.5]), RIGHT, reach=1.0)
    found = UNTOUCHED._replace(local=lamp).apply(gray(2), row([0.0, 1.0]))
    np.testing.assert_allclose(found[:, 0, 0], 100 / 255, rtol=1e-5)
    gains = np.array([2.0, 1.0, 0.5]) ** (1 / 2.2)
    np.testing.assert_allclose(found[:, 0, 1], 100 / 255 * gains, rtol=1e-5)


@pytest.mark.parametrize(("reach", "share"), [(1.0, 0.5), (2.0, 0.25)])
def test_a_lamp_fades_by_its_reach(reach: float, share: float) -> None:
    lamp = SideLight(np.full(3, 3.0), RIGHT, reach)
    found = lamp.apply(np.ones((3, 1, 1), np.float32), row([0.5]))
    np.testing.assert_allclose(found, (1 + 2 * share) ** (1 / 2.2), rtol=1e-5)


# A tint that drifts


def test_a_drift_adds_what_its_nodes_say_and_their_mean_in_between() -> None:
    nodes = np.zeros((3, 2, 2))
    nodes[0, :, 1], nodes[2, :, 0] = 0.2, -0.1
    found = TintDrift(nodes).apply(
        np.full((3, 1, 3), 0.5, np.float32), row([0.0, 0.5, 1.0])
    )
    expected = [[0.5, 0.6, 0.7], [0.5, 0.5, 0.5], [0.4, 0.45, 0.5]]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_beyond_the_object_a_drift_is_that_of_its_rim() -> None:
    nodes = np.array([[[0.0, 0.1], [0.0, 0.1]]] * 3)
    x = np.zeros((3, 1, 2), np.float32)
    np.testing.assert_allclose(
        TintDrift(nodes).apply(x, row([-2.0, 3.0]))[:, 0], [[0.0, 0.1]] * 3, atol=1e-6
    )


# One material


def test_a_material_is_changed_and_what_is_far_from_it_is_not() -> None:
    red = Material(np.array([0.8, 0.1, 0.1]), 0.1, np.array([0.5, 0.5, 0.5]))
    levels = colors((204, 26, 26), (26, 26, 204))
    found = UNTOUCHED._replace(local=red).apply(levels)
    half = 0.5 ** (1 / 2.2)
    np.testing.assert_allclose(found[:, 0], levels[:, 0] / 255 * half, rtol=0.01)
    np.testing.assert_allclose(found[:, 1], levels[:, 1] / 255, rtol=1e-4)


def test_a_material_has_a_soft_rim() -> None:
    made = Material(np.array([0.5, 0.5, 0.5]), 0.1, np.full(3, 4.0))
    x = np.repeat(np.linspace(0.5, 0.9, 41, dtype=np.float32)[None], 3, axis=0)
    gain = made.apply(x, None)[0] / x[0]
    assert gain[0] == pytest.approx(4 ** (1 / 2.2), rel=1e-4)
    assert (np.diff(gain) < 0).all()
    assert np.abs(np.diff(gain)).max() < 0.05  # no jump from level to level


def test_the_material_is_one_of_the_object(rng: np.random.Generator) -> None:
    own = colors((10, 20, 30), (200, 100, 50))
    for _ in range(10):
        local = material_look(rng, 1.0, own).local
        assert isinstance(local, Material)
        assert np.rint(local.center * 255).astype(int).tolist() in own.T.tolist()


# Hue and saturation


def test_gray_stays_whatever_the_mix(rng: np.random.Generator) -> None:
    for _ in range(10):
        found = color_mix_look(rng, 2.0).apply(gray(1, 90))
        np.testing.assert_allclose(found, 90 / 255, atol=1e-6)


def test_a_matrix_is_applied_to_colors() -> None:
    swap = ColorMix(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    found = UNTOUCHED._replace(local=swap).apply(colors((10, 20, 30)))
    np.testing.assert_allclose(found[:, 0] * 255, [20, 10, 30], atol=1e-4)


def test_a_mix_is_undone_by_no_curve(rng: np.random.Generator) -> None:
    """Two colors of equal red come out with different reds."""
    levels = colors((100, 30, 30), (100, 200, 200))
    assert (
        max(
            abs(float(np.subtract(*color_mix_look(rng, 1.0).apply(levels)[0])))
            for _ in range(5)
        )
        > 0.02
    )


# All of them


@pytest.mark.parametrize("make", [second_light_look, drift_look, color_mix_look])
def test_no_strength_leaves_the_photograph(make, rng: np.random.Generator) -> None:  # type: ignore[no-untyped-def]
    levels = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    look: Look = make(rng, 0.0)
    np.testing.assert_allclose(look.apply(levels), levels / 255, atol=1e-5)


def test_without_places_pixels_are_spread_over_the_object() -> None:
    lamp = SideLight(np.full(3, 3.0), (1.0, 0.0), reach=1.0)
    found = lamp.apply(np.ones((3, 100), np.float32), None)[0]
    assert found[0] < 1.02
    assert found[-1] > 0.99 * 3 ** (1 / 2.2)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("family", ["second_light", "drift", "color_mix", "material"])
def test_pairs_of_a_family_differ_in_the_foreground_alone(
    family: str, pool_folder: Path
) -> None:
    settings = LookSettings(families={family: 1.0}, changed={"foreground": 1.0})
    drawn = Synthesis(read_pool(pool_folder), settings, seed=3)
    pair = drawn.batch(range(6), SIZE)
    apart = (pair.composite - pair.real).abs()
    assert float(apart[pair.mask.expand_as(apart) == 0].max()) == 0
    assert float(apart[pair.mask.expand_as(apart) == 1].max()) > 0.02


def test_a_local_change_may_come_with_a_retouch(pool_folder: Path) -> None:
    def drawn(share: float) -> list[Look]:
        settings = LookSettings(
            families={"drift": 1.0}, changed={"foreground": 1.0}, retouched=share
        )
        synthesis = Synthesis(read_pool(pool_folder), settings, seed=3)
        return [synthesis.draw_looks(i, 0)[1] for i in range(6)]

    plain = [np.array_equal(look.table, UNTOUCHED.table) for look in drawn(0.0)]
    retouched = [np.array_equal(look.table, UNTOUCHED.table) for look in drawn(1.0)]
    assert all(plain)
    assert not any(retouched)
    assert all(look.local is not None and look.family == "drift" for look in drawn(1.0))


# Pastes


def test_a_paste_has_its_object_and_anothers_surroundings() -> None:
    rng = np.random.default_rng(0)
    photo, other = np.full((20, 30, 3), 50, np.uint8), np.full((9, 9, 3), 200, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:20] = 255
    made = paste(rng, photo, mask, other)
    assert (made[7:13, 7:18] == 50).all()
    assert (made[:3] == 200).all()


def test_pastes_lie_on_another_photograph_than_their_own(pool_folder: Path) -> None:
    pool = read_pool(pool_folder)
    photos = sorted({example.photo for example in pool})[:2]
    pool = Pool([example for example in pool if example.photo in photos])
    settings = LookSettings(changed={"nothing": 1.0}, pastes=1.0)
    pairs = Synthesis(pool, settings, seed=3)
    for index in range(40):
        example = pairs.draw_example(index)
        pasted, mask = pairs.draw_pixels(index, example)
        own, _ = pool.pixels(example)
        assert not np.array_equal(pasted[mask == 0], own[mask == 0])


def test_pastes_are_drawn_by_their_share_and_alike_each_time(pool_folder: Path) -> None:
    def drawn(share: float) -> Synthesis:
        settings = LookSettings(changed={"nothing": 1.0}, pastes=share)
        return Synthesis(read_pool(pool_folder), settings, seed=3)

    plain, pasted = drawn(0.0).batch(range(4), SIZE), drawn(1.0).batch(range(4), SIZE)
    outside = pasted.mask.expand_as(pasted.real) == 0
    assert float((plain.real - pasted.real).abs()[outside].mean()) > 0.05
    inside = pasted.mask.expand_as(pasted.real) == 1
    assert float((plain.real - pasted.real).abs()[inside].mean()) < 0.02
    later = drawn(1.0)
    later.batch(range(9), SIZE)  # what is kept of other pairs changes nothing
    assert (later.batch(range(4), SIZE).real == pasted.real).all()
