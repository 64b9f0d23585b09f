"""Training: it runs, it goes on exactly where it stopped, it refuses and it stops."""

import csv
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from imharmony.errors import UsageError
from imharmony.training import task
from imharmony.training.checkpoints import load_checkpoint
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import LookSettings, Synthesis
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet
from imharmony.training.networks.squeezenet import add_batch_norm
from imharmony.training.task import Progress, TrainSettings, read_settings, train

# Decibels; sums of single precision in another order.
DECIBELS = 1e-3
# Single precision through 22 convolutions, with their normalization and with it folded.
FOLDING = 1e-4

SETTINGS = TrainSettings(
    variant="s2crnet-cs",
    dimensions={"slopes": "positive", "num_bins": 4, "guesses_label": True},
    unlabeled_sources=("web",),
    thumbnail_size=(32, 32),
    num_steps=6,
    batch_size=2,
    warmup_steps=2,
    log_every=1,
    validate_every=3,
)

# The same as a file, for a process of its own.
CONFIG = """
variant = "s2crnet-cs"
unlabeled_sources = ["web"]
thumbnail_size = [32, 32]
num_steps = 6
batch_size = 2
warmup_steps = 2
log_every = 1
validate_every = 3

[dimensions]
slopes = "positive"
num_bins = 4
guesses_label = true
"""


@pytest.fixture(autouse=True, scope="module")
def few_validation_pairs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        few = functools.partial(task.validate, num_pairs=3)
        patch.setattr(task, "validate", few)
        yield


def run(settings: TrainSettings, data: Path, output: Path) -> list[Progress]:
    return list(train(settings, data, output))


