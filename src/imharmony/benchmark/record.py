"""All measurements as one record."""

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from imharmony.benchmark.baselines import reference_loop
from imharmony.benchmark.cases import Case, make_inputs
from imharmony.benchmark.measure import repeat, throughput, time_arrays, time_files
from imharmony.benchmark.memory import peak_mb
from imharmony.harmonizer import Harmonizer
from imharmony.inference.models import find_weights

__all__ = ["Plan", "measure"]


@dataclass(frozen=True)
class Plan:
    """What to measure, and how long."""

    cases: Sequence[Case]
    model: str
    weights: Path | None = None
    num_threads: int = 2
    runs: int = 15
    seconds: float | None = 3.0
    """Per figure, after which no further run is started; None for all runs."""
    baseline_size: int = 4096
    """Largest size for which the slow baselines are measured; the released code's
    masked points always are, with torch, where `has_memory`."""
    has_files: bool = True
    has_memory: bool = True

    @property
    def sizes(self) -> list[int]:
        """Sizes of the cases, for baselines."""
        return sorted({case.size for case in self.cases})

    def __len__(self) -> int:
        return len(self.cases) + len(self.sizes) + 1


def measure(
    plan: Plan, *, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Measure everything in a plan.

    Parameters
    ----------
    plan : Plan
    progress : callable
        Told how many of `len(plan)` steps are done.

    Returns
    -------
    dict
        Ready for JSON: where and with what it ran; "cases", each with "arrays" and
        "files" (name to quartiles in milliseconds) and "peak_mb"; "idle_mb", the peak
        with the network loaded and nothing large done; "baselines" by size;
        "pictures_per_second" by threads; "variants" of the network.
    """
    weights = plan.weights or find_weights(plan.model)
    harmonizer = Harmonizer(weights=weights, num_threads=plan.num_threads)
    record = _describe_surroundings(plan, harmonizer)
    if plan.has_memory:
        record["idle_mb"] = peak_mb(
            plan.cases[0], "idle", weights=weights, num_threads=plan.num_threads
        )
    for case in plan.cases:
        record["cases"].append(_measure_case(plan, case, harmonizer, weights))
        progress(len(record["cases"]))
    for size in plan.sizes:
        record["baselines"][str(size)] = _measure_baselines(plan, size, weights)
        progress(len(record["cases"]) + len(record["baselines"]))
    case = plan.cases[len(plan.cases) // 2]
    record["throughput_of"] = asdict(case)
    for threads in (1, 2):
        # The network's threads would compete with the callers'.
        shared = Harmonizer(weights=weights, num_threads=1)
        seconds = min(plan.seconds or 3.0, 3.0)
        rate = throughput(shared, case, threads=threads, seconds=seconds)
        record["pictures_per_second"][str(threads)] = rate
    if _has_torch():
        from imharmony.benchmark import torch_cost

        record["variants"] = torch_cost.variants()
    progress(len(plan))
    return record


def _describe_surroundings(plan: Plan, harmonizer: Harmonizer) -> dict[str, Any]:
    """Say where, when and with what this runs."""
    versions = {"python": platform.python_version()}
    versions["libvips"] = ".".join(str(pyvips.version(i)) for i in range(3))
    for package in ("imharmony", "numpy", "onnxruntime", "pyvips", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _name_cpu(),
        "cores": os.cpu_count(),
        "threads": plan.num_threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": versions,
        "model": asdict(harmonizer.contract),
        "idle_mb": None,
        "cases": [],
        "baselines": {},
        "pictures_per_second": {},
        "variants": {},
    }


def _measure_case(
    plan: Plan, case: Case, harmonizer: Harmonizer, weights: Path
) -> dict[str, Any]:
    """Take times and peaks of one case."""
    row: dict[str, Any] = {**asdict(case), "files": {}, "peak_mb": {}}
    row["arrays"] = time_arrays(harmonizer, case, runs=plan.runs, seconds=plan.seconds)
    if plan.has_files:
        row["files"] = time_files(
            harmonizer, case, runs=plan.runs, seconds=plan.seconds
        )
    if plan.has_memory:
        works = ["arrays", *(["files"] if plan.has_files else [])]
        with tempfile.TemporaryDirectory() as folder:
            row["peak_mb"] = {
                work: peak_mb(
                    case,
                    work,
                    weights=weights,
                    num_threads=plan.num_threads,
                    folder=Path(folder) if work == "files" else None,
                )
                for work in works
            }
    return row


def _measure_baselines(plan: Plan, size: int, weights: Path) -> dict[str, Any]:
    """Time other ways: the released one and, up to a size, the paper's slow ones."""
    case = Case(size, 8, 25, "soft")
    limits: dict[str, Any] = {"runs": plan.runs, "seconds": plan.seconds}
    row: dict[str, Any] = {}
    if plan.has_memory and _has_torch():  # fresh processes
        from imharmony.benchmark.torch_masked_points import time_masked_points

        row["masked points, torch"] = time_masked_points(
            case, num_threads=plan.num_threads, runs=min(plan.runs, 5)
        )
    if size > plan.baseline_size:
        return row
    composite, mask = make_inputs(case)
    params = np.ones((2, 3, 64), np.float32)
    row["loop, NumPy"] = repeat(
        lambda: reference_loop(composite, mask, params), **limits
    )
    if not _has_torch():
        return row
    from imharmony.benchmark import torch_cost

    def loop() -> object:
        return torch_cost.reference_loop(
            composite, mask, params, threads=plan.num_threads
        )

    row["loop, torch"] = repeat(loop, **limits)
    row["gmacs"] = {
        "thumbnails": torch_cost.count_macs("s2crnet-cs", 256) / 1e9,
        "whole": torch_cost.count_macs("s2crnet-cs", size) / 1e9,
    }
    whole = torch_cost.whole_photo(size, threads=plan.num_threads)
    row["whole photo, torch"] = repeat(whole, **limits)
    if plan.has_memory:
        row["peak_mb"] = peak_mb(
            case, "whole", weights=weights, num_threads=plan.num_threads
        )
    return row


def _has_torch() -> bool:
    return find_spec("torch") is not None


def _name_cpu() -> str:
    """As Linux names it; else as Python does."""
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
