"""Scores: folders in iHarmony4 layout, methods, other programs' pictures, memory."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import imharmony
from imharmony.datasets.iharmony4 import PairFiles, find_pairs
from imharmony.errors import HarmonizeWarning, ImageError, ShapeError, UsageError
from imharmony.evaluation.methods.methods import (
    BASELINES,
    Method,
    choose_rows,
    collect_methods,
    results_method,
)
from imharmony.evaluation.protocols.metrics import Recoloring, measure, scene_composite
from imharmony.evaluation.protocols.protocol import (
    FULL,
    HDNET_256,
    OURS_256,
    PCT_FULL,
    Protocol,
)
from imharmony.evaluation.protocols.scene import Scene, load_scene
from imharmony.evaluation.reports.scoring import Score, score_pairs
from imharmony.harmonizer import Harmonizer
from imharmony.images import files, photo
from imharmony.images.pixels import Box
from imharmony.inference.models import MODELS
from tests.onnx_files import write_picture_weights

UInt8Array = npt.NDArray[np.uint8]

# Double precision, a dozen operations.
ROUNDING = 1e-9

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


def write_pair(root: Path, seed: int, *, name: str, subset: str = "HCOCO") -> PairFiles:
    """Write a photograph, and a composite whose foreground is 10 levels brighter."""
    real, mask = scene(seed), square()
    composite = real + np.uint8(10) * (mask[..., None] > 127)
    mask_name = name.rpartition("_")[0]
    image = mask_name.rpartition("_")[0]
    folder = root / subset
    pair = PairFiles(
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


# Splits


@pytest.fixture
def two(tmp_path: Path) -> Path:
    write_pair(tmp_path, 0, name="c1_1_1")
    write_pair(tmp_path, 1, name="f1_1_1", subset="HFlickr")
    return tmp_path


def names(root: Path, split: str | None) -> list[str]:
    return [pair.name for pair in find_pairs(root, split=split)]


def test_the_list_in_the_root_names_a_split(two: Path) -> None:
    (two / "IHD_train.txt").write_text("HCOCO/composite_images/c1_1_1.jpg\n")
    (two / "IHD_test.txt").write_text("HFlickr/composite_images/f1_1_1.jpg\n\n")
    found = {split: names(two, split) for split in ("train", "test", "all", None)}
    assert found == {
        "train": ["c1_1_1"],
        "test": ["f1_1_1"],
        "all": ["c1_1_1", "f1_1_1"],
        None: ["f1_1_1"],
    }


def test_sub_sets_may_have_lists_of_their_own(two: Path) -> None:
    (two / "HCOCO" / "HCOCO_test.txt").write_text("c1_1_1.jpg\n")
    assert names(two, "test") == ["c1_1_1"]


def test_without_a_list_everything_is_taken_by_default_only(two: Path) -> None:
    assert names(two, None) == ["c1_1_1", "f1_1_1"]
    with pytest.raises(
        UsageError, match=r"expected a list of the split, IHD_test\.txt"
    ):
        find_pairs(two, split="test")


def test_an_unknown_split_is_refused(two: Path) -> None:
    with pytest.raises(UsageError, match="split is one of test, train, all, got 'val'"):
        find_pairs(two, split="val")


def test_a_listed_composite_that_is_not_there_is_refused(two: Path) -> None:
    (two / "IHD_test.txt").write_text(
        "HCOCO/composite_images/c1_1_1.jpg\nHCOCO/composite_images/c2_1_1.jpg\n"
    )
    with pytest.raises(
        UsageError,
        match=r"1 composites of the list of the split test are not there, such as "
        r"HCOCO/composite_images/c2_1_1$",
    ):
        find_pairs(two)


def test_a_line_without_a_sub_set_is_refused(two: Path) -> None:
    (two / "IHD_test.txt").write_text("c1_1_1.jpg\n")
    with pytest.raises(UsageError, match=r"expected lines like <sub-set>/<composite>"):
        find_pairs(two)


# Scores


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[PairFiles]:
    root = tmp_path_factory.mktemp("pairs")
    subsets = {"a1_1_1": "HAdobe5k", "c1_1_1": "HCOCO", "c2_1_1": "HCOCO"}
    for seed, (name, subset) in enumerate(subsets.items()):
        write_pair(root, seed, name=name, subset=subset)
    return find_pairs(root)


@pytest.fixture(scope="module")
def methods(pairs: list[PairFiles]) -> dict[str, Method]:
    return collect_methods(choose_rows(None), pairs, models=["s2crnet-cs"])


@pytest.fixture(scope="module")
def scores(pairs: list[PairFiles], methods: dict[str, Method]) -> list[list[Score]]:
    return list(score_pairs(pairs, methods, [FULL], num_threads=2))


def of(row: list[Score], method: str) -> Score:
    return next(score for score in row if score.method == method)


def test_every_image_is_scored_by_every_method(scores: list[list[Score]]) -> None:
    rows = [
        "composite",
        "reinhard",
        "histogram",
        "seamless",
        "seam fit",
        "s2crnet-cs",
        "s2crnet-cs, paste",
        "s2crnet-cs, no seam",
        "ceiling",
    ]
    assert [[score.method for score in row] for row in scores] == [rows] * 3


def test_scores_know_their_image(
    pairs: list[PairFiles], scores: list[list[Score]]
) -> None:
    for pair, row in zip(pairs, scores, strict=True):
        assert {(s.name, s.subset, s.protocol) for s in row} == {
            (pair.name, pair.subset, "full")
        }


def test_the_composites_errors_are_the_known_ones(scores: list[list[Score]]) -> None:
    share = float((square() > 0).mean())  # 10 levels there, in every channel
    for row in scores:
        untouched = of(row, "composite")
        assert untouched.mse == pytest.approx(100 * share, abs=ROUNDING)
        assert untouched.fmse == 100.0
        assert untouched.psnr == pytest.approx(10 * np.log10(255**2 / (100 * share)))
        assert untouched.se == pytest.approx(100 * 3 * (square() > 0).sum() / 1e6)
        assert untouched.foreground_ratio == share
        assert (untouched.height, untouched.width) == SIZE


def stored(path: Path) -> UInt8Array:
    pixels: UInt8Array = photo.to_array(files.read_photo(path))
    return pixels


def test_a_model_is_scored_on_what_it_harmonizes(
    pairs: list[PairFiles], scores: list[list[Score]]
) -> None:
    harmonizer = Harmonizer("s2crnet-cs")
    for pair, row in zip(pairs, scores, strict=True):
        harmonized = harmonizer(stored(pair.composite), square()).image
        squares = (harmonized.astype(float) - stored(pair.real)) ** 2
        assert of(row, "s2crnet-cs").mse == squares.mean()
        assert of(row, "s2crnet-cs").fmse == squares[square() > 0].mean()


def test_no_method_of_curves_beats_the_ceiling(scores: list[list[Score]]) -> None:
    for row in scores:
        for method in ("composite", "histogram", "s2crnet-cs"):
            assert of(row, method).mse >= of(row, "ceiling").mse


def test_the_number_of_threads_changes_nothing(
    pairs: list[PairFiles], methods: dict[str, Method], scores: list[list[Score]]
) -> None:
    assert list(score_pairs(pairs, methods, [FULL], num_threads=1)) == scores


def test_scores_come_as_they_are_ready(pairs: list[PairFiles]) -> None:
    started = []

    def method(pair: PairFiles, scene: Scene, _: Protocol) -> Recoloring:
        started.append(pair)
        return scene_composite(scene)

    scored = score_pairs(pairs * 10, {"": method}, [FULL], num_threads=2)
    next(scored)
    scored.close()
    assert len(started) <= 5  # of 30: two to hand over, two in work, one begun since


def test_several_protocols_are_scored_at_once(
    pairs: list[PairFiles], methods: dict[str, Method], scores: list[list[Score]]
) -> None:
    rows = list(score_pairs(pairs, methods, [PCT_FULL, FULL]))
    for row, expected in zip(rows, scores, strict=True):
        assert [score for score in row if score.protocol == "full"] == expected
        assert sum(score.protocol == "pct-full" for score in row) == len(expected)


def test_an_unrounded_protocol_gets_unrounded_curves(
    pairs: list[PairFiles], methods: dict[str, Method]
) -> None:
    ((rounded, exact),) = score_pairs(
        pairs[:1], {"ours": methods["s2crnet-cs"]}, [FULL, PCT_FULL]
    )
    assert 0 < abs(rounded.fmse - exact.fmse) < 2


def test_a_weights_file_is_called_by_its_name(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(MODELS["s2crnet-cs"].read_bytes())
    found = collect_methods(["model"], pairs, weights=[weights])
    assert list(found) == ["mine", "mine, paste", "mine, no seam"]


def test_a_network_that_gives_a_picture_scores_what_its_pixels_score(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    weights = write_picture_weights(tmp_path, size=(32, 32), gain=0.5, exponent=0.9)
    harmonizer = Harmonizer(weights=weights)
    (pair,) = pairs[:1]
    stored = load_scene(pair)
    image = harmonizer(stored.composite, stored.mask).image
    expected = measure(np.asarray(image, np.uint8), FULL.prepare(stored), FULL)
    methods = collect_methods(["model"], pairs, weights=[weights])
    ((found,),) = score_pairs([pair], methods, [FULL])
    assert found.fmse == pytest.approx(expected.fmse, rel=1e-3)


def test_a_picture_is_scored_the_same_tile_by_tile(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    gain = np.linspace(0.5, 1, 32).reshape(1, 1, 1, 32)
    weights = write_picture_weights(tmp_path, size=(32, 32), gain=gain)
    prepared = FULL.prepare(load_scene(pairs[0]))
    (method,) = collect_methods(["model"], pairs, weights=[weights]).values()
    recolor = method(pairs[0], prepared, FULL)
    height, width = prepared.size
    whole = recolor(Box(0, 0, height, width))
    part = recolor(Box(3, 5, 14, width - 5))
    np.testing.assert_array_equal(part, whole[3:17, 5:])


def test_rows_of_the_same_name_are_refused(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    for pair in pairs:
        write(tmp_path / "reinhard" / f"{pair.name}.png", scene(0))
    with pytest.raises(UsageError, match="two rows would be called 'reinhard'"):
        collect_methods(["reinhard"], pairs, results=[tmp_path / "reinhard"])


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(UsageError, match=r"row is one of composite, .* got 'best'"):
        choose_rows("reinhard,best")


def one(pair: PairFiles) -> dict[str, float]:
    """Score one pair by baselines, under protocol full."""
    chosen = {name: BASELINES[name] for name in ("composite", "reinhard")}
    (row,) = score_pairs([pair], chosen, [FULL])
    return {score.method: score.mse for score in row}


def test_a_soft_mask_counts_as_foreground_above_127(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    soft = np.where(square() > 0, 128, 127).astype(np.uint8)
    write(tmp_path / "soft.png", soft)
    soft_pair = PairFiles(
        "c1_1_1", "HCOCO", pair.composite, tmp_path / "soft.png", pair.real
    )
    assert one(pair) == one(soft_pair)


def test_gray_photographs_are_scored(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    for path in (pair.composite, pair.real):
        path.unlink()
        write(path, scene(0)[..., 0])
    assert one(pair)["composite"] == 0.0


def test_an_empty_mask_warns_and_changes_nothing(
    tmp_path: Path, methods: dict[str, Method]
) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.mask.unlink()
    write(pair.mask, np.zeros(SIZE, np.uint8))
    with pytest.warns(HarmonizeWarning, match="the mask is empty"):
        (row,) = score_pairs([pair], methods, [FULL])
    assert len({score.mse for score in row}) == 1


def test_a_truth_of_another_size_is_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.real.unlink()
    write(pair.real, scene(0, (20, 32)))
    with pytest.raises(ImageError, match=r"is 24x32, its real photo 20x32 \(height x"):
        one(pair)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.mask.unlink()
    write(pair.mask, square((12, 16)))
    with pytest.raises(ShapeError, match=r"24x32 .*, got 12x16"):
        one(pair)


def test_16_bit_photographs_are_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, 0, name="c1_1_1")
    pair.composite.unlink()
    write(pair.composite, scene(0).astype(np.uint16))
    with pytest.raises(ImageError, match=r"c1_1_1\.png: expected 8 bit, got uint16"):
        one(pair)


def test_pairs_that_cannot_be_used_are_left_out_and_told(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    broken = replace(pairs[1], composite=tmp_path / "absent.png")
    told: list[tuple[str, str]] = []
    rows = list(
        score_pairs(
            [pairs[0], broken, pairs[2]],
            {"composite": BASELINES["composite"]},
            [FULL],
            on_failure=lambda pair, error: told.append((pair.name, str(error))),
        )
    )
    assert [len(row) for row in rows] == [1, 0, 1]
    assert told == [(broken.name, f"{tmp_path / 'absent.png'}: no such file")]


# Other programs' pictures


def folder_of(pairs: list[PairFiles], folder: Path, *, by_subset: bool = False) -> Path:
    for number, pair in enumerate(pairs):
        place = folder / pair.subset if by_subset else folder
        write(place / f"{pair.name}.png", scene(50 + number))
    return folder


@pytest.mark.parametrize("by_subset", [False, True])
def test_pictures_are_scored_by_the_composites_name(
    pairs: list[PairFiles], tmp_path: Path, by_subset: bool
) -> None:
    folder = folder_of(pairs, tmp_path, by_subset=by_subset)
    (row, *_) = score_pairs(pairs, {"peer": results_method(folder, pairs)}, [FULL])
    squares = (scene(50).astype(float) - stored(pairs[0].real)) ** 2
    assert row[0].fmse == pytest.approx(squares[square() > 0].mean(), abs=ROUNDING)
    # `full` puts the foreground on the composite, here without error.
    assert row[0].mse == pytest.approx(
        squares[square() > 0].sum() / squares.size, abs=ROUNDING
    )


def test_where_the_whole_image_counts_the_background_does_too(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    method = results_method(folder_of(pairs, tmp_path), pairs)
    whole, masked = (
        row[0].mse
        for protocol in (HDNET_256, OURS_256)
        for row in score_pairs(pairs[:1], {"peer": method}, [protocol])
    )
    assert whole > 2 * masked


def test_a_small_picture_serves_a_small_protocol(
    pairs: list[PairFiles], tmp_path: Path
) -> None:
    for pair in pairs:
        write(tmp_path / f"{pair.name}.png", scene(0, (256, 256)))
    method = results_method(tmp_path, pairs)
    ((score,), *_) = score_pairs(pairs, {"peer": method}, [OURS_256])
    assert (score.height, score.width) == (256, 256)
    with pytest.raises(ImageError, match=r"expected 24x32 pixels .*, got 256x256"):
        list(score_pairs(pairs, {"peer": method}, [FULL]))


def test_missing_pictures_are_counted(pairs: list[PairFiles], tmp_path: Path) -> None:
    folder_of(pairs[:1], tmp_path)
    with pytest.raises(
        UsageError,
        match=r"expected a picture for each of 3 composites, 2 are missing, such as "
        r"c1_1_1\.png$",
    ):
        results_method(tmp_path, pairs)


# Memory

MEMORY = """
import json, resource, sys
from pathlib import Path
from imharmony.evaluation.methods.methods import choose_rows, collect_methods
from imharmony.datasets.iharmony4 import find_pairs
from imharmony.evaluation.protocols.protocol import PCT_FULL
from imharmony.evaluation.reports.scoring import score_pairs

