"""HDNet is trained by the same loop as S²CRNet, from settings of its own."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from imharmony.errors import UsageError, WeightsError
from imharmony.training.checkpoints import (
    load_checkpoint,
    load_released,
    map_released_keys,
    save_checkpoint,
)
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import open_sources
from imharmony.training.losses import relative_l2
from imharmony.training.networks.hdnet import HDNET_VARIANTS, HDNet, build_hdnet
from imharmony.training.settings import TrainSettings, read_settings
from imharmony.training.task import Devices, Progress, fit, train
from imharmony.training.validation import samples, validate

CPU = Devices(accelerator="cpu", threads=1)
SETTINGS = TrainSettings(
    variant="hdnet-lite",
    dimensions={"mode": "paper", "num_neighbors": 3},
    loss_region="thumbnail",
    thumbnail_size=(16, 24),
    num_steps=4,
    batch_size=2,
    warmup_steps=0,
    log_every=1,
    validate_every=2,
    validation_pairs=2,
)


def run(
    settings: TrainSettings, data: Path, output: Path, **options: Any
) -> list[Progress]:
    return list(train(settings, data, output, devices=CPU, **options))


def weights(output: Path) -> dict[str, Tensor]:
    return load_file(output / "weights.safetensors")


# A run


@pytest.fixture(scope="module")
def finished(pool_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps that nothing interrupted."""
    output = tmp_path_factory.mktemp("finished") / "run"
    run(SETTINGS, pool_folder, output)
    return output


class FixedPairs:
    """Three pairs: gray scenes whose disc is to become as warm as its surroundings."""

    def __len__(self) -> int:
        return 3

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        h, w = size
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        mask = (((y - h / 2) ** 2 + (x - w / 2) ** 2) < (h / 3) ** 2).float()
        pictures = []
        for index in indices:
            texture = 0.5 + 0.2 * torch.sin((x + 2 * y) / (index + 2))
            warm = torch.tensor([0.2, 0.0, -0.1]) * (index + 1) / 3
            real = texture[None] + warm[:, None, None]
            pictures.append((torch.where(mask > 0, texture[None], real), real))
        composite, real = (torch.stack(part) for part in zip(*pictures, strict=True))
        masks = mask.expand(len(indices), 1, h, w)
        labels = torch.full((len(indices),), -1)
        return Pair(composite, real, masks, composite, real, masks, labels)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_it_learns_a_few_pairs_by_heart(tmp_path: Path, mode: str) -> None:
    settings = replace(
        SETTINGS,
        num_steps=120,
        validate_every=120,
        learning_rate=5e-3,
        batch_size=3,
        validation_pairs=3,
        thumbnail_size=(24, 24),
        average_decay=0.9,
        dimensions={"mode": mode},
    )
    *_, last = fit(settings, FixedPairs(), FixedPairs(), tmp_path, devices=CPU)
    gain = last.values["psnr"] - last.values["composite_psnr"]
    assert gain > 8
    assert last.values["harm_rate"] == 0


def test_steps_change_all_weights_but_the_unused(finished: Path) -> None:
    torch.manual_seed(SETTINGS.seed)
    start = build_hdnet(SETTINGS.variant, **SETTINGS.dimensions).state_dict()
    end = torch.load(finished / "trainer.pt", weights_only=True)["network"]
    unchanged = {key for key in start if torch.equal(start[key], end[key])}
    assert unchanged == {key for key in start if "guide" in key}


@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_stopped_run_ends_with_the_same_bits(
    finished: Path, pool_folder: Path, tmp_path: Path, stop_after: int
) -> None:
    steps = train(SETTINGS, pool_folder, tmp_path, devices=CPU)
    while next(steps).step < stop_after:
        pass
    steps.close()  # type: ignore[attr-defined]
    made = run(SETTINGS, pool_folder, tmp_path, resume=True)
    assert [progress.step for progress in made] == [3, 4]
    expected, found = weights(finished), weights(tmp_path)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    logs = [(folder / "log.csv").read_text("utf-8") for folder in (finished, tmp_path)]
    assert logs[0] == logs[1]


def test_mixed_precision_leaves_single_precision_weights(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, precision="bf16-mixed", num_steps=1)
    run(settings, pool_folder, tmp_path)
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float32}


def test_the_loss_is_that_of_the_thumbnail_under_the_networks_mask(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, pixel_loss="relative_l2", min_area=20.0, num_steps=1)
    (report,) = run(settings, pool_folder, tmp_path)
    torch.manual_seed(settings.seed)
    network = build_hdnet(settings.variant, **settings.dimensions)
    pairs, _ = open_sources(settings, pool_folder)
    pair = pairs.batch(range(2), settings.thumbnail_size)
    with torch.no_grad():
        harmonized = network(pair.composite, pair.mask)
    hard = (pair.mask > 0.5).float()
    expected = relative_l2(harmonized, pair.real, hard, min_area=20).mean()
    assert report.values["loss"] == pytest.approx(float(expected), rel=1e-4)


