"""Measure pictures a second with 1, 2 and 4 workers, on a local Ray cluster or not.

    python benchmarks/cluster_speed.py COMPOSITE MASK [COUNT]

Copies of a composite and its mask, 240 unless said otherwise. Each way is timed with a
quarter of them and with all; the difference leaves starting up out. Four workers need
four cores to be of use.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imharmony.batch.cluster import run_here, run_on_cluster
from imharmony.batch.jobs import Settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def write_manifest(folder: Path, composite: Path, mask: Path, count: int) -> Path:
    """Write a manifest of links to one pair."""
    rows = ["composite,mask,output"]
    rows += [f"{composite},{mask},{n:05d}{composite.suffix}" for n in range(count)]
    path = folder / f"{count}.csv"
    path.write_text("\n".join(rows))
    return path


def seconds(work: Callable[[], object]) -> float:
    """Time some work."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main(composite: str, mask: str, count: str = "240") -> None:
    """Print a table."""
    import ray

    few, many = int(count) // 4, int(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = Path(composite).resolve(), Path(mask).resolve()
        manifests = [write_manifest(folder, *pair, number) for number in (few, many)]

        def rate(kind: str, workers: int) -> float:
            taken = []
            for manifest in manifests:
                output = folder / f"{kind}-{workers}-{manifest.stem}"
                places = str(manifest), str(output)
                report = f"{output}-report"

                def on_ray(
                    places: tuple[str, str] = places, report: str = report
                ) -> None:
                    run_on_cluster(
                        *places,
                        address="auto",
                        settings=Settings(),
                        report=report,
                        workers=workers,
                    )

                def here(
                    places: tuple[str, str] = places, report: str = report
                ) -> None:
                    run_here(
                        *places, settings=Settings(), report=report, workers=workers
                    )

                work = on_ray if kind == "ray" else here
                taken.append(seconds(work))
            return (many - few) / (taken[1] - taken[0])

        print("| workers | without Ray | Ray |\n| --- | --- | --- |")
        for workers in (1, 2, 4):
            here = rate("here", workers)
            ray.init(
                address="local",
                num_cpus=workers,
                log_to_driver=False,
                logging_level="ERROR",
            )
            there = rate("ray", workers)
            ray.shutdown()
            print(f"| {workers} | {here:.1f} | {there:.1f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
