"""Color transfers: what each method promises of the moved colors."""

import numpy as np
import pytest

from imharmony.evaluation.methods.baselines import lab_statistics
from imharmony.training.data import transfers as module
from imharmony.training.data.looks import UNTOUCHED, FloatArray, UInt8Array
from imharmony.training.data.transfers import (
    TRANSFERS,
    fecker_look,
    pitie_look,
    regrain,
    reinhard_look,
    xiao_look,
)

STEP = 1 / 255


def cloud(seed: int, *, spread: float = 0.12) -> UInt8Array:
    """Pixels (3, 2000) of an object: a slanted cloud about a color of its own."""
    rng = np.random.default_rng(seed)
    axes = np.eye(3) + 0.5 + rng.normal(0, 0.3, (3, 3))
    shape = rng.uniform(0.5, 1.0, (3, 1))
    points = axes @ (shape * rng.normal(0, spread / 2, (3, 2000)))
    middle = rng.uniform(0.4, 0.6, (3, 1))
    pixels: UInt8Array = np.rint(255 * (points + middle).clip(0, 1)).astype(np.uint8)
    return pixels


def largest_change(found: FloatArray, levels: UInt8Array) -> float:
    return float(np.abs(found - levels / 255).max())


@pytest.mark.parametrize("name", TRANSFERS)
def test_without_strength_nothing_moves(name: str) -> None:
    own = cloud(0)
    found = TRANSFERS[name](own, cloud(1), 0.0).apply(own)
    assert largest_change(found, own) < 1e-5


@pytest.mark.parametrize("name", TRANSFERS)
def test_an_objects_own_colors_stay(name: str) -> None:
    own = cloud(0)
    found = TRANSFERS[name](own, own, 1.0).apply(own)
    assert largest_change(found, own) < 0.5 * STEP


@pytest.mark.parametrize("name", TRANSFERS)
def test_half_the_strength_moves_half_as_far(name: str) -> None:
    own, other = cloud(0), cloud(1)
    half, whole = (TRANSFERS[name](own, other, s).apply(own) for s in (0.5, 1.0))
    np.testing.assert_allclose(half, (own / 255 + whole) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TRANSFERS)
def test_an_object_of_one_color_is_no_trouble(name: str) -> None:
    flat = np.full((3, 500), 100, np.uint8)
    for own, other in ((flat, cloud(1)), (cloud(1), flat), (flat, flat)):
        found = TRANSFERS[name](own, other, 1.0).apply(own)
        assert np.isfinite(found).all()


# What each promises


