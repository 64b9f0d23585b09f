"""What networks and the paper's rendering cost in torch; for `imharmony benchmark`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from imharmony.inference.crossings import GAPS, NUM_PAIRS
from imharmony.training.architectures import (
    ALL_VARIANTS,
    AnyNetwork,
    build_network,
    find_architecture,
)
from imharmony.training.networks.hdnet import HDNet
from imharmony.training.networks.refiner import Refiner
from imharmony.training.networks.s2crnet import build_s2crnet
from imharmony.training.networks.seam import SeamNet
from imharmony.training.threads import num_threads

__all__ = ["count_macs", "count_params", "reference_loop", "variants", "whole_photo"]

PAPER_PARAMS = {
    "s2crnet": 0.72e6,
    "s2crnet-c": 0.92e6,
    "s2crnet-cs": 0.95e6,
    "hdnet-lite": 0.65e6,
    "hdnet": 10.41e6,
}
"""As the S²CRNet paper's table 2 and text, and the HDNet authors' table, give them."""


def variants() -> dict[str, dict[str, float | None]]:
    """Count every variant's parameters and multiplications at 256x256 thumbnails.

    HDNet computes similarities of all positions, as the foreground may be everywhere.

    Returns
    -------
    dict
        By name: "params", "macs", "paper_params" (None where it gives none).

    Examples
    --------
    >>> variants()["s2crnet-cs"]["params"]
    948480
    """
    return {
        name: {
            "params": count_params(build_network(name)),
            "macs": count_macs(name, 256),
            "paper_params": PAPER_PARAMS.get(name),
        }
        for name in ALL_VARIANTS
    }


def count_params(network: torch.nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(variant: str, size: int) -> int:
    """Count the multiply-accumulates of one prediction, by torch's own counter.

    Of S²CRNet nothing is computed: it lies on torch's "meta" device, which HDNet's
    single precision within mixed precision does not know.

    Examples
    --------
    >>> round(count_macs("s2crnet-cs", 256) / 1e9, 2)
    0.61
    """
    has_hdnet = find_architecture(variant) in ("hdnet", "refiner")
    with torch.device("cpu" if has_hdnet else "meta"):
        network = build_network(variant).eval()
        inputs = _make_inputs(network, size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(*inputs)
    return int(counter.get_total_flops()) // 2  # it counts two for each


def whole_photo(size: int, *, threads: int) -> Callable[[], Tensor]:
    """Make a call of S²CRNet-CS on a photo at full resolution, without thumbnails.

    The paper's "Ours+". Rendering is not in it.
    """
    network = build_s2crnet("s2crnet-cs").eval()
    inputs = _make_inputs(network, size)

    def run() -> Tensor:
        with torch.inference_mode(), num_threads(threads):
            curve_params: Tensor = network(*inputs).curve_params
            return curve_params

    return run


def reference_loop(
    composite: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    curve_params: npt.NDArray[np.float32],
    *,
    threads: int,
) -> npt.NDArray[Any]:
    """Do what `benchmark.baselines.reference_loop` does, in torch."""
    with num_threads(threads):
        return _run_loop(composite, mask, curve_params)


def _run_loop(
    composite: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    curve_params: npt.NDArray[np.float32],
) -> npt.NDArray[Any]:
    full = float(np.iinfo(composite.dtype).max)
    pixels = torch.from_numpy(composite.astype(np.float32)).permute(2, 0, 1)
    x = original = (pixels / full)[None]  # (1, 3, H, W)
    K = curve_params.shape[2]
    for stage in torch.from_numpy(curve_params):
        y = torch.zeros_like(x)
        for k in range(K):
            y = y + torch.clamp(x - k / K, 0, 1 / K) * stage[None, :, k, None, None]
        x = y * (K / stage.sum(dim=1))[None, :, None, None]
    M = torch.from_numpy(mask)[None, None] / 255
    blended = (M * x + (1 - M) * original)[0].permute(1, 2, 0) * full
    return np.asarray(blended.round().numpy().astype(composite.dtype))


def _make_inputs(network: AnyNetwork, size: int) -> tuple[Tensor, ...]:
    image, mask = torch.ones(1, 3, size, size), torch.ones(1, 1, size, size)
    if isinstance(network, HDNet):
        return image, mask
    seam = torch.zeros(1, GAPS, NUM_PAIRS, 6), torch.zeros(1, GAPS, NUM_PAIRS)
    if isinstance(network, Refiner):
        return image, mask, *seam, torch.zeros(1, NUM_PAIRS, 2), torch.ones(1)
    label = torch.zeros(1, network.dimensions.num_labels)
    thumbnails = image, mask, image, mask, label
    if isinstance(network, SeamNet):
        return *thumbnails, *seam
    return thumbnails
