"""Manifests, and what becomes of rows that cannot be used."""

import json
from pathlib import Path

import pytest

from imharmony.batch.manifest import read_manifest
from imharmony.errors import UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_row_is_a_job(tmp_path: Path) -> None:
    path = write(
        tmp_path / "jobs.csv",
        "composite,mask,reference,label,strength,seam,output\n"
        "a.png,m/a.png,dusk.jpg,food,0.5,trust,done/a.png\n"
        "b.png,,,,,,done/b.png\n"
        "c.png,,,,,maybe,done/c.png\n",
    )
    first, second, third = read_manifest(path)
    assert (first.seam, second.seam) == ("trust", "auto")
    assert "seam is one of auto, trust, ignore, got 'maybe'" in str(third.error)
    assert first.composite == tmp_path / "a.png"
    assert first.mask == tmp_path / "m/a.png"
    assert first.reference == tmp_path / "dusk.jpg"
    assert (first.label, first.strength) == ("food", 0.5)
    assert first.output == tmp_path / "done/a.png"
    assert (second.mask, second.label, second.strength) == (None, None, 1.0)


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    row = {"composite": "a.png", "mask": None, "strength": 2}
    path = write(tmp_path / "jobs.jsonl", f"{json.dumps(row)}\n\n")
    (job,) = read_manifest(path, output=tmp_path / "out")
    assert (job.mask, job.strength) == (None, 2.0)
    assert job.output == tmp_path / "out/a.png"


def test_bad_rows_fail_with_their_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "jobs.csv",
        "composite,label,strength\n"
        "a.png,,\n"
        "b.png,chair,\n"
        "c.png,,much\n"
        "d.png\n"
        ",,\n"
        "e.png,,-1\n"
        "a.png,,\n"
        "z.png,,\n",
    )
    jobs = list(read_manifest(path, output=tmp_path / "o"))
    errors = {job.source: job.error for job in jobs}
    assert [job.error is None for job in jobs] == [True, *[False] * 6, True]
    expected = {
        3: "expected a label of person, animal, food, vehicle, others, got 'chair'",
        4: "strength: expected a number of 0 or more, got 'much'",
        5: "expected 3 values, got 1",
        6: "expected a composite, got none",
        7: "strength: expected a number of 0 or more, got '-1'",
        8: f"line 2 writes {tmp_path}/o/a.png, too",
    }
    for line, error in expected.items():
        assert errors[f"{path}, line {line}"] == error


def test_bad_json_fails_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "jobs.jsonl",
        '{"composite": "a.png"}\n{oops\n[1]\n{"mask": 3}\n'
        '{"composite": "b.png", "look": 1}\n{"composite": "c.png", "mask": 3}\n',
    )
    jobs = list(read_manifest(path, output=tmp_path))
    assert jobs[0].error is None
    errors = [str(job.error) for job in jobs[1:]]
    assert errors[0].startswith("expected a JSON object, got text that is none")
    assert errors[1] == "expected a JSON object, got list"
    assert errors[2] == "expected a composite, got none"
    assert errors[3].endswith("got look")
    assert errors[4] == "mask: expected a text, or a list of them, got 3"
    assert [job.source for job in jobs] == [f"{path}, line {n}" for n in range(1, 7)]


def test_row_without_output_needs_a_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "jobs.csv", "composite\na.png\n")
    (job,) = read_manifest(path)
    assert job.error == "expected an output, got none, and no folder for all"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jobs.txt", "", "expected a manifest of .csv, .jsonl or .ndjson, got '.txt'"),
        ("jobs.csv", "", "line 1: expected a header with the column composite"),
        ("jobs.csv", "photo\n", "line 1: expected columns of composite, mask"),
        ("jobs.csv", "mask\n", "line 1: expected a header with the column composite"),
    ],
)
def test_unusable_manifest_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(UsageError) as caught:
        read_manifest(path)
    assert message in str(caught.value)


def test_absent_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv")
