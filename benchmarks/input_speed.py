"""Whether making pairs holds training up: real pairs against a batch kept in memory.

Both trainings run in turns, warm up, and are timed from step to step; the ratio of
their median speeds should be 0.9 or more. Photographs are decoded before, as they are
in a run after its first few hundred steps; processes of --workers decode their own.
Pairs alone, on one thread, show where the time goes. Let nothing else run.

The cached batch has all threads, whatever --threads gives the real pairs.

    python benchmarks/input_speed.py CONFIG DATA [--workers N] [--threads N]
"""

import argparse
import cProfile
import json
import platform
import pstats
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imharmony.training.data.pairs import Pair
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.feed import Feed, PairSource, open_sources
from imharmony.training.settings import TrainSettings, read_settings
from imharmony.training.task import Devices, fit

WARM_UP = 5  # steps
TURNS = 3
SHOWN = 12  # functions of the profile


class Cached:
    """One batch, given again and again."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Return the batch whatever is asked for."""
        return self._pair


def step_times(
    settings: TrainSettings, pairs: PairSource, devices: Devices, num_steps: int
) -> list[float]:
    """Seconds of each step of a run, after a warm-up."""
    settings = replace(
        settings,
        num_steps=WARM_UP + num_steps + 1,  # the last one, with its files, is not made
        validate_every=10**9,
        checkpoint_every=0,
    )
    times = []
    with tempfile.TemporaryDirectory() as folder:
        steps = fit(settings, pairs, pairs, Path(folder) / "run", devices=devices)
        for _ in range(WARM_UP):
            next(steps)
        for _ in range(num_steps):
            start = time.perf_counter()
            next(steps)
            times.append(time.perf_counter() - start)
        steps.close()  # type: ignore[attr-defined]
    return times


def alone(feed: Feed, num_batches: int) -> tuple[float, str]:
    """Seconds of one thread per batch, and the costliest functions."""
    torch.set_num_threads(1)
    times = []
    for step in range(num_batches):
        start = time.perf_counter()
        feed[step]
        times.append(time.perf_counter() - start)
    with cProfile.Profile() as profile:
        for step in range(num_batches):
            feed[step]
    stats = pstats.Stats(profile)
    rows: Any = stats.stats  # type: ignore[attr-defined]
    total = sum(row[2] for row in rows.values())
    costly = sorted(rows.items(), key=lambda item: -item[1][2])[:SHOWN]
    lines = [
        f"  {row[2] / total:6.1%}  {Path(file).name}:{line} {name}"
        for (file, line, name), row in costly
    ]
    return float(np.median(times)), "\n".join(lines)


def main() -> None:
    """Run everything, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="as of imharmony train")
    parser.add_argument("data", type=Path, help="as of imharmony train")
    parser.add_argument("--photos", type=Path, help="as of imharmony train")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, help="as of imharmony train")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--batch-size", type=int, help="in place of the config's")
    parser.add_argument("--steps", type=int, default=60, help="per turn")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    settings = read_settings(arguments.config)
    if arguments.batch_size:
        settings = replace(settings, batch_size=arguments.batch_size)
    devices = Devices(
        arguments.accelerator, workers=arguments.workers, threads=arguments.threads
    )
    all_threads = Devices(arguments.accelerator)
    pairs, _ = open_sources(settings, arguments.data, photos=arguments.photos)
    if isinstance(pairs, Synthesis) and not arguments.workers:
        deque(pairs.pool.decode_all(), maxlen=0)
    feed = Feed(pairs, settings)
    times: dict[str, list[float]] = {"cached": [], "real": []}
    for _ in range(TURNS):
        cached = Cached(feed[0])
        times["cached"] += step_times(settings, cached, all_threads, arguments.steps)
        times["real"] += step_times(settings, pairs, devices, arguments.steps)
    threads = torch.get_num_threads()
    batch_s, profile = alone(feed, max(1, arguments.steps // 4))
    speeds = {
        name: settings.batch_size / float(np.median(values))
        for name, values in {**times, "pairs alone": [batch_s]}.items()
    }
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": arguments.threads or threads,
        "threads_cached": threads,
        "torch": torch.__version__,
        "config": arguments.config,
        "batch_size": settings.batch_size,
        "thumbnail_size": settings.thumbnail_size,
        "workers": arguments.workers,
        "samples_per_second": speeds,
        "ratio": speeds["real"] / speeds["cached"],
    }
    for key, value in record.items():
        print(f"{key}: {value}")
    for name, values in times.items():
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]) * 1000
        print(f"{name:8} {middle:8.1f} ms a step ({low:.1f} to {high:.1f})")
    print(f"pairs alone, one thread: {batch_s * 1000:.1f} ms a batch; in it\n{profile}")
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
