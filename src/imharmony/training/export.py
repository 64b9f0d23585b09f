"""Export a checkpoint as a weights file, compared with the network before written."""

import io
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor

from imharmony.errors import Hint, UsageError, WeightsError
from imharmony.images import files, mask_files, photo
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.inference import runtime
from imharmony.inference.choices import AUTO
from imharmony.inference.contract import Contract
from imharmony.inference.seam import sample_seam
from imharmony.inference.thumbnails import make_thumbnails
from imharmony.labels import LABELS
from imharmony.training.architectures import ALL_VARIANTS, AnyNetwork, find_architecture
from imharmony.training.checkpoints import load_checkpoint, load_released, sha256
from imharmony.training.data.seam import SeamSettings
from imharmony.training.networks.hdnet import HDNET_VARIANTS, STRIDE
from imharmony.training.networks.s2crnet import VARIANTS
from imharmony.training.recipes import recipe_for
from imharmony.training.settings import TrainSettings
from imharmony.writing import write_whole

__all__ = ["INPUTS", "TOLERANCE", "export", "export_network"]

INPUTS = (
    "composite",
    "mask",
    "foreground",
    "foreground_mask",
    "semantic_label",
    "seam",
    "seam_weight",
    "seam_place",
    "same_scene",
)
SCENES = (AUTO, 1.0, 0.0)
"""Same-scene probabilities that are asked for in comparisons."""

RELEASED_THUMBNAIL_SIZE = (256, 256)
COMPARISON = Path(__file__).parent / "comparison"
"""A small photograph and mask, of the examples."""

_FEW = 64
"""Numbers of an array from which on halves are worth a step of widening."""

TOLERANCE = 1e-4
"""Largest difference between ONNX and torch that is accepted."""


def export(
    checkpoint: Path,
    target: Path,
    *,
    variant: str | None = None,
    side: int | None = None,
    half: bool = False,
) -> float:
    """Write a checkpoint as an ONNX weights file with its contract.

    Parameters
    ----------
    checkpoint : Path
        A safetensors checkpoint of ours, or a `.pth` file in the format of the
        S²CRNet or HDNet authors.
    target : Path
        File to write; replaced if it exists.
    variant : str or None
        One of `ALL_VARIANTS`: needed for the authors' format, whose keys do not tell
        it; not for ours, which says it.
    side : int or None
        Height and width in pixels of the thumbnails the file will want, a multiple of
        8 from 24 on; None takes those of the training. HDNet gains by larger ones.
    half : bool
        Round the weights to 16-bit floats and store those: half the size. What is
        computed with them has 32 bits.

    Returns
    -------
    float
        Largest difference between ONNX Runtime and torch that was seen.

    Raises
    ------
    UsageError
        If the variant is missing, unknown or not wanted, or the side is not one.
    WeightsError
        If the checkpoint cannot be read, or the two differ by more than
        `TOLERANCE`; then nothing is written.
    """
    if side is not None and (side % STRIDE or side < 3 * STRIDE):
        msg = f"side is a multiple of {STRIDE} from {3 * STRIDE} on, got {side}"
        raise UsageError(msg)
    if checkpoint.suffix == ".safetensors":
        if variant is not None:
            msg = f"{checkpoint}: says its variant itself, expected none, got {variant}"
            raise UsageError(msg, hint=Hint.VARIANT)
        network, variant, thumbnail_size = load_checkpoint(checkpoint)
    else:
        if variant not in ALL_VARIANTS:
            msg = (
                f"{checkpoint}: a checkpoint in the authors' format does not say its "
                f"variant; expected one of {', '.join(ALL_VARIANTS)}, got {variant}"
            )
            raise UsageError(msg, hint=Hint.VARIANT)
        if variant in HDNET_VARIANTS:
            network = load_released(checkpoint, HDNET_VARIANTS[variant])
        else:
            network = load_released(checkpoint, VARIANTS[variant])
        thumbnail_size = RELEASED_THUMBNAIL_SIZE
    if side is not None and find_architecture(variant) == "refiner":
        check_side(variant, side)
    contract = recipe_for(variant).contract(
        network,
        variant=variant,
        thumbnail_size=thumbnail_size if side is None else (side, side),
        checkpoint_sha256=sha256(checkpoint),
    )
    if half:
        round_to_half(network)
    return export_network(network, contract, target, half=half)


