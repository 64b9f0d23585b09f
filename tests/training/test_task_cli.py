"""The command `train`: what it prints, takes and refuses."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imharmony import cli
from imharmony.training import task
from imharmony.training.networks.s2crnet import build_s2crnet
from imharmony.training.recipes import s2crnet as recipe
from imharmony.training.task import Devices

CONFIG = """
thumbnail_size = [24, 24]
num_steps = 2
batch_size = 2
log_every = 1
validate_every = 1
validation_pairs = 1
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path,
    pool_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run `imharmony train` on a small config in this process."""
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG, encoding="utf-8")

    def run(*options: str | Path, output: str = "run") -> tuple[int, str, str]:
        words = ["imharmony", "train", config, pool_folder, "-o", tmp_path / output]
        monkeypatch.setattr(sys, "argv", [*map(str, words), *map(str, options)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        found = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, found.out, found.err

    return run


def test_a_line_per_validation_goes_to_standard_output(run: Run) -> None:
    code, out, _ = run("--accelerator", "cpu")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[:3] for line in lines] == [
        ["step", "1", "loss"],
        ["step", "2", "loss"],
    ]
    assert all(" psnr " in line and " harm_rate " in line for line in lines)


def test_a_run_is_not_mixed_with_another(run: Run) -> None:
    run("--accelerator", "cpu")
    code, out, err = run("--accelerator", "cpu")
    assert (code, out) == (2, "")
    assert "already holds a run; expected another folder; --resume goes on" in err


def test_a_finished_run_resumes_to_nothing(run: Run) -> None:
    run("--accelerator", "cpu")
    code, out, _ = run("--accelerator", "cpu", "--resume")
    assert (code, out) == (0, "")


def test_a_trunk_can_be_given(run: Run, tmp_path: Path) -> None:
    trunk = build_s2crnet("s2crnet").encoder.state_dict()
    path = tmp_path / "trunk.pth"
    torch.save({f"features.{key}": value for key, value in trunk.items()}, path)
    code, _, _ = run("--accelerator", "cpu", "--trunk", path)
    assert code == 0
    assert str(path) in (tmp_path / "run" / "settings.json").read_text("utf-8")


def test_a_run_that_went_wrong_exits_with_1_and_names_the_batch(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = torch.tensor(torch.nan, requires_grad=True)
    monkeypatch.setattr(recipe, "stage_losses", lambda *_, **__: 1 * broken)
    code, _, err = run("--accelerator", "cpu")
    assert code == 1
    assert err.splitlines()[-1].endswith("not finite; its batch is in nan_batch.pt")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2", 2), ("auto", "auto"), ("0,2", [0, 2]), ("1,", None), ("0", None)],
)
def test_devices_are_a_count_or_numbers_or_auto(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: str, expected: Any
) -> None:
    seen: list[Devices] = []

    def train(*_: Any, devices: Devices, **__: Any) -> list[task.Progress]:
        seen.append(devices)
        return []

    monkeypatch.setattr(task, "train", train)
    options = ["--accelerator", "cuda", "--workers", "4", "--threads", "3"]
    code, _, err = run("--devices", given, *options)
    if expected is None:
        assert code == 2
        assert f"numbers such as 0,2, got {given}" in err
    else:
        assert seen == [Devices("cuda", expected, workers=4, threads=3)]
