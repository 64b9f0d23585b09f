"""Manifests of any length, here or on a Ray cluster, with a report in Parquet."""

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from imharmony.batch import locations
from imharmony.batch.jobs import Settings
from imharmony.batch.rows import SOURCE, Row, do_row, read_rows
from imharmony.batch.work import load_harmonizer
from imharmony.batch.workers import Workers, num_cores
from imharmony.errors import UsageError

__all__ = ["run_here", "run_on_cluster"]

SCHEMA = pyarrow.schema(
    [
        ("input", pyarrow.string()),
        ("output", pyarrow.string()),
        ("status", pyarrow.string()),
        ("label", pyarrow.string()),
        ("change", pyarrow.float64()),
        ("warnings", pyarrow.list_(pyarrow.string())),
        ("error", pyarrow.string()),
        ("milliseconds", pyarrow.float64()),
        ("bytes", pyarrow.int64()),
    ]
)
"""Columns of the report, as in the JSON lines of `imharmony harmonize --report`."""

_PART_ROWS = 10_000
_BATCH_ROWS = 16
"""Rows that an actor takes at once. If its node is lost, they are looked at again."""

Progress = Callable[[Counter[str]], None]


def run_here(
    manifest: str,
    output: str,
    *,
    settings: Settings,
    report: str,
    workers: int | None = None,
    progress: Progress = lambda _: None,
) -> Counter[str]:
    """Do all rows of a manifest on this machine, in bounded memory.

    Parameters
    ----------
    manifest : str
        Path or URI of a .parquet, .csv, .jsonl or .ndjson file.
    output : str
        Path or URI of the folder that outputs are found from.
    settings : Settings
        Of all jobs. Outputs that are there and whole are always skipped.
    report : str
        Path or URI of a folder for the report, in Parquet.
    workers : int or None
        Processes; None takes one for each core.
    progress : callable
        Called with the counts so far after each row.

    Returns
    -------
    Counter
        How many rows are done, skipped and failed.

    Raises
    ------
    UsageError, WeightsError
        If manifest or settings cannot be used.
    ImageError
        If the report cannot be written.
    """
    load_harmonizer(settings)  # wrong settings fail at once
    rows = read_rows(manifest)
    folder = _find_folder(manifest)
    counts: Counter[str] = Counter()
    records: list[dict[str, Any]] = []
    number = 0
    for record in _run_share(
        rows, replace(settings, resume=True), folder, output, workers
    ):
        counts[record["status"]] += 1
        progress(counts)
        records.append(record)
        if len(records) == _PART_ROWS:
            _write_part(records, report, number)
            records, number = [], number + 1
    _write_part(records, report, number)
    return counts


def _run_share(
    rows: Iterator[Row],
    settings: Settings,
    folder: str,
    output: str,
    num_workers: int | None,
) -> Iterator[dict[str, Any]]:
    count = num_workers or num_cores()
    workers = Workers(settings, count)
    running: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(count, "imharmony-row") as threads:
        try:
            for row in rows:
                running.append(
                    threads.submit(
                        do_row, workers.do, row, folder=folder, output=output
                    )
                )
                if len(running) >= 4 * count:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:  # Ctrl-C, or the caller wants no more
            for future in running:
                future.cancel()
            workers.end(at_once=True)
            raise
        workers.end(at_once=False)


def _write_part(records: list[dict[str, Any]], report: str, number: int) -> None:
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.Table.from_pylist(records, schema=SCHEMA)
    pyarrow.parquet.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    name = f"part-{number:06d}.parquet"
    locations.write_bytes(locations.join(report, name), content, overwrite=True)


class _Actor:
    """A process of the cluster with a loaded network.

    The network lies in a process of its own: a picture that makes a decoder crash does
    not take the actor with it.
    """

    def __init__(self, settings: Settings, folder: str, output: str) -> None:
        self._workers = Workers(settings, 1)
        self._folder, self._output = folder, output

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        records = [
            do_row(
                self._workers.do,
                {key: value for key, value in row.items() if value is not None},
                folder=self._folder,
                output=self._output,
            )
            for row in batch.to_pylist()
        ]
        return pyarrow.Table.from_pylist(records, schema=SCHEMA)


def run_on_cluster(
    manifest: str,
    output: str,
    *,
    address: str,
    settings: Settings,
    report: str,
    workers: int | None = None,
) -> Counter[str]:
    """Do all rows of a manifest on a Ray cluster.

    Ray Data streams blocks of rows through actors that hold a network each. When a node
    is lost, its rows are done again elsewhere; outputs that it had written are found
    and skipped, so none is written twice.

    Parameters
    ----------
    manifest, output, settings, report
        As for `run_here`; paths must be the same on all nodes. A text manifest is read
        by this process, Parquet by the cluster.
    address : str
        As `ray.init` takes it: host:port, "auto" for the cluster that this machine is
        part of, or "local" to start one here.
    workers : int or None
        Actors; None takes one for each core of the cluster.

    Returns
    -------
    Counter
        How many rows are done, skipped and failed.

    Raises
    ------
    UsageError, WeightsError
        If manifest, settings or address cannot be used.
    """
    # Ray reports usage to its maker unless this is set before its import.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    load_harmonizer(settings)
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            msg = f"cluster {address}: cannot be reached"
            raise UsageError(f"{msg} ({error})") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = _read_blocks(ray, manifest)
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    records = rows.map_batches(
        _Actor,
        fn_constructor_args=(
            replace(settings, resume=True),
            _find_folder(manifest),
            output,
        ),
        batch_size=_BATCH_ROWS,
        batch_format="pyarrow",
        # Of an actor that is lost, Ray makes another, as often as it takes.
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
    )
    records.write_parquet(report, mode="overwrite")
    statuses = pyarrow.dataset.dataset(report, format="parquet").to_table(["status"])
    return Counter(statuses["status"].to_pylist())


def _read_blocks(ray: Any, manifest: str) -> Any:
    if locations.find_suffix(manifest).lower() == ".parquet":
        read_rows(manifest)  # for its errors
        return ray.data.read_parquet(locations.plain(manifest))
    rows = list(read_rows(manifest))
    if not rows:
        raise UsageError(f"{manifest}: expected rows, got none")
    keys = {key for row in rows for key in row} | {SOURCE}
    whole = [{key: _to_text(row.get(key)) for key in keys} for row in rows]
    num_blocks = math.ceil(len(rows) / _BATCH_ROWS)
    return ray.data.from_items(whole, override_num_blocks=num_blocks)


def _to_text(value: Any) -> str | None:
    """Let a column have one type in all blocks."""
    if isinstance(value, list | tuple):  # masks of several objects
        return "|".join(map(str, value))
    return None if value is None else str(value)


def _find_folder(manifest: str) -> str:
    """Return where the files of a manifest are found from."""
    manifest = locations.plain(manifest)
    if locations.is_local(manifest):
        return str(os.path.abspath(os.path.dirname(manifest)))  # noqa: PTH100, PTH120
    return manifest.rpartition("/")[0]
