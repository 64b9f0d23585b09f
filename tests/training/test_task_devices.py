"""Training on several devices, and on ones that do not exist."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imharmony.errors import UsageError
from imharmony.training.settings import TrainSettings, read_settings
from imharmony.training.task import Devices, train

# Single precision; a batch in two halves.
HALVES = 2e-5

CPU = Devices(accelerator="cpu")
SETTINGS = TrainSettings(thumbnail_size=(24, 24), num_steps=1, batch_size=2)
CONFIG = """
thumbnail_size = [24, 24]
num_steps = 2
batch_size = 2
learning_rate = 1e-3
schedule = "constant"
warmup_steps = 0
average_decay = 0
label_weight = 0 # each device takes the mean over the labels that it knows
log_every = 1
validation_pairs = 1

[dimensions]
slopes = "positive"
guesses_label = true
"""


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (Devices(accelerator="abacus"), "no devices 1 of accelerator abacus: "),
        (Devices(accelerator="cpu", devices=3), "multiple of the 3 devices, got 2"),
    ],
)
def test_devices_that_cannot_be_used_are_refused(
    pool_folder: Path, tmp_path: Path, devices: Devices, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        list(train(SETTINGS, pool_folder, tmp_path, devices=devices))


def test_threads_are_as_told_while_a_run_goes_on(
    pool_folder: Path, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    devices = replace(CPU, threads=before + 1)
    settings = replace(SETTINGS, num_steps=2, validation_pairs=1)
    counts = [
        torch.get_num_threads()
        for _ in train(settings, pool_folder, tmp_path, devices=devices)
    ]
    assert [*counts, torch.get_num_threads()] == [before + 1, before + 1, before]


def test_two_devices_learn_what_one_does(pool_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG, encoding="utf-8")
    one, two = tmp_path / "one", tmp_path / "two"
    list(train(read_settings(str(config)), pool_folder, one, devices=CPU))
    printed = tmp_path / "printed.txt"
    with printed.open("w", encoding="utf-8") as file:  # a pipe would wait for both
        subprocess.run(
            [
                sys.executable,
                "-m",
                "imharmony.cli",
                "train",
                config,
                pool_folder,
                "-o",
                two,
                "--devices",
                "2",
                "--accelerator",
                "cpu",
            ],
            check=True,
            stdout=file,
            timeout=300,
        )
    found = [load_file(folder / "weights.safetensors") for folder in (one, two)]
    changes = torch.cat([(found[0][k] - found[1][k]).flatten() for k in found[0]])
    # AdamW's first steps are as long for a gradient of rounding errors as for any.
    assert float((changes.abs() < HALVES).float().mean()) > 0.999
    assert printed.read_text(encoding="utf-8").count("step 2 ") == 1
    losses = [losses_of(folder) for folder in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=HALVES)


def losses_of(output: Path) -> list[float]:
    with (output / "log.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]
