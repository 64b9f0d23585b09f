"""A run that was stopped, in whatever way, ends as if nothing had stopped it."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from imharmony.errors import UsageError, WeightsError
from imharmony.training.settings import TrainSettings, read_settings
from imharmony.training.task import Devices, train

# Dropout draws from the device's generator, batch normalization counts steps: both
# are state that has to come back.
CONFIG = """
variant = "s2crnet-cs"
batch_norm = true
thumbnail_size = [24, 24]
num_steps = {num_steps}
batch_size = 2
warmup_steps = 2
log_every = 1
validate_every = {validate_every}
checkpoint_every = 2
validation_pairs = 3

[dimensions]
slopes = "positive"
num_bins = 4
guesses_label = true
feature_dropout = 0.5
"""
# As many threads in every process: another number rounds differently.
CPU = Devices(accelerator="cpu", threads=1)


def settings_of(folder: Path, *, num_steps: int, validate_every: int) -> TrainSettings:
    text = CONFIG.format(num_steps=num_steps, validate_every=validate_every)
    (folder / "config.toml").write_text(text, encoding="utf-8")
    return read_settings(str(folder / "config.toml"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    """Six steps; checkpoints after 2, 3, 4 and 6."""
    folder = tmp_path_factory.mktemp("settings")
    return settings_of(folder, num_steps=6, validate_every=3)


def run(
    settings: TrainSettings, data: Path, output: Path, *, resume: bool = False
) -> list[int]:
    """Steps that were made."""
    made = train(settings, data, output, resume=resume, devices=CPU)
    return [progress.step for progress in made]


@pytest.fixture(scope="module")
def finished(
    settings: TrainSettings, pool_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("finished") / "run"
    run(settings, pool_folder, output)
    return output


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of nested dictionaries and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


def assert_same_run(first: Path, second: Path) -> None:
    """Result, trainer state and log, all bit for bit."""
    states = [
        [
            *load_file(output / "weights.safetensors").values(),
            *tensors(torch.load(output / "trainer.pt", weights_only=True)),
        ]
        for output in (first, second)
    ]
    assert len(states[0]) > 150
    for one, other in zip(*states, strict=True):
        assert torch.equal(one, other)
    logs = [(output / "log.csv").read_text("utf-8") for output in (first, second)]
    assert logs[0] == logs[1]


def stop(settings: TrainSettings, step: int, data: Path, output: Path) -> None:
    """End a run from inside after one of its steps."""
    steps = train(settings, data, output, devices=CPU)
    while next(steps).step < step:
        pass
    steps.close()  # type: ignore[attr-defined]


# Where it stops


@pytest.mark.parametrize(
    ("step", "rest"), [(2, [3, 4, 5, 6]), (3, [4, 5, 6]), (5, [5, 6])]
)
def test_a_stopped_run_goes_on_from_its_last_checkpoint(
    settings: TrainSettings,
    finished: Path,
    pool_folder: Path,
    tmp_path: Path,
    step: int,
    rest: list[int],
) -> None:
    stop(settings, step, pool_folder, tmp_path)
    assert run(settings, pool_folder, tmp_path, resume=True) == rest
    assert_same_run(finished, tmp_path)


def test_a_run_killed_at_random_moments_ends_with_the_same_weights(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, num_steps=24, validate_every=15)
    run(settings, pool_folder, tmp_path / "whole")
    killed = tmp_path / "killed"
    rng = np.random.default_rng(4)
    for lines in (int(rng.integers(3, 9)), int(rng.integers(10, 19))):
        options = ["--resume"] if (killed / "trainer.pt").exists() else []
        command = [sys.executable, "-m", "imharmony.cli", "train"]
        command += [str(tmp_path / "config.toml"), str(pool_folder), "-o", str(killed)]
        with subprocess.Popen(
            [*command, "--accelerator", "cpu", "--threads", "1", *options]
        ) as process:
            while num_lines(killed / "log.csv") < lines and process.poll() is None:
                time.sleep(0.002)
            time.sleep(float(rng.uniform(0, 0.05)))
            process.kill()  # SIGKILL: nothing is cleaned up
        assert process.returncode != 0
    run(settings, pool_folder, killed, resume=(killed / "trainer.pt").exists())
    assert_same_run(tmp_path / "whole", killed)


def num_lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n") if path.exists() else 0


@pytest.mark.parametrize("number", [2, 4])  # of four checkpoints
@pytest.mark.parametrize("file", ["weights.safetensors", "trainer.pt"])
@pytest.mark.parametrize("moment", ["half written", "just replaced"])
def test_a_run_killed_between_the_files_of_a_checkpoint_goes_on(
    settings: TrainSettings,
    finished: Path,
    pool_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    file: str,
    moment: str,
) -> None:
    kill_at(monkeypatch, file, moment, number=number)
    with pytest.raises(KeyboardInterrupt):
        run(settings, pool_folder, tmp_path)
    monkeypatch.undo()
    run(settings, pool_folder, tmp_path, resume=True)
    assert_same_run(finished, tmp_path)


@pytest.mark.parametrize("file", ["settings.json", "log.csv"])
@pytest.mark.parametrize("moment", ["half written", "just replaced"])
def test_a_run_killed_while_it_starts_again_goes_on(
    settings: TrainSettings,
    finished: Path,
    pool_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    moment: str,
) -> None:
    stop(settings, 5, pool_folder, tmp_path)
    kill_at(monkeypatch, file, moment, number=1)
    with pytest.raises(KeyboardInterrupt):
        run(settings, pool_folder, tmp_path, resume=True)
    monkeypatch.undo()
    run(settings, pool_folder, tmp_path, resume=True)
    assert_same_run(finished, tmp_path)


def kill_at(
    monkeypatch: pytest.MonkeyPatch, file: str, moment: str, *, number: int
) -> None:
    """Stop when a file takes its place for the n-th time, just before or after."""
    replace_file = Path.replace
    left = itertools.count(number - 1, -1)

    def fail(self: Path, target: Path) -> Path:
        if Path(target).name != file or next(left):
            return replace_file(self, target)
        if moment == "just replaced":
            replace_file(self, target)
        else:
            self.write_bytes(self.read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)


def test_a_run_starts_from_the_weights_of_another(
    settings: TrainSettings, finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    still = replace(settings, num_steps=1, learning_rate=0.0, weight_decay=0.0)
    made = train(still, pool_folder, tmp_path / "run", start_from=finished, devices=CPU)
    assert [progress.step for progress in made] == [1]
    names = [n for n in load_file(finished / "weights.safetensors") if "stages" in n]
    before, after = (
        torch.load(folder / "trainer.pt", weights_only=True)["network"]
        for folder in (finished, tmp_path / "run")
    )
    assert names
    for name in names:
        assert torch.equal(before[name], after[name])


def test_a_run_of_another_network_is_nothing_to_start_from(
    settings: TrainSettings, finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    other = replace(settings, variant="s2crnet-c", dimensions={})
    with pytest.raises(UsageError, match=r"run: a run of another network than s2crnet"):
        next(
            iter(
                train(
                    other,
                    pool_folder,
                    tmp_path / "run",
                    start_from=finished,
                    devices=CPU,
                )
            )
        )


def test_a_folder_without_a_run_is_nothing_to_start_from(
    settings: TrainSettings, pool_folder: Path, tmp_path: Path
) -> None:
    made = train(settings, pool_folder, tmp_path / "run", start_from=tmp_path)
    with pytest.raises(UsageError, match=r"no run to start from$"):
        next(iter(made))


def test_half_a_row_in_the_log_is_dropped(
    settings: TrainSettings, finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    stop(settings, 5, pool_folder, tmp_path)
    with (tmp_path / "log.csv").open("a", encoding="utf-8") as file:
        file.write("1,0.2")  # of 17, say
    run(settings, pool_folder, tmp_path, resume=True)
    assert_same_run(finished, tmp_path)


def test_a_run_stopped_before_its_first_checkpoint_starts_over(
    settings: TrainSettings, finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    stop(settings, 1, pool_folder, tmp_path)
    run(settings, pool_folder, tmp_path)
    assert_same_run(finished, tmp_path)


def test_a_finished_run_has_nothing_to_go_on_with(
    settings: TrainSettings, finished: Path, pool_folder: Path
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*.*")}
    assert run(settings, pool_folder, finished, resume=True) == []
    assert {path: path.read_bytes() for path in finished.rglob("*.*")} == before


# What it goes on from


def test_an_adversary_goes_on_too(
    settings: TrainSettings, pool_folder: Path, tmp_path: Path
) -> None:
    opposed = replace(
        settings,
        thumbnail_size=(80, 80),
        loss_region="thumbnail",
        adversarial_weight=0.5,
        num_steps=2,
        checkpoint_every=1,
        validation_pairs=1,
    )
    run(opposed, pool_folder, tmp_path / "whole")
    stop(opposed, 1, pool_folder, tmp_path / "stopped")
    assert run(opposed, pool_folder, tmp_path / "stopped", resume=True) == [2]
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_from_before_later_settings_goes_on(
    settings: TrainSettings, pool_folder: Path, tmp_path: Path
) -> None:
    plain = replace(settings, checkpoint_every=0)
    stop(plain, 4, pool_folder, tmp_path)
    record = json.loads((tmp_path / "settings.json").read_text("utf-8"))
    del record["checkpoint_every"], record["pixel_loss"], record["looks"]["base"]
    names = {"reinhard": "transfer", "fecker": "histogram"}
    families = record["looks"]["families"]
    record["looks"]["families"] = {names.get(n, n): v for n, v in families.items()}
    (tmp_path / "settings.json").write_text(json.dumps(record), encoding="utf-8")
    state = torch.load(tmp_path / "trainer.pt", weights_only=True)
    old = {key: state[key] for key in ("step", "network", "average", "optimizer")}
    torch.save(old, tmp_path / "trainer.pt")
    assert run(plain, pool_folder, tmp_path, resume=True) == [4, 5, 6]


def test_pairs_made_in_processes_of_their_own_are_the_same(
    settings: TrainSettings, finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    stop(settings, 4, pool_folder, tmp_path)
    devices = replace(CPU, workers=1)
    list(train(settings, pool_folder, tmp_path, resume=True, devices=devices))
    assert_same_run(finished, tmp_path)


# What is refused


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 1e-3}, "learning_rate"),
        ({"seed": 1, "thumbnail_size": (25, 24)}, "thumbnail_size, seed"),
        ({"dimensions": {}}, "dimensions"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    settings: TrainSettings,
    finished: Path,
    pool_folder: Path,
    change: dict[str, Any],
    named: str,
) -> None:
    message = rf"with other settings; see settings\.json for {named}$"
    with pytest.raises(UsageError, match=message):
        run(replace(settings, **change), pool_folder, finished, resume=True)


def test_a_folder_with_a_run_is_refused(
    settings: TrainSettings, finished: Path, pool_folder: Path
) -> None:
    with pytest.raises(UsageError, match="already holds a run; expected another"):
        run(settings, pool_folder, finished)


def test_resuming_nothing_is_refused(
    settings: TrainSettings, pool_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no trainer\.pt to resume from"):
        run(settings, pool_folder, tmp_path, resume=True)


@pytest.fixture
def stopped(settings: TrainSettings, pool_folder: Path, tmp_path: Path) -> Path:
    stop(settings, 2, pool_folder, tmp_path)
    return tmp_path


def test_a_damaged_state_is_named(
    settings: TrainSettings, stopped: Path, pool_folder: Path
) -> None:
    path = stopped / "trainer.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match=r"trainer\.pt: cannot read the state of"):
        run(settings, pool_folder, stopped, resume=True)


@pytest.mark.parametrize("text", ["", "3"])
def test_a_damaged_record_of_the_settings_is_named(
    settings: TrainSettings, stopped: Path, pool_folder: Path, text: str
) -> None:
    (stopped / "settings.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"cannot read the run's settings\.json"):
        run(settings, pool_folder, stopped, resume=True)
