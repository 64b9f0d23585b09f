"""Per-image tables in the form that PCT-Net's authors published theirs in.

One CSV file per method with the columns `Name, MSE, PSNR, fMSE, SE, SSIM, height,
width, mask_area`; names without extension, SE in millions. The form has no place for
the protocol, so ours is beside it in a file of the same name with the extension .json.

Read are peers' tables too: names with an extension, numbers that PyTorch printed
(`tensor(0.99, device='cuda:0')`), missing columns.
"""

import csv
import datetime
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import numpy as np
import pyvips

from imharmony.errors import UsageError
from imharmony.evaluation.methods.methods import PICTURE_SUFFIXES
from imharmony.evaluation.protocols.protocol import PROTOCOLS, Protocol
from imharmony.evaluation.reports.scoring import Score

__all__ = ["COLUMNS", "Row", "Table", "read_table", "write_table"]

COLUMNS = {
    "Name": "name",
    "MSE": "mse",
    "PSNR": "psnr",
    "fMSE": "fmse",
    "SE": "se",
    "SSIM": "ssim",
    "height": "height",
    "width": "width",
    "mask_area": "mask_area",
}
"""PCT-Net's columns, and the fields of a `Score` that they hold."""

FORMAT = "imharmony-scores-1"
NEEDED = ("Name", "MSE")
_TENSOR = re.compile(r"tensor\(\s*([^,)\s]+)")


@dataclass(frozen=True)
class Row:
    """One image; NaN where the table has no such column."""

    mse: float
    psnr: float
    fmse: float
    se: float
    ssim: float
    height: float
    width: float
    mask_area: float


@dataclass(frozen=True)
class Table:
    """One method's images."""

    name: str
    """The file's name without extension."""
    rows: Mapping[str, Row]
    """By the composite's name without extension."""
    protocol: Protocol | None
    """None where no file beside the table says it."""


def write_table(
    scores: Sequence[Score], target: Path, *, num_threads: int | None = None
) -> None:
    """Write one method's scores, and beside them what they were measured with.

    Parameters
    ----------
    scores : sequence of Score
        Of one method and one protocol.
    target : Path
        A .csv to write; the .json beside it is written too. Neither may exist.
    num_threads : int or None
        To be noted.
    """
    with target.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            [getattr(score, name) for name in COLUMNS.values()] for score in scores
        )
    protocol = PROTOCOLS[scores[0].protocol]
    record = {
        "format": FORMAT,
        "protocol": protocol.name,
        "rules": protocol.describe(),
        "method": scores[0].method,
        "images": len(scores),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "threads": num_threads,
        "processor": platform.processor() or platform.machine(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": version("onnxruntime"),
            "libvips": ".".join(str(pyvips.version(part)) for part in range(3)),
        },
    }
    with target.with_suffix(".json").open("x", encoding="utf-8") as file:
        file.write(json.dumps(record, indent=2) + "\n")


def read_table(path: Path) -> Table:
    """Read a table, ours or a peer's.

    Raises
    ------
    UsageError
        If the file is no such table, names an image twice, holds something that is no
        number, or our file beside it names an unknown protocol.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as a table ({error})"
        raise UsageError(msg) from error
    lines = csv.DictReader(text.splitlines())
    columns = [name for name in COLUMNS if name in (lines.fieldnames or ())]
    if not set(NEEDED) <= set(columns):
        expected = ",".join(COLUMNS)
        got = ",".join(lines.fieldnames or ())
        msg = f"{path}: expected a table with the columns {expected}, got {got!r}"
        raise UsageError(msg)
    rows: dict[str, Row] = {}
    for line in lines:
        name = _take_stem(line["Name"])
        if name in rows:
            msg = f"{path}: holds {name} twice, in line {lines.line_num} again"
            raise UsageError(msg)
        numbers = {field: math.nan for field in COLUMNS.values() if field != "name"}
        for column in columns[1:]:
            where = f"{path}: line {lines.line_num}: {column}"
            numbers[COLUMNS[column]] = _read_number(line[column], where)
        rows[name] = Row(**numbers)
    if not rows:
        msg = f"{path}: expected a line per image, found none"
        raise UsageError(msg)
    return Table(path.stem, rows, _read_protocol(path.with_suffix(".json")))


def _read_protocol(path: Path) -> Protocol | None:
    """Read the protocol from our file beside a table; another's file says nothing."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    if record.get("protocol") not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        msg = f"{path}: protocol is one of {known}, got {record.get('protocol')!r}"
        raise UsageError(msg)
    return PROTOCOLS[record["protocol"]]


def _take_stem(name: str) -> str:
    """Take folders and a picture's extension off a name.

    Examples
    --------
    >>> _take_stem("HCOCO/composite_images/c1_2_1.jpg"), _take_stem("d1.5-2_1_1")
    ('c1_2_1', 'd1.5-2_1_1')
    """
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.stem if path.suffix.lower() in PICTURE_SUFFIXES else path.name


def _read_number(text: str | None, where: str) -> float:
    match = _TENSOR.match((text or "").strip())
    try:
        return float(match.group(1) if match else text or "")
    except ValueError as error:
        msg = f"{where}: expected a number, got {text!r}"
        raise UsageError(msg) from error
