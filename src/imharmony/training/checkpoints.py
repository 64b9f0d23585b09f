"""Checkpoints: our safetensors, the authors' released format, torchvision trunks.

Nothing here executes pickled code.
"""

import hashlib
import io
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from imharmony.errors import UsageError, WeightsError
from imharmony.training.architectures import (
    AnyNetwork,
    find_architecture,
    restore_network,
)
from imharmony.training.networks.hdnet import HDNet, HDNetDimensions
from imharmony.training.networks.s2crnet import Dimensions, S2CRNet
from imharmony.training.networks.seam import SeamNet
from imharmony.writing import write_whole

__all__ = [
    "load_base",
    "load_checkpoint",
    "load_released",
    "load_trunk",
    "map_released_keys",
    "save_checkpoint",
    "sha256",
]

FORMAT = "imharmony-checkpoint-1"


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_checkpoint(
    path: Path, network: AnyNetwork, *, variant: str, thumbnail_size: tuple[int, int]
) -> None:
    """Write a network as safetensors, its dimensions in the metadata.

    A killed process leaves the old file.
    """
    record = {
        "network": find_architecture(variant),
        "variant": variant,
        "thumbnail_size": thumbnail_size,
        "dimensions": asdict(network.dimensions),
    }
    tensors = {
        k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()
    }
    # One key: several would come out in another order each time.
    metadata = {FORMAT: json.dumps(record)}
    write_whole(path, save(tensors, metadata), overwrite=True)


