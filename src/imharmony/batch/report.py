"""Reports of a batch: one line of JSON for each job, written when the job ends."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from imharmony.batch.jobs import Outcome
from imharmony.errors import Hint, ImageError, UsageError
from imharmony.writing import replace_whole

__all__ = ["Report", "read_report"]


class Report:
    """A file of JSON lines that grows with each outcome; a context manager.

    Parameters
    ----------
    path : Path
        The file.
    overwrite : bool
        Whether an existing file may be replaced.
    resume : bool
        Whether an existing file is continued. Its lines about failed jobs are taken
        out, since those are tried again, and so is a last line that was cut off.

    Raises
    ------
    UsageError
        If the file exists and may neither be replaced nor continued, or is no report.
    ImageError
        If it cannot be written.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, resume: bool = False
    ) -> None:
        self._path = path
        rows: list[Mapping[str, Any]] = []
        if path.exists():
            if resume:
                rows = [row for row in read_report(path) if row["status"] != "failed"]
            elif not overwrite:
                raise UsageError(f"{path}: exists already", hint=Hint.RESUME)
        self.sizes = {str(row["output"]): row.get("bytes") for row in rows}
        """Bytes of each output that an earlier run has reported."""
        with replace_whole(path, overwrite=True) as file:
            file.writelines(map(_encode, rows))
        self._file: BinaryIO = path.open("ab", buffering=0)

    def add(self, outcome: Outcome) -> None:
        """Write a line, unless an earlier run has reported the same output as done."""
        record = outcome.to_record()
        if outcome.status == "skipped" and record["output"] in self.sizes:
            return
        line = _encode(record)
        try:
            written = self._file.write(line)  # in one piece, so that it is whole
        except OSError as error:
            msg = f"{self._path}: cannot be written ({error.strerror or error})"
            raise ImageError(msg) from error
        if written != len(line):
            raise ImageError(f"{self._path}: cannot be written (the disk is full)")

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


def read_report(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a report; a last line that was cut off is left out.

    Raises
    ------
    UsageError
        If another line is not of a report; the message has its number.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise UsageError(msg) from error
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
            if not {"input", "output", "status"} <= row.keys():
                raise ValueError("keys are missing")
        except (ValueError, AttributeError) as error:
            msg = f"{path}, line {number}: expected a line of a report"
            raise UsageError(f"{msg}, got {line[:40]!r}") from error
        rows.append(row)
    return rows


def _encode(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
