"""Several objects of one photo, in jobs and manifests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imharmony.batch import Job, harmonize_many
from imharmony.batch.jobs import Settings
from imharmony.batch.manifest import read_manifest
from imharmony.batch.rows import do_row
from imharmony.batch.work import do_job, load_harmonizer
from imharmony.harmonizer import Harmonizer
from tests.batch.pictures import composite, disc, load, save

pytestmark = pytest.mark.filterwarnings(
    "ignore::imharmony.errors.HarmonizeWarning"  # outcomes are looked at instead
)


def halves() -> list[Any]:
    """Two objects: the disc cut in the middle."""
    left, right = disc().copy(), disc().copy()
    middle = int(np.nonzero(disc().any(axis=0))[0].mean())
    left[:, middle:] = 0
    right[:, :middle] = 0
    return [left, right]


def expected(**options: Any) -> Any:
    return Harmonizer().harmonize_objects(composite(), halves(), **options)


def test_several_masks_are_several_objects() -> None:
    (outcome,) = harmonize_many([Job(composite(), halves(), seam="ignore")])
    assert outcome.status == "done", outcome.error
    wanted = expected(seam="ignore")
    np.testing.assert_array_equal(outcome.image, wanted.image)
    labels = dict.fromkeys(str(each.label) for each in wanted.objects)
    assert outcome.label == ", ".join(labels)
    assert outcome.change is not None
    assert outcome.change > 0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    save(tmp_path / "photo.png", composite())
    for name, mask in zip(("left", "right"), halves(), strict=True):
        save(tmp_path / f"{name}.png", mask)
    values = (halves()[0] > 127) * 3 + (halves()[1] > 127) * 9
    save(tmp_path / "values.png", values.astype(np.uint8))
    return tmp_path


def run(manifest: Path) -> Any:
    (job,) = read_manifest(manifest, output=manifest.parent / "done")
    (outcome,) = harmonize_many([job])
    return outcome


def test_csv_and_json_name_several_masks(files: Path) -> None:
    wanted = expected().image
    table = files / "jobs.csv"
    table.write_text("composite,mask,output\nphoto.png,left.png|right.png,a.png\n")
    assert run(table).status == "done"
    np.testing.assert_array_equal(load(files / "done" / "a.png"), wanted)
    lines = files / "jobs.jsonl"
    row = {"composite": "photo.png", "mask": ["left.png", "right.png"]}
    lines.write_text(json.dumps({**row, "output": "b.png"}))
    assert run(lines).status == "done"
    np.testing.assert_array_equal(load(files / "done" / "b.png"), wanted)


def test_values_of_one_mask_are_objects_where_labels_says_so(files: Path) -> None:
    table = files / "jobs.csv"
    table.write_text("composite,mask,labels,output\nphoto.png,values.png,yes,a.png\n")
    assert run(table).status == "done"
    hard = [(mask > 127).astype(np.uint8) * 255 for mask in halves()]
    wanted = Harmonizer().harmonize_objects(composite(), hard).image
    np.testing.assert_array_equal(load(files / "done" / "a.png"), wanted)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"mask": "left.png", "labels": "perhaps"}, "labels: expected yes or no"),
        ({"mask": ["left.png", 3]}, "mask: expected a text, or a list of them"),
        ({"mask": "left.png|right.png", "labels": True}, "one mask that holds all"),
        ({"mask": "left.png|absent.png"}, "absent.png: no such file"),
    ],
)
def test_unusable_objects_are_named(row: Any, words: str, files: Path) -> None:
    lines = files / "jobs.jsonl"
    lines.write_text(json.dumps({"composite": "photo.png", "output": "a.png", **row}))
    outcome = run(lines)
    assert outcome.status == "failed"
    assert words in str(outcome.error)
    assert not (files / "done" / "a.png").exists()


def test_rows_of_a_batch_take_several_masks(files: Path) -> None:
    settings = Settings()
    harmonizer = load_harmonizer(settings)
    row = {"composite": "photo.png", "mask": "left.png|right.png", "output": "a.png"}
    record = do_row(
        lambda job: do_job(harmonizer, job, settings),
        row,
        folder=str(files),
        output=str(files / "done"),
    )
    assert record["status"] == "done", record["error"]
    np.testing.assert_array_equal(load(files / "done" / "a.png"), expected().image)
