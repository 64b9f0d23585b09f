"""Export: the weights file gives what the network gives, or is not written."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from imharmony.errors import UsageError, WeightsError
from imharmony.inference import runtime
from imharmony.inference.contract import Contract
from imharmony.inference.models import load_network
from imharmony.inference.thumbnails import Thumbnails
from imharmony.labels import LABELS
from imharmony.training import export as exporter
from imharmony.training.checkpoints import save_checkpoint, sha256
from imharmony.training.networks.s2crnet import (
    Prediction,
    S2CRNet,
    build_s2crnet,
)
from imharmony.training.networks.s2crnet_use import S2CRNetInUse

# The promise. Seen: 7e-7.
TOLERANCE = 1e-4
SIZE = (32, 40)

OPTIONS: dict[str, dict[str, Any]] = {
    "released": {},
    "thumbnail": {"foreground_input": "thumbnail"},
    "foreground": {"encoder_input": "foreground"},
    "whole": {"encoder_input": "whole"},
    "masked": {"pooling": "masked"},
    "positive": {"slopes": "positive"},
    "restrained": {"slopes": "positive", "strength": 0.8, "min_change": 0.001},
    "views": {"slopes": "positive", "contexts": (0.0, 0.5, 0.9), "mirrors": True},
    "statistics": {"num_bins": 4},
    "guess": {"guesses_label": True},
    "all": {
        "foreground_input": "thumbnail",
        "pooling": "masked",
        "slopes": "positive",
        "num_bins": 4,
        "guesses_label": True,
    },
}


class Exported(NamedTuple):
    network: S2CRNet
    checkpoint: Path
    weights: Path
    difference: float


def save(folder: Path, variant: str = "s2crnet-cs", **changes: object) -> Exported:
    """Save a network of random weights; name its files, export nothing."""
    torch.manual_seed(0)
    network = build_s2crnet(variant, **changes).eval()
    checkpoint = folder / "weights.safetensors"
    save_checkpoint(checkpoint, network, variant=variant, thumbnail_size=SIZE)
    return Exported(network, checkpoint, folder / "weights.onnx", np.nan)


def export(folder: Path, variant: str = "s2crnet-cs", **changes: object) -> Exported:
    saved = save(folder, variant, **changes)
    difference = exporter.export(saved.checkpoint, saved.weights)
    return saved._replace(difference=difference)


@pytest.fixture(scope="module", params=OPTIONS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    return export(tmp_path_factory.mktemp("export"), **OPTIONS[request.param])


def noise(seed: int, views: int = 1) -> dict[str, Tensor]:
    """Noise as in the parity fixture, of one composite; even seeds have no label."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.zeros(1, 5)
    label[0, seed % 5] = seed % 2
    shapes = [(views, 3), (views, 1), (1, 3), (1, 1)]
    images = [torch.rand((*shape, *SIZE), generator=rng) for shape in shapes]
    return dict(zip(exporter.INPUTS[:5], [*images, label], strict=True))


def predict(network: S2CRNet, inputs: dict[str, Tensor]) -> Prediction:
    with torch.inference_mode():
        prediction: Prediction = S2CRNetInUse(network)(**inputs)
        return prediction


def thumbnails(inputs: dict[str, Tensor]) -> Thumbnails:
    whole, front = exporter.INPUTS[:2], exporter.INPUTS[2:4]
    views = [inputs[key].numpy() for key in whole]
    return Thumbnails(*views, *(inputs[key][0].numpy() for key in front))


# The graph


@pytest.mark.parametrize("seed", [1, 2])
def test_the_graph_gives_what_torch_gives(exported: Exported, seed: int) -> None:
    session = runtime.start_session(exported.weights.read_bytes())
    inputs = noise(seed, len(exported.network.dimensions.contexts))
    feeds = {node.name: inputs[node.name].numpy() for node in session.get_inputs()}
    found = session.run(["curve_params", "label_logits"], feeds)
    for ours, theirs in zip(found, predict(exported.network, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=TOLERANCE)


def test_the_difference_that_was_seen_is_returned(exported: Exported) -> None:
    assert 0 < exported.difference <= TOLERANCE


def test_a_loaded_file_gives_what_torch_gives(exported: Exported) -> None:
    inputs = noise(4, len(exported.network.dimensions.contexts))
    inputs["semantic_label"] = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])
    found = load_network(exported.weights).run(thumbnails(inputs), label="food")
    expected = predict(exported.network, inputs).curve_params[0]
    np.testing.assert_allclose(
        found.curve_params, expected.numpy(), rtol=0, atol=TOLERANCE
    )


