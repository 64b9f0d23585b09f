"""Synthesized pairs on disk: the layout others read, and what they were made from."""

import csv
from pathlib import Path

import numpy as np
import pytest

from imharmony.datasets.iharmony4 import find_pairs
from imharmony.errors import UsageError
from imharmony.images import files, photo
from imharmony.labels import LABELS
from imharmony.training.data.check import check_files, check_pixels, sample_pairs
from imharmony.training.data.iharmony4 import IHarmony4
from imharmony.training.data.labels import read_labels
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.data.transfers import regrain
from imharmony.training.data.written import write_pairs

NUM_PAIRS = 5
STEMS = [f"s{index:06d}" for index in range(NUM_PAIRS)]


@pytest.fixture(scope="module")
def written(pool_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("written") / "pairs"
    counts = list(
        write_pairs(pool_folder, output, split=None, num_pairs=NUM_PAIRS, seed=3)
    )
    assert counts == [1, 2, 3, 4, 5]
    return output


def pixels(path: Path) -> photo.PixelArray:
    return photo.to_array(files.read_photo(path))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folders_are_those_of_iharmony4(written: Path) -> None:
    assert names(written) == ["IHD_test.txt", "labels.csv", "pairs.csv", "synthetic"]
    root = written / "synthetic"
    assert names(root / "composite_images") == [f"{stem}_1_1.png" for stem in STEMS]
    assert names(root / "masks") == [f"{stem}_1.png" for stem in STEMS]
    assert names(root / "real_images") == [f"{stem}.png" for stem in STEMS]


def test_the_list_names_every_composite_below_its_sub_set(written: Path) -> None:
    lines = (written / "IHD_test.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"synthetic/composite_images/{stem}_1_1.png" for stem in STEMS]


def test_the_evaluation_finds_every_pair(written: Path) -> None:
    assert [pair.real.stem for pair in find_pairs(written)] == STEMS


def test_the_table_says_what_a_pair_was_made_from(
    written: Path, pool_folder: Path
) -> None:
    drawn = Synthesis(read_pool(pool_folder), LookSettings(), seed=3)
    made_from = [drawn.pool[drawn.draw_example(i)].name for i in range(NUM_PAIRS)]
    labels = {
        "web-a-mask": "person",
        "web-b-mask": "person",
        "web-c-mask": "others",
        "farm-d-mask": "animal",
        "farm-e-mask": "animal",
        "farm-f-mask": "",
    }
    rows = read_rows(written / "pairs.csv")
    assert [
        [row[c] for c in ("pair", "made_from", "semantic_label")] for row in rows
    ] == [
        [stem, name, labels[name]] for stem, name in zip(STEMS, made_from, strict=True)
    ]


def test_the_table_says_which_looks_a_pair_has(
    written: Path, pool_folder: Path
) -> None:
    drawn = Synthesis(read_pool(pool_folder), LookSettings(), seed=3)
    families = [
        tuple(look.family for look in drawn.draw_looks(i, drawn.draw_example(i)))
        for i in range(NUM_PAIRS)
    ]
    rows = read_rows(written / "pairs.csv")
    assert [(row["real_look"], row["foreground_look"]) for row in rows] == families


def test_the_labels_are_those_of_the_photographs(written: Path) -> None:
    rows = read_rows(written / "pairs.csv")
    labels = {
        ("synthetic", f"{row['pair']}_1_1"): LABELS.index(row["semantic_label"])
        for row in rows
        if row["semantic_label"]
    }
    assert labels
    assert read_labels(written / "labels.csv") == labels


def test_the_check_finds_nothing_wrong(written: Path) -> None:
    report = check_files(written)
    list(check_pixels(report, sample_pairs(report, 0), tolerance=0.0))
    assert report.problems == []
    assert [len(row.complete) for row in report.rows] == [NUM_PAIRS]


@pytest.mark.parametrize("index", range(NUM_PAIRS))
def test_a_pair_is_the_photograph_under_its_looks(
    written: Path, pool_folder: Path, index: int
) -> None:
    drawn = Synthesis(read_pool(pool_folder), LookSettings(), seed=3)
    example = drawn.draw_example(index)
    rgb, mask = drawn.pool.pixels(example)
    real, changed = (
        look.apply(rgb.transpose(2, 0, 1)).clip(0, 1).transpose(1, 2, 0) * 255
        for look in drawn.draw_looks(index, example)
    )
    weight = mask[..., None] / 255
    composite = weight * changed + (1 - weight) * real
    root, stem = written / "synthetic", STEMS[index]
    for folder, name, expected in (
        ("composite_images", f"{stem}_1_1.png", composite),
        ("real_images", f"{stem}.png", real),
        ("masks", f"{stem}_1.png", mask[..., None]),
    ):
        # Rounded to whole levels; the hundredth is for single precision.
        assert np.abs(pixels(root / folder / name) - expected).max() <= 0.51


def test_outside_the_mask_composite_and_truth_are_equal(written: Path) -> None:
    for pair in find_pairs(written):
        outside = pixels(pair.mask)[..., 0] == 0
        assert np.array_equal(
            pixels(pair.composite)[outside], pixels(pair.real)[outside]
        )


def test_the_same_seed_writes_the_same_files(
    written: Path, pool_folder: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    list(write_pairs(pool_folder, again, split=None, num_pairs=NUM_PAIRS, seed=3))
    stored = [path for path in written.rglob("*") if path.is_file()]
    assert stored
    for path in stored:
        assert (again / path.relative_to(written)).read_bytes() == path.read_bytes()


def test_more_pairs_begin_with_the_same(
    written: Path, pool_folder: Path, tmp_path: Path
) -> None:
    list(write_pairs(pool_folder, tmp_path / "two", split=None, num_pairs=2, seed=3))
    name = "synthetic/composite_images/s000001_1_1.png"
    assert (tmp_path / "two" / name).read_bytes() == (written / name).read_bytes()


def test_a_split_is_kept_to(pool_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "val"
    list(write_pairs(pool_folder, output, split="val", num_pairs=4, seed=0))
    made_from = {row["made_from"] for row in read_rows(output / "pairs.csv")}
    assert made_from <= {"farm-e-mask", "farm-f-mask"}


def test_settings_are_used(pool_folder: Path, tmp_path: Path) -> None:
    settings = LookSettings(changed={"foreground": 1.0})
    output = tmp_path / "pairs"
    list(
        write_pairs(
            pool_folder, output, split="val", num_pairs=1, seed=0, settings=settings
        )
    )
    pool = read_pool(pool_folder, split="val")
    example = Synthesis(pool, settings, seed=0).draw_example(0)
    real = pixels(output / "synthetic/real_images/s000000.png")
    assert np.array_equal(real, pool.pixels(example)[0])


@pytest.mark.parametrize(
    ("split", "name"),
    [("train", "IHD_train.txt"), ("val", "IHD_test.txt"), (None, "IHD_test.txt")],
)
def test_the_split_says_what_the_list_is_for(
    pool_folder: Path, tmp_path: Path, split: str | None, name: str
) -> None:
    output = tmp_path / "pairs"
    list(write_pairs(pool_folder, output, split=split, num_pairs=1, seed=0))
    lists = [path.name for path in output.glob("IHD_*.txt")]
    assert lists == [name]


def test_the_train_split_can_be_trained_on(pool_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs"
    list(write_pairs(pool_folder, output, split="train", num_pairs=3, seed=0))
    data = IHarmony4(output)
    labels = [row["semantic_label"] for row in read_rows(output / "pairs.csv")]
    found = data.batch(range(3), (24, 32)).semantic_label.tolist()
    assert found == [LABELS.index(label) for label in labels]


def test_jpeg_has_the_names_that_other_code_expects(
    pool_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "pairs"
    list(write_pairs(pool_folder, output, split="val", num_pairs=1, seed=0, jpeg=True))
    root = output / "synthetic"
    assert names(root / "composite_images") == ["s000000_1_1.jpg"]
    assert names(root / "real_images") == ["s000000.jpg"]
    assert names(root / "masks") == ["s000000_1.png"]
    assert (output / "IHD_test.txt").read_text() == (
        "synthetic/composite_images/s000000_1_1.jpg\n"
    )
    report = check_files(output)
    list(check_pixels(report, sample_pairs(report, 0)))
    assert report.problems == []


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(
    written: Path, pool_folder: Path, tmp_path: Path, workers: int
) -> None:
    output = tmp_path / "pairs"
    list(
        write_pairs(
            pool_folder,
            output,
            split=None,
            num_pairs=NUM_PAIRS,
            seed=3,
            workers=workers,
        )
    )
    for path in (path for path in written.rglob("*") if path.is_file()):
        assert (output / path.relative_to(written)).read_bytes() == path.read_bytes()


def test_large_pictures_get_their_grain_back(pool_folder: Path, tmp_path: Path) -> None:
    settings = LookSettings(families={"pitie": 1.0}, difference=(0.0, 1.0))
    output = tmp_path / "pairs"
    list(
        write_pairs(
            pool_folder, output, split="train", num_pairs=5, seed=0, settings=settings
        )
    )
    drawn = Synthesis(read_pool(pool_folder, split="train"), settings, seed=0)
    gains = []
    for index in range(5):
        example = drawn.draw_example(index)
        rgb, mask = drawn.pool.pixels(example)
        box = np.s_[slice(*limits(mask, 1)), slice(*limits(mask, 0))]
        levels, inside = rgb[box].transpose(2, 0, 1), mask[box] == 255
        moved = drawn.draw_looks(index, example)[1].apply(levels).clip(0, 1)
        regrained = regrain(levels / np.float32(255), moved, mask[box]).clip(0, 1)
        stored = output / f"synthetic/composite_images/{STEMS[index]}_1_1.png"
        found = pixels(stored)[box].transpose(2, 0, 1)
        assert np.abs(found - regrained * 255)[:, inside].max() <= 0.51
        gains.append(np.abs(regrained - moved)[:, inside].max() * 255)
    assert max(gains) > 2


def limits(mask: photo.PixelArray, axis: int) -> tuple[int, int]:
    used = np.flatnonzero(mask.any(axis=axis))
    return int(used[0]), int(used[-1]) + 1


def test_a_stopped_run_leaves_nothing(pool_folder: Path, tmp_path: Path) -> None:
    running = write_pairs(
        pool_folder, tmp_path / "pairs", split=None, num_pairs=50, seed=0
    )
    next(running)
    del running  # as an error in the loop around it would
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(pool_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists; synthesize writes a new folder"):
        list(write_pairs(pool_folder, tmp_path, split=None, num_pairs=1, seed=0))


def test_data_that_cannot_be_used_leave_no_folder(tmp_path: Path) -> None:
    output = tmp_path / "pairs"
    with pytest.raises(UsageError, match=r"index\.csv"):
        list(write_pairs(tmp_path, output, split=None, num_pairs=1, seed=0))
    assert not output.exists()


def test_sources_limit_what_pairs_are_made_from(
    pool_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "pairs"
    done = write_pairs(
        pool_folder, output, split=None, sources=["farm"], num_pairs=4, seed=3
    )
    assert list(done)[-1] == 4
    made_from = {row["made_from"] for row in read_rows(output / "pairs.csv")}
    assert made_from <= {"farm-d-mask", "farm-e-mask", "farm-f-mask"}
