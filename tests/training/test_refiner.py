"""The network that refines curves: its start, what it reads, and how it is trained."""

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imharmony.errors import UsageError
from imharmony.inference.models import load_network
from imharmony.training.checkpoints import load_checkpoint
from imharmony.training.data.pairs import Pair
from imharmony.training.data.seam import SeamSettings
from imharmony.training.export import export
from imharmony.training.feed import open_sources
from imharmony.training.networks.refiner import (
    Refinement,
    Refiner,
    RefinerDimensions,
    build_refiner,
    hold_back,
    refine,
)
from imharmony.training.settings import TrainSettings
from imharmony.training.task import Devices, Progress, train

CPU = Devices(accelerator="cpu", threads=1)
SETTINGS = TrainSettings(
    variant="hdnet-lite-refining",
    loss_region="thumbnail",
    thumbnail_size=(64, 64),
    seam=SeamSettings(num_pairs=16),
    pixel_loss="relative_l2",
    log_offset=0.002,
    num_steps=3,
    batch_size=2,
    warmup_steps=0,
    log_every=1,
    validate_every=3,
    validation_pairs=2,
    checkpoint_every=2,
)


def run(
    settings: TrainSettings, data: Path, output: Path, **options: Any
) -> list[Progress]:
    return list(train(settings, data, output, devices=CPU, **options))


def batch(pool_folder: Path, **changes: Any) -> Pair:
    pairs, _ = open_sources(replace(SETTINGS, **changes), pool_folder)
    return pairs.batch(range(6), (64, 64))


def inputs(pair: Pair) -> tuple[torch.Tensor, ...]:
    return (
        pair.composite,
        pair.mask,
        pair.seam,
        pair.seam_weight,
        pair.seam_place,
        pair.same_scene,
    )


# The network


def changing() -> Refiner:
    """A network that changes what it sees, by all that it reads."""
    torch.manual_seed(0)
    network = build_refiner("hdnet-lite-refining").eval()
    for layer in (network.trunk.output, network.maps):
        torch.nn.init.normal_(layer.weight, 0, 0.1)
    return network


def test_untrained_it_gives_back_what_it_got(pool_folder: Path) -> None:
    pair = batch(pool_folder)
    made = refine(build_refiner("hdnet-lite-refining").eval(), *inputs(pair))
    assert torch.equal(made.picture, pair.composite)
    assert torch.isfinite(made.logit).all()


def test_the_background_is_never_changed(pool_folder: Path) -> None:
    network = changing()
    pair = batch(pool_folder)
    picture = refine(network, *inputs(pair)).picture
    outside = (pair.mask <= 0.5).expand_as(picture)
    assert torch.equal(picture[outside], pair.composite[outside])
    assert not torch.equal(picture, pair.composite)


@pytest.mark.parametrize("same_scene", [0.0, 1.0])
def test_where_the_scene_is_another_the_edge_is_not_read(
    same_scene: float, pool_folder: Path
) -> None:
    network = changing()
    pair = batch(pool_folder)._replace(same_scene=torch.full((6,), same_scene))
    other = pair._replace(seam=torch.rand_like(pair.seam))
    made, made_of_other = (refine(network, *inputs(x)) for x in (pair, other))
    is_read = same_scene > 0
    assert torch.equal(made.picture, made_of_other.picture) != is_read
    assert torch.equal(made.logit, made_of_other.logit) != is_read


def held(
    change: float,
    logit: float,
    *,
    same_scene: float = 1.0,
    caution: float = 0.0,
    least_change: float = 0.0,
) -> tuple[float, float]:
    """Mean of the held picture, of one that was 0.5, and the share."""
    composite, mask = torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 1, 4, 4)
    made = Refinement(composite + change, torch.tensor([logit]))
    dimensions = RefinerDimensions(caution=caution, least_change=least_change)
    scene = torch.tensor([same_scene])
    picture, share = hold_back(made, composite, mask, scene, dimensions)
    return float(picture.mean()), float(share)