def test_thumbnails_in_use_can_be_larger_than_in_training(tmp_path: Path) -> None:
    saved = save(tmp_path)
    assert exporter.export(saved.checkpoint, saved.weights, side=48) < TOLERANCE
    assert load_network(saved.weights).contract.thumbnail_size == (48, 48)


@pytest.mark.parametrize("side", [0, 16, 50, -8])
def test_a_side_that_no_network_takes_is_refused(tmp_path: Path, side: int) -> None:
    saved = save(tmp_path)
    with pytest.raises(UsageError, match=rf"^side is a multiple of 8 .* got {side}$"):
        exporter.export(saved.checkpoint, saved.weights, side=side)
    assert not saved.weights.exists()


def test_dropout_is_off_in_what_is_compared_and_written(tmp_path: Path) -> None:
    assert export(tmp_path, feature_dropout=0.5).difference < TOLERANCE


def test_constants_are_worked_out_ahead(exported: Exported) -> None:
    nodes = onnx.load(exported.weights).graph.node
    assert not [node for node in nodes if node.op_type == "Constant"]


def test_only_operators_of_the_standard_are_written(exported: Exported) -> None:
    assert {node.domain for node in onnx.load(exported.weights).graph.node} == {""}


def test_free_slopes_arrive_with_their_signs(tmp_path: Path) -> None:
    free = save(tmp_path, "s2crnet-c")
    with torch.no_grad():
        free.network.get_parameter("stages.1.background.bias")[::2].neg_()
    save_checkpoint(
        free.checkpoint, free.network, variant="s2crnet-c", thumbnail_size=SIZE
    )
    exporter.export(free.checkpoint, free.weights)
    inputs = noise(6, 1)
    found = load_network(free.weights).run(thumbnails(inputs), label=None)
    assert found.curve_params.min() < 0
    np.testing.assert_allclose(
        found.curve_params,
        predict(free.network, inputs).curve_params[0].numpy(),
        rtol=0,
        atol=TOLERANCE,
    )


@pytest.mark.parametrize("variant", ["s2crnet", "s2crnet-s"])
def test_single_stages_are_exported_too(tmp_path: Path, variant: str) -> None:
    single = export(tmp_path, variant)
    found = load_network(single.weights).run(thumbnails(noise(7, 1)), label=None)
    assert found.curve_params.shape == (1, 3, 64)


# Labels


def test_no_label_lets_the_network_guess(tmp_path: Path) -> None:
    guessing = export(tmp_path, guesses_label=True)
    inputs = noise(8, 1)  # unknown
    expected = predict(guessing.network, inputs)
    found = load_network(guessing.weights).run(thumbnails(inputs), label=None)
    assert found.label == LABELS[int(expected.label_logits.argmax())]
    np.testing.assert_allclose(
        found.curve_params, expected.curve_params[0].numpy(), rtol=0, atol=TOLERANCE
    )


def test_no_label_is_others_where_nothing_guesses(tmp_path: Path) -> None:
    network = load_network(export(tmp_path).weights)
    views = thumbnails(noise(9, 1))
    unsaid, others = (network.run(views, label=each) for each in (None, "others"))
    assert unsaid.label == "others"
    assert np.array_equal(unsaid.curve_params, others.curve_params)


def test_a_plain_variant_uses_no_label(tmp_path: Path) -> None:
    network = load_network(export(tmp_path, "s2crnet-c").weights)
    assert network.run(thumbnails(noise(9, 1)), label="person").label is None


# The metadata


