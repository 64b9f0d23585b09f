"""Harmonize as S²CRNet's released demos do: only the masked points, in torch."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.benchmark.cases import Case, make_inputs
from imharmony.benchmark.measure import Times, repeat
from imharmony.errors import ImageError
from imharmony.images.masks import mask_box
from imharmony.images.photo import from_array
from imharmony.training.networks.s2crnet import build_s2crnet

__all__ = ["recolor_points", "time_masked_points"]

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}
"""Lets glibc keep large blocks. Otherwise page faults are most of what torch does."""


def time_masked_points(case: Case, *, num_threads: int, runs: int) -> Times:
    """Measure array to array in a fresh process, its allocator tuned.

    Raises
    ------
    ImageError
        If the process fails.

    Notes
    -----
    S²CRNet-CS with 256x256 thumbnails, and two stages of 64 clamped steps over the
    pixels within the mask, as the video demo of J. Liang et al., "Spatial-Separated
    Curve Rendering Network for Efficient and High-Resolution Image Harmonization",
    ECCV 2022, arXiv:2109.05750. Differs from the released code: torch shrinks, not
    Pillow, and soft masks blend.
    """
    job = {"case": asdict(case), "threads": num_threads, "runs": runs}
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "imharmony.benchmark.torch_masked_points",
            json.dumps(job),
        ],
        env=os.environ
        | ALLOCATOR
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        msg = f"a process for {case} failed: {process.stderr.strip()[-500:]}"
        raise ImageError(msg)
    times: Times = json.loads(process.stdout)
    return times


def recolor_points(
    composite: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    curve_params: Tensor,
) -> npt.NDArray[np.uint8]:
    """Gather the pixels within a mask, apply stages (N, 3, K), put them back.

    Examples
    --------
    >>> composite = np.array([[[10, 20, 30], [40, 50, 60]]], dtype=np.uint8)
    >>> mask = np.array([[255, 0]], dtype=np.uint8)
    >>> recolor_points(composite, mask, torch.ones(2, 3, 64)).tolist()
    [[[10, 20, 30], [40, 50, 60]]]
    """
    is_inside = mask > 0
    x = points = torch.from_numpy(composite[is_inside]) / 255  # (N, 3)
    K = curve_params.shape[2]
    for stage in curve_params:
        y = torch.zeros_like(x)
        for k in range(K):
            y = y + torch.clamp(x - k / K, 0, 1 / K) * stage[:, k]
        x = y * (K / stage.sum(dim=1))
    M = torch.from_numpy(mask[is_inside])[:, None] / 255
    blended = (M * x + (1 - M) * points) * 255
    harmonized = composite.copy()
    harmonized[is_inside] = blended.round().clamp(0, 255).to(torch.uint8).numpy()
    return harmonized


def _main(job: dict[str, Any]) -> None:
    """Measure, and say the times."""
    torch.set_num_threads(job["threads"])
    network = build_s2crnet("s2crnet-cs").eval()
    composite, mask = make_inputs(Case(**job["case"]))
    label = torch.eye(5)[4:]

    def shrink(pixels: Tensor) -> Tensor:
        return F.interpolate(pixels, (256, 256), mode="bilinear", antialias=True) / 255

    def harmonize() -> npt.NDArray[np.uint8]:
        box = mask_box(from_array(mask))
        image = torch.from_numpy(composite).permute(2, 0, 1)[None]
        alpha = torch.from_numpy(mask)[None, None]
        inner = image, alpha
        if box is not None:
            rows = slice(box.top, box.top + box.height)
            columns = slice(box.left, box.left + box.width)
            inner = image[..., rows, columns], alpha[..., rows, columns]
        thumbnails = [shrink(pixels) for pixels in (image, alpha, *inner)]
        params = network(*thumbnails, label).curve_params[0]
        return recolor_points(composite, mask, params)

    with torch.inference_mode():
        times = repeat(harmonize, runs=job["runs"])
    sys.stdout.write(json.dumps(times))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
