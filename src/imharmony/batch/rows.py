"""Do the rows of a manifest one by one; their files may lie anywhere.

Files that are not local are brought to a temporary folder, and the result is taken
from there, so that one way of harmonizing serves all.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imharmony.batch import locations
from imharmony.batch.folders import Naming
from imharmony.batch.jobs import Job, Outcome
from imharmony.batch.manifest import job_from_row, mask_names, open_rows
from imharmony.batch.work import BAD_PICTURE, report_failure
from imharmony.errors import UsageError

__all__ = ["FIELDS", "SOURCE", "do_row", "read_rows"]

SOURCE = "__source"
"""Key of a row: where it came from, or after a ! what is wrong with it."""

FIELDS = (
    *("input", "output", "status", "label", "change", "warnings", "error"),
    *("milliseconds", "bytes"),
)
"""Columns of the report."""

Doer = Callable[[Job], Outcome]
Row = Mapping[str, Any]


def read_rows(manifest: str) -> Iterator[dict[str, Any]]:
    """Read the rows of a manifest: .parquet, .csv, .jsonl or .ndjson, by path or URI.

    Raises
    ------
    UsageError
        At once, if the manifest cannot be read or has other columns.
    """
    manifest = locations.plain(manifest)
    suffix = locations.find_suffix(manifest).lower()
    if suffix == ".parquet":
        return _read_parquet(manifest)
    if not locations.is_local(manifest):
        folder = tempfile.mkdtemp()
        copy = Path(folder) / f"manifest{suffix}"
        copy.write_bytes(locations.read_bytes(manifest))
        return _read_text(copy, manifest)
    return _read_text(Path(manifest), manifest)


def _read_text(path: Path, name: str) -> Iterator[dict[str, Any]]:
    rows = open_rows(path)

    def give() -> Iterator[dict[str, Any]]:
        for line, row in rows:
            source = f"{name}, line {line}"
            if isinstance(row, str):
                yield {SOURCE: f"!{source}: {row}"}
            else:
                yield {**row, SOURCE: source}

    return give()


def _read_parquet(manifest: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.dataset
    except ModuleNotFoundError as error:
        msg = f"{manifest}: pyarrow is not installed"
        raise UsageError(f"{msg}; pip install 'imharmony[cluster]'") from error
    try:
        table = pyarrow.dataset.dataset(manifest, format="parquet")
        names = table.schema.names
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{manifest}: cannot be read ({reason})") from error
    if "composite" not in names:
        msg = f"{manifest}: expected a column composite, got {', '.join(names)}"
        raise UsageError(msg)

    def give() -> Iterator[dict[str, Any]]:
        number = 0
        for batch in table.to_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield {**row, SOURCE: f"{manifest}, row {number}"}

    return give()


def do_row(do: Doer, row: Row, *, folder: str, output: str) -> dict[str, Any]:
    """Do the job of a row.

    Parameters
    ----------
    do : callable
        Does a job whose files are local.
    row : mapping
        As `read_rows` gives it.
    folder : str
        Where inputs are found from.
    output : str
        Where outputs are found from.

    Returns
    -------
    dict
        What the report says of it; the keys are `FIELDS`. Nothing is raised for a row
        or a picture that cannot be used.
    """
    source = str(row.get(SOURCE) or "")
    if source.startswith("!"):
        return _record(report_failure(Job(Path()), source[1:]), "", None)
    values = {key: value for key, value in row.items() if key != SOURCE}
    name = str(values.get("composite") or "")
    checked = {**values, "output": "any"} | ({"composite": "any"} if name else {})
    job = job_from_row(checked, source, Path(), Path(), Naming())
    composite = locations.join(folder, name) if name else ""
    target = None
    if job.error is None:
        is_relative = locations.is_local(name) and not Path(name).is_absolute()
        own = name if is_relative else name.rpartition("/")[2]
        target = locations.join(output, str(values.get("output") or own))
    try:
        if job.error is not None or target is None:
            outcome = report_failure(job, str(job.error))
        elif target == composite:
            outcome = report_failure(
                job, f"{target}: the output would overwrite its input"
            )
        else:
            outcome = _do(do, job, values, folder, composite, target)
    except BAD_PICTURE as error:
        outcome = report_failure(job, str(error) or type(error).__name__)
    return _record(outcome, composite, target)


def _do(
    do: Doer, job: Job, values: Row, folder: str, composite: str, target: str
) -> Outcome:
    places = {"composite": composite}
    if values.get("reference"):
        places["reference"] = locations.join(folder, str(values["reference"]))
    for number, name in enumerate(mask_names(values), start=1):
        places[f"mask-{number}"] = locations.join(folder, name)
    if all(map(locations.is_local, (*places.values(), target))):
        paths = {key: Path(place) for key, place in places.items()}
        return do(_place_files(job, paths, Path(target)))
    num_bytes = locations.measure(target)
    if num_bytes:
        return Outcome(job, "skipped", 0.0, num_bytes=num_bytes)
    with tempfile.TemporaryDirectory(prefix="imharmony-") as temporary:
        here = Path(temporary)
        paths = {}
        for key, place in places.items():
            paths[key] = here / f"{key}{locations.find_suffix(place)}"
            paths[key].write_bytes(locations.read_bytes(place))
        result = here / f"result{locations.find_suffix(target)}"
        outcome = do(_place_files(job, paths, result))
        if outcome.error is not None:
            text = outcome.error
            for key, place in places.items():  # as people know them
                text = text.replace(str(paths[key]), place)
            return replace(outcome, error=text.replace(str(result), target))
        locations.write_bytes(target, result.read_bytes())
    return outcome


def _place_files(job: Job, paths: Mapping[str, Path], output: Path) -> Job:
    """Let a job's files lie at some paths; keys `mask-1` and on are its masks."""
    masks = [path for key, path in paths.items() if key.startswith("mask-")]
    return replace(
        job,
        composite=paths["composite"],
        mask=masks or None,
        reference=paths.get("reference"),
        output=output,
    )


def _record(outcome: Outcome, composite: str, target: str | None) -> dict[str, Any]:
    record = outcome.to_record()
    return {**record, "input": composite, "output": target}