def test_the_contract_says_what_was_exported(tmp_path: Path) -> None:
    exported = export(tmp_path, "s2crnet-cs", slopes="positive", guesses_label=True)
    assert load_network(exported.weights).contract == Contract(
        variant="s2crnet-cs",
        thumbnail_size=SIZE,
        num_stages=2,
        num_pieces=64,
        has_semantic_label=True,
        guesses_label=True,
        foreground_input="crop",
        slopes="positive",
        labels=LABELS,
        checkpoint_sha256=sha256(exported.checkpoint),
    )


def test_the_file_is_named_by_its_hash(tmp_path: Path) -> None:
    exported = export(tmp_path)
    assert load_network(exported.weights).sha256 == sha256(exported.weights)


# The authors' checkpoints


@pytest.mark.parametrize("variant", ["s2crnet-cs", "s2crnet-c"])
def test_a_released_checkpoint_is_exported_too(
    released_file: Path, tmp_path: Path, variant: str
) -> None:
    weights = tmp_path / "released.onnx"
    assert exporter.export(released_file, weights, variant=variant) <= TOLERANCE
    contract = load_network(weights).contract
    assert (contract.variant, contract.thumbnail_size) == (variant, (256, 256))
    assert contract.checkpoint_sha256 == sha256(released_file)


@pytest.mark.parametrize("variant", [None, "s3crnet"])
def test_a_released_checkpoint_needs_a_variant(
    released_file: Path, tmp_path: Path, variant: str | None
) -> None:
    message = rf"expected one of s2crnet, .*, got {variant}"
    with pytest.raises(UsageError, match=message):
        exporter.export(released_file, tmp_path / "released.onnx", variant=variant)


def test_our_checkpoints_say_their_variant(tmp_path: Path) -> None:
    saved = save(tmp_path)
    with pytest.raises(UsageError, match="says its variant itself, expected none, got"):
        exporter.export(saved.checkpoint, saved.weights, variant="s2crnet-cs")


# Refusals


def test_a_network_that_differs_is_seen(tmp_path: Path) -> None:
    exported = export(tmp_path)
    with torch.no_grad():
        exported.network.get_parameter("stages.1.background.bias")[7] += 2e-4
    data = exported.weights.read_bytes()
    contract = load_network(exported.weights).contract
    difference = exporter.largest_difference(exported.network, data, contract)
    assert difference == pytest.approx(2e-4, rel=0.1)


def disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the exporter make a graph whose first bias is off."""

    def disturbed(data: bytes) -> onnx.ModelProto:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
        (bias,) = (
            t for t in model.graph.initializer if t.name == "network.encoder.0.bias"
        )
        values = onnx.numpy_helper.to_array(bias) + np.float32(0.05)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return model

    monkeypatch.setattr(onnx, "load_from_string", disturbed)


def test_a_graph_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save(tmp_path)
    disturb(monkeypatch)
    message = r"weights\.onnx: not written: ONNX and torch differ by 0\.\d+, more than"
    with pytest.raises(WeightsError, match=message):
        exporter.export(saved.checkpoint, saved.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_graph_that_differs_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = export(tmp_path)
    before = exported.weights.read_bytes()
    disturb(monkeypatch)
    with pytest.raises(WeightsError, match="differ"):
        exporter.export(exported.checkpoint, exported.weights)
    assert exported.weights.read_bytes() == before


@pytest.mark.parametrize(("difference", "is_written"), [(1e-4, True), (1.1e-4, False)])
def test_the_limit_is_1e_4(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    difference: float,
    is_written: bool,
) -> None:
    saved = save(tmp_path)
    monkeypatch.setattr(exporter, "largest_difference", lambda *_: difference)
    if is_written:
        assert exporter.export(saved.checkpoint, saved.weights) == difference
    else:
        with pytest.raises(
            WeightsError, match=r"differ by 0\.00011, more than 0\.0001"
        ):
            exporter.export(saved.checkpoint, saved.weights)
    assert saved.weights.exists() == is_written


def test_a_missing_checkpoint_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read a safetensors checkpoint"):
        exporter.export(tmp_path / "none.safetensors", tmp_path / "none.onnx")