def load_checkpoint(path: Path) -> tuple[AnyNetwork, str, tuple[int, int]]:
    """Read what `save_checkpoint` wrote.

    Returns
    -------
    tuple
        The network in evaluation mode, its variant, its thumbnail size
        (height, width).

    Raises
    ------
    WeightsError
        If the file is absent, not safetensors, or not ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        msg = f"{path}: cannot read a safetensors checkpoint: {error}"
        raise WeightsError(msg) from error
    if FORMAT not in metadata:
        msg = f"{path}: expected a checkpoint of ours, with metadata {FORMAT!r}"
        raise WeightsError(msg)
    try:
        record = json.loads(metadata[FORMAT])
        # Old records do not name it: S²CRNet was the only one.
        architecture = record.get("network", "s2crnet")
        network = restore_network(architecture, record["dimensions"])
        height, width = record["thumbnail_size"]
        variant = record["variant"]
    except (KeyError, TypeError, ValueError, UsageError) as error:
        msg = f"{path}: damaged checkpoint metadata: {error}"
        raise WeightsError(msg) from error
    _load_strictly(network, tensors, name=str(path))
    return network.eval(), variant, (height, width)


def load_trunk(network: S2CRNet, path: Path) -> None:
    """Start the encoder from a torchvision SqueezeNet 1.1 state dict.

    Parameters
    ----------
    network : S2CRNet
        Its encoder is overwritten.
    path : Path
        A `.pth` or `.safetensors` file with keys `features.<i>.*`; those with i
        up to 11 are read, the classifier and the last Fire block are not.

    Raises
    ------
    WeightsError
        If the file cannot be read, or a key is missing or misshapen.
    """
    stored = _read_state_dict(path)
    trunk = {
        key.removeprefix("features."): value
        for key, value in stored.items()
        if key.startswith("features.")
    }
    _load_strictly(network.encoder, trunk, name=str(path), prefix="features.")


def load_base(network: SeamNet, path: Path) -> None:
    """Start what predicts without the seam from a checkpoint of ours.

    Parameters
    ----------
    network : SeamNet
        Of a checkpoint of s2crnet-cs its base is overwritten; of a network that looks
        at the seam all but the cascade that reads it.
    path : Path

    Raises
    ------
    WeightsError
        If the file cannot be read or holds another network.
    """
    stored = _read_state_dict(path)
    if not any(key.startswith("base.") for key in stored):
        base, _, _ = load_checkpoint(path)
        _load_strictly(network.base, base.state_dict(), name=str(path))
        return
    for name, part in network.named_children():
        if not name.startswith(("seam", "pairs", "wide")):
            start = f"{name}."
            of_part = {
                key.removeprefix(start): value
                for key, value in stored.items()
                if key.startswith(start)
            }
            _load_strictly(part, of_part, name=str(path), prefix=start)


def map_released_keys(dimensions: Dimensions | HDNetDimensions) -> dict[str, str]:
    """Map our parameter names to those of the authors' checkpoint.

    The released S²CRNet holds a plain and a label-aware head for each of its two
    stages; a variant reads the one it uses.
    """
    if isinstance(dimensions, HDNetDimensions):
        return {name: _name_hdnet_key(name) for name in HDNet(dimensions).state_dict()}
    keys = {}
    for name in S2CRNet(dimensions).state_dict():
        theirs = re.sub(r"^encoder\.", "squeezenet1_1.", name)
        if match := re.match(r"stages\.(\d+)\.(.*)", name):
            head = "fc_f_label" if dimensions.has_semantic_label else "fc_f_1.fc1"
            rest = match[2].replace("foreground", head, 1)
            rest = rest.replace("background", "fc_b_1.fc1", 1)
            rest = rest.replace("label_embedding.0", "fc_label_1")
            rest = rest.replace("label_embedding.2", "fc_label_2")
            theirs = f"fusion.cr{int(match[1]) + 1}.{rest}"
        keys[name] = theirs
    return keys


def _name_hdnet_key(name: str) -> str:
    """Name a parameter of HDNet as its authors do."""
    part, _, rest = name.partition(".")
    if part == "local_dynamics":
        return f"LD.{rest}"
    if part == "output":
        return f"model_out.1.{rest}"
    number, _, rest = rest.partition(".")
    if part == "encoder":
        layer = "71" if number == "7" else number
        return f"model_layer{layer}.{rest if number == '0' else f'1.{rest}'}"
    if part == "global_dynamics":
        for ours, theirs in (
            ("squeeze", "conv_kernel.1"),
            ("kernels", "conv_kernel.3"),
            ("guide", "conv_guide"),
        ):
            rest = rest.replace(ours, theirs)
        return f"model_layer{11 + int(number)}att.{rest}"
    layer = "72" if number == "0" else str(7 + int(number))
    module, _, tensor = rest.partition(".")
    return f"model_layer{layer}{'.1' if module == 'conv' else 'norm'}.{tensor}"


@overload
def load_released(path: Path, dimensions: Dimensions) -> S2CRNet: ...
@overload
def load_released(path: Path, dimensions: HDNetDimensions) -> HDNet: ...
def load_released(path: Path, dimensions: Dimensions | HDNetDimensions) -> AnyNetwork:
    """Read a checkpoint in the authors' format.

    Parameters
    ----------
    path : Path
        A `.pth` file: a dictionary with the weights under `state_dict`, other
        entries ignored; or the weights alone.
    dimensions : Dimensions or HDNetDimensions
        Of the variant to read: the file itself does not say. With a semantic
        label the label-aware heads are read, else the plain ones.

    Returns
    -------
    S2CRNet or HDNet
        In evaluation mode.

    Raises
    ------
    WeightsError
        If the file cannot be read without executing pickled code, or a key is
        missing or misshapen; the message names every one.
    """
    stored = _read_state_dict(path)
    network: AnyNetwork
    if isinstance(dimensions, HDNetDimensions):
        network = HDNet(dimensions)
    else:
        network = S2CRNet(dimensions)
    keys = map_released_keys(dimensions)
    ours = {name: stored[key] for name, key in keys.items() if key in stored}
    _load_strictly(network, ours, name=str(path), names=keys)
    return network.eval()


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict, unwrapped from `state_dict`, without executing code."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            msg = f"{path}: cannot read weights: {error}"
            raise WeightsError(msg) from error
    rebuild_scalar = np.float64().__reduce__()[0]
    type_codes = np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"
    scalars: list[Any] = [
        np.dtype,
        *{type(np.dtype(code)) for code in type_codes},
        (rebuild_scalar, "numpy.core.multiarray.scalar"),
        (rebuild_scalar, "numpy._core.multiarray.scalar"),
    ]
    try:
        data = io.BytesIO(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot read weights: {error.strerror or error}"
        raise WeightsError(msg) from error
    try:
        with torch.serialization.safe_globals(scalars):
            stored = torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises almost anything
        code = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        reason = (
            f"not loaded, its pickle would execute {code[1]}"
            if code
            else "expected a PyTorch file, got one of another kind or a damaged one"
        )
        raise WeightsError(f"{path}: {reason}") from error
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not stored:
        msg = f"{path}: expected a dictionary of weights, got {type(stored).__name__}"
        raise WeightsError(msg)
    return {k: v for k, v in stored.items() if isinstance(v, Tensor)}


def _load_strictly(
    module: torch.nn.Module,
    tensors: dict[str, Tensor],
    *,
    name: str,
    names: dict[str, str] | None = None,
    prefix: str = "",
) -> None:
    """Load all parameters, or say under the file's own names what is wrong."""
    problems = []
    expected = module.state_dict()
    for key, value in expected.items():
        file_key = names[key] if names else prefix + key
        if key not in tensors:
            problems.append(f"{file_key} is missing")
        elif tensors[key].shape != value.shape:
            got, want = list(tensors[key].shape), list(value.shape)
            problems.append(f"{file_key} has shape {got}, expected {want}")
    if problems:
        msg = f"{name}: weights for another network: {'; '.join(problems)}"
        raise WeightsError(msg)
    module.load_state_dict({key: tensors[key] for key in expected})
