"""Light across an object: the one look that depends on a place, in all of a pair."""

from pathlib import Path

import numpy as np
import pytest

from imharmony.images import files, photo
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import (
    UNTOUCHED,
    FloatArray,
    Look,
    UInt8Array,
    light_look,
)
from imharmony.training.data.pairs import mask_limits, positions
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.data.written import write_pairs

ONLY_LIGHT = LookSettings(families={"light": 1.0}, changed={"foreground": 1.0})
ACROSS = [0.0, 1.0, 0.0]
SIZE = (24, 32)


def linear(x: FloatArray) -> FloatArray:
    """IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def lit(first: list[float], last: list[float]) -> Look:
    return UNTOUCHED._replace(light=np.array([first, last, ACROSS], np.float32))


def row(values: list[float]) -> FloatArray:
    """Places along a row through the middle, (2, 1, N)."""
    return np.array([[[0.5] * len(values)], [values]], np.float32)


def gray(count: int) -> UInt8Array:
    return np.full((3, 1, count), 100, np.uint8)


def test_ends_get_their_own_gains_in_linear_light() -> None:
    look = lit([0.5, 1.0, 2.0], [1.0, 1.0, 0.25])
    found = look.apply(gray(2), row([0.0, 1.0]))
    gains = linear(found) / linear(np.array(100 / 255))
    np.testing.assert_allclose(gains[:, 0, 0], [0.5, 1.0, 2.0], rtol=1e-4)
    np.testing.assert_allclose(gains[:, 0, 1], [1.0, 1.0, 0.25], rtol=1e-4)


def test_the_middle_gets_the_mean_of_both_gains() -> None:
    found = lit([0.5] * 3, [1.5] * 3).apply(gray(1), row([0.5]))
    np.testing.assert_allclose(found, 100 / 255, rtol=0, atol=1e-5)


def test_beyond_the_object_the_light_is_that_of_its_end() -> None:
    found = lit([0.5] * 3, [1.5] * 3).apply(gray(4), row([-3.0, 0.0, 1.0, 3.0]))
    assert found[0, 0, 0] == found[0, 0, 1]
    assert found[0, 0, 2] == found[0, 0, 3]


def test_light_of_no_strength_changes_nothing() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (3, 50), dtype=np.uint8)
    for seed in range(10):
        found = light_look(np.random.default_rng(seed), 0.0).apply(levels)
        np.testing.assert_allclose(found, levels / 255, rtol=0, atol=1e-5)


def test_no_curve_undoes_most_drawn_lights() -> None:
    place = row([0.0, 1.0])
    apart = []
    for seed in range(100):
        drawn = light_look(np.random.default_rng(seed), 1.0).light
        ends = lit(*drawn[:2].tolist()).apply(gray(2), place)  # type: ignore[index]
        apart.append(float(np.abs(ends[:, 0, 0] - ends[:, 0, 1]).max()))
    assert np.mean(np.array(apart) > 0.05) > 0.8


def test_places_count_from_rim_to_rim_of_the_box() -> None:
    found = positions((slice(2, 6), slice(0, 2)), (slice(0, 8), slice(0, 2)), (4, 1))
    assert found[0, :, 0].tolist() == [-0.25, 0.25, 0.75, 1.25]
    assert found[1].tolist() == [[0.5]] * 4


def test_a_flat_object_shows_the_light_in_photo_and_crop(
    pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Synthesis(read_pool(pool_folder, split="train"), ONLY_LIGHT, seed=0)
    look = lit([0.5] * 3, [1.5] * 3)
    flat = np.full((60, 80, 3), 100, np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60] = 255
    monkeypatch.setattr(drawn, "draw_pixels", lambda *_: (flat, mask))
    monkeypatch.setattr(drawn, "_draw_looks", lambda *_: (UNTOUCHED, look))
    for index in range(6):  # mirrored ones, too
        pair = drawn.batch([index], SIZE)
        for composite, weights in (
            (pair.composite, pair.mask),
            (pair.foreground, pair.foreground_mask),
        ):
            inside = composite[0, 0][:, (weights[0, 0] == 1).any(dim=0)]
            columns = inside[SIZE[0] // 2]
            first, last = sorted((float(columns[0]), float(columns[-1])))
            assert first == pytest.approx(0.281, abs=0.03)  # half of the light of 100
            assert last == pytest.approx(0.471, abs=0.03)  # half as much again


def test_written_pairs_have_the_light_of_their_thumbnails(
    pool_folder: Path, tmp_path: Path
) -> None:
    for _ in write_pairs(
        pool_folder,
        tmp_path / "out",
        split="train",
        num_pairs=4,
        seed=0,
        settings=ONLY_LIGHT,
    ):
        pass
    drawn = Synthesis(read_pool(pool_folder, split="train"), ONLY_LIGHT, seed=0)
    root = tmp_path / "out" / "synthetic"
    for index in range(4):
        example = drawn.draw_example(index)
        rgb, mask = drawn.draw_pixels(index, example)
        look = drawn.draw_looks(index, example)[1]
        whole = (slice(0, rgb.shape[0]), slice(0, rgb.shape[1]))
        place = positions(mask_limits(mask), whole, mask.shape)
        wanted = look.apply(rgb.transpose(2, 0, 1), place).clip(0, 1)
        stored = files.read_photo(root / f"composite_images/s{index:06d}_1_1.png")
        inside = mask == 255
        found = photo.to_array(stored)[inside] / 255
        np.testing.assert_allclose(
            found, wanted.transpose(1, 2, 0)[inside], rtol=0, atol=0.6 / 255
        )


def test_mask_and_light_stay_the_same_whoever_makes_the_pair(pool_folder: Path) -> None:
    pool = read_pool(pool_folder, split="train")
    one, other = (Synthesis(pool, ONLY_LIGHT, seed=3) for _ in range(2))
    other.batch(range(5), SIZE)  # another history
    for first, second in zip(one.batch([7], SIZE), other.batch([7], SIZE), strict=True):
        assert first.equal(second)
