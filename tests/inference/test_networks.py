"""Weights files: what is accepted, what is refused, and how labels are passed on.

The small networks are written as ONNX by hand, so that what they answer is known.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imharmony.errors import UsageError, WeightsError
from imharmony.inference import runtime
from imharmony.inference.contract import Contract
from imharmony.inference.models import MODELS, load_network
from imharmony.inference.seam import Seam
from imharmony.inference.thumbnails import Thumbnails
from imharmony.labels import LABELS, label_index
from tests.onnx_files import (
    field,
    metadata,
    model,
    node,
    picture_contract,
    picture_network,
    tensor,
    value,
    write_picture_weights,
)

BUNDLED = MODELS["s2crnet-cs"]
NUM_PIECES = 2
REVERSED = LABELS[::-1]

FIELDS: dict[str, Any] = {
    "variant": "small",
    "thumbnail_size": [8, 6],
    "num_stages": 1,
    "num_pieces": NUM_PIECES,
    "has_semantic_label": True,
    "guesses_label": True,
    "foreground_input": "crop",
    "slopes": "free",
    "labels": list(LABELS),
    "checkpoint_sha256": "0" * 64,
}


def small_network(
    *,
    inputs: dict[str, tuple[int, ...]] | None = None,
    outputs: tuple[str, ...] = ("curve_params", "label_logits"),
) -> bytes:
    """A network whose first slope is 1 for the first label, 2 for the second, ...

    Its guess is always the fourth label. Without a label all its slopes are 0.
    """
    slopes = np.ones((5, 3 * NUM_PIECES), np.float32)
    slopes[:, 0] = 1 + np.arange(5)
    guess = np.array([[0, 0, 0, 9, 0]], np.float32)
    shapes = {"curve_params": (1, 3, NUM_PIECES), "label_logits": (5,)}
    graph = field(2, "small")
    for step in (
        node("MatMul", ["semantic_label", "slopes"], "flat"),
        node("Reshape", ["flat", "shape"], "curve_params"),
        node("Add", ["semantic_label", "guess"], "label_logits"),
    ):
        graph += field(1, step)
    shape = np.array([-1, 1, 3, NUM_PIECES], np.int64)
    for name, values in (("slopes", slopes), ("shape", shape), ("guess", guess)):
        graph += field(5, tensor(name, values))
    for name, input_shape in (inputs or {"semantic_label": (5,)}).items():
        graph += field(11, value(name, input_shape))
    for name in outputs:
        graph += field(12, value(name, shapes[name]))
    return model(graph)


def write_weights(folder: Path, network: bytes | None = None, **changes: Any) -> Path:
    path = folder / "weights.onnx"
    contract = {"format": "imharmony-weights-1"}
    contract["contract"] = json.dumps(FIELDS | changes)
    path.write_bytes((network or small_network()) + metadata(contract))
    return path


def thumbnails(size: tuple[int, int] = (8, 6)) -> Thumbnails:
    rng = np.random.default_rng(0)
    shapes = [(1, 3), (1, 1), (3,), (1,)]
    parts = [rng.random((*shape, *size), dtype=np.float32) for shape in shapes]
    return Thumbnails(*parts)


# What is accepted


def test_bundled_weights_keep_the_order_of_the_released_labels() -> None:
    assert load_network(BUNDLED).contract.labels == LABELS
    assert LABELS == ("person", "animal", "food", "vehicle", "others")


def test_contract_comes_back_from_metadata() -> None:
    contract = load_network(BUNDLED).contract
    assert Contract.from_metadata(contract.to_metadata(), name="again") == contract


def test_hash_is_that_of_the_file() -> None:
    expected = hashlib.sha256(BUNDLED.read_bytes()).hexdigest()
    assert load_network(BUNDLED).sha256 == expected


def test_each_thumbnail_reaches_the_input_of_its_name() -> None:
    network = load_network(BUNDLED)
    seen = thumbnails(network.contract.thumbnail_size)
    feeds = dict(vars(seen))
    feeds |= {k: feeds[k][None] for k in ("foreground", "foreground_mask")}
    feeds["semantic_label"] = np.eye(5, dtype=np.float32)[:1]
    seam = Seam.none(network.contract.seam_pairs)
    feeds |= {"seam": seam.colors[None], "seam_weight": seam.weight[None]}
    feeds["same_scene"] = np.array([-1], np.float32)
    session = runtime.start_session(BUNDLED.read_bytes())
    (expected,) = session.run(["curve_params"], feeds)
    prediction = network.run(seen, label=LABELS[0])
    # Two threads or one: float32 sums in another order.
    np.testing.assert_allclose(prediction.curve_params, expected[0], atol=1e-5)


def test_curve_params_have_the_shape_of_the_contract() -> None:
    network = load_network(BUNDLED)
    seen = thumbnails(network.contract.thumbnail_size)
    shape = (network.contract.num_stages, 3, network.contract.num_pieces + 1)
    assert network.run(seen, label=None).curve_params.shape == shape


# Labels


@pytest.mark.parametrize("labels", [LABELS, REVERSED])
@pytest.mark.parametrize("label", LABELS)
def test_label_is_passed_in_the_order_of_the_weights_file(
    labels: tuple[str, ...], label: str, tmp_path: Path
) -> None:
    network = load_network(write_weights(tmp_path, labels=list(labels)))
    prediction = network.run(thumbnails(), label=label)
    assert prediction.label == label
    assert prediction.curve_params[0, 0, 0] == 1 + labels.index(label)


@pytest.mark.parametrize("labels", [LABELS, REVERSED])
def test_guess_is_named_in_the_order_of_the_weights_file(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    network = load_network(write_weights(tmp_path, labels=list(labels)))
    prediction = network.run(thumbnails(), label=None)
    assert prediction.label == labels[3]
    assert not prediction.curve_params.any()  # the network was told no label


@pytest.mark.parametrize("labels", [LABELS, REVERSED])
def test_weights_that_cannot_guess_take_others(
    labels: tuple[str, ...], tmp_path: Path
) -> None:
    path = write_weights(tmp_path, labels=list(labels), guesses_label=False)
    prediction = load_network(path).run(thumbnails(), label=None)
    assert prediction.label == "others"
    assert prediction.curve_params[0, 0, 0] == 1 + labels.index("others")


def test_weights_without_labels_report_none(tmp_path: Path) -> None:
    path = write_weights(tmp_path, has_semantic_label=False, guesses_label=False)
    assert load_network(path).run(thumbnails(), label=None).label is None


def test_unknown_label_lists_the_known() -> None:
    message = r"^label is one of person, animal, food, vehicle, others, got 'dog'$"
    with pytest.raises(UsageError, match=message):
        label_index("dog")


def test_network_refuses_an_unknown_label(tmp_path: Path) -> None:
    network = load_network(write_weights(tmp_path))
    with pytest.raises(UsageError, match=r"label is one of person, .*, got 'dog'"):
        network.run(thumbnails(), label="dog")


# What is refused


def test_missing_weights(tmp_path: Path) -> None:
    message = r"none\.onnx: cannot read weights: No such file or directory$"
    with pytest.raises(WeightsError, match=message):
        load_network(tmp_path / "none.onnx")


def test_folder_instead_of_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read weights: Is a directory"):
        load_network(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no network at all\n", BUNDLED.read_bytes()[:100_000]],
    ids=["empty", "text", "truncated"],
)
def test_file_that_is_not_onnx(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(content)
    message = r"weights\.onnx: expected an \.onnx weights file, got one that cannot be"
    with pytest.raises(WeightsError, match=message):
        load_network(path)
    assert capfd.readouterr() == ("", "")  # ONNX Runtime likes to print


def test_checkpoint_instead_of_weights_names_the_way() -> None:
    message = r"got a safetensors checkpoint; 'imharmony export' makes \.onnx of it$"
    with pytest.raises(WeightsError, match=message):
        load_network(BUNDLED.with_suffix(".safetensors"))


def test_onnx_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(small_network())
    message = (
        r"foreign\.onnx: an ONNX file, but not imharmony weights: its metadata say "
        r"format None, expected 'imharmony-weights-1'; 'imharmony export' makes such"
    )
    with pytest.raises(WeightsError, match=message):
        load_network(path)


@pytest.mark.parametrize(
    ("contract", "detail"),
    [
        ("{", ""),
        ("null", ""),
        ("[]", ""),
        ("{}", "'thumbnail_size'"),
        (json.dumps(FIELDS | {"thumbnail_size": 8}), ""),
        (json.dumps(FIELDS | {"thumbnail_size": [8, 6, 3]}), ""),
        (json.dumps(FIELDS | {"surprise": 1}), ".*surprise"),
        (json.dumps({k: v for k, v in FIELDS.items() if k != "slopes"}), ".*slopes"),
        (json.dumps(FIELDS | {"labels": ["dog"]}), r"labels \('dog',\), expected"),
    ],
)
def test_damaged_contract(contract: str, detail: str, tmp_path: Path) -> None:
    path = write_weights(tmp_path)
    path.write_bytes(path.read_bytes() + metadata({"contract": contract}))
    message = rf"weights\.onnx: damaged weights metadata: {detail}"
    with pytest.raises(WeightsError, match=message):
        load_network(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_stages": 2},
            r"curve_params has shape \[1, 3, 2\], the metadata say \[2, 3, 2\]",
        ),
        (
            {"num_pieces": 64},
            r"curve_params has shape \[1, 3, 2\], the metadata say \[1, 3, 64\]",
        ),
        (
            {"thumbnail_size": [6, 8]},
            r"mask has shape \[1, 8, 6\], the metadata say \[1, 6, 8\]",
        ),
    ],
)
def test_shapes_that_contradict_the_metadata(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    network = small_network(inputs={"mask": (1, 8, 6), "semantic_label": (5,)})
    load_network(write_weights(tmp_path, network))
    with pytest.raises(WeightsError, match=rf"weights\.onnx: {message}$"):
        load_network(write_weights(tmp_path, network, **changes))


def test_input_that_nobody_feeds(tmp_path: Path) -> None:
    network = small_network(inputs={"depth": (1, 8, 6), "semantic_label": (5,)})
    message = r"depth has shape \[1, 8, 6\], the metadata say there is none$"
    with pytest.raises(WeightsError, match=message):
        load_network(write_weights(tmp_path, network))


def test_missing_output(tmp_path: Path) -> None:
    network = small_network(outputs=("curve_params",))
    with pytest.raises(WeightsError, match=r"the network has no output label_logits$"):
        load_network(write_weights(tmp_path, network))


def test_unknown_provider_lists_the_available() -> None:
    message = r"^provider is one of .*CPUExecutionProvider.*, got 'AbacusProvider'$"
    with pytest.raises(UsageError, match=message):
        load_network(BUNDLED, provider="AbacusProvider")


def test_provider_that_does_not_start_is_not_replaced_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What ONNX Runtime answers when the libraries of a listed provider are missing.
    monkeypatch.setattr(runtime, "list_providers", lambda: ["SlowProvider"])
    start = runtime.start_session

    def start_on_cpu(model: bytes, **options: Any) -> Any:
        return start(model, **options | {"provider": "CPUExecutionProvider"})

    monkeypatch.setattr(runtime, "start_session", start_on_cpu)
    message = r"^provider SlowProvider is installed but does not start on this machine$"
    with pytest.raises(UsageError, match=message):
        load_network(BUNDLED, provider="SlowProvider")


def test_no_threads() -> None:
    with pytest.raises(UsageError, match=r"^num_threads is at least 1, got 0$"):
        load_network(BUNDLED, num_threads=0)


# Networks that give a picture


def test_file_without_an_output_field_gives_curves() -> None:
    assert "output" not in FIELDS
    metadata = {"format": "imharmony-weights-1", "contract": json.dumps(FIELDS)}
    assert Contract.from_metadata(metadata, name="old").output == "curves"


def test_picture_needs_no_fields_of_curves(tmp_path: Path) -> None:
    path = write_picture_weights(tmp_path, size=(8, 16))
    contract = load_network(path).contract
    assert (contract.output, contract.thumbnail_size) == ("picture", (8, 16))
    assert not contract.has_semantic_label


def test_picture_contract_comes_back_from_metadata() -> None:
    contract = Contract("hdnet", (8, 16), "0" * 64, output="picture")
    assert Contract.from_metadata(contract.to_metadata(), name="again") == contract


def test_repainting_gives_what_the_graph_computes(tmp_path: Path) -> None:
    gain = np.linspace(0.2, 0.9, 6, dtype=np.float32).reshape(1, 1, 1, 6)
    network = load_network(write_picture_weights(tmp_path, size=(8, 6), gain=gain))
    seen = thumbnails()
    expected = np.where(seen.mask > 0.5, seen.composite * gain, seen.composite)
    np.testing.assert_allclose(network.run(seen), expected[0], atol=1e-6)


def test_unknown_output_is_refused(tmp_path: Path) -> None:
    path = write_picture_weights(tmp_path, size=(8, 6), output="video")
    message = r"output 'video', expected 'curves' or 'picture'$"
    with pytest.raises(WeightsError, match=rf"damaged weights metadata: {message}"):
        load_network(path)


def test_curves_in_a_contract_of_a_picture_are_refused(tmp_path: Path) -> None:
    fields = picture_contract((8, 6))
    path = write_weights(tmp_path)
    path.write_bytes(small_network() + metadata(fields))
    message = r"semantic_label has shape \[5\], the metadata say there is none$"
    with pytest.raises(WeightsError, match=message):
        load_network(path)


def test_picture_of_another_size_than_the_contract_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(picture_network((8, 6)) + metadata(picture_contract((6, 8))))
    message = r"composite has shape \[3, 8, 6\], the metadata say \[3, 6, 8\]$"
    with pytest.raises(WeightsError, match=message):
        load_network(path)


def test_several_views_for_a_picture_are_refused(tmp_path: Path) -> None:
    path = write_picture_weights(tmp_path, size=(8, 6), contexts=[0.0, 0.5])
    message = r"see the whole photo, the metadata say contexts \(0\.0, 0\.5\)$"
    with pytest.raises(WeightsError, match=message):
        load_network(path)
