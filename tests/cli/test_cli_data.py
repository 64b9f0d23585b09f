"""The commands that make, check and label data sets."""

import csv
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from imharmony import cli
from imharmony.images import files, mask_files, photo


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run(*args: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["imharmony", *map(str, args)])
        try:
            cli.main()
            code: object = 0
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return Finished(int(str(code or 0)), captured.out, captured.err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve photographs, half of them with a mask, in folders."""
    for number in range(12):
        rng = np.random.default_rng(number)
        y, x = np.mgrid[:40, :50] / 12
        waves = [np.sin(rng.uniform(1, 3) * (x + y) + phase) for phase in range(3)]
        pixels = 128 + 70 * np.stack(waves, -1) + rng.normal(0, 5, (40, 50, 3))
        mask = np.zeros((40, 50), np.uint8)
        mask[18:30, 18:30] = 255
        for folder, picture in (("photos", pixels.astype(np.uint8)), ("masks", mask)):
            path = tmp_path / "data" / folder / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "photos" or number % 2:
                files.write_photo(photo.from_array(picture), path)
    return tmp_path / "data"


@pytest.fixture
def pairs(data: Path, tmp_path: Path, run: Run) -> Path:
    output = tmp_path / "pairs"
    run("synthesize", data, "-o", output, "--num-pairs", "4", "--split", "train")
    return output


def looks(output: Path) -> set[str]:
    with (output / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row[side] for row in rows for side in ("real_look", "foreground_look")}


# synthesize


def test_synthesize_writes_a_data_set_to_train_with(pairs: Path) -> None:
    names = sorted(path.name for path in pairs.iterdir())
    assert names == ["IHD_train.txt", "labels.csv", "pairs.csv", "synthetic"]


def test_synthesize_says_nothing_in_a_pipe(
    data: Path, tmp_path: Path, run: Run
) -> None:
    finished = run("synthesize", data, "-o", tmp_path / "out", "--num-pairs", "1")
    assert finished == Finished(0, "", "")


def test_families_are_those_named(data: Path, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "out"
    families = "daylight=0.5, xiao=0.5"
    run("synthesize", data, "-o", output, "--num-pairs", "12", "--families", families)
    assert looks(output) == {"untouched", "daylight", "xiao"}


def test_a_family_without_a_share_has_one(data: Path, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "out"
    run("synthesize", data, "-o", output, "--num-pairs", "3", "--families", "fecker")
    assert looks(output) == {"untouched", "fecker"}


def test_shapes_are_those_named(data: Path, tmp_path: Path, run: Run) -> None:
    for mask in (data / "masks").iterdir():
        mask.unlink()
    args = ("synthesize", data, "-o", tmp_path / "out", "--num-pairs", "2")
    assert run(*args).code == 2  # no object to take a mask from
    assert run(*args, "--shapes", "ellipse,superpixel=2").code == 0


def test_hues_are_bounded_on_demand(data: Path, tmp_path: Path, run: Run) -> None:
    written = []
    for number, limit in enumerate(("180", "10")):
        output = tmp_path / str(number)
        run(
            "synthesize",
            data,
            "-o",
            output,
            "--num-pairs",
            "6",
            "--families",
            "xiao",
            "--max-hue-change",
            limit,
        )
        folder = output / "synthetic" / "composite_images"
        written.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert written[0] != written[1]


def test_pastes_lie_on_another_photograph(data: Path, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "out"
    args = ("synthesize", data, "-o", output, "--num-pairs", "24", "--pastes", "1")
    assert run(*args).code == 0
    with (output / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    root, on_another = output / "synthetic", 0
    for row in rows:
        name = row["made_from"].removeprefix("data-")
        if row["real_look"] != "untouched" or int(name) % 2 == 0:
            continue  # recolored as a whole, or without a mask of its own
        own = data / "photos" / f"{name}.png"
        path = root / "masks" / f"{row['pair']}_1.png"
        mask = photo.to_array(mask_files.read_mask(path, size=(40, 50)))
        before = photo.to_array(files.read_photo(own))
        path = root / "real_images" / f"{row['pair']}.png"
        real = photo.to_array(files.read_photo(path))
        inside, outside = np.zeros((2, 40, 50), bool)
        inside[20:28, 20:28] = True  # the edge may be feathered
        outside[mask[..., 0] == 0] = True
        assert np.array_equal(real[inside], before[inside])
        on_another += not np.array_equal(real[outside], before[outside])
    assert on_another >= 3


def test_jpeg_is_written_on_demand(data: Path, tmp_path: Path, run: Run) -> None:
    run("synthesize", data, "-o", tmp_path / "out", "--num-pairs", "1", "--jpeg")
    assert (tmp_path / "out/synthetic/real_images/s000000.jpg").is_file()


def test_the_number_of_workers_changes_nothing(
    data: Path, pairs: Path, tmp_path: Path, run: Run
) -> None:
    output = tmp_path / "again"
    run(
        "synthesize",
        data,
        "-o",
        output,
        "--num-pairs",
        "4",
        "--split",
        "train",
        "--workers",
        "1",
    )
    for path in (path for path in pairs.rglob("*") if path.is_file()):
        assert (output / path.relative_to(pairs)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ("retouch=much", "--families: expected name=share, such as retouch=0.5, got"),
        ("sepia", "families gives shares above 0 to retouch, daylight, light, "),
    ],
)
def test_wrong_families_are_refused(
    data: Path, tmp_path: Path, run: Run, families: str, message: str
) -> None:
    finished = run("synthesize", data, "-o", tmp_path / "out", "--families", families)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


# data check


def test_check_prints_a_table(pairs: Path, run: Run) -> None:
    finished = run("data", "check", pairs)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.splitlines() == [
        "sub-set    split  complete  missing  published  compared  differing",
        "synthetic  train         4        0          -         4          0",
    ]


def test_check_compares_as_many_as_asked(pairs: Path, run: Run) -> None:
    finished = run("data", "check", pairs, "--sample", "3")
    assert finished.out.splitlines()[1].split()[-2:] == ["3", "0"]


def test_check_fails_where_something_is_missing(pairs: Path, run: Run) -> None:
    path = pairs / "synthetic" / "masks" / "s000002_1.png"
    path.unlink()
    finished = run("data", "check", pairs)
    assert (finished.code, finished.err) == (1, "")
    assert finished.out.splitlines()[-1] == f"missing: {path} or .jpg"


def test_check_fails_where_backgrounds_differ(pairs: Path, run: Run) -> None:
    real = pairs / "synthetic" / "real_images"
    (real / "s000001.png").write_bytes((real / "s000000.png").read_bytes())
    finished = run("data", "check", pairs)
    assert finished.code == 1
    assert "s000001_1_1.png from its real photo outside the mask" in finished.out


def test_check_tolerates_what_it_is_told_to(pairs: Path, run: Run) -> None:
    real = pairs / "synthetic" / "real_images"
    (real / "s000001.png").unlink()
    picture = photo.from_array(np.zeros((40, 50, 3), np.uint8))
    files.write_photo(picture, real / "s000001.png")
    assert run("data", "check", pairs).code == 1
    assert run("data", "check", pairs, "--tolerance", "255").code == 0


def test_check_refuses_what_is_no_folder(tmp_path: Path, run: Run) -> None:
    finished = run("data", "check", tmp_path / "nowhere")
    assert (finished.code, finished.out) == (2, "")
    assert "nowhere: expected a folder that holds sub-sets" in finished.err


# data label


@pytest.fixture
def hcoco(tmp_path: Path) -> Path:
    """One pair that COCO knows, one that it does not."""
    root = tmp_path / "iHarmony4" / "HCOCO"
    for part, stems in (
        ("composite_images", ["c196_7_1", "c5_6_1"]),
        ("masks", ["c196_7", "c5_6"]),
        ("real_images", ["c196", "c5"]),
    ):
        (root / part).mkdir(parents=True)
        for stem in stems:
            picture = photo.from_array(np.full((20, 30, 3), 90, np.uint8))
            files.write_photo(picture, root / part / f"{stem}.png")
    return root.parent


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    path = tmp_path / "instances.json"
    annotation = {"id": 7, "image_id": 196, "category_id": 18}  # a dog
    stored = {"images": [], "categories": [], "annotations": [annotation]}
    path.write_text(json.dumps(stored))
    return path


def test_label_writes_a_table_and_says_what_it_could_not_label(
    hcoco: Path, instances: Path, tmp_path: Path, run: Run
) -> None:
    table = tmp_path / "labels.csv"
    finished = run("data", "label", hcoco, "-o", table, "--coco", instances)
    assert finished == Finished(0, f"{table}\n", "1 of 2 pairs have no label\n")
    assert table.read_text().splitlines() == [
        "composite,semantic_label,category,source",
        "HCOCO/composite_images/c196_7_1.png,animal,dog,coco",
        "HCOCO/composite_images/c5_6_1.png,,,",
    ]


@pytest.mark.parametrize("by_group", [False, True])
def test_label_asks_the_parser_for_the_rest(
    hcoco: Path,
    instances: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    by_group: bool,
) -> None:
    from imharmony.training.data import labels

    class Parser:
        """Half the picture a person, half of it a car and a bus."""

        def __init__(self, model: str) -> None:
            assert model == "folder"

        def __call__(self, rgb: photo.PixelArray) -> photo.PixelArray:
            return np.array([[12, 12, 12, 20, 20, 80, 80]] * 2)

    monkeypatch.setattr(labels, "Parser", Parser)
    table = tmp_path / "labels.csv"
    options = ["--by-group"] if by_group else []
    finished = run(
        "data",
        "label",
        hcoco,
        "-o",
        table,
        "--coco",
        instances,
        "--segformer",
        "folder",
        *options,
    )
    assert (finished.code, finished.err) == (0, "")
    expected = "vehicle,car" if by_group else "person,person"
    row = f"HCOCO/composite_images/c5_6_1.png,{expected},ade20k"
    assert table.read_text().splitlines()[2] == row


def test_label_needs_a_source(hcoco: Path, tmp_path: Path, run: Run) -> None:
    finished = run("data", "label", hcoco, "-o", tmp_path / "labels.csv")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "error: expected --coco, --segformer or both, got neither\n"


def test_label_does_not_overwrite_unasked(
    hcoco: Path, instances: Path, tmp_path: Path, run: Run
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("old")
    args = ("data", "label", hcoco, "-o", table, "--coco", instances)
    assert run(*args).code == 2
    assert table.read_text() == "old"
    assert run(*args, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("package", "options"),
    [("pycocotools", ["--coco", "x.json"]), ("transformers", ["--segformer", "x"])],
)
def test_label_without_its_extra_says_what_to_install(
    hcoco: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    options: list[str],
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    finished = run("data", "label", hcoco, "-o", tmp_path / "labels.csv", *options)
    assert finished.code == 2
    message = r"error: \S+ is not installed; pip install 'imharmony\[labels\]'"
    assert re.match(message, finished.err)
