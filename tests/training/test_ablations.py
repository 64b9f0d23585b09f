"""The ablation study: seven small runs by one command, and its table."""

import csv
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from imharmony import cli
from imharmony.errors import UsageError
from imharmony.training import ablations
from imharmony.training.ablations import PAPER, Study, ablate, comparison, table_rows
from imharmony.training.log import COLUMNS
from imharmony.training.task import Devices

BASE = """
base = "s2crnet-paper"
thumbnail_size = [80, 80]
batch_size = 2
num_steps = 2
log_every = 1
validate_every = 9
checkpoint_every = 1
validation_pairs = 1
"""
CPU = Devices(accelerator="cpu")

Command = Callable[..., str]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "small.toml"
    path.write_text(BASE, encoding="utf-8")
    return str(path)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `imharmony ablate` in this process; returns standard output."""

    def run(*args: str | Path) -> str:
        line = ["imharmony", "ablate", *map(str, args), "--accelerator", "cpu"]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        return capsys.readouterr().out

    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# A study


@pytest.fixture(scope="module")
def study_folder(
    base: str, pool_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All rows, one step each."""
    output = tmp_path_factory.mktemp("study") / "study"
    study = Study(base=base, num_steps=1)
    found = [
        (row, progress.step)
        for row, progress in ablate(study, pool_folder, output, devices=CPU)
    ]
    assert found == [(row, 1) for row in "ABCDEFG"]
    return output


def test_a_study_leaves_a_run_per_row_and_two_tables(study_folder: Path) -> None:
    names = sorted(path.name for path in study_folder.iterdir())
    assert names == [*"abcdefg", "table.csv", "table.md"]


def test_the_table_says_what_each_row_is(study_folder: Path) -> None:
    rows = rows_of(study_folder / "table.csv")
    assert [
        (
            row["row"],
            row["pixel_loss"],
            row["adversarial_weight"],
            row["encoder"],
            row["module"],
            row["parameters"],
            row["steps"],
        )
        for row in rows
    ] == [
        ("-", "", "", "", "", "", ""),
        ("A", "l1", "", "both regions", "CRM", "722304", "1"),
        ("B", "relative_l1", "", "both regions", "CRM", "722304", "1"),
        ("C", "relative_l1", "1", "both regions", "CRM", "722304", "1"),
        ("D", "relative_l1", "1", "foreground only", "CRM", "722304", "1"),
        ("E", "relative_l1", "1", "whole image", "CRM", "722304", "1"),
        ("F", "relative_l1", "1", "both regions", "cascaded CRM", "919296", "1"),
        ("G", "relative_l1", "1", "both regions", "cascaded SCRM", "948480", "1"),
    ]


def test_the_table_holds_the_scores_of_the_runs(study_folder: Path) -> None:
    rows = rows_of(study_folder / "table.csv")
    for row in rows[1:]:
        last = rows_of(study_folder / row["row"].lower() / "log.csv")[-1]
        assert float(row["psnr"]) == pytest.approx(float(last["psnr"]), abs=0.006)
        assert float(row["mse"]) == pytest.approx(float(last["mse"]), abs=0.006)
        assert float(row["last_loss"]) == pytest.approx(float(last["loss"]), abs=1e-4)
    composite = rows_of(study_folder / "a" / "log.csv")[-1]["composite_psnr"]
    assert float(rows[0]["psnr"]) == pytest.approx(float(composite), abs=0.006)


def test_the_table_holds_the_papers_scores(study_folder: Path) -> None:
    found = {
        row["row"]: (float(row["paper_mse"]), float(row["paper_psnr"]))
        for row in rows_of(study_folder / "table.csv")
    }
    assert found == PAPER


