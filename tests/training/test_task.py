"""Training: what a run leaves, what its settings change, and when it stops."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from imharmony.errors import HarmonizeError, UsageError
from imharmony.training.checkpoints import load_checkpoint
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet
from imharmony.training.networks.squeezenet import add_batch_norm
from imharmony.training.recipes import s2crnet as recipe
from imharmony.training.settings import TrainSettings
from imharmony.training.task import Devices, Progress, train

# Single precision through 22 convolutions, with their normalization and with it folded.
FOLDING = 1e-4

SETTINGS = TrainSettings(
    variant="s2crnet-cs",
    dimensions={"slopes": "positive", "num_bins": 4, "guesses_label": True},
    unlabeled_sources=("web",),
    thumbnail_size=(24, 24),
    num_steps=6,
    batch_size=2,
    warmup_steps=2,
    log_every=1,
    validate_every=3,
    validation_pairs=3,
)
CPU = Devices(accelerator="cpu")


def run(
    settings: TrainSettings, data: Path, output: Path, **options: Any
) -> list[Progress]:
    return list(train(settings, data, output, devices=CPU, **options))


@pytest.fixture(scope="module")
def reports(
    pool_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Progress]]:
    """A run of six steps: its folder, and what it reported."""
    output = tmp_path_factory.mktemp("finished") / "run"
    return output, run(SETTINGS, pool_folder, output)


@pytest.fixture(scope="module")
def finished(reports: tuple[Path, list[Progress]]) -> Path:
    return reports[0]


def log(output: Path) -> list[dict[str, str]]:
    with (output / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def newest_weights(output: Path) -> dict[str, Tensor]:
    state = torch.load(output / "trainer.pt", weights_only=True)
    weights: dict[str, Tensor] = state["network"]
    return weights


# A run


def test_every_step_is_reported(reports: tuple[Path, list[Progress]]) -> None:
    found = [(report.step, report.num_steps) for report in reports[1]]
    assert found == [(n, 6) for n in range(1, 7)]


def test_scores_come_with_validations(reports: tuple[Path, list[Progress]]) -> None:
    scored = ["psnr" in report.values for report in reports[1]]
    assert scored == [False, False, True, False, False, True]


def test_a_run_leaves_four_files_and_a_board(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        "log.csv",
        "settings.json",
        "tensorboard",
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
    assert (variant, thumbnail_size) == ("s2crnet-cs", (24, 24))
    assert isinstance(network, S2CRNet)
    assert network.dimensions.num_bins == 4


def test_the_settings_are_kept_beside_the_result(finished: Path) -> None:
    stored = json.loads((finished / "settings.json").read_text(encoding="utf-8"))
    assert stored["batch_size"] == 2
    assert stored["looks"]["max_clipped"] == 0.25


def test_steps_change_all_weights(finished: Path) -> None:
    torch.manual_seed(SETTINGS.seed)
    start = build_s2crnet(SETTINGS.variant, **SETTINGS.dimensions).state_dict()
    end = newest_weights(finished)
    unchanged = [key for key in start if torch.equal(start[key], end[key])]
    assert unchanged == []


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides_the_run(
    finished: Path, pool_folder: Path, tmp_path: Path, seed: int
) -> None:
    run(replace(SETTINGS, seed=seed), pool_folder, tmp_path)
    found = [
        load_file(folder / "weights.safetensors") for folder in (finished, tmp_path)
    ]
    same = all(torch.equal(found[0][key], found[1][key]) for key in found[0])
    assert same == (seed == SETTINGS.seed)


def test_checkpoints_come_between_validations_on_request(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, checkpoint_every=2)
    kept = []
    for _ in train(settings, pool_folder, tmp_path, devices=CPU):
        path = tmp_path / "trainer.pt"
        kept.append(torch.load(path, weights_only=True)["step"] if path.exists() else 0)
    assert kept == [0, 2, 3, 4, 4, 6]


# What the settings change


def test_without_averaging_the_result_is_the_newest_weights(
    pool_folder: Path, tmp_path: Path
) -> None:
    run(replace(SETTINGS, average_decay=0.0, num_steps=2), pool_folder, tmp_path)
    newest = newest_weights(tmp_path)
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


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [0.5, 1, 1, 1]),
        # Half the cosine's fall is over after half of the steps.
        ("cosine", [0.5, 0.5 + math.cos(math.pi / 4) / 2, 0.5, 0.5 - 2**-0.5 / 2]),
    ],
)
def test_the_rate_rises_and_then_follows_its_schedule(
    pool_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schedule: Any,
    shares: list[float],
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    settings = replace(
        SETTINGS, schedule=schedule, num_steps=4, learning_rate=0.01, validate_every=9
    )
    run(settings, pool_folder, tmp_path)
    assert rates == pytest.approx([0.01 * share for share in shares])


@pytest.mark.parametrize("max_norm", [1e-9, 0.0])
def test_gradients_are_clipped_unless_told_not_to(
    pool_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_norm: float
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *args: Any) -> Any:
        gradients = [
            p.grad for p in self.param_groups[0]["params"] if p.grad is not None
        ]
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    settings = replace(SETTINGS, max_gradient_norm=max_norm, num_steps=1)
    run(settings, pool_folder, tmp_path)
    assert (norms[0] < 1.01e-9) == (max_norm > 0)


def test_a_plain_variant_trains_too(pool_folder: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, variant="s2crnet", dimensions={}, num_steps=1)
    run(settings, pool_folder, tmp_path)
    assert load_checkpoint(tmp_path / "weights.safetensors")[1] == "s2crnet"


def test_half_precision_trains_too(pool_folder: Path, tmp_path: Path) -> None:
    run(replace(SETTINGS, precision="bf16-mixed", num_steps=1), pool_folder, tmp_path)
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
    image, mask = torch.rand(2, 3, 24, 24), torch.rand(2, 1, 24, 24)
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


# When it stops


@pytest.fixture
def broken_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([torch.ones((), requires_grad=True), torch.tensor(torch.nan)])

    def loss(*_: Any, **__: Any) -> Tensor:
        return next(losses).clone().requires_grad_()

    monkeypatch.setattr(recipe, "stage_losses", loss)


@pytest.mark.usefixtures("broken_second_step")
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(
    pool_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(HarmonizeError, match=r"at step 1 a loss .* nan_batch\.pt"):
        run(SETTINGS, pool_folder, tmp_path)
    pool = read_pool(pool_folder, split="train", unlabeled_sources=("web",))
    expected = Synthesis(pool, LookSettings(), seed=0).batch([2, 3], (24, 24))
    kept = torch.load(tmp_path / "nan_batch.pt", weights_only=True)
    assert all(torch.equal(kept[k], v) for k, v in expected._asdict().items())


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step(
    pool_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(rendered: list[Tensor], *_: Any, **__: Any) -> Tensor:
        return (0 * rendered[-1]).sum().sqrt()  # 0, of infinite slope

    steps: list[object] = []
    monkeypatch.setattr(recipe, "stage_losses", loss)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: steps.append(self))
    with pytest.raises(
        HarmonizeError, match="at step 0 a loss or its gradient was not"
    ):
        run(SETTINGS, pool_folder, tmp_path)
    assert steps == []


def test_dimensions_that_do_not_exist_are_refused(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, dimensions={"depth": 3})
    with pytest.raises(UsageError, match="got depth"):
        run(settings, pool_folder, tmp_path)