@pytest.mark.parametrize(
    ("logit", "same_scene", "caution", "least", "share"),
    [
        (20.0, 1.0, 0.0, 0.0, 1.0),
        (-20.0, 1.0, 0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0, 0.0, 0.5),
        (20.0, 1.0, 0.0, 0.1, 0.5),
        (0.0, 1.0, math.log(3), 0.2, 0.25 * 0.2),
        (20.0, 0.5, 0.0, 0.0, 0.5),
        (20.0, 0.2, 0.0, 0.0, 0.04 / 0.68),
        (20.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_a_change_of_a_tenth_is_made_by_its_share(
    logit: float, same_scene: float, caution: float, least: float, share: float
) -> None:
    mean, found = held(
        0.1, logit, same_scene=same_scene, caution=caution, least_change=least
    )
    assert found == pytest.approx(share, abs=1e-4)
    assert mean == pytest.approx(0.5 + share * 0.1, abs=1e-5)


def test_no_change_has_no_share() -> None:
    assert held(0.0, 0.0) == (0.5, 0.0)


def test_holding_back_never_jumps() -> None:
    """A change that grows by a hundredth is made by at most a hundredth more."""
    sizes = (0.001 * 1.01 ** torch.arange(500)).tolist()
    shares = [held(size, 1.0, least_change=0.01)[1] for size in sizes]
    assert np.diff(shares).min() >= -1e-6
    assert np.diff(shares).max() < 0.01


def test_from_scene_to_scene_it_never_jumps_either() -> None:
    shares = [held(0.1, 20.0, same_scene=p)[1] for p in np.linspace(0, 1, 501)]
    assert np.diff(shares).min() >= 0
    assert np.diff(shares).max() < 0.005


# Pairs


def test_the_curves_are_put_on_pictures_and_seams(pool_folder: Path) -> None:
    plain = batch(pool_folder, curves_left_out=1.0)
    curved = batch(pool_folder)
    assert torch.equal(plain.real, curved.real)
    assert not torch.equal(plain.composite, curved.composite)
    assert not torch.equal(plain.seam[..., :3], curved.seam[..., :3])
    assert torch.equal(plain.seam[..., 3:], curved.seam[..., 3:])
    outside = (curved.mask == 0).expand_as(curved.composite)
    assert torch.equal(plain.composite[outside], curved.composite[outside])


def test_an_unknown_scene_has_probability_zero(pool_folder: Path) -> None:
    assert not batch(pool_folder, scene_unknown=1.0).same_scene.any()


def test_seams_lie_where_the_mask_has_its_edge(pool_folder: Path) -> None:
    pair = batch(pool_folder)
    for k in range(len(pair.mask)):
        is_pair = pair.seam_weight[k, 0] > 0
        down, across = pair.seam_place[k][is_pair].unbind(dim=1)
        rows, columns = (
            (64 * down).long().clamp(0, 63),
            (64 * across).long().clamp(0, 63),
        )
        near = torch.nn.functional.avg_pool2d(pair.mask[k], 5, 1, 2)[0, rows, columns]
        assert ((near > 0.02) & (near < 0.98)).float().mean() > 0.9


# Training


@pytest.fixture(scope="module")
def finished(pool_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("refining") / "run"
    run(SETTINGS, pool_folder, output)
    return output


def test_the_log_tells_what_there_was_before(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "log.csv").read_text().splitlines()))
    assert all(math.isfinite(float(row["before_loss"])) for row in rows)
    # The network begins with no change, so the first loss is the curves' own.
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[0]["before_loss"]))
    assert rows[-1]["psnr"]


def test_a_stopped_run_goes_on_to_the_same_bits(
    finished: Path, pool_folder: Path, tmp_path: Path
) -> None:
    stopped = train(SETTINGS, pool_folder, tmp_path / "run", devices=CPU)
    for progress in stopped:
        if progress.step == 2:
            stopped.close()  # type: ignore[attr-defined]
            break
    run(SETTINGS, pool_folder, tmp_path / "run", resume=True)
    ours = load_file(tmp_path / "run" / "weights.safetensors")
    theirs = load_file(finished / "weights.safetensors")
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_checkpoint_is_exported_as_it_is_used(finished: Path, tmp_path: Path) -> None:
    assert export(finished / "weights.safetensors", tmp_path / "refiner.onnx") < 1e-4
    network = load_network(tmp_path / "refiner.onnx")
    assert network.contract.refines == "s2crnet-cs"
    assert network.contract.thumbnail_size == (64, 64)
    assert not network.has_curves
    restored, variant, size = load_checkpoint(finished / "weights.safetensors")
    assert (type(restored).__name__, variant) == ("Refiner", "hdnet-lite-refining")
    assert size == (64, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thumbnail_size": (72, 64)}, "multiples of 16 pixels"),
        ({"thumbnail_size": (48, 48)}, "at least 64 a side"),
        ({"seam": SeamSettings()}, "num_pairs of \\[seam\\] is above 0"),
        ({"loss_region": "crop"}, "loss_region is thumbnail"),
        ({"batch_norm": True}, "batch_norm is a setting of S²CRNet"),
        ({"curves_left_out": 1.5}, "curves_left_out"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        replace(SETTINGS, **changes)


def test_only_networks_that_read_the_seam_are_refined(
    pool_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    run(SETTINGS, pool_folder, path)
    other = replace(SETTINGS, refines=str(path / "weights.safetensors"))
    with pytest.raises(UsageError, match="expected a checkpoint of a network that loo"):
        open_sources(other, pool_folder)


def test_halves_take_half_the_room_and_are_what_is_computed_with(
    finished: Path, tmp_path: Path
) -> None:
    sizes = []
    for half in (False, True):
        target = tmp_path / f"{half}.onnx"
        assert export(finished / "weights.safetensors", target, half=half) < 1e-4
        sizes.append(target.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    assert load_network(tmp_path / "True.onnx").contract.output == "picture"


@pytest.mark.parametrize("side", [40, 72])
def test_a_side_that_training_would_refuse_is_refused(
    side: int, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="thumbnail_size"):
        export(finished / "weights.safetensors", tmp_path / "x.onnx", side=side)