@pytest.mark.parametrize("seed", range(4))
def test_reinhard_gives_the_others_statistics_in_lab(seed: int) -> None:
    own, other = cloud(seed), cloud(seed + 10)
    moved = reinhard_look(own, other, 1.0).apply(own)
    found, wanted = (
        np.concatenate(lab_statistics(p.T, np.ones(p.shape[1])))
        for p in (moved, other / 255)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_fecker_gives_the_others_quantiles_per_channel(seed: int) -> None:
    own, other = cloud(seed), cloud(seed + 10)
    moved = fecker_look(own, other, 1.0).apply(own)
    ranks = np.linspace(0.1, 0.9, 9)
    for c in range(3):
        found, goal = np.quantile(moved[c], ranks), np.quantile(other[c] / 255, ranks)
        np.testing.assert_allclose(found, goal, rtol=0, atol=3 * STEP)


@pytest.mark.parametrize("seed", range(4))
def test_xiao_gives_the_others_mean_and_covariance(seed: int) -> None:
    own, other = cloud(seed), cloud(seed + 10)
    moved = xiao_look(own, other, 1.0).apply(own)
    found, wanted = moved.mean(axis=1), other.mean(axis=1) / 255
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.cov(moved), np.cov(other / 255), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_xiao_does_not_turn_light_into_dark(seed: int) -> None:
    own = cloud(seed)
    moved = xiao_look(own, cloud(seed + 10), 1.0).apply(own)
    assert np.corrcoef(own.sum(axis=0), moved.sum(axis=0))[0, 1] > 0


@pytest.mark.parametrize("name", ["reinhard", "xiao"])
def test_contrast_grows_two_and_a_half_times_at_most(name: str) -> None:
    own, other = cloud(0, spread=0.01), cloud(1, spread=0.2)
    moved = TRANSFERS[name](own, other, 1.0).apply(own)
    gain = np.sqrt(np.trace(np.cov(moved)) / np.trace(np.cov(own / 255)))
    assert 2 < gain < 3


def sliced_distance(points: FloatArray, others: FloatArray) -> float:
    """Mean difference of quantiles along fresh directions."""
    directions = np.random.default_rng(99).normal(size=(30, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ranks = np.linspace(0, 1, 101)
    one, two = (np.quantile(directions @ p, ranks, axis=1) for p in (points, others))
    return float(np.abs(one - two).mean())


@pytest.mark.parametrize("seed", range(3))
def test_pitie_gives_the_others_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, other = cloud(seed), cloud(seed + 10)
    # Two clusters: no mean and covariance could describe them.
    other = np.where(rng.random(2000) < 0.5, other, np.uint8(255) - other)
    moved = pitie_look(own, other, 1.0).apply(own)
    before = sliced_distance(own / 255, other / 255)
    assert sliced_distance(moved, other / 255) < 0.15 * before


def test_the_grid_of_pitie_stays_near_the_transfer_it_samples() -> None:
    own, other = cloud(2), cloud(12)
    exact = module._transfer_distribution(own / 255, own.shape[1], other / 255)
    found = pitie_look(own, other, 1.0).apply(own)
    assert np.sqrt(np.mean((found - exact) ** 2)) < 3 * STEP


def test_rotations_are_rotations_and_the_first_is_none() -> None:
    rotations = module._draw_rotations()
    products = rotations @ rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.eye(3)[None].repeat(12, 0), atol=1e-12)
    np.testing.assert_allclose(np.abs(rotations[0]), np.eye(3), atol=1e-12)


# Grain


def noisy_scene() -> FloatArray:
    """Two flat halves, dark and bright, with noise of 1.5 steps: (3, 40, 60)."""
    rng = np.random.default_rng(0)
    scene = np.full((3, 40, 60), 0.3)
    scene[:, :, 30:] = 0.6
    noisy: FloatArray = (scene + rng.normal(0, 1.5 * STEP, scene.shape)).astype("f4")
    return noisy


def stretched(scene: FloatArray) -> FloatArray:
    """Recolored so that noise grows five times but the halves keep their means."""
    middle = np.where(np.arange(60) < 30, np.float32(0.3), np.float32(0.6))
    grown: FloatArray = middle + 5 * (scene - middle) + np.float32(0.1)
    return grown


WHOLE_MASK = np.full((40, 60), 255, np.uint8)


def test_regraining_takes_grown_noise_away() -> None:
    scene = noisy_scene()
    found = regrain(scene, stretched(scene), WHOLE_MASK)
    half = np.s_[:, 4:-4, 4:26]
    assert found[half].std() < 1.6 * scene[half].std()


def test_regraining_keeps_the_new_colors() -> None:
    scene = noisy_scene()
    moved = stretched(scene)
    found = regrain(scene, moved, WHOLE_MASK)
    for half in (np.s_[:, :, :30], np.s_[:, :, 30:]):
        assert found[half].mean() == pytest.approx(moved[half].mean(), abs=STEP)


def test_regraining_what_did_not_move_changes_nothing() -> None:
    scene = noisy_scene()
    found = regrain(scene, scene, WHOLE_MASK)
    np.testing.assert_allclose(found, scene, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("outside", "inside"),
    [(np.s_[:, :20], np.s_[:, 20:30]), (np.s_[:20, :30], np.s_[20:, :30])],
    ids=["beside", "above"],
)
def test_regraining_stays_within_the_mask(
    outside: tuple[slice, slice], inside: tuple[slice, slice]
) -> None:
    scene, mask = noisy_scene(), WHOLE_MASK.copy()
    mask[outside] = 0
    moved = stretched(scene)
    moved[:, *outside] = 5.0  # means nothing there
    found = regrain(scene, moved, mask)
    np.testing.assert_array_equal(found[:, *outside], moved[:, *outside])
    expected = moved[:, *inside].mean()
    assert found[:, *inside].mean() == pytest.approx(expected, abs=STEP)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 8), (17, 33)])
def test_regraining_takes_any_size(size: tuple[int, int]) -> None:
    scene = np.random.default_rng(0).random((3, *size), dtype=np.float32)
    found = regrain(scene, scene + np.float32(0.1), np.full(size, 255, np.uint8))
    np.testing.assert_allclose(found, scene + 0.1, rtol=0, atol=1e-5)


def test_only_pitie_needs_its_grain_back() -> None:
    looks = {name: make(cloud(0), cloud(1), 1.0) for name, make in TRANSFERS.items()}
    assert [name for name, look in looks.items() if look.is_grainy] == ["pitie"]
    assert not UNTOUCHED.is_grainy
