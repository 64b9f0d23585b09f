"""Reports and contact sheets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imharmony.batch.jobs import Job, Outcome
from imharmony.batch.report import Report, read_report
from imharmony.batch.sheet import SIDE, ContactSheet
from imharmony.errors import UsageError
from tests.batch.pictures import load


def outcome(number: int, status: str = "done") -> Outcome:
    job = Job(Path(f"{number}.png"), output=Path(f"out/{number}.png"))
    return Outcome(job, status, 12.345, label="food", num_bytes=7)  # type: ignore[arg-type]


def test_line_says_what_became_of_a_job(tmp_path: Path) -> None:
    with Report(tmp_path / "r.jsonl") as report:
        report.add(replace(outcome(1), change=1.23456, warnings=("small",)))
    (row,) = read_report(tmp_path / "r.jsonl")
    assert row == {
        "input": "1.png",
        "output": "out/1.png",
        "status": "done",
        "label": "food",
        "change": 1.235,
        "warnings": ["small"],
        "error": None,
        "milliseconds": 12.3,
        "bytes": 7,
    }


def test_resumed_report_has_one_line_a_job(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Report(path) as report:
        report.add(outcome(1))
        report.add(replace(outcome(2, "failed"), error="damaged"))
    with path.open("ab") as file:
        file.write(b'{"input": "3.pn')  # the process was killed here
    with Report(path, resume=True) as report:
        assert report.sizes == {"out/1.png": 7}
        report.add(outcome(1, "skipped"))
        report.add(outcome(2))
        report.add(outcome(3, "skipped"))
    rows = read_report(path)
    assert [(row["input"], row["status"]) for row in rows] == [
        ("1.png", "done"),
        ("2.png", "done"),
        ("3.png", "skipped"),
    ]


def test_existing_report_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        Report(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("line", ["mine", json.dumps({"input": 1}), "[]"])
def test_resuming_another_file_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match="line 1: expected a line of a report"):
        Report(path, resume=True)


def test_sheets_hold_fifty_each(tmp_path: Path) -> None:
    sheet = ContactSheet(tmp_path / "sheet.png")
    tile = np.full((SIDE, 2 * SIDE, 3), 7, np.uint8)
    for number in range(53):
        sheet.add(replace(outcome(number), tile=tile))
    sheet.add(outcome(99, "failed"))  # there is nothing to show
    sheet.write()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["sheet-2.png", "sheet.png"]
    first, second = (load(tmp_path / name) for name in ("sheet.png", "sheet-2.png"))
    assert (first[:SIDE, : 2 * SIDE] == 7).all()
    assert first.shape[1] > second.shape[1] > 3 * 2 * SIDE
    assert first.shape[0] > 9 * SIDE > second.shape[0]