small, big = (find_pairs(Path(root)) for root in sys.argv[1:])
rows = "composite,reinhard,model"
peaks = []
for pairs in (small, big):
    methods = collect_methods(choose_rows(rows), pairs, models=["s2crnet-cs"])
    for _ in score_pairs(pairs, methods, [PCT_FULL]):
        pass
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps(peaks))
"""


def test_a_12_megapixel_pair_takes_a_few_copies_of_it(tmp_path: Path) -> None:
    height, width = 3000, 4000
    y, x = np.ogrid[:height, :width]
    for root, (h, w) in {"small": (30, 40), "big": (height, width)}.items():
        ramp = np.broadcast_to((y[:h] * 3 + x[:, :w] * 5) // 97 % 200, (h, w))
        real = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
        mask = square((h, w))
        composite = real + np.uint8(10) * (mask[..., None] > 0)
        folder = tmp_path / root / "HAdobe5k"
        write(folder / "composite_images" / "a1_1_1.jpg", composite)
        write(folder / "real_images" / "a1.jpg", real)
        write(folder / "masks" / "a1_1.png", mask)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "small", tmp_path / "big"],
        env=os.environ | {"PYTHONPATH": str(Path(imharmony.__file__).parents[1])},
        capture_output=True,
        check=True,
        text=True,
    )
    before, after = json.loads(done.stdout.splitlines()[-1])
    copy = height * width * 3  # 36 MB, one picture of the pair
    # Two pictures and the mask, and another picture while the second is decoded.
    assert after - before < 5 * copy
