"""Manifests: tables with one job a row, as CSV or JSON lines."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imharmony.batch.folders import SAME_NAME, Naming
from imharmony.batch.jobs import Job
from imharmony.errors import UsageError
from imharmony.inference.choices import check_seam
from imharmony.labels import LABELS

__all__ = ["COLUMNS", "job_from_row", "mask_names", "open_rows", "read_manifest"]

COLUMNS = (
    *("composite", "mask", "labels", "reference"),
    *("label", "strength", "seam", "output"),
)
"""What a row may say; only the composite is needed, and somewhere to write."""

_JSON = (".jsonl", ".ndjson")


def read_manifest(
    path: Path, *, output: Path | None = None, naming: Naming = SAME_NAME
) -> Iterator[Job]:
    """Read the jobs of a manifest, row by row.

    Parameters
    ----------
    path : Path
        .csv with a header, or .jsonl (.ndjson) with an object a line. Columns or
        keys are those of `COLUMNS`. Files are found from the manifest's own folder.
    output : Path or None
        Folder that outputs are found from, and that takes those of rows without one.
        None takes the manifest's folder; each row must then name its output.
    naming : Naming
        Names of the outputs of rows without one.

    Returns
    -------
    iterator of Job
        A row that cannot be used becomes a job that has failed, with the number of
        its line: the rows after it are still read.

    Raises
    ------
    UsageError
        At once: if the file cannot be read, is of another kind, or its header names
        an unknown column or no composite.
    """
    return _read_jobs(path, open_rows(path), output, naming)


def open_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Give the number of each line and its row, or what is wrong with it.

    Raises
    ------
    UsageError
        At once, as `read_manifest`.
    """
    if path.suffix.lower() not in (".csv", *_JSON):
        msg = f"{path}: expected a manifest of .csv, .jsonl or .ndjson"
        raise UsageError(f"{msg}, got {path.suffix!r}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                _check_header(next(csv.reader(file), []), path)
            else:
                file.readline()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: cannot be read ({reason})") from error
    return _read_rows(path)


def _read_jobs(
    path: Path,
    rows: Iterator[tuple[int, dict[str, Any] | str]],
    output: Path | None,
    naming: Naming,
) -> Iterator[Job]:
    written: dict[Path, int] = {}
    for line, row in rows:
        source = f"{path}, line {line}"
        if isinstance(row, str):
            yield Job(path, source=source, error=row)
            continue
        job = job_from_row(row, source, path.parent, output, naming)
        if job.output is not None and job.error is None:
            other = written.setdefault(job.output, line)
            if other != line:
                error = f"line {other} writes {job.output}, too"
                job = Job(job.composite, source=source, error=error)
        yield job


def job_from_row(
    row: Mapping[str, Any],
    source: str,
    folder: Path,
    output: Path | None,
    naming: Naming,
) -> Job:
    """Turn a row of a manifest into a job; a bad row into one that has failed.

    Examples
    --------
    >>> row = {"composite": "a.png", "strength": "1.5"}
    >>> job_from_row(row, "row 1", Path("photos"), Path("done"), Naming())
    Job('photos/a.png' -> 'done/a.png')
    >>> job_from_row({"mask": "m.png"}, "row 2", Path(), None, Naming()).error
    'expected a composite, got none'
    """
    name = row.get("composite")
    composite = folder / name if isinstance(name, str) and name else None
    try:
        if composite is None:
            raise ValueError(f"expected a composite, got {name or 'none'}")
        unknown = sorted(map(str, row.keys() - set(COLUMNS)))
        if unknown:
            known = ", ".join(COLUMNS)
            raise ValueError(f"expected columns of {known}, got {', '.join(unknown)}")
        label = _read_text(row, "label")
        if label is not None and label not in LABELS:
            raise ValueError(f"expected a label of {', '.join(LABELS)}, got {label!r}")
        masks, reference = mask_names(row), _read_text(row, "reference")
        target = _read_text(row, "output")
        if target is None and output is None:
            raise ValueError("expected an output, got none, and no folder for all")
        if target is None and output is not None:
            target_path = naming.target(composite, output, Path(str(name)).parent)
        else:
            target_path = (output or folder) / str(target)
        return Job(
            composite,
            _read_masks([folder / mask for mask in masks]),
            labels=_read_switch(row, "labels"),
            reference=None if reference is None else folder / reference,
            label=label,
            strength=_read_strength(row.get("strength")),
            seam=check_seam(_read_text(row, "seam") or "auto"),
            output=target_path,
            source=source,
        )
    except (ValueError, UsageError) as error:
        return Job(composite or Path(), source=source, error=str(error))


def mask_names(row: Mapping[str, Any]) -> list[str]:
    """List the masks that a row names: one for each object.

    Several are a list, or a text with `|` between the names.

    Raises
    ------
    ValueError
        If they are something else.

    Examples
    --------
    >>> mask_names({"mask": "chair.png|lamp.png"})
    ['chair.png', 'lamp.png']
    """
    value = row.get("mask")
    names = value if isinstance(value, list | tuple) else [value]
    if isinstance(value, str):
        names = value.split("|")
    if value is not None and not all(isinstance(name, str) for name in names):
        raise ValueError(f"mask: expected a text, or a list of them, got {value!r}")
    return [name for name in names if name]


def _read_masks(masks: list[Path]) -> Path | list[Path] | None:
    if not masks:
        return None
    return masks[0] if len(masks) == 1 else masks


def _read_switch(row: Mapping[str, Any], column: str) -> bool:
    value = row.get(column)
    words = {"": False, "no": False, "false": False, "0": False, "none": False}
    words |= {"yes": True, "true": True, "1": True}
    text = "" if value is None else str(value).lower()
    if text not in words:
        raise ValueError(f"{column}: expected yes or no, got {value!r}")
    return words[text]


def _check_header(header: list[str], path: Path) -> None:
    known = ", ".join(COLUMNS)
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        msg = f"{path}, line 1: expected columns of {known}, got {', '.join(unknown)}"
        raise UsageError(msg)
    if "composite" not in header:
        msg = f"{path}, line 1: expected a header with the column composite"
        raise UsageError(f"{msg}, got {', '.join(header) or 'an empty file'}")


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Give the number of each line and its row, or what is wrong with it."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if path.suffix.lower() in _JSON:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, _parse_json(text)
            return
        rows = csv.reader(file)
        header = next(rows, [])
        while True:
            try:
                values = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num, f"cannot be read ({error})"
                continue
            if not values:
                continue
            if len(values) != len(header):
                msg = f"expected {len(header)} values, got {len(values)}"
                yield rows.line_num, msg
                continue
            yield rows.line_num, dict(zip(header, values, strict=True))


def _parse_json(text: str) -> dict[str, Any] | str:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"expected a JSON object, got text that is none ({error})"
    if not isinstance(row, dict):
        return f"expected a JSON object, got {type(row).__name__}"
    return row


def _read_text(row: Mapping[str, Any], column: str) -> str | None:
    """Read a text; an empty one is none."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{column}: expected a text, got {value!r}")
    return value


def _read_strength(value: Any) -> float:
    if value is None or value == "":
        return 1.0
    try:
        strength = float(value)
    except (TypeError, ValueError):
        strength = math.nan
    if isinstance(value, bool) or not (math.isfinite(strength) and strength >= 0):
        raise ValueError(f"strength: expected a number of 0 or more, got {value!r}")
    return strength
