"""Data sets in iHarmony4 layout: what is complete, missing, misnamed or wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.errors import UsageError
from imharmony.images import files, photo
from imharmony.training.data import check
from imharmony.training.data.check import (
    PUBLISHED,
    TOLERANCE,
    Report,
    background_difference,
    check_files,
    check_pixels,
    sample_pairs,
)
from imharmony.training.data.looks import UInt8Array

H, W = 48, 64
SUBSET = "mine"
STEMS = ["a_1_1", "a_2_1", "b_1_1", "c_1_1"]
PARTS = ("composite_images", "masks", "real_images")


def photograph(seed: int) -> UInt8Array:
    """Slow waves and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W] / 20
    waves = [np.sin(rng.uniform(1, 3) * (x + y) + rng.uniform(0, 6)) for _ in range(3)]
    noisy = 120 + 70 * np.stack(waves, -1) + rng.normal(0, 6, (H, W, 3))
    pixels: UInt8Array = np.rint(noisy.clip(0, 255)).astype(np.uint8)
    return pixels


MASK = np.zeros((H, W), np.uint8)
MASK[20:40, 18:40] = 255


def composite_of(real: UInt8Array) -> UInt8Array:
    darker = np.rint(real * 0.6).astype(np.uint8)
    return np.where(MASK[..., None] > 0, darker, real)


def write_jpeg(path: Path, pixels: UInt8Array, quality: int = 90) -> None:
    picture: pyvips.Image = photo.from_array(np.ascontiguousarray(pixels))
    picture.jpegsave(str(path), Q=quality)


