"""Export of a checkpoint to the weights file that is used, compared before written."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from imharmony import files, photo
from imharmony.errors import UsageError, WeightsError
from imharmony.networks import LABELS, Contract
from imharmony.thumbnails import make_thumbnails
from imharmony.training.checkpoints import load_checkpoint, load_released, sha256
from imharmony.training.networks.s2crnet import VARIANTS, Prediction, S2CRNet

__all__ = ["INPUTS", "TOLERANCE", "export", "export_network"]

INPUTS = ("composite", "mask", "foreground", "foreground_mask", "semantic_label")
OUTPUTS = ("curve_params", "label_logits")

RELEASED_THUMBNAIL_SIZE = (256, 256)
COMPARISON = Path(__file__).parent / "comparison"
"""A small photograph and mask, of the examples."""

TOLERANCE = 1e-4
"""Largest difference between ONNX and torch that is accepted."""


def export(checkpoint: Path, target: Path, *, variant: str | None = None) -> float:
    """Write a checkpoint as an ONNX weights file with its contract.

    Parameters
    ----------
    checkpoint : Path
        A safetensors checkpoint of ours, or a `.pth` file in the format of the
        S²CRNet authors.
    target : Path
        File to write; replaced if it exists.
    variant : str or None
        A key of `VARIANTS`: needed for the authors' format, whose keys do not tell
        it; not for ours, which says it.

    Returns
    -------
    float
        Largest difference between ONNX Runtime and torch that was seen.

    Raises
    ------
    UsageError
        If the variant is missing, unknown or not wanted.
    WeightsError
        If the checkpoint cannot be read, or the two differ by more than
        `TOLERANCE`; then nothing is written.
    """
    if checkpoint.suffix == ".safetensors":
        if variant is not None:
            msg = f"{checkpoint}: says its variant itself; leave --variant out"
            raise UsageError(msg)
        network, variant, thumbnail_size = load_checkpoint(checkpoint)
    else:
        if variant not in VARIANTS:
            msg = (
                f"{checkpoint}: a checkpoint in the authors' format does not say its "
                f"variant; --variant is one of {', '.join(VARIANTS)}, got {variant}"
            )
            raise UsageError(msg)
        network = load_released(checkpoint, VARIANTS[variant])
        thumbnail_size = RELEASED_THUMBNAIL_SIZE
    contract = Contract(
        variant=variant,
        thumbnail_size=thumbnail_size,
        num_stages=network.dimensions.num_stages,
        num_pieces=network.dimensions.num_pieces,
        has_semantic_label=network.dimensions.has_semantic_label,
        guesses_label=network.dimensions.guesses_label,
        foreground_input=network.dimensions.foreground_input,
        slopes=network.dimensions.slopes,
        labels=LABELS,
        contexts=network.dimensions.contexts,
        checkpoint_sha256=sha256(checkpoint),
    )
    return export_network(network, contract, target)


def export_network(network: S2CRNet, contract: Contract, target: Path) -> float:
    """Write a network that is in memory; see `export`."""
    network.eval()
    graph = io.BytesIO()
    example = example_inputs(contract, seed=0)
    with warnings.catch_warnings():  # the exporter warns of its own successor
        warnings.simplefilter("ignore")
        torch.onnx.export(
            InUse(network), example, graph,  # type: ignore[arg-type]  # a file works too
            dynamo=False, opset_version=17,
            input_names=list(INPUTS), output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "views"} for name in INPUTS[:2]},
        )  # fmt: skip
    model = onnx.load_from_string(graph.getvalue())
    _shorten_names(model.graph)
    onnx.helper.set_model_props(model, contract.to_metadata())
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    difference = largest_difference(network, data, contract)
    if difference > TOLERANCE:
        msg = (
            f"{target}: not written: ONNX and torch differ by {difference:.2g}, "
            f"more than {TOLERANCE:g}"
        )
        raise WeightsError(msg)
    partial = target.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(target)
    return difference


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Give nodes no names and what flows between them short ones: 60 KB less."""
    kept = {node.name for node in graph.output}
    short: dict[str, str] = {}
    for node in graph.node:
        node.ClearField("name")
        for k, name in enumerate(node.input):
            node.input[k] = short.get(name, name)
        for k, name in enumerate(node.output):
            if name and name not in kept:
                node.output[k] = short.setdefault(name, f"t{len(short)}")


class InUse(nn.Module):
    """A network whose call is `S2CRNet.in_use`."""

    def __init__(self, network: S2CRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Prediction:
        """Predict for one composite."""
        return self.network.in_use(*inputs)


def example_inputs(contract: Contract, *, seed: int) -> tuple[Tensor, ...]:
    """Thumbnails of a photograph in another exposure and orientation for each seed.

    Returns
    -------
    tuple of Tensor
        In the order of `INPUTS`, of one composite. Odd seeds name a label, even ones
        leave it unknown.
    """
    image = photo.to_array(files.read_photo(COMPARISON / "composite.png"))
    height, width = image.shape[:2]
    stored = files.read_mask(COMPARISON / "mask.png", size=(height, width))
    mask = photo.to_array(stored)
    rng = np.random.default_rng(seed)
    if seed & 2:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if seed & 4:
        image, mask = image.swapaxes(0, 1), mask.swapaxes(0, 1)
    exposed = (image * rng.uniform(0.3, 1.7, 3)).clip(0, 255).astype(np.uint8)
    shape = mask.shape[:2]
    small = make_thumbnails(
        photo.from_array(exposed),
        photo.mask_from_array(mask, size=shape),
        size=contract.thumbnail_size,
        contexts=contract.contexts,
    )
    label = np.zeros(len(LABELS), np.float32)
    if seed % 2:
        label[seed // 2 % len(LABELS)] = 1
    fronts = (small.foreground, small.foreground_mask, label)
    views = (torch.tensor(array) for array in (small.composite, small.mask))
    return (*views, *(torch.tensor(array)[None] for array in fronts))


def largest_difference(network: S2CRNet, data: bytes, contract: Contract) -> float:
    """Compare ONNX Runtime with torch on ten photographs, with and without label."""
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    largest = 0.0
    for seed in range(10):
        tensors = dict(zip(INPUTS, example_inputs(contract, seed=seed), strict=True))
        with torch.inference_mode():
            expected = network.in_use(**tensors)
        feeds = {name: tensors[name].numpy() for name in names}
        for ours, theirs in zip(session.run(OUTPUTS, feeds), expected, strict=True):
            largest = max(largest, float(np.abs(ours - theirs.numpy()).max()))
    return largest