def test_the_two_tables_hold_the_same(study_folder: Path) -> None:
    text = (study_folder / "table.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    rows = rows_of(study_folder / "table.csv")
    assert cells[0] == [name.replace("_", " ") for name in rows[0]]
    assert cells[2:] == [list(row.values()) for row in rows]


def test_a_finished_study_is_not_trained_again(
    study_folder: Path, base: str, pool_folder: Path
) -> None:
    study = Study(base=base, num_steps=1)
    assert list(ablate(study, pool_folder, study_folder, devices=CPU)) == []


def test_a_study_with_other_settings_is_refused(
    study_folder: Path, base: str, pool_folder: Path
) -> None:
    study = Study(base=base, num_steps=2)
    with pytest.raises(UsageError, match=r"study.a: was trained with other settings"):
        list(ablate(study, pool_folder, study_folder, devices=CPU))


def test_the_command_goes_on_and_prints_the_table(
    base: str, pool_folder: Path, tmp_path: Path, command: Command
) -> None:
    # Stopped in its first row after one of two steps.
    steps = ablate(Study(base=base), pool_folder, tmp_path, devices=CPU)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    before = torch.load(tmp_path / "a" / "trainer.pt", weights_only=True)["step"]
    printed = command(pool_folder, "-o", tmp_path, "--base", base)
    assert before == 1
    assert printed.endswith((tmp_path / "table.md").read_text(encoding="utf-8"))
    validations = re.findall(r"^([A-G]) step 2  loss .* harm_rate ", printed, re.M)
    assert validations == list("ABCDEFG")


# Settings


def test_steps_and_trunk_are_those_of_all_rows(base: str) -> None:
    study = Study(base=base, num_steps=7, trunk=Path("trunk.pth"))
    assert {s.num_steps for s in study.runs.values()} == {7}
    assert {s.trunk for s in study.runs.values()} == {"trunk.pth"}


def test_rows_are_the_papers_by_default() -> None:
    runs = Study().runs
    assert {s.num_steps for s in runs.values()} == {164_340}
    assert {s.thumbnail_size for s in runs.values()} == {(256, 256)}


def test_steps_are_counted_over_the_rows(base: str) -> None:
    study = Study(base=base, num_steps=10)
    assert [study.steps_before(row) for row in ("A", "C")] == [0, 20]
    assert study.total_steps == 70


# The table


def write_scores(output: Path, scores: dict[str, float], *, step: int = 2) -> None:
    """Folders of runs that only have a log."""
    for row, psnr in scores.items():
        folder = output / row.lower()
        folder.mkdir(parents=True)
        values = dict.fromkeys(COLUMNS, "1.0") | {"step": step, "psnr": psnr}
        with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerow(values)


def test_ranks_are_by_psnr(base: str, tmp_path: Path) -> None:
    scores = dict(
        zip("ABCDEFG", (30.0, 36.0, 33.0, 34.0, 31.0, 35.0, 32.0), strict=True)
    )
    write_scores(tmp_path, scores)
    rows = table_rows(Study(base=base), tmp_path)[1:]
    assert [row["rank"] for row in rows] == ["7", "1", "4", "3", "6", "2", "5"]
    assert [row["paper_rank"] for row in rows] == ["7", "4", "3", "5", "6", "2", "1"]


def test_the_papers_order_is_recognized(base: str, tmp_path: Path) -> None:
    write_scores(tmp_path, {row: PAPER[row][1] for row in "ABCDEFG"})
    rows = table_rows(Study(base=base), tmp_path)
    assert comparison(rows) == "The order by PSNR is the paper's."


def test_another_order_is_said_row_by_row(base: str, tmp_path: Path) -> None:
    scores = {row: PAPER[row][1] for row in "ABCDEFG"}
    write_scores(tmp_path, scores | {"C": 30.0, "G": 36.4})
    rows = table_rows(Study(base=base), tmp_path)
    expected = "F before G, B before C, D before C, E before C, A before C"
    assert comparison(rows) == f"By PSNR, other than in the paper: {expected}."


def test_rows_that_are_not_finished_are_left_out(base: str, tmp_path: Path) -> None:
    write_scores(tmp_path, {"A": 30.0, "F": 29.0})
    write_scores(tmp_path, {"B": 31.0}, step=1)
    rows = table_rows(Study(base=base), tmp_path)
    assert [row["row"] for row in rows] == ["-", "A", "F"]
    assert comparison(rows) == (
        "2 of 7 rows are finished. By PSNR, other than in the paper: A before F."
    )


def test_the_papers_orders_by_mse_and_psnr_are_one() -> None:
    by_mse = sorted(PAPER, key=lambda row: PAPER[row][0])
    assert by_mse == sorted(PAPER, key=lambda row: -PAPER[row][1])


def test_the_table_has_a_name_that_the_command_knows() -> None:
    assert ablations.TABLE == "table.md"