def read(path: Path) -> UInt8Array:
    pixels: UInt8Array = photo.to_array(files.read_photo(path))
    return pixels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pairs as JPEG, two for each split."""
    folder = tmp_path / SUBSET
    for part in PARTS:
        (folder / part).mkdir(parents=True)
    for stem in STEMS:
        real = folder / "real_images" / f"{stem[0]}.jpg"
        write_jpeg(real, photograph(ord(stem[0])))
        write_jpeg(
            folder / "composite_images" / f"{stem}.jpg", composite_of(read(real)), 75
        )
        mask = photo.from_array(MASK)
        files.write_photo(mask, folder / "masks" / f"{stem[:-2]}.png")
    write_lists(tmp_path, STEMS[:2], STEMS[2:])
    return tmp_path


def write_lists(root: Path, train: list[str], test: list[str]) -> None:
    for split, stems in (("train", train), ("test", test)):
        lines = [f"{SUBSET}/composite_images/{stem}.jpg\n" for stem in stems]
        (root / f"IHD_{split}.txt").write_text("".join(lines))


def compared(root: Path, *, sample: int = 0, tolerance: float = TOLERANCE) -> Report:
    report = check_files(root)
    chosen = sample_pairs(report, sample)
    counts = list(check_pixels(report, chosen, tolerance=tolerance))
    assert counts == list(range(1, len(chosen) + 1))
    return report


# Files


def test_a_complete_data_set_has_no_problems(root: Path) -> None:
    assert compared(root).problems == []


def test_pairs_are_counted_per_sub_set_and_split(root: Path) -> None:
    rows = [
        (r.subset, r.split, len(r.complete), r.missing) for r in compared(root).rows
    ]
    assert rows == [(SUBSET, "train", 2, 0), (SUBSET, "test", 2, 0)]


def test_pairs_are_the_files_of_their_names(root: Path) -> None:
    pair = check_files(root).rows[0].complete[1]
    folder = root / SUBSET
    assert (pair.name, pair.subset) == ("a_2_1", SUBSET)
    assert pair.composite == folder / "composite_images" / "a_2_1.jpg"
    assert pair.mask == folder / "masks" / "a_2.png"
    assert pair.real == folder / "real_images" / "a.jpg"


Change = Callable[[Path], object]
DEFECTS: dict[str, tuple[Change, list[str]]] = {
    "composite": (
        lambda at: (at / "composite_images/b_1_1.jpg").unlink(),
        ["missing: {at}/composite_images/b_1_1.jpg or .png"],
    ),
    "mask": (
        lambda at: (at / "masks/a_2.png").unlink(),
        ["missing: {at}/masks/a_2.png or .jpg"],
    ),
    "real of two": (
        lambda at: (at / "real_images/a.jpg").unlink(),
        ["missing: {at}/real_images/a.jpg or .png"] * 2,
    ),
    "extension": (
        lambda at: (at / "real_images/b.jpg").rename(at / "real_images/b.jpeg"),
        ["misnamed: {at}/real_images/b.jpeg, expected b.jpg"],
    ),
    "case": (
        lambda at: (at / "masks/b_1.png").rename(at / "masks/B_1.PNG"),
        ["misnamed: {at}/masks/B_1.PNG, expected b_1.png"],
    ),
}


@pytest.mark.parametrize(("change", "problems"), DEFECTS.values(), ids=DEFECTS)
def test_a_file_that_is_not_there_is_told(
    root: Path, change: Change, problems: list[str]
) -> None:
    change(root / SUBSET)
    report = check_files(root)
    assert report.problems == [p.format(at=root / SUBSET) for p in problems]
    assert sum(row.missing for row in report.rows) == len(problems)
    assert sum(len(row.complete) for row in report.rows) == 4 - len(problems)


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_missing_folder_is_told_once(root: Path, is_empty: bool) -> None:
    for path in (root / SUBSET / "masks").iterdir():
        path.unlink()
    if not is_empty:
        (root / SUBSET / "masks").rmdir()
    report = check_files(root)
    assert report.problems == [f"missing: all of {root / SUBSET / 'masks'}"]
    assert [row.missing for row in report.rows] == [2, 2]


def test_a_missing_sub_set_is_told(root: Path) -> None:
    with (root / "IHD_test.txt").open("a") as file:
        file.write("HFlickr/composite_images/f1_1_1.jpg\n")
    problems = check_files(root).problems
    assert [p for p in problems if "all of" in p] == [
        f"missing: all of {root / 'HFlickr' / part}" for part in PARTS
    ]


def test_a_name_in_a_list_that_is_no_composites_is_told(root: Path) -> None:
    write_lists(root, ["a_1_1", "photo"], STEMS[2:])
    problem = f"misnamed: {SUBSET}/photo in the list is not <img>_<mask>_<k>"
    assert check_files(root).problems == [problem]


def test_a_composite_with_another_kind_of_name_is_told(root: Path) -> None:
    path = root / SUBSET / "composite_images" / "photo.jpg"
    write_jpeg(path, photograph(0))
    assert check_files(root).problems == [f"misnamed: {path} is not <img>_<mask>_<k>"]


def test_composites_in_no_list_are_counted_and_are_no_problem(root: Path) -> None:
    write_lists(root, STEMS[:1], STEMS[3:])
    report = check_files(root)
    assert (report.unlisted, report.problems) == ({SUBSET: 2}, [])


def test_one_list_is_enough(root: Path) -> None:
    (root / "IHD_train.txt").unlink()
    report = check_files(root)
    assert report.problems == []
    assert [row.split for row in report.rows] == ["test"]


def test_no_list_at_all_is_told(root: Path) -> None:
    for split in ("train", "test"):
        (root / f"IHD_{split}.txt").unlink()
    assert check_files(root).problems == [
        f"missing: {root / 'IHD_train.txt'}",
        f"missing: {root / 'IHD_test.txt'}",
    ]


def test_a_list_by_another_name_is_told(root: Path) -> None:
    (root / "IHD_train.txt").rename(root / "train.txt")
    problem = f"misnamed: {root / 'train.txt'} should be IHD_train.txt"
    assert check_files(root).problems == [problem]


def test_a_line_without_a_sub_set_is_told(root: Path) -> None:
    (root / "IHD_train.txt").write_text("a_1_1.jpg\n")
    (problem,) = check_files(root).problems
    assert problem.startswith(
        f"misnamed: {root / 'IHD_train.txt'}: expected lines like"
    )


def test_a_pair_in_both_lists_is_told(root: Path) -> None:
    write_lists(root, STEMS[:2], STEMS[1:])
    problem = f"twice: {SUBSET}/a_2_1 is in the lists of train and of test"
    assert check_files(root).problems == [problem]


def test_lists_of_the_sub_sets_will_do(root: Path) -> None:
    for split in ("train", "test"):
        whole = root / f"IHD_{split}.txt"
        whole.rename(root / SUBSET / f"{SUBSET}_{split}.txt")
    report = check_files(root)
    assert report.problems == []
    assert [len(row.complete) for row in report.rows] == [2, 2]


def test_a_published_sub_set_of_another_length_is_told(root: Path) -> None:
    (root / SUBSET).rename(root / "Hday2night")
    for split in ("train", "test"):
        path = root / f"IHD_{split}.txt"
        path.write_text(path.read_text().replace(SUBSET, "Hday2night"))
    report = check_files(root)
    assert report.problems == [
        "missing: Hday2night has 311 published train pairs, the list has 2",
        "missing: Hday2night has 133 published test pairs, the list has 2",
    ]
    assert [row.published for row in report.rows] == [311, 133]


def test_a_published_sub_set_needs_both_lists(root: Path) -> None:
    (root / SUBSET).rename(root / "HFlickr")
    for split in ("train", "test"):
        path = root / f"IHD_{split}.txt"
        path.write_text(path.read_text().replace(SUBSET, "HFlickr"))
    (root / "IHD_train.txt").unlink()
    report = check_files(root)
    assert f"missing: {root / 'IHD_train.txt'}" in report.problems
    rows = [(row.split, len(row.complete), row.published) for row in report.rows]
    assert rows == [("train", 0, 7_449), ("test", 2, 828)]


def test_published_numbers_add_up() -> None:
    totals = {
        split: sum(n for (_, s), n in PUBLISHED.items() if s == split)
        for split in ("train", "test")
    }
    assert totals == {"train": 65_742, "test": 7_404}


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    problems = check_files(tmp_path).problems
    assert f"missing: {tmp_path} holds no sub-set and no list" in problems


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a folder that holds sub-sets"):
        check_files(tmp_path / "nowhere")


# Pixels


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_jpeg_is_tolerated(root: Path, quality: int) -> None:
    folder = root / SUBSET
    composite = composite_of(read(folder / "real_images" / "b.jpg"))
    write_jpeg(folder / "composite_images" / "b_1_1.jpg", composite, quality)
    report = compared(root)
    assert report.problems == []
    assert [row.compared for row in report.rows] == [2, 2]


def test_the_composite_of_another_photo_is_told(root: Path) -> None:
    path = root / SUBSET / "composite_images" / "b_1_1.jpg"
    write_jpeg(path, composite_of(photograph(0)))
    report = compared(root)
    (problem,) = report.problems
    assert problem.startswith(f"differs: {path} from its real photo outside the mask")
    assert [row.differing for row in report.rows] == [0, 1]


def test_a_mask_elsewhere_is_told(root: Path) -> None:
    path = root / SUBSET / "masks" / "b_1.png"
    path.unlink()
    files.write_photo(photo.from_array(np.roll(MASK, (0, 24), (0, 1))), path)
    (problem,) = compared(root).problems
    assert "b_1_1.jpg from its real photo outside the mask" in problem


def test_the_tolerance_can_be_chosen(root: Path) -> None:
    assert len(compared(root, tolerance=0.001).problems) == 4


def test_a_picture_that_cannot_be_read_is_told(root: Path) -> None:
    path = root / SUBSET / "real_images" / "b.jpg"
    path.write_bytes(path.read_bytes()[:300])
    report = compared(root)
    (problem,) = report.problems
    assert problem.startswith(f"unusable: {path}: the JPEG data is damaged")
    assert [row.differing for row in report.rows] == [0, 1]


def test_pictures_of_different_size_are_told(root: Path) -> None:
    write_jpeg(root / SUBSET / "real_images" / "b.jpg", photograph(1)[:40])
    (problem,) = compared(root).problems
    assert "b_1_1.jpg: is 48x64, its real photo 40x64" in problem


def test_an_empty_mask_is_told(root: Path) -> None:
    path = root / SUBSET / "masks" / "b_1.png"
    path.unlink()
    files.write_photo(photo.from_array(np.zeros((H, W), np.uint8)), path)
    assert compared(root).problems == [f"unusable: {path}: no foreground"]


@pytest.mark.parametrize(
    ("count", "indices"),
    [(0, range(10)), (99, range(10)), (1, [0]), (2, [0, 5]), (4, [0, 2, 5, 7])],
)
def test_a_sample_is_evenly_spread(count: int, indices: list[int]) -> None:
    pairs = [PairFiles(str(i), "x", *[Path(str(i))] * 3) for i in range(10)]
    row = check.Row("x", "train", complete=pairs)
    chosen = sample_pairs(Report(rows=[row, check.Row("x", "test")]), count)
    assert [int(pair.name) for _, pair in chosen] == list(indices)


def test_blocks_that_touch_the_mask_do_not_count() -> None:
    real, mask = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    composite = real.copy()
    mask[15, 15] = 255
    composite[:16, :16] = 99
    assert background_difference(composite, real, mask) == 0.0
    composite[16:, 16:, 2] = 7
    assert background_difference(composite, real, mask) == 7.0


def test_differences_in_both_directions_cancel_within_a_block_only() -> None:
    real, mask = np.full((16, 32, 3), 100, np.uint8), np.zeros((16, 32), np.uint8)
    composite = real.copy()
    composite[:, :8], composite[:, 8:16] = 90, 110
    assert background_difference(composite, real, mask) == 0.0
    composite[:, 16:] = 96
    assert background_difference(composite, real, mask) == 4.0


def test_without_a_whole_block_the_background_is_one() -> None:
    real, mask = np.zeros((9, 40, 3), np.uint8), np.zeros((9, 40), np.uint8)
    mask[:, 10:] = 255
    composite = real + np.uint8(200)
    composite[:, :10] = [[[3, 5, 4]]]
    assert background_difference(composite, real, mask) == 5.0


def test_without_background_there_is_no_difference() -> None:
    real, mask = np.zeros((9, 9, 3), np.uint8), np.full((9, 9), 255, np.uint8)
    assert background_difference(real + np.uint8(50), real, mask) == 0.0


# The table


def test_the_table_lines_up(root: Path) -> None:
    write_lists(root, STEMS[:1], STEMS[2:])
    (root / SUBSET / "masks" / "c_1.png").unlink()
    assert compared(root).table().splitlines() == [
        "sub-set  split  complete  missing  published  compared  differing",
        "mine     train         1        0          -         1          0",
        "mine     test          1        1          -         1          0",
        "mine: 1 composites are in no list",
    ]
