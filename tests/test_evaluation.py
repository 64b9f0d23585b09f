"""Scores: metrics by hand, folders in iHarmony4 layout, baselines, tables."""

import csv
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from imharmony import files, photo
from imharmony.errors import HarmonizeWarning, ImageError, ShapeError, UsageError
from imharmony.evaluation.baselines import (
    LAB_FROM_LOG_LMS,
    lab_from_rgb,
    lab_statistics,
    reinhard,
    rgb_from_lab,
)
from imharmony.evaluation.protocol import (
    Pair,
    Score,
    find_pairs,
    measure,
    score_pairs,
    summary,
    write_scores,
)
from imharmony.harmonizer import MODELS, Harmonizer

UInt8Array = npt.NDArray[np.uint8]

# Double precision, a dozen operations.
ROUNDING = 1e-9
# Reinhard's result is rounded to whole levels, which moves means by less.
LEVELS = 2e-3

SIZE = (24, 32)


def scene(seed: int, size: tuple[int, int] = SIZE) -> UInt8Array:
    """Noise around a color, well inside the range."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(rng.uniform(90, 160, 3), 15, (*size, 3))
    pixels: UInt8Array = np.rint(noise.clip(20, 235)).astype(np.uint8)
    return pixels


def square(size: tuple[int, int] = SIZE) -> UInt8Array:
    """A mask that is foreground in the middle ninth."""
    mask = np.zeros(size, np.uint8)
    rows, columns = (slice(n // 3, 2 * n // 3) for n in size)
    mask[rows, columns] = 255
    return mask


def write(path: Path, pixels: photo.PixelArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_photo(photo.from_array(pixels), path, overwrite=True)


def write_pair(root: Path, seed: int, *, name: str, subset: str = "HCOCO") -> Pair:
    """Write a photograph, and a composite whose foreground is 10 levels brighter."""
    real, mask = scene(seed), square()
    composite = real + np.uint8(10) * (mask[..., None] > 127)
    image, mask_name = (
        name.rpartition("_")[0].rpartition("_")[0],
        name.rpartition("_")[0],
    )
    folder = root / subset
    pair = Pair(
        name,
        subset,
        folder / "composite_images" / f"{name}.png",
        folder / "masks" / f"{mask_name}.png",
        folder / "real_images" / f"{image}.png",
    )
    write(pair.composite, composite)
    write(pair.mask, mask)
    write(pair.real, real)
    return pair


# Metrics


def test_identical_pictures_have_no_error() -> None:
    metrics = measure(scene(0), scene(0), square())
    assert (metrics.mse, metrics.psnr, metrics.fmse) == (0.0, 100.0, 0.0)


def test_metrics_are_those_of_a_plain_loop() -> None:
    picture, real, mask = scene(0), scene(1), square()
    total = inside = count = 0
    for i in range(SIZE[0]):
        for j in range(SIZE[1]):
            square_error = sum(
                (int(p) - int(r)) ** 2
                for p, r in zip(picture[i, j], real[i, j], strict=True)
            )
            total += square_error
            if mask[i, j] > 127:
                inside += square_error
                count += 3
    metrics = measure(picture, real, mask)
    assert metrics.mse == pytest.approx(total / picture.size, abs=ROUNDING)
    assert metrics.fmse == pytest.approx(inside / count, abs=ROUNDING)


def test_psnr_is_against_a_peak_of_255() -> None:
    real = np.zeros((4, 4, 3), np.uint8)
    assert measure(real + np.uint8(255), real, square((4, 4))).psnr == 0.0
    off_by_one = measure(real + np.uint8(1), real, square((4, 4))).psnr
    assert off_by_one == pytest.approx(20 * np.log10(255))


def test_the_foreground_begins_above_127() -> None:
    real = np.zeros((1, 3, 3), np.uint8)
    picture = real + np.array([[[2], [4], [6]]], np.uint8)
    metrics = measure(picture, real, np.array([[0, 127, 128]], np.uint8))
    assert metrics.fmse == 36.0


def test_without_foreground_its_error_is_zero() -> None:
    assert measure(scene(0), scene(1), np.zeros(SIZE, np.uint8)).fmse == 0.0


# Folders


@pytest.mark.parametrize(
    ("name", "mask", "image"),
    [
        ("c1_1_1", "c1_1", "c1"),
        ("d64-131_2_7", "d64-131_2", "d64-131"),
        ("my_own_photo_10_2", "my_own_photo_10", "my_own_photo"),
    ],
)
def test_names_split_at_their_last_two_underscores(
    tmp_path: Path, name: str, mask: str, image: str
) -> None:
    write_pair(tmp_path, 0, name=name)
    (pair,) = find_pairs(tmp_path)
    assert (pair.name, pair.mask.stem, pair.real.stem) == (name, mask, image)


def test_pairs_are_found_in_every_sub_set_in_order(tmp_path: Path) -> None:
    expected = [
        write_pair(tmp_path, 0, name="a1_1_1", subset="HAdobe5k"),
        write_pair(tmp_path, 1, name="c1_1_1"),
        write_pair(tmp_path, 1, name="c1_1_2"),
    ]
    (tmp_path / "IHD_test.txt").touch()
    assert find_pairs(tmp_path) == expected


def test_jpegs_are_found_too(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.real.unlink()
    write(pair.real.with_suffix(".jpg"), scene(0))
    assert find_pairs(tmp_path)[0].real == pair.real.with_suffix(".jpg")


@pytest.mark.parametrize("name", ["photo", "photo_1", "_1_1", "photo_1_"])
def test_a_name_without_two_underscores_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "HCOCO" / "composite_images" / f"{name}.png", scene(0))
    with pytest.raises(UsageError, match="expected a name like <img>_<mask>_<k>"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(("part", "stem"), [("mask", "c1_1"), ("real", "c1")])
def test_a_composite_without_its_mask_or_truth_is_refused(
    tmp_path: Path, part: str, stem: str
) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    getattr(pair, part).unlink()
    with pytest.raises(UsageError, match=rf"expected {stem}\.png or {stem}\.jpg"):
        find_pairs(tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected iHarmony4 layout, a folder with"):
        find_pairs(tmp_path)


# Scores


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    root = tmp_path_factory.mktemp("pairs")
    names = {"a1_1_1": "HAdobe5k", "c1_1_1": "HCOCO", "c2_1_1": "HCOCO"}
    for seed, (name, subset) in enumerate(names.items()):
        write_pair(root, seed, name=name, subset=subset)
    return find_pairs(root)


@pytest.fixture(scope="module")
def scores(pairs: list[Pair]) -> list[list[Score]]:
    return list(score_pairs(pairs, model="s2crnet-cs"))


def test_every_image_is_scored_by_three_methods(scores: list[list[Score]]) -> None:
    assert [[score.method for score in row] for row in scores] == [
        ["composite", "reinhard", "s2crnet-cs"]
    ] * 3


def test_scores_know_their_image(pairs: list[Pair], scores: list[list[Score]]) -> None:
    for pair, row in zip(pairs, scores, strict=True):
        assert {(s.name, s.subset) for s in row} == {(pair.name, pair.subset)}


def test_the_composites_errors_are_the_known_ones(scores: list[list[Score]]) -> None:
    share = float((square() > 0).mean())  # 10 levels there, in every channel
    for untouched, *_ in scores:
        assert untouched.mse == pytest.approx(100 * share, abs=ROUNDING)
        assert untouched.fmse == 100.0
        assert untouched.psnr == pytest.approx(10 * np.log10(255**2 / (100 * share)))


def test_every_row_carries_the_composites_error(scores: list[list[Score]]) -> None:
    for untouched, *others in scores:
        assert {score.composite_mse for score in others} == {untouched.mse}


def stored(path: Path) -> UInt8Array:
    pixels: UInt8Array = photo.to_array(files.read_photo(path))
    return pixels


def test_a_model_is_scored_on_what_it_harmonizes(
    pairs: list[Pair], scores: list[list[Score]]
) -> None:
    harmonizer = Harmonizer("s2crnet-cs")
    for pair, (*_, ours) in zip(pairs, scores, strict=True):
        harmonized = harmonizer(stored(pair.composite), square()).image
        metrics = measure(harmonized.astype(np.uint8), stored(pair.real), square())
        assert (ours.mse, ours.psnr, ours.fmse) == (
            metrics.mse,
            metrics.psnr,
            metrics.fmse,
        )


def test_reinhards_transfer_is_scored(
    pairs: list[Pair], scores: list[list[Score]]
) -> None:
    for pair, (_, transferred, _) in zip(pairs, scores, strict=True):
        moved = reinhard(stored(pair.composite), square())
        assert transferred.mse == measure(moved, stored(pair.real), square()).mse


def test_a_weights_file_is_called_by_its_name(
    pairs: list[Pair], tmp_path: Path
) -> None:
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(MODELS["s2crnet-cs"].read_bytes())
    (row,) = score_pairs(pairs[:1], model="s2crnet-cs", weights=weights)
    assert row[2].method == "mine"


def test_a_soft_mask_counts_as_foreground_above_127(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    soft = np.where(square() > 0, 128, 127).astype(np.uint8)
    write(tmp_path / "soft.png", soft)
    soft_pair = Pair(
        "c1_1_1", "HCOCO", pair.composite, tmp_path / "soft.png", pair.real
    )
    hard_row, soft_row = score_pairs([pair, soft_pair], model="s2crnet-cs")
    assert hard_row == soft_row


def test_gray_photographs_are_scored(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    for path in (pair.composite, pair.real):
        path.unlink()
        write(path, scene(0)[..., 0])
    ((untouched, *_),) = score_pairs([pair], model="s2crnet-cs")
    assert untouched.mse == 0.0


def test_an_empty_mask_warns_and_changes_nothing(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.mask.unlink()
    write(pair.mask, np.zeros(SIZE, np.uint8))
    with pytest.warns(HarmonizeWarning, match="the mask is empty"):
        (row,) = score_pairs([pair], model="s2crnet-cs")
    assert len({score.mse for score in row}) == 1


def test_a_truth_of_another_size_is_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.real.unlink()
    write(pair.real, scene(0, (20, 32)))
    with pytest.raises(ImageError, match=r"is 24x32, its real photo 20x32 \(height x"):
        list(score_pairs([pair], model="s2crnet-cs"))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.mask.unlink()
    write(pair.mask, square((12, 16)))
    with pytest.raises(ShapeError, match=r"24x32 .*, got 12x16"):
        list(score_pairs([pair], model="s2crnet-cs"))


def test_16_bit_photographs_are_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.composite.unlink()
    write(pair.composite, scene(0).astype(np.uint16))
    with pytest.raises(ImageError, match=r"c1_1_1\.png: expected 8 bit, got uint16"):
        list(score_pairs([pair], model="s2crnet-cs"))


# Tables


def score(name: str, subset: str, method: str, mse: float, psnr: float) -> Score:
    return Score(name, subset, method, mse, psnr, 10 * mse, composite_mse=20.0)


TWO_SUBSETS = [
    [score("a", "HCOCO", "composite", 20, 30.0), score("a", "HCOCO", "ours", 10, 34.0)],
    [score("b", "HCOCO", "composite", 20, 31.0), score("b", "HCOCO", "ours", 25, 30.0)],
    [
        score("c", "HFlickr", "composite", 20, 38.0),
        score("c", "HFlickr", "ours", 4, 41.0),
    ],
]


def test_the_table_holds_means_over_images_and_the_share_made_worse() -> None:
    assert summary(TWO_SUBSETS).splitlines() == [
        "Protocol full, means over images.",
        "",
        "| sub-set | images | method | MSE | PSNR | median PSNR | fMSE | worse |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| all | 3 | composite | 20.00 | 33.00 | 31.00 | 200.0 | 0.0% |",
        "| all | 3 | ours | 13.00 | 35.00 | 34.00 | 130.0 | 33.3% |",
        "| HCOCO | 2 | composite | 20.00 | 30.50 | 30.50 | 200.0 | 0.0% |",
        "| HCOCO | 2 | ours | 17.50 | 32.00 | 32.00 | 175.0 | 50.0% |",
        "| HFlickr | 1 | composite | 20.00 | 38.00 | 38.00 | 200.0 | 0.0% |",
        "| HFlickr | 1 | ours | 4.00 | 41.00 | 41.00 | 40.0 | 0.0% |",
    ]


def test_a_single_sub_set_is_listed_once() -> None:
    assert len(summary(TWO_SUBSETS[:2]).splitlines()) == 4 + 2


def test_written_scores_have_a_row_per_image_and_method(
    scores: list[list[Score]], tmp_path: Path
) -> None:
    write_scores(scores, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [field.name for field in fields(Score)]
    flat = [score for row in scores for score in row]
    assert [(r["name"], r["method"], float(r["mse"])) for r in rows] == [
        (score.name, score.method, score.mse) for score in flat
    ]


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
    repeated = np.repeat(rgb, weight, axis=0)
    lab = lab_from_rgb(repeated)
    mean, deviation = lab_statistics(rgb, weight.astype(float))
    np.testing.assert_allclose(mean, lab.mean(axis=0), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(deviation, lab.std(axis=0), rtol=0, atol=ROUNDING)


def unlike_scene() -> tuple[UInt8Array, UInt8Array]:
    """A composite whose foreground has other means and deviations, and its mask."""
    mask = square((48, 48))
    background, foreground = scene(4, (48, 48)), scene(9, (48, 48)) // 2 + np.uint8(20)
    return np.where(mask[..., None] > 0, foreground, background), mask


def test_reinhard_gives_the_foreground_the_backgrounds_statistics() -> None:
    composite, mask = unlike_scene()
    moved = reinhard(composite, mask)
    is_inside = (mask > 0).ravel()
    ones = np.ones(moved.size // 3)
    inside, outside = (
        lab_statistics(moved.reshape(-1, 3) / 255, ones * is_in)
        for is_in in (is_inside, ~is_inside)
    )
    np.testing.assert_allclose(inside, outside, rtol=0, atol=LEVELS)


def test_reinhard_leaves_the_background() -> None:
    composite, mask = unlike_scene()
    moved = reinhard(composite, mask)
    assert np.array_equal(moved[mask == 0], composite[mask == 0])
    assert not np.array_equal(moved[mask > 0], composite[mask > 0])


@pytest.mark.parametrize("value", [0, 255])
def test_reinhard_returns_a_composite_without_foreground_or_background(
    value: int,
) -> None:
    mask = np.full(SIZE, value, np.uint8)
    assert np.array_equal(reinhard(scene(0), mask), scene(0))
