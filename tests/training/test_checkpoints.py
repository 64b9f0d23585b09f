"""Checkpoints: ours, the authors' released format, torchvision trunks."""

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from imharmony.errors import WeightsError
from imharmony.training.checkpoints import (
    load_checkpoint,
    load_released,
    load_trunk,
    map_released_keys,
    save_checkpoint,
)
from imharmony.training.networks.s2crnet import VARIANTS, S2CRNet, build_s2crnet

State = dict[str, Tensor]

DATA = Path(__file__).parents[1] / "data"
CASCADE = VARIANTS["s2crnet-cs"]


def same_state(first: State, second: State) -> bool:
    """Whether two state dicts hold the same tensors, bit for bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


# Our own


@pytest.fixture
def saved(tmp_path: Path) -> tuple[S2CRNet, Path]:
    torch.manual_seed(0)
    network = build_s2crnet("s2crnet-s", slopes="positive", num_bins=4)
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, network, variant="s2crnet-s", thumbnail_size=(48, 64))
    return network, path


def test_a_checkpoint_gives_back_the_network(saved: tuple[S2CRNet, Path]) -> None:
    network, path = saved
    loaded, _, _ = load_checkpoint(path)
    assert loaded.dimensions == network.dimensions
    assert same_state(loaded.state_dict(), network.state_dict())


def test_a_checkpoint_knows_its_variant_and_thumbnails(
    saved: tuple[S2CRNet, Path],
) -> None:
    assert load_checkpoint(saved[1])[1:] == ("s2crnet-s", (48, 64))


def test_a_checkpoint_of_channels_last_weights_is_the_same(
    saved: tuple[S2CRNet, Path], tmp_path: Path
) -> None:
    network, path = saved
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, network, variant="s2crnet-s", thumbnail_size=(48, 64))
    assert same_state(load_file(again), load_file(path))


def test_a_checkpoint_killed_while_writing_leaves_the_old_one(
    saved: tuple[S2CRNet, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, path = saved
    before = path.read_bytes()

    def stop(_: int) -> None:  # all is written, but on no disk and under no name
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, network, variant="s2crnet-s", thumbnail_size=(8, 8))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def rewrite(path: Path, record: dict[str, Any] | None, *, drop: str = "") -> None:
    """Write a checkpoint's tensors again, with other metadata or one tensor less."""
    tensors = load_file(path)
    tensors.pop(drop, None)
    metadata = {"imharmony-checkpoint-1": json.dumps(record)}
    save_file(tensors, path, metadata if record else {})


def test_a_safetensors_file_of_others_is_refused(saved: tuple[S2CRNet, Path]) -> None:
    rewrite(saved[1], None)
    with pytest.raises(WeightsError, match="expected a checkpoint of ours"):
        load_checkpoint(saved[1])


RECORD = {"variant": "s2crnet", "thumbnail_size": [8, 8], "dimensions": {}}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"variant": "s2crnet"}, "'dimensions'"),
        (RECORD | {"dimensions": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        (RECORD | {"dimensions": {"pooling": "max"}}, "pooling is one of"),
        (RECORD | {"thumbnail_size": [8]}, "not enough values"),
    ],
)
def test_damaged_metadata_are_refused(
    saved: tuple[S2CRNet, Path], record: dict[str, Any], reason: str
) -> None:
    rewrite(saved[1], record)
    with pytest.raises(WeightsError, match=f"damaged checkpoint metadata: .*{reason}"):
        load_checkpoint(saved[1])


def test_a_checkpoint_from_before_there_were_kinds_is_of_s2crnet(
    tmp_path: Path,
) -> None:
    network = build_s2crnet("s2crnet")
    path = tmp_path / "old.safetensors"
    save_checkpoint(path, network, variant="s2crnet", thumbnail_size=(8, 8))
    rewrite(path, RECORD)
    loaded, variant, _ = load_checkpoint(path)
    assert (type(loaded), variant) == (S2CRNet, "s2crnet")
    assert same_state(loaded.state_dict(), network.state_dict())


