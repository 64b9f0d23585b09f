"""Peak memory of fresh processes, from Linux's /proc."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.benchmark.cases import Case, make_inputs, write_inputs
from imharmony.errors import ImageError

__all__ = ["peak_mb"]

STATUS = Path("/proc/self/status")


def peak_mb(
    case: Case,
    work: str,
    *,
    weights: Path,
    num_threads: int,
    folder: Path | None = None,
) -> float | None:
    """Measure the peak resident memory of a fresh process.

    Parameters
    ----------
    case : Case
    work : str
        "idle" only loads the network and uses it on a small picture; "arrays" then
        harmonizes, photo, mask and result included; "files" reads and writes files;
        "whole" runs the network on the photo at its full resolution, in torch.
    weights : Path
        Of the network.
    num_threads : int
        Of the network.
    folder : Path, optional
        Where the files are written, for "files".

    Returns
    -------
    float or None
        In MB of 2**20 bytes; None where there is no /proc.

    Raises
    ------
    ImageError
        If the process fails.

    Notes
    -----
    Not from getrusage, which counts the parent's memory before the exec.
    """
    if not STATUS.exists():
        return None
    job: dict[str, Any] = {"case": asdict(case), "work": work, "threads": num_threads}
    job["weights"] = str(weights)
    if folder is not None:
        job["paths"] = [str(path) for path in write_inputs(case, folder)]
    process = subprocess.run(
        [sys.executable, "-m", "imharmony.benchmark.memory", json.dumps(job)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        msg = f"a process for {case} failed: {process.stderr.strip()[-500:]}"
        raise ImageError(msg)
    return float(process.stdout) / 1024


def _main(job: dict[str, Any]) -> None:
    """Do the work of a fresh process, and say its peak in KiB."""
    case = Case(**job["case"])
    if job["work"] == "whole":
        from imharmony.benchmark import torch_cost

        torch_cost.whole_photo(case.size, threads=job["threads"])()
    else:
        _harmonize(case, job)
    peak = STATUS.read_text().split("VmHWM:")[1].split()[0]
    sys.stdout.write(peak)


def _harmonize(case: Case, job: dict[str, Any]) -> None:
    from imharmony.harmonizer import Harmonizer
    from imharmony.images import files, mask_files
    from imharmony.rendering.render import render

    harmonizer = Harmonizer(weights=job["weights"], num_threads=job["threads"])
    if job["work"] == "files":
        composite, mask, target = map(Path, job["paths"])
        image, mask_image = mask_files.read_pair(composite, mask)
        predicted = harmonizer.predict(image, mask_image)
        rendered = render(image, mask_image, predicted.curves, box=predicted.box)
        files.write_photo(rendered, target, overwrite=True)
        return
    harmonizer(*make_inputs(Case(64, case.depth, 25, "soft")))
    if job["work"] == "arrays":
        harmonizer(*_make_plain_inputs(case))


def _make_plain_inputs(case: Case) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Make inputs like `make_inputs` without floats, which would be the peak."""
    gray = 160 * (np.iinfo(case.dtype).max // 255)
    composite = np.full((case.size, case.size, 3), gray, case.dtype)
    mask = np.zeros((case.size, case.size), np.uint8)
    side = max(2, round(case.size * (case.box_percent / 100) ** 0.5))
    first = (case.size - side) // 2
    box = slice(first, first + side), slice(first, first + side)
    composite[box] //= np.array([4, 3, 2], case.dtype)
    mask[box] = 255
    mask[first] //= 2  # so that it does not cover everything
    return composite, mask


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
