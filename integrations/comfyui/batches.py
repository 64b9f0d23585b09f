"""Batches: tensors to arrays and back, masks of the pictures' size, progress, Cancel.

ComfyUI holds pictures as float32 tensors (B, H, W, 3), sRGB-encoded, in [0, 1], and
masks as (B, H, W). All work is done by the CPU; results lie where the pictures lay.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import comfy.model_management
import comfy.utils
import numpy as np
import numpy.typing as npt
import torch

__all__ = ["FloatArray", "arrays", "fit_masks", "log_warnings", "repeat", "steps"]

FloatArray = npt.NDArray[np.float32]
T = TypeVar("T")

log = logging.getLogger("imharmony")


def arrays(pictures: torch.Tensor) -> FloatArray:
    """Turn pictures or masks into float32 in the CPU's memory.

    Parameters
    ----------
    pictures : tensor (B, H, W, 3 or 4) or (B, H, W)
        Any float dtype, on any device. A single picture (H, W, 3) is a batch of one.

    Returns
    -------
    ndarray of float32
        Shares memory with a tensor that is float32 on the CPU already.
    """
    return np.ascontiguousarray(pictures.detach().to("cpu", torch.float32).numpy())


def fit_masks(mask: torch.Tensor, pictures: torch.Tensor) -> FloatArray:
    """Give each picture a mask of its size, as ComfyUI's own compositing nodes do.

    Parameters
    ----------
    mask : tensor (H, W), (N, H, W) or (N, 1, H, W)
        Of any size: stretched bilinearly. Fewer masks than pictures are repeated from
        the first on; masks beyond the last picture are left out.
    pictures : tensor (B, H, W, C)

    Returns
    -------
    ndarray of float32, shape (B, H, W)
        In [0, 1].
    """
    count, height, width = pictures.shape[:3]
    masks = mask.detach().to("cpu", torch.float32)
    masks = masks.reshape((-1, 1, masks.shape[-2], masks.shape[-1]))  # (N, 1, h, w)
    if masks.shape[-2:] != (height, width):
        masks = torch.nn.functional.interpolate(
            masks, size=(height, width), mode="bilinear"
        )
    masks = masks[torch.arange(count) % len(masks), 0]  # (B, H, W)
    return arrays(masks.clamp(0, 1))


def repeat(items: Sequence[T], count: int) -> list[T]:
    """Repeat from the first on until there are `count`, or leave out the rest."""
    return [items[i % len(items)] for i in range(count)]


def steps(count: int) -> Iterator[int]:
    """Count pictures; between two, move the bar, and stop if Cancel was pressed."""
    bar = comfy.utils.ProgressBar(count)
    for index in range(count):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield index
        bar.update(1)


@contextmanager
def log_warnings() -> Iterator[None]:
    """Put what may surprise about a result into ComfyUI's log, each sentence once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning(text)
