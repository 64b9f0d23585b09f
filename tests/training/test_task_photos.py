"""Training with further photographs, which have no masks."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imharmony.errors import UsageError
from imharmony.images import files, photo
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.feed import open_sources
from imharmony.training.settings import TrainSettings
from imharmony.training.task import Devices, Progress, train

SETTINGS = TrainSettings(
    unlabeled_sources=("web",),
    thumbnail_size=(24, 24),
    num_steps=1,
    batch_size=2,
    validation_pairs=3,
)
CPU = Devices(accelerator="cpu")


def run(
    settings: TrainSettings, data: Path, output: Path, **options: Any
) -> list[Progress]:
    return list(train(settings, data, output, devices=CPU, **options))


@pytest.fixture
def photos_folder(tmp_path: Path) -> Path:
    """Three photographs without masks; the last is named like one to validate with."""
    root = tmp_path / "photos"
    root.mkdir()
    rows = [["photo", "mask"]]
    for name, gray in (("x.png", 40), ("y.png", 120), ("e.png", 200)):
        pixels = np.full((30, 40, 3), gray, np.uint8)
        files.write_photo(photo.from_array(pixels), root / name)
        rows.append([name, ""])
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return root


def synthesis_with(photos: Path, data: Path, looks: LookSettings) -> Synthesis:
    settings = replace(SETTINGS, looks=looks)
    pairs, _ = open_sources(settings, data, photos=photos)
    assert isinstance(pairs, Synthesis)
    return pairs


def test_photos_are_added_to_train_with_but_those_kept_for_validation(
    pool_folder: Path, photos_folder: Path
) -> None:
    pairs = synthesis_with(photos_folder, pool_folder, LookSettings())
    names = [example.photo.name for example in pairs.pool]
    assert names == ["a.png", "b.png", "c.png", "d.png", "x.png", "y.png"]


def test_masks_of_photos_are_not_read(pool_folder: Path) -> None:
    pairs = synthesis_with(pool_folder, pool_folder, LookSettings())
    has_mask = [example.mask is not None for example in pairs.pool]
    assert has_mask == [True] * 4 + [False] * 4


def test_photos_are_used_as_often_as_the_looks_say(
    pool_folder: Path, photos_folder: Path
) -> None:
    pairs = synthesis_with(photos_folder, pool_folder, LookSettings(maskless=1.0))
    drawn = {pairs.pool[pairs.draw_example(n)].photo.name for n in range(40)}
    assert drawn == {"x.png", "y.png"}


def test_photos_never_validate(pool_folder: Path, photos_folder: Path) -> None:
    _, pairs = open_sources(SETTINGS, pool_folder, photos=photos_folder)
    assert isinstance(pairs, Synthesis)
    assert [example.photo.name for example in pairs.pool] == ["e.png", "f.png"]


def test_a_run_with_photos_sees_their_pairs(
    pool_folder: Path, photos_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, looks=LookSettings(maskless=1.0))
    losses = [
        run(settings, pool_folder, tmp_path / str(number), photos=photos)[0].values
        for number, photos in enumerate((None, photos_folder))
    ]
    assert losses[0]["loss"] != losses[1]["loss"]


def test_held_out_sources_are_neither_trained_on_nor_validated_with(
    pool_folder: Path, photos_folder: Path
) -> None:
    held_out = next(iter(read_pool(pool_folder, split="train"))).source
    (photos_folder / "a.png").write_bytes((photos_folder / "x.png").read_bytes())
    with (photos_folder / "index.csv").open("a", encoding="utf-8") as file:
        file.write("a.png,\n")  # named like a photograph of the source
    settings = replace(SETTINGS, held_out_sources=(held_out,), unlabeled_sources=())
    kept = [e.source for e in read_pool(pool_folder, split="train")]
    pairs, val_pairs = open_sources(settings, pool_folder, photos=photos_folder)
    assert isinstance(pairs, Synthesis)
    assert isinstance(val_pairs, Synthesis)
    for source in (pairs, val_pairs):
        assert held_out not in {example.source for example in source.pool}
    names = [example.photo.name for example in pairs.pool]
    assert len(names) == len(kept) - kept.count(held_out) + 2
    assert names[-2:] == ["x.png", "y.png"]


def test_a_held_out_source_that_is_not_there_is_refused(pool_folder: Path) -> None:
    settings = replace(SETTINGS, held_out_sources=("zoo",))
    with pytest.raises(UsageError, match="are some of farm, web; got zoo"):
        open_sources(settings, pool_folder)


def test_pairs_to_validate_with_differ(pool_folder: Path) -> None:
    changed = {"foreground": 1.0, "nothing": 3.0}
    settings = replace(SETTINGS, looks=LookSettings(changed=changed))
    pairs, val_pairs = open_sources(settings, pool_folder)
    assert isinstance(pairs, Synthesis)
    assert isinstance(val_pairs, Synthesis)
    assert pairs.settings.changed == changed
    assert val_pairs.settings.changed == {"foreground": 1.0}