def test_a_checkpoint_without_a_tensor_is_refused(saved: tuple[S2CRNet, Path]) -> None:
    rewrite(saved[1], RECORD, drop="encoder.0.weight")
    with pytest.raises(WeightsError, match=r"encoder\.0\.weight is missing"):
        load_checkpoint(saved[1])


def test_a_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"none\.safetensors: cannot read .* No such"
    ):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_truncated_checkpoint_is_an_error(saved: tuple[S2CRNet, Path]) -> None:
    saved[1].write_bytes(saved[1].read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot read a safetensors checkpoint"):
        load_checkpoint(saved[1])


# The released format


def holds(network: S2CRNet, released: State) -> bool:
    """Whether the network has the tensors of a released checkpoint, bit for bit."""
    state, keys = network.state_dict(), map_released_keys(network.dimensions)
    return same_state(state, {ours: released[keys[ours]] for ours in state})


@pytest.mark.parametrize(
    ("variant", "column"),
    [("s2crnet-cs", "used_with_label"), ("s2crnet-c", "used_without_label")],
)
def test_a_variant_reads_the_keys_that_the_released_network_uses(
    variant: str, column: str
) -> None:
    listed = DATA / "s2crnet_official_keys.csv"
    with listed.open(newline="", encoding="utf-8") as file:
        used = {row["key"] for row in csv.DictReader(file) if row[column] == "1"}
    assert set(map_released_keys(VARIANTS[variant]).values()) == used


def test_a_released_checkpoint_fills_every_parameter(
    released_file: Path, released_state: State
) -> None:
    assert holds(load_released(released_file, CASCADE), released_state)


def test_a_single_stage_reads_the_first(
    released_file: Path, released_state: State
) -> None:
    single = load_released(released_file, VARIANTS["s2crnet-s"])
    weight = single.get_parameter("stages.0.foreground.weight")
    assert torch.equal(weight, released_state["fusion.cr1.fc_f_label.weight"])


def test_weights_without_a_wrapper_are_read(
    released_state: State, tmp_path: Path
) -> None:
    path = tmp_path / "bare.pth"
    torch.save(released_state, path)
    assert holds(load_released(path, CASCADE), released_state)


def test_a_third_stage_is_not_read(released_state: State, tmp_path: Path) -> None:
    path = tmp_path / "three.pth"
    extra = {"fusion.cr3.fc_f_1.fc1.weight": torch.zeros(192, 512)}
    torch.save({"state_dict": released_state | extra}, path)
    assert holds(load_released(path, CASCADE), released_state)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize(
    "best_acc", [36.45, np.float64(36.45), np.float32(36.45), np.int64(3), np.True_]
)
def test_numpy_scalars_are_read_past(
    released_state: State, tmp_path: Path, best_acc: object, is_zip: bool
) -> None:
    path = tmp_path / "scalar.pth"
    stored = {"state_dict": released_state, "best_acc": best_acc}
    torch.save(stored, path, _use_new_zipfile_serialization=is_zip)
    assert holds(load_released(path, CASCADE), released_state)


def test_numpy_scalars_of_numpy_1_are_read_past(
    released_state: State, tmp_path: Path
) -> None:
    path = tmp_path / "old.pth"
    stored = {"best_acc": np.float64(36.45), "state_dict": released_state}
    torch.save(stored, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data or np.__version__ < "2"
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert holds(load_released(path, CASCADE), released_state)


def test_every_missing_and_misshapen_key_is_named(
    released_state: State, tmp_path: Path
) -> None:
    state = dict(released_state)
    del state["squeezenet1_1.7.squeeze.bias"]
    del state["fusion.cr2.fc_label_1.weight"]
    state["fusion.cr1.fc_b_1.fc1.weight"] = torch.zeros(96, 512)
    path = tmp_path / "other.pth"
    torch.save({"state_dict": state}, path)
    with pytest.raises(WeightsError, match="weights for another network") as caught:
        load_released(path, CASCADE)
    problems = str(caught.value).partition("network: ")[2].split("; ")
    assert sorted(problems) == [
        "fusion.cr1.fc_b_1.fc1.weight has shape [96, 512], expected [192, 512]",
        "fusion.cr2.fc_label_1.weight is missing",
        "squeezenet1_1.7.squeeze.bias is missing",
    ]


class Burglar:
    """Writes a file when it is unpickled."""

    def __init__(self, loot: Path) -> None:
        self.loot = loot

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.loot,)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_pickled_code_is_refused_and_not_executed(
    released_state: State, tmp_path: Path, kind: str
) -> None:
    path, loot = tmp_path / "evil.pth", tmp_path / "loot"
    stored = {"state_dict": released_state, "best_acc": Burglar(loot)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Burglar(loot), protocol=2))
    else:
        torch.save(stored, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pth: not loaded, its pickle would"):
        load_released(path, CASCADE)
    assert not loot.exists()


def test_the_burglar_would_have_written_a_file(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Burglar(tmp_path / "loot")))
    assert (tmp_path / "loot").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"hello world", b"<!DOCTYPE html>\n", b"\x89PNG\r\n\x1a\n" + bytes(100)],
    ids=["empty", "text", "html", "png"],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"other\.pth: expected a PyTorch file"):
        load_released(path, CASCADE)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_released_checkpoint_is_refused(
    released_file: Path, tmp_path: Path, share: float
) -> None:
    path, data = tmp_path / "cut.pth", released_file.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match="or a damaged one"):
        load_released(path, CASCADE)