@pytest.fixture(scope="module")
def finished(pool_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps that nothing interrupted."""
    output = tmp_path_factory.mktemp("finished") / "run"
    run(SETTINGS, pool_folder, output)
    return output


def log(output: Path) -> list[dict[str, str]]:
    with (output / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of nested dictionaries and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


def assert_same_run(first: Path, second: Path) -> None:
    """Result, optimizer and log, all bit for bit."""
    states = [
        [
            *load_file(output / "weights.safetensors").values(),
            *tensors(torch.load(output / "trainer.pt", weights_only=True)),
        ]
        for output in (first, second)
    ]
    assert len(states[0]) > 300
    for one, other in zip(*states, strict=True):
        assert torch.equal(one, other)
    assert log(first) == log(second)


# A run


def test_every_step_is_reported(pool_folder: Path, tmp_path: Path) -> None:
    reports = run(SETTINGS, pool_folder, tmp_path / "run")
    assert [(r.step, r.num_steps) for r in reports] == [(n, 6) for n in range(1, 7)]
    scored = ["psnr" in report.values for report in reports]
    assert scored == [False, False, True, False, False, True]


def test_a_run_leaves_four_files(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        "log.csv",
        "settings.json",
        "trainer.pt",
        "weights.safetensors",
    ]


def test_the_log_has_a_row_per_step_and_scores_at_validations(finished: Path) -> None:
    rows = log(finished)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["psnr"]) for row in rows] == [
        row in (rows[2], rows[5]) for row in rows
    ]


def test_the_result_is_a_checkpoint_with_the_settings_dimensions(
    finished: Path,
) -> None:
    network, variant, thumbnail_size = load_checkpoint(finished / "weights.safetensors")
    assert (variant, thumbnail_size) == ("s2crnet-cs", (32, 32))
    assert network.dimensions.num_bins == 4


def test_the_settings_are_kept_beside_the_result(finished: Path) -> None:
    stored = json.loads((finished / "settings.json").read_text(encoding="utf-8"))
    assert stored["batch_size"] == 2
    assert stored["looks"]["max_clipped"] == 0.25


def test_the_same_settings_give_the_same_run(
    finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    run(SETTINGS, pool_folder, tmp_path / "again")
    assert_same_run(finished, tmp_path / "again")


def test_steps_change_the_weights(finished: Path) -> None:
    torch.manual_seed(SETTINGS.seed)
    start = build_s2crnet(SETTINGS.variant, **SETTINGS.dimensions).state_dict()
    end = torch.load(finished / "trainer.pt", weights_only=True)["network"]
    unchanged = [key for key in start if torch.equal(start[key], end[key])]
    assert unchanged == []


def test_without_averaging_the_result_is_the_newest_weights(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, average_decay=0.0, num_steps=2)
    run(settings, pool_folder, tmp_path)
    newest = torch.load(tmp_path / "trainer.pt", weights_only=True)["network"]
    result = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(result[key], newest[key]) for key in result)


def test_the_average_lies_between_first_and_newest_weights(
    pool_folder: Path, tmp_path: Path
) -> None:
    run(replace(SETTINGS, batch_norm=True, num_steps=1), pool_folder, tmp_path)
    torch.manual_seed(SETTINGS.seed)
    network = build_s2crnet(SETTINGS.variant, **SETTINGS.dimensions)
    add_batch_norm(network.encoder)
    state = torch.load(tmp_path / "trainer.pt", weights_only=True)
    for key, start in network.state_dict().items():  # the first step's decay is 0.1
        if start.is_floating_point():  # running statistics too
            expected = 0.1 * start + 0.9 * state["network"][key]
            torch.testing.assert_close(state["average"][key], expected)


def test_a_plain_variant_trains_too(pool_folder: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, variant="s2crnet", dimensions={}, num_steps=1)
    run(settings, pool_folder, tmp_path)
    assert load_checkpoint(tmp_path / "weights.safetensors")[1] == "s2crnet"


def test_half_precision_trains_too(pool_folder: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, precision="bf16-mixed", num_steps=1)
    run(settings, pool_folder, tmp_path)
    weights = load_file(tmp_path / "weights.safetensors").values()
    assert {tensor.dtype for tensor in weights} == {torch.float32}


def test_a_network_trained_with_batch_norm_is_saved_without(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, batch_norm=True, num_steps=2)
    run(settings, pool_folder, tmp_path)
    plain, _, _ = load_checkpoint(tmp_path / "weights.safetensors")
    average = build_s2crnet(settings.variant, **settings.dimensions)
    add_batch_norm(average.encoder)
    stored = torch.load(tmp_path / "trainer.pt", weights_only=True)["average"]
    average.load_state_dict(stored)
    image, mask = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    inputs = (image, mask, image, mask, torch.zeros(2, 5))
    with torch.inference_mode():
        expected, found = average.eval()(*inputs), plain(*inputs)
    torch.testing.assert_close(
        found.curve_params, expected.curve_params, rtol=0, atol=FOLDING
    )


def test_training_starts_from_the_given_trunk(
    pool_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(9)
    trunk = build_s2crnet("s2crnet").encoder.state_dict()
    path = tmp_path / "squeezenet.pth"
    torch.save({f"features.{key}": value for key, value in trunk.items()}, path)
    standing = replace(SETTINGS, trunk=str(path), learning_rate=0.0, num_steps=1)
    run(standing, pool_folder, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    for key, value in trunk.items():
        torch.testing.assert_close(weights[f"encoder.{key}"], value)


# Stopping and going on


def stop_by_closing(
    step: int, data: Path, output: Path, settings: TrainSettings = SETTINGS
) -> None:
    steps = train(settings, data, output)
    while next(steps).step < step:
        pass
    steps.close()  # type: ignore[attr-defined]


def stop_by_killing(step: int, data: Path, output: Path) -> None:
    """Kill a process that trains, from outside, after one of its steps."""
    config = output.with_suffix(".toml")
    config.write_text(CONFIG, encoding="utf-8")
    code = (
        "import functools, pathlib, sys\n"
        "from imharmony.training import task\n"
        "task.validate = functools.partial(task.validate, num_pairs=3)\n"
        "config, data, output = sys.argv[1:]\n"
        "settings = task.read_settings(config)\n"
        "data, output = pathlib.Path(data), pathlib.Path(output)\n"
        "for progress in task.train(settings, data, output):\n"
        f"    if progress.step == {step}:\n"
        "        sys.stdout.write('there\\n')\n"
        "        sys.stdout.flush()\n"
        "        sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(config), str(data), str(output)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.kill()


@pytest.mark.parametrize(
    ("stop", "step"),
    [
        (stop_by_closing, 3),
        (stop_by_closing, 4),
        (stop_by_closing, 5),
        (stop_by_killing, 5),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    finished: Path,
    pool_folder: Path,
    tmp_path: Path,
    stop: Callable[[int, Path, Path], None],
    step: int,
) -> None:
    output = tmp_path / "run"
    stop(step, pool_folder, output)
    resumed = list(train(SETTINGS, pool_folder, output, resume=True))
    assert [progress.step for progress in resumed] == [4, 5, 6]
    assert_same_run(finished, output)


def test_a_stopped_run_with_batch_norm_goes_on_too(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, batch_norm=True)
    run(settings, pool_folder, tmp_path / "whole")
    stop_by_closing(4, pool_folder, tmp_path / "stopped", settings)
    list(train(settings, pool_folder, tmp_path / "stopped", resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("half_written", ["trainer.partial", "weights.partial"])
def test_a_run_killed_while_writing_goes_on_too(
    finished: Path,
    pool_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    half_written: str,
) -> None:
    replace_file = Path.replace

    def fail_second_time(self: Path, target: Path) -> Path:
        if self.name == half_written and target.exists():
            self.write_bytes(self.read_bytes()[:1000])
            raise KeyboardInterrupt
        return replace_file(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail_second_time)
        with pytest.raises(KeyboardInterrupt):
            run(SETTINGS, pool_folder, tmp_path)
    list(train(SETTINGS, pool_folder, tmp_path, resume=True))
    assert_same_run(finished, tmp_path)


def test_a_run_stopped_before_its_first_checkpoint_starts_over(
    finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    stop_by_closing(2, pool_folder, tmp_path)
    run(SETTINGS, pool_folder, tmp_path)
    assert_same_run(finished, tmp_path)


def test_a_finished_run_has_nothing_to_go_on_with(
    pool_folder: Path, tmp_path: Path
) -> None:
    run(replace(SETTINGS, num_steps=1), pool_folder, tmp_path)
    before = (tmp_path / "weights.safetensors").read_bytes()
    again = train(replace(SETTINGS, num_steps=1), pool_folder, tmp_path, resume=True)
    assert list(again) == []
    assert (tmp_path / "weights.safetensors").read_bytes() == before


def test_resuming_with_other_settings_is_refused(
    finished: Path, pool_folder: Path
) -> None:
    other = replace(SETTINGS, learning_rate=1e-3)
    with pytest.raises(UsageError, match=r"other settings; see settings\.json"):
        list(train(other, pool_folder, finished, resume=True))


def test_a_folder_with_a_run_is_refused(finished: Path, pool_folder: Path) -> None:
    with pytest.raises(UsageError, match="already holds a run; use --resume or"):
        run(SETTINGS, pool_folder, finished)


def test_resuming_nothing_is_refused(pool_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no trainer\.pt to resume from"):
        list(train(SETTINGS, pool_folder, tmp_path, resume=True))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(
    pool_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([torch.ones((), requires_grad=True), torch.tensor(torch.nan)])
    monkeypatch.setattr(task, "stage_losses", lambda *_, **__: next(losses))
    with pytest.raises(FloatingPointError, match=r"step 1: .* see nan_batch\.pt"):
        run(SETTINGS, pool_folder, tmp_path)
    pool = read_pool(pool_folder, split="train", unlabeled_sources=("web",))
    expected = Synthesis(pool, LookSettings(), seed=0).batch([2, 3], (32, 32))
    kept = torch.load(tmp_path / "nan_batch.pt", weights_only=True)
    assert all(torch.equal(kept[k], v) for k, v in expected._asdict().items())


# Validation


def identity_network() -> S2CRNet:
    network = build_s2crnet("s2crnet-cs").eval()
    for name, parameter in network.stages.named_parameters():
        is_bias = name.endswith("background.bias")
        torch.nn.init.constant_(parameter, 1.0 if is_bias else 0.0)
    return network


def test_validation_of_the_identity_scores_the_composite(pool_folder: Path) -> None:
    pool = read_pool(pool_folder, split="val")
    scores = task.validate(identity_network(), pool, SETTINGS)
    assert scores["psnr"] == pytest.approx(scores["composite_psnr"], abs=DECIBELS)


def test_validation_scores_fixed_pairs_of_their_own(pool_folder: Path) -> None:
    pool = read_pool(pool_folder, split="val")
    drawn = Synthesis(pool, SETTINGS.looks, seed=SETTINGS.seed + 1_000_003)
    pair = drawn.batch(range(3), (32, 32))
    errors = ((pair.composite - pair.real) ** 2).mean(dim=(1, 2, 3))
    expected = float((-10 * errors.log10()).mean())
    scores = task.validate(identity_network(), pool, SETTINGS)
    assert scores["composite_psnr"] == pytest.approx(expected, abs=DECIBELS)


def test_curves_that_darken_everything_are_harm(pool_folder: Path) -> None:
    network = identity_network()
    with torch.no_grad():
        bias = network.get_parameter("stages.0.background.bias")
        bias.zero_()[63::64] = 1.0  # all of the rise in the last piece
    scores = task.validate(network, read_pool(pool_folder, split="val"), SETTINGS)
    assert scores["harm_rate"] == 1.0
    assert scores["psnr"] < scores["composite_psnr"]


# Settings


def test_a_config_is_read(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    assert read_settings(str(tmp_path / "tiny.toml")) == SETTINGS


def test_looks_are_read_from_a_config(tmp_path: Path) -> None:
    text = "[looks]\ndifference = [0.1, 0.2]\n[looks.families]\nretouch = 1.0\n"
    (tmp_path / "looks.toml").write_text(text, encoding="utf-8")
    looks = read_settings(str(tmp_path / "looks.toml")).looks
    assert looks == LookSettings(families={"retouch": 1.0}, difference=(0.1, 0.2))


@pytest.mark.parametrize("path", sorted(task.CONFIGS.glob("*.toml")))
def test_the_configs_of_the_package_build_their_network(path: Path) -> None:
    settings = read_settings(path.stem)
    build_s2crnet(settings.variant, **settings.dimensions)


@pytest.mark.parametrize("config", ["s3crnet", "absent.toml"])
def test_an_unknown_config_is_refused(config: str) -> None:
    with pytest.raises(UsageError, match=f"{config}: no such config; .*s2crnet-cs"):
        read_settings(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size == 3", r"bad\.toml: not valid TOML"),
        ("epochs = 3", "unknown setting epochs; known are variant, .*"),
        ("[looks]\nsepia = 1", "unknown looks setting sepia; known are families, .*"),
        ("[looks.families]\nsepia = 1", "families gives shares above 0 to retouch"),
    ],
)
def test_a_wrong_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_settings(str(path))


def test_dimensions_that_do_not_exist_are_refused(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, dimensions={"depth": 3})
    with pytest.raises(UsageError, match="got depth"):
        run(settings, pool_folder, tmp_path)