def round_to_half(network: AnyNetwork) -> None:
    """Round all weights to what a 16-bit float can hold."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())


def check_side(variant: str, side: int) -> None:
    """Refuse a side that a network's training would refuse, too.

    Raises
    ------
    UsageError
    """
    TrainSettings(
        variant=variant,
        thumbnail_size=(side, side),
        loss_region="thumbnail",
        seam=SeamSettings(num_pairs=1),
    )


def export_network(
    network: AnyNetwork, contract: Contract, target: Path, *, half: bool = False
) -> float:
    """Write a network that is in memory; see `export`.

    With `half`, its weights are such that 16-bit floats hold them.
    """
    graph = recipe_for(contract.variant).graph(network)
    graph.module.eval()  # all of it: the exporter puts it back into the mode it was in
    data = io.BytesIO()
    example = example_inputs(contract, seed=0)
    with warnings.catch_warnings():  # the exporter warns of its own successor
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            tuple(example[name] for name in graph.inputs),
            data,  # type: ignore[arg-type]  # a file works too
            dynamo=False,
            opset_version=17,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: {0: "views"} for name in graph.views},
        )
    model = onnx.load_from_string(data.getvalue())
    _shorten_names(model.graph)
    onnx.helper.set_model_props(model, contract.to_metadata())
    onnx.checker.check_model(model)
    written = _fold_constants(model.SerializeToString())
    if half:
        written = _store_halves(written)
    difference = largest_difference(network, written, contract)
    if difference > TOLERANCE:
        msg = (
            f"{target}: not written: ONNX and torch differ by {difference:.2g}, "
            f"more than {TOLERANCE:g}"
        )
        raise WeightsError(msg)
    write_whole(target, written, overwrite=True)
    return difference


def _fold_constants(model: bytes) -> bytes:
    """Work out what is the same for every picture, once instead of at each start.

    ONNX Runtime's basic rewrites; they keep to the standard's operators. Loading takes
    two thirds of the time.
    """
    with TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        runtime.fold_constants(model, str(target))
        return target.read_bytes()


def _store_halves(model: bytes) -> bytes:
    """Store large arrays of 32-bit floats as 16-bit ones, widened when loaded.

    Arrays that this would change are left as they are.
    """
    loaded = onnx.load_from_string(model)
    graph = loaded.graph
    widened = []
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _FEW:
            continue
        narrow = array.astype(np.float16)
        if not np.array_equal(narrow.astype(np.float32), array):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(narrow, f"{name}_half"))
        widened.append(
            onnx.helper.make_node(
                "Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    stored: bytes = loaded.SerializeToString()
    return stored


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Give nodes no names and what flows between them short ones: 60 KB less."""
    kept_names = {node.name for node in graph.output}
    short: dict[str, str] = {}
    for node in graph.node:
        node.ClearField("name")
        for k, name in enumerate(node.input):
            node.input[k] = short.get(name, name)
        for k, name in enumerate(node.output):
            if name and name not in kept_names:
                node.output[k] = short.setdefault(name, f"t{len(short)}")


def example_inputs(contract: Contract, *, seed: int) -> dict[str, Tensor]:
    """Thumbnails of a photograph in another exposure and orientation for each seed.

    Returns
    -------
    dict of Tensor
        By the names of all inputs there are, of one composite. Odd seeds name a
        label, even ones leave it unknown.
    """
    image = photo.to_array(files.read_photo(COMPARISON / "composite.png"))
    height, width = image.shape[:2]
    stored = mask_files.read_mask(COMPARISON / "mask.png", size=(height, width))
    mask = photo.to_array(stored)
    rng = np.random.default_rng(seed)
    if seed & 2:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if seed & 4:
        image, mask = image.swapaxes(0, 1), mask.swapaxes(0, 1)
    exposed = (image * rng.uniform(0.3, 1.7, 3)).clip(0, 255).astype(np.uint8)
    shape = mask.shape[:2]
    picture = photo.from_array(exposed)
    mask_picture = mask_from_array(mask, size=shape)
    box = mask_box(mask_picture)
    assert box is not None  # noqa: S101  # our own mask
    small = make_thumbnails(
        picture,
        mask_picture,
        size=contract.thumbnail_size,
        contexts=contract.contexts,
        box=box,
    )
    label = np.zeros(len(LABELS), np.float32)
    if seed % 2:
        label[seed // 2 % len(LABELS)] = 1
    seam = sample_seam(picture, mask_picture, box)
    fronts = (
        small.foreground,
        small.foreground_mask,
        label,
        seam.colors,
        seam.weight,
        seam.place,
    )
    views = (torch.tensor(array) for array in (small.composite, small.mask))
    tensors = (*views, *(torch.tensor(array)[None] for array in fronts))
    scene = torch.tensor([SCENES[seed % len(SCENES)]])
    return dict(zip(INPUTS, (*tensors, scene), strict=True))


def largest_difference(network: AnyNetwork, data: bytes, contract: Contract) -> float:
    """Compare ONNX Runtime with torch on ten photographs, with and without label."""
    session = runtime.start_session(data)
    graph = recipe_for(contract.variant).graph(network)
    names = [node.name for node in session.get_inputs()]
    largest = 0.0
    for seed in range(10):
        tensors = example_inputs(contract, seed=seed)
        with torch.inference_mode():
            expected = graph.module(*(tensors[name] for name in graph.inputs))
        if isinstance(expected, Tensor):
            expected = (expected,)
        feeds = {name: tensors[name].numpy() for name in names}
        results = session.run(graph.outputs, feeds)
        for ours, theirs in zip(results, expected, strict=True):
            largest = max(largest, float(np.abs(ours - theirs.numpy()).max()))
    return largest