def test_a_missing_released_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth: cannot read weights: No such"):
        load_released(tmp_path / "none.pth", CASCADE)


@pytest.mark.parametrize(("stored", "got"), [([1, 2], "list"), ({}, "dict")])
def test_a_file_without_weights_is_refused(
    tmp_path: Path, stored: object, got: str
) -> None:
    path = tmp_path / "none.pth"
    torch.save(stored, path)
    with pytest.raises(WeightsError, match=f"a dictionary of weights, got {got}"):
        load_released(path, CASCADE)


# Trunks


@pytest.fixture
def squeezenet() -> State:
    """A SqueezeNet 1.1 state dict as torchvision names it, classifier and all."""
    torch.manual_seed(1)
    network = build_s2crnet("s2crnet")
    trunk = {f"features.{k}": v for k, v in network.encoder.state_dict().items()}
    return trunk | {
        "features.12.squeeze.weight": torch.zeros(64, 512, 1, 1),
        "classifier.1.weight": torch.zeros(1000, 512, 1, 1),
        "classifier.1.bias": torch.zeros(1000),
    }


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_trunk_starts_from_torchvisions_weights(
    squeezenet: State, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"squeezenet{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(squeezenet, path)
    network = build_s2crnet("s2crnet-cs")
    load_trunk(network, path)
    assert all(
        torch.equal(value, squeezenet[f"features.{key}"])
        for key, value in network.encoder.state_dict().items()
    )


def test_a_trunk_leaves_the_heads_as_they_are(
    squeezenet: State, tmp_path: Path
) -> None:
    torch.save(squeezenet, tmp_path / "squeezenet.pth")
    network = build_s2crnet("s2crnet-cs")
    before = {key: value.clone() for key, value in network.stages.state_dict().items()}
    load_trunk(network, tmp_path / "squeezenet.pth")
    assert same_state(before, network.stages.state_dict())


def test_a_trunk_without_a_fire_block_is_refused(
    squeezenet: State, tmp_path: Path
) -> None:
    kept = {k: v for k, v in squeezenet.items() if not k.startswith("features.3.")}
    torch.save(kept, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match="weights for another") as caught:
        load_trunk(build_s2crnet("s2crnet"), tmp_path / "short.pth")
    assert str(caught.value).count("features.3.") == 6


def test_a_trunk_of_squeezenet_1_0_is_refused(
    squeezenet: State, tmp_path: Path
) -> None:
    squeezenet["features.0.weight"] = torch.zeros(96, 3, 7, 7)
    torch.save(squeezenet, tmp_path / "one.pth")
    with pytest.raises(WeightsError, match=r"features\.0\.weight has shape \[96, 3, 7"):
        load_trunk(build_s2crnet("s2crnet"), tmp_path / "one.pth")
