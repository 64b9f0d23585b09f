"""Export of HDNet: the file takes and gives what its contract says, as torch does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from imharmony.errors import WeightsError
from imharmony.inference import runtime
from imharmony.inference.contract import Contract
from imharmony.training import export as exporter
from imharmony.training.checkpoints import map_released_keys, save_checkpoint, sha256
from imharmony.training.networks import hdnet
from imharmony.training.networks.hdnet import HDNet, build_hdnet

# The promise. Seen: 6e-7.
TOLERANCE = 1e-4
SIZE = (32, 40)

MODES: dict[str, dict[str, Any]] = {
    "official": {"mode": "official"},
    "paper": {"mode": "paper", "num_neighbors": 3},
}


def save(folder: Path, **changes: object) -> tuple[HDNet, Path, Path]:
    """Save a network whose weights are ten times a new one's; name its files."""
    torch.manual_seed(0)
    network = build_hdnet("hdnet-lite", **changes).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(10)
    checkpoint = folder / "weights.safetensors"
    save_checkpoint(checkpoint, network, variant="hdnet-lite", thumbnail_size=SIZE)
    return network, checkpoint, folder / "weights.onnx"


@pytest.fixture(scope="module", params=MODES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[HDNet, Path, Path]:
    saved = save(tmp_path_factory.mktemp("export"), **MODES[request.param])
    exporter.export(saved[1], saved[2])
    return saved


def run(weights: Path, composite: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    session = runtime.start_session(weights.read_bytes())
    feeds = {"composite": composite.numpy(), "mask": mask.numpy()}
    (harmonized,) = session.run(["harmonized"], feeds)
    return torch.from_numpy(harmonized)


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise under a soft-edged mask."""
    generator = torch.Generator().manual_seed(seed)
    composite = torch.rand((1, 3, *SIZE), generator=generator)
    rows = torch.linspace(-1, 2, SIZE[0]).clamp(0, 1)
    return composite, rows[None, None, :, None].expand(1, 1, *SIZE).contiguous()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_file_gives_what_torch_gives(
    exported: tuple[HDNet, Path, Path], seed: int
) -> None:
    network, _, weights = exported
    inputs = scene(seed)
    with torch.inference_mode():
        expected = network(*inputs)
    found = run(weights, *inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_empty_region_is_no_exception(
    exported: tuple[HDNet, Path, Path], share: float
) -> None:
    composite, mask = scene(2)
    mask = torch.full_like(mask, share)
    with torch.inference_mode():
        expected = exported[0](composite, mask)
    found = run(exported[2], composite, mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_the_file_leaves_the_background_bit_for_bit(
    exported: tuple[HDNet, Path, Path],
) -> None:
    composite, mask = scene(3)
    found = run(exported[2], composite, mask)
    is_back = (mask <= 0.5).expand_as(composite)
    assert torch.equal(found[is_back], composite[is_back])
    assert not torch.equal(found, composite)


def test_inputs_and_output_are_named_and_sized(
    exported: tuple[HDNet, Path, Path],
) -> None:
    session = runtime.start_session(exported[2].read_bytes())
    found = {
        node.name: (node.shape, node.type)
        for node in (*session.get_inputs(), *session.get_outputs())
    }
    assert found == {
        "composite": ([1, 3, *SIZE], "tensor(float)"),
        "mask": ([1, 1, *SIZE], "tensor(float)"),
        "harmonized": ([1, 3, *SIZE], "tensor(float)"),
    }


def contract_of(weights: Path) -> Contract:
    session = runtime.start_session(weights.read_bytes())
    metadata = session.get_modelmeta().custom_metadata_map
    return Contract.from_metadata(metadata, name=str(weights))


def test_the_contract_says_that_it_gives_a_picture(
    exported: tuple[HDNet, Path, Path],
) -> None:
    assert contract_of(exported[2]) == Contract(
        variant="hdnet-lite",
        thumbnail_size=SIZE,
        checkpoint_sha256=sha256(exported[1]),
        output="picture",
    )


def test_nothing_in_the_graph_depends_on_the_mask_but_values(
    exported: tuple[HDNet, Path, Path],
) -> None:
    kinds = {node.op_type for node in onnx.load(exported[2]).graph.node}
    assert not kinds & {"Loop", "If", "NonZero", "Scan"}


def test_a_large_thumbnail_is_exported_without_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdnet, "DENSE_POSITIONS", 1)
    network, checkpoint, weights = save(tmp_path, mode="paper", num_neighbors=3)
    assert exporter.export(checkpoint, weights) <= TOLERANCE
    inputs = scene(4)
    with torch.inference_mode():
        expected = network(*inputs)
    torch.testing.assert_close(run(weights, *inputs), expected, rtol=0, atol=TOLERANCE)


def test_a_released_checkpoint_is_exported_too(tmp_path: Path) -> None:
    network, _, weights = save(tmp_path)
    keys = map_released_keys(network.dimensions)
    state = {keys[name]: value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "latest_net_G.pth")
    exporter.export(tmp_path / "latest_net_G.pth", weights, variant="hdnet-lite")
    assert contract_of(weights).thumbnail_size == (256, 256)


def test_a_network_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(data: bytes) -> onnx.ModelProto:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
        (bias,) = (t for t in model.graph.initializer if t.name == "output.bias")
        values = onnx.numpy_helper.to_array(bias) + np.float32(0.05)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return model

    _, checkpoint, weights = save(tmp_path)
    monkeypatch.setattr(onnx, "load_from_string", disturbed)
    with pytest.raises(WeightsError, match="not written: ONNX and torch differ"):
        exporter.export(checkpoint, weights)
    assert not weights.exists()