# What its settings change


def rates(
    settings: TrainSettings, data: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Rates at which Adam stepped; AdamW, which is one of its kinds, is not asked."""
    found: list[float] = []
    step = torch.optim.Adam.step

    def record(self: torch.optim.Adam, *args: Any) -> Any:
        assert not isinstance(self, torch.optim.AdamW)
        found.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", record)
    run(settings, data, output)
    return found


def test_the_rate_drops_to_a_tenth_at_shares_of_the_run(
    pool_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(
        SETTINGS,
        optimizer="adam",
        schedule="steps",
        drops=(0.5, 0.75),
        learning_rate=0.01,
    )
    found = rates(settings, pool_folder, tmp_path, monkeypatch)
    assert found == pytest.approx([0.01, 0.01, 0.001, 0.0001])


def test_adamw_decays_weights_adam_decays_gradients(
    pool_folder: Path, tmp_path: Path
) -> None:
    # AdamW takes a share of each weight, even where there is no gradient to speak of.
    found = []
    for optimizer in ("adam", "adamw"):
        settings = replace(
            SETTINGS,
            optimizer=optimizer,
            weight_decay=10.0,
            learning_rate=0.01,
            num_steps=1,
            average_decay=0.0,
        )
        run(settings, pool_folder, tmp_path / optimizer)
        found.append(weights(tmp_path / optimizer)["encoder.0.weight"])
    torch.manual_seed(SETTINGS.seed)
    start = build_hdnet("hdnet-lite").state_dict()["encoder.0.weight"]
    assert float((found[0] - start).abs().max()) < 0.0101
    assert float((found[1] - 0.9 * start).abs().max()) < 0.0101


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_norm": True}, "batch_norm is a setting of S²CRNet, which hdnet-lite"),
        ({"trunk": "a.pth"}, "trunk is a setting of S²CRNet, which hdnet-lite does"),
        ({"adversarial_weight": 1.0}, "adversarial_weight is a setting of S²CRNet"),
        ({"roughness_weight": 0.0}, "roughness_weight is .* have; leave it out"),
        ({"label_dropout": 0.1}, "label_dropout is a setting of S²CRNet"),
        (
            {"loss_region": "crop"},
            "hdnet-lite sees .*: loss_region is thumbnail, got c",
        ),
        ({"thumbnail_size": (20, 24)}, r"multiples of 8 pixels, got \(20, 24\)"),
        ({"thumbnail_size": (8, 24)}, r"at least 16 a side, in pixels, got \(8, 24\)"),
        (
            {"drops": (0.5,)},
            r"drops are of schedule steps.*; got \(0\.5,\) with cosine",
        ),
        ({"schedule": "steps"}, r"has at least one; got \(\) with steps"),
        (
            {"schedule": "steps", "drops": (0.5, 2.0)},
            r"drops are shares from 0 to 1, got \(0\.5, 2\.0\)",
        ),
        ({"min_area": -1.0}, r"min_area is at least 0, got -1\.0"),
        (
            {"variant": "hdnet-large"},
            "variant is one of s2crnet, .*, hdnet, hdnet-lite-refining, got",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "variant = 'hdnet'\n[dimensions]\nnum_bins = 4",
            r"a\.toml: unknown dimension num_bins; known are width, mode, num_n",
        ),
        ("[dimensions]\nwidth = 4", r"unknown dimension width; known are num_pieces"),
        ("variant = 'hdnet'\n[dimensions]\nmode = 'x'", "mode is one of official, pap"),
        ("variant = 'unet'", r"a\.toml: variant is one of s2crnet, .*, got 'unet'"),
        ("dimensions = 3", "dimensions are a table, got 3"),
    ],
)
def test_dimensions_are_those_of_the_variant(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_settings(str(tmp_path / "a.toml"))


def test_dimensions_of_a_base_are_checked_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("[dimensions]\nwidth = 'a'", encoding="utf-8")
    text = "base = 'b.toml'\nvariant = 'hdnet'"
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"b\.toml: width is int, got 'a'"):
        read_settings(str(tmp_path / "a.toml"))


# The published configs


PUBLISHED = {
    "hdnet-released": ("official", 10_414_389),
    "hdnet-lite-released": ("official", 652_893),
    "hdnet-lite-paper": ("paper", 652_893),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(name: str) -> None:
    settings = read_settings(name)
    network = build_hdnet(settings.variant, **settings.dimensions)
    mode, parameters = PUBLISHED[name]
    assert network.dimensions.mode == mode
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_optimization(name: str) -> None:
    found = read_settings(name)
    assert (found.optimizer, found.learning_rate) == ("adam", 1e-3)
    assert (found.batch_size, found.thumbnail_size) == (12, (256, 256))
    assert found.num_steps == 120 * (65_742 // 12)
    steps = [round(drop * found.num_steps) for drop in found.drops]
    assert steps == [100 * 5478, 110 * 5478]
    assert found.pixel_loss == "relative_l2"
    assert (found.pixel_weight, found.min_area, found.log_offset) == (1, 100, 0)
    nothing = (
        found.weight_decay,
        found.max_gradient_norm,
        found.warmup_steps,
        found.average_decay,
    )
    assert set(nothing) == {0}
    assert (found.flip, found.crop_from) == (False, None)


# What a run shows


def test_samples_have_no_curves(pool_folder: Path) -> None:
    _, val_pairs = open_sources(SETTINGS, pool_folder)
    shown = samples(build_hdnet("hdnet-lite").eval(), val_pairs, SETTINGS)
    assert {name: picture.shape for name, picture in shown.items()} == {
        "composite, harmonized, real": (3, 2 * 16, 3 * 24)
    }


def test_scores_are_of_the_blended_picture(pool_folder: Path) -> None:
    _, val_pairs = open_sources(SETTINGS, pool_folder)
    network = build_hdnet("hdnet-lite").eval()
    pair = val_pairs.batch(range(2), SETTINGS.thumbnail_size)
    with torch.inference_mode():
        harmonized = network(pair.composite, pair.mask)
    errors = ((harmonized - pair.real) ** 2).mean(dim=(1, 2, 3))
    scores = validate(network, val_pairs, SETTINGS)
    assert scores["mse"] == pytest.approx(255**2 * float(errors.mean()), rel=1e-4)


def test_the_log_has_scores(finished: Path) -> None:
    with (finished / "log.csv").open(newline="", encoding="utf-8") as file:
        assert [bool(row["psnr"]) for row in csv.DictReader(file)] == 2 * [False, True]


# Checkpoints


def test_a_runs_result_is_a_checkpoint_of_its_kind(finished: Path) -> None:
    network, variant, size = load_checkpoint(finished / "weights.safetensors")
    assert isinstance(network, HDNet)
    assert (variant, size) == ("hdnet-lite", (16, 24))
    assert network.dimensions.num_neighbors == 3


def test_a_checkpoint_gives_back_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_hdnet("hdnet-medium", mode="paper", temperature=0.3).eval()
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, network, variant="hdnet-medium", thumbnail_size=(64, 64))
    loaded, _, _ = load_checkpoint(path)
    inputs = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(*inputs), network(*inputs))


def test_a_checkpoint_of_a_kind_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    network = build_hdnet("hdnet-lite")
    save_checkpoint(path, network, variant="hdnet-lite", thumbnail_size=(64, 64))
    data = path.read_bytes()
    assert data.count(b'\\"network\\": \\"hdnet\\"') == 1
    path.write_bytes(
        data.replace(b'\\"network\\": \\"hdnet\\"', b'\\"network\\": \\"hdbet\\"')
    )
    message = "network is one of s2crnet, seamnet, hdnet, refiner, got 'hdbet'"
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(path)


def test_a_released_checkpoint_is_read(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build_hdnet("hdnet-lite")
    keys = map_released_keys(network.dimensions)
    state = {keys[name]: value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "latest_net_G.pth")
    loaded = load_released(tmp_path / "latest_net_G.pth", HDNET_VARIANTS["hdnet-lite"])
    assert all(
        torch.equal(value, network.state_dict()[key])
        for key, value in loaded.state_dict().items()
    )


def test_a_released_checkpoint_of_another_width_is_refused(tmp_path: Path) -> None:
    network = build_hdnet("hdnet-lite")
    keys = map_released_keys(network.dimensions)
    state = {keys[name]: value for name, value in network.state_dict().items()}
    del state["LD.linear.bias"]
    torch.save(state, tmp_path / "latest_net_G.pth")
    with pytest.raises(WeightsError) as caught:
        load_released(tmp_path / "latest_net_G.pth", HDNET_VARIANTS["hdnet-medium"])
    assert "LD.linear.bias is missing" in str(caught.value)
    assert "model_layer0.weight has shape [8, 3, 3, 3], expected [16" in str(
        caught.value
    )


def test_the_settings_of_a_run_are_kept(finished: Path) -> None:
    stored = json.loads((finished / "settings.json").read_text(encoding="utf-8"))
    assert stored["variant"] == "hdnet-lite"
    assert stored["dimensions"] == {"mode": "paper", "num_neighbors": 3}
