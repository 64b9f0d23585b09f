"""Time harmonizing and its stages, repeatedly, after a warm-up."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.benchmark.cases import Case, make_inputs, write_inputs
from imharmony.curves import Curves
from imharmony.harmonizer import Harmonizer
from imharmony.images import files, formats, mask_files, photo
from imharmony.images.masks import mask_box, mask_from_array
from imharmony.inference import thumbnails
from imharmony.rendering.render import render, render_into

__all__ = ["Times", "repeat", "throughput", "time_arrays", "time_files"]

MIN_RUNS = 3
TOO_SLOW = 5

Times = dict[str, Any]
"""low, median, high: quartiles in milliseconds; runs: how many."""


def repeat(
    run: Callable[[], object],
    *,
    runs: int,
    seconds: float | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Times:
    """Run once to warm up, then so often, or until so many seconds have passed.

    At least three times, unless the first run took longer than five times `seconds`:
    then that one is all there is. The time of `prepare`, before each, does not count.

    Examples
    --------
    >>> repeat(lambda: None, runs=5)["runs"]
    5
    """
    prepare()
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    if seconds is not None and first > TOO_SLOW * seconds:
        times = [first]
    else:
        times = []
        while len(times) < runs:
            if seconds is not None and len(times) >= MIN_RUNS and sum(times) > seconds:
                break
            prepare()
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75]) * 1000
    quartiles = {"low": float(low), "median": float(middle), "high": float(high)}
    return {**quartiles, "runs": len(times)}


def time_arrays(
    harmonizer: Harmonizer, case: Case, *, runs: int, seconds: float | None
) -> dict[str, Times]:
    """Measure array to array: copy of the photo as the floor, whole, and stages.

    Returns
    -------
    dict of Times
        "copy", "whole", "whole, out=" and per stage "mask", "thumbnails", "network",
        "curve", "render".

    Examples
    --------
    >>> times = time_arrays(
    ...     Harmonizer(), Case(64, 8, 25, "soft"), runs=3, seconds=None
    ... )
    >>> sorted(times)
    ['copy', 'curve', 'mask', 'network', 'render', 'thumbnails', 'whole', 'whole, out=']
    """
    composite, mask = make_inputs(case)
    out = composite.copy()
    image = photo.from_array(composite)
    size = (case.size, case.size)
    rows: dict[str, Callable[[], object]] = {
        "copy": composite.copy,
        "whole": lambda: harmonizer(composite, mask),
        "whole, out=": lambda: harmonizer(composite, mask, out=out),
    }
    times = {
        name: repeat(run, runs=runs, seconds=seconds) for name, run in rows.items()
    }
    mask_image = mask_from_array(mask, size=size)
    curves = _replace_identity(harmonizer.predict(image, mask_image).curves)
    box = mask_box(mask_image)
    rows = {
        "mask": lambda: mask_box(mask_from_array(mask, size=size)),
        **_list_network_stages(harmonizer, image, mask_image, case),
    }
    with _forget_operations():
        times |= {
            name: repeat(run, runs=runs, seconds=seconds) for name, run in rows.items()
        }
        times["render"] = repeat(
            lambda: render_into(out, image, mask_image, curves, box=box),
            runs=runs,
            seconds=seconds,
            prepare=lambda: np.copyto(out, composite),
        )
    return times


def time_files(
    harmonizer: Harmonizer, case: Case, *, runs: int, seconds: float | None
) -> dict[str, Times]:
    """Measure file to file, in a warm process: whole, and stages.

    Files as `cases.write_inputs` makes them.

    Returns
    -------
    dict of Times
        "whole" and per stage "decode" (photo and mask), "thumbnails", "network",
        "curve", "render and encode", "encode" alone; and as the floor "libvips alone":
        the photo decoded and encoded with nothing between.

    Examples
    --------
    >>> times = time_files(
    ...     Harmonizer(), Case(64, 16, 25, "hard"), runs=3, seconds=None
    ... )
    >>> "decode" in times, "encode" in times
    (True, True)
    """
    with tempfile.TemporaryDirectory() as folder:
        source, mask_path, target = write_inputs(case, Path(folder))

        def decode() -> tuple[pyvips.Image, pyvips.Image]:
            return mask_files.read_pair(source, mask_path)

        def whole() -> None:
            opened = decode()
            predicted = harmonizer.predict(*opened)
            rendered = render(*opened, predicted.curves, box=predicted.box)
            files.write_photo(rendered, target, overwrite=True)

        times = {"whole": repeat(whole, runs=runs, seconds=seconds)}
        image, mask_image = decode()
        save, options = formats.choose_saver(image, target.suffix, None, str(target))

        def copy() -> None:
            loaded = pyvips.Image.new_from_file(str(source), access="sequential")
            stored = pyvips.Target.new_to_memory()
            getattr(loaded.copy_memory(), save)(stored, **options)

        curves = _replace_identity(harmonizer.predict(image, mask_image).curves)
        rows: dict[str, Callable[[], object]] = {
            "decode": decode,
            **_list_network_stages(harmonizer, image, mask_image, case),
            "render and encode": lambda: files.write_photo(
                render(image, mask_image, curves), target, overwrite=True
            ),
            "encode": lambda: files.write_photo(image, target, overwrite=True),
            "libvips alone": copy,
        }
        with _forget_operations():
            times |= {
                name: repeat(run, runs=runs, seconds=seconds)
                for name, run in rows.items()
            }
    return times


def throughput(
    harmonizer: Harmonizer, case: Case, *, threads: int, seconds: float
) -> float:
    """Count the pictures per second that some threads get through one harmonizer.

    Examples
    --------
    >>> case = Case(32, 8, 25, "soft")
    >>> throughput(Harmonizer(), case, threads=2, seconds=0.1) > 0
    True
    """
    composite, mask = make_inputs(case)
    harmonizer(composite, mask)
    start = threading.Barrier(threads + 1)
    end = time.perf_counter() + 3600

    def work() -> int:
        start.wait()
        count = 0
        while time.perf_counter() < end:
            harmonizer(composite, mask)
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        counts = [pool.submit(work) for _ in range(threads)]
        begin = time.perf_counter()
        end = begin + seconds
        start.wait()
        total = sum(count.result() for count in counts)
        return total / (time.perf_counter() - begin)


def _list_network_stages(
    harmonizer: Harmonizer, image: pyvips.Image, mask: pyvips.Image, case: Case
) -> dict[str, Callable[[], object]]:
    """Thumbnails, network and curve of one opened photo."""
    contract = harmonizer.contract
    box = mask_box(mask)

    def shrink() -> thumbnails.Thumbnails:
        return thumbnails.make_thumbnails(
            image,
            mask,
            size=contract.thumbnail_size,
            contexts=contract.contexts,
            box=box,
        )

    small = shrink()
    slopes = np.linspace(1, 2, contract.num_pieces) * np.ones((3, 1))

    def tabulate() -> npt.NDArray[Any]:
        curves = Curves.from_params(slopes)
        for _ in range(1, contract.num_stages):
            curves = curves.then(Curves.from_params(slopes))
        return curves.table(case.dtype)

    return {
        "thumbnails": shrink,
        "network": lambda: harmonizer._network.run(small, label=None),
        "curve": tabulate,
    }


def _replace_identity(curves: Curves) -> Curves:
    """Put other curves in the place of the identity, which nothing is rendered for."""
    slopes = np.linspace(1, 2, 64) * np.ones((3, 1))
    return Curves.from_params(slopes) if curves.is_identity else curves


@contextmanager
def _forget_operations() -> Iterator[None]:
    """Stages are timed on one opened photo, which libvips would remember."""
    known = pyvips.voperation.vips_lib.vips_cache_get_max()
    pyvips.cache_set_max(0)
    try:
        yield
    finally:
        pyvips.cache_set_max(known)
