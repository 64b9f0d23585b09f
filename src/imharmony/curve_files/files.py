"""Curves to files and back: JSON, .cube, .acv, HaldCLUT; and to pictures of a plot.

What a file holds is for sRGB-encoded values, as curves are. Formats that hold samples
or points of the curves cost something; writing warns where that is visible.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from imharmony import writing
from imharmony.curve_files import acv, cube, hald, tables
from imharmony.curve_files.record import Record, from_json, to_json
from imharmony.curves import Curves
from imharmony.errors import CurveError, DecodeError, UsageError, warn

__all__ = [
    "SUFFIXES",
    "Record",
    "choose_kind",
    "encode",
    "read_bytes",
    "read_curves",
    "read_record",
    "warn_of_cost",
    "write_curves",
    "write_record",
]

SUFFIXES = {
    "json": (".json",),
    "cube": (".cube",),
    "acv": (".acv",),
    "plot": (".png", ".svg"),
    "hald": (".png",),
}
"""Extensions of each kind of file; the first kind that has one is its default."""

MAX_BYTES = {
    "json": 2**22,  # 4 MiB: 4096 knots in each of several stages
    "cube": 2**25,  # 32 MiB: 65 samples a channel, 120 characters a row
    "acv": 2**16,
    "hald": 2**27,  # 128 MiB: 16-bit pixels of level 16, not even compressed
}

MAX_COST = 1.0  # 8-bit steps; half of one is rounding

UTF8_MARK = b"\xef\xbb\xbf"


def read_curves(path: str | Path) -> Curves:
    """Read curves from a .json, .cube, .acv or HaldCLUT .png file.

    Raises
    ------
    DecodeError
        If the file is absent, cannot be read, or is a damaged picture.
    CurveError
        If it does not hold three curves; for text, the message names the line.
    """
    return read_record(Path(path)).curves


def write_curves(
    curves: Curves,
    path: str | Path,
    *,
    overwrite: bool = False,
    kind: str | None = None,
    size: int | None = None,
) -> None:
    """Write curves to a file, whole or not at all.

    Parameters
    ----------
    curves : Curves
    path : path
        .json holds them exactly; .cube and .acv are for other programs; .png and
        .svg become a plot. `docs/curves.md` says what each costs.
    overwrite : bool
        Whether an existing file may be replaced.
    kind : str, optional
        "hald" makes a .png a HaldCLUT, for other programs.
    size : int, optional
        Samples per channel: makes a .cube 3D (2 to 65; default: 1D, 4096 rows),
        and sets those of a HaldCLUT (a square from 4 to 256, default 64).

    Raises
    ------
    UsageError
        If the file cannot be written, or kind or size do not fit it.
    CurveError
        If there are more than 4096 knots in a channel, for JSON.
    ImageError
        If writing fails, for instance on a full disk.

    Warns
    -----
    HarmonizeWarning
        If what the file holds is more than 1/255 away from the curves.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     curves = Curves.from_params(np.array([[2.0, 1.0]] * 3))
    ...     write_curves(curves, Path(folder) / "look.json")
    ...     read_curves(Path(folder) / "look.json") == curves
    True
    """
    write_record(Record(curves), Path(path), overwrite=overwrite, kind=kind, size=size)


def choose_kind(target: Path, *, kind: str | None = None) -> str:
    """Say what kind of file the extension asks for.

    Parameters
    ----------
    target : Path
        A .png is a plot unless `kind` is "hald".
    kind : str, optional
        A key of `SUFFIXES` that must fit the extension.

    Raises
    ------
    UsageError
        If kind or extension are unknown, or do not fit each other.

    Examples
    --------
    >>> choose_kind(Path("look.png")), choose_kind(Path("look.png"), kind="hald")
    ('plot', 'hald')
    """
    if kind is not None and kind not in SUFFIXES:
        raise UsageError(f"kind is one of {', '.join(SUFFIXES)}, got {kind!r}")
    known = SUFFIXES if kind is None else {kind: SUFFIXES[kind]}
    for name, suffixes in known.items():
        if target.suffix.lower() in suffixes:
            return name
    expected = ", ".join(dict.fromkeys(s for group in known.values() for s in group))
    raise UsageError(
        f"{target}: expected an extension of {expected}, got {target.suffix!r}"
    )


def encode(record: Record, kind: str, *, size: int | None = None) -> bytes:
    r"""Encode curves as the bytes of a file.

    Parameters
    ----------
    record : Record
        Only JSON holds more than `record.curves`.
    kind : "json", "cube", "acv" or "hald"
        Plots are made by `curve_plots`.
    size : int, optional
        Samples per channel: of a 3D .cube, 2 to 65 (default: a 1D table of 4096
        rows); of a HaldCLUT, a square from 4 to 256 (default 64).

    Raises
    ------
    UsageError
        If the size does not exist, or `kind` has none.
    CurveError
        If JSON cannot hold the curves.

    Examples
    --------
    >>> encode(Record(Curves.identity()), "cube", size=2)[53:67]
    b'LUT_3D_SIZE 2\n'
    """
    tables.check_size(kind, size)
    if kind == "json":
        return to_json(record).encode()
    if kind == "cube":
        return cube.to_cube(record.curves, size=size).encode()
    if kind == "hald":
        size = hald.HALD_SIZE if size is None else size
        return hald.to_hald(record.curves, size=size)
    return acv.to_acv(record.curves)


def read_record(source: Path | bytes, *, name: str | None = None) -> Record:
    """Read curves from a file, whatever kind it is.

    The content says which kind that is: JSON, a PNG and .acv are known by how they
    start, anything else by its extension.

    Parameters
    ----------
    source : Path or bytes
        A file, or what is in one.
    name : str, optional
        What error messages call the input. Default: the path.

    Returns
    -------
    Record
        From JSON exactly what was written; from other files the curves only, as
        exact as the format is.

    Raises
    ------
    DecodeError
        If the file is absent, cannot be read, or is a damaged picture.
    CurveError
        If it holds no curves, is damaged, too large, or a 3D table that is more
        than three curves. For text, the message names the line.

    Examples
    --------
    >>> read_record(b"LUT_1D_SIZE 2 0 0 0 1 1 1", name="look.cube")
    Traceback (most recent call last):
    imharmony.errors.CurveError: look.cube, line 1: expected a LUT_1D_SIZE of 2 to \
65536, got 'LUT_1D_SIZE 2 0 0 0 1 1 1'
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "curve data"
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                data = read_bytes(file)
        except FileNotFoundError as error:
            raise DecodeError(f"{name}: no such file") from error
        except OSError as error:
            reason = error.strerror or error
            raise DecodeError(f"{name}: cannot be read ({reason})") from error
    else:
        data = source
    kind = _recognize(data, name)
    if len(data) > MAX_BYTES[kind]:
        raise CurveError(
            f"{name}: expected at most {MAX_BYTES[kind]} bytes of {kind}, got more"
        )
    if kind == "json":
        return from_json(_decode(data, name), name=name)
    if kind == "cube":
        # Titles and comments are in any encoding; numbers and keywords are ASCII. DOS
        # programs end a text by Ctrl-Z.
        text = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\x1a\0").decode("latin-1")
        return Record(cube.from_cube(text, name=name))
    if kind == "hald":
        return Record(hald.from_hald(data, name=name))
    return Record(acv.from_acv(data, name=name))


def read_bytes(file: BinaryIO) -> bytes:
    """Take a file or pipe into memory, but no more of it than `read_record` refuses."""
    return file.read(max(MAX_BYTES.values()) + 1)


def write_record(
    record: Record,
    target: Path,
    *,
    overwrite: bool = False,
    kind: str | None = None,
    size: int | None = None,
) -> None:
    """Write curves to a file, whole or not at all.

    Parameters
    ----------
    record : Record
        Only JSON holds more than `record.curves`.
    target : Path
        Its extension says the kind: .json, .cube, .acv, or .png and .svg for a plot.
    overwrite : bool
        Whether an existing file may be replaced.
    kind : str, optional
        "hald" makes a .png a HaldCLUT.
    size : int, optional
        As for `encode`.

    Raises
    ------
    UsageError
        If the target cannot be written, or kind or size do not fit it; for plots, if
        matplotlib is not installed.
    CurveError
        If JSON cannot hold the curves.
    ImageError
        If writing fails, for instance on a full disk.

    Warns
    -----
    HarmonizeWarning
        As `warn_of_cost`.
    """
    kind = choose_kind(target, kind=kind)
    tables.check_size(kind, size)
    writing.check_target(target, SUFFIXES[kind], overwrite=overwrite)
    if kind == "plot":
        from imharmony.curve_files import plots

        data = plots.encode(plots.draw(record.curves), target.suffix)
    else:
        data = encode(record, kind, size=size)
        warn_of_cost(record.curves, data, name=str(target))
    with writing.replace_whole(target, overwrite=overwrite) as file:
        file.write(data)


def warn_of_cost(curves: Curves, data: bytes, *, name: str) -> None:
    """Warn if an 8-bit photo shows the difference between curves and their file.

    Parameters
    ----------
    curves : Curves
        Before they were encoded.
    data : bytes
        What `encode` made of them.
    name : str
        Of the file.

    Warns
    -----
    HarmonizeWarning
        If, read back, a level of 8 bit comes out more than one step away.

    Examples
    --------
    >>> curves = Curves.identity()
    >>> warn_of_cost(curves, encode(Record(curves), "acv"), name="look.acv")
    """
    stored = read_record(data, name=name).curves
    levels = np.stack([np.arange(256) / 255] * 3, axis=-1)
    steps = 255 * np.abs(np.clip(curves(levels), 0, 1) - np.clip(stored(levels), 0, 1))
    if steps.max() > MAX_COST:
        points = f"the format has {acv.MAX_POINTS} points per channel"
        hint = points if _recognize(data, name) == "acv" else "a larger size is closer"
        msg = (
            f"{name}: up to {steps.max():.1f} of 255 away from the curves, "
            f"{steps.mean():.2f} on average; {hint}"
        )
        warn(msg)


def _recognize(data: bytes, name: str) -> str:
    head = data[:1024].removeprefix(UTF8_MARK).lstrip()
    if data.startswith(hald.PNG_HEAD):
        return "hald"
    if head.startswith(b"{"):
        return "json"
    if data.startswith((b"\0\1", b"\0\4")):
        return "acv"
    suffix = Path(name).suffix.lower()
    for kind in MAX_BYTES:
        if data and suffix in SUFFIXES[kind]:
            return kind
    if b"LUT_" in head:
        return "cube"
    got = f"one that starts with {data[:8]!r}" if data else "0 bytes"
    raise CurveError(
        f"{name}: expected curves in a .json, .cube, .acv or HaldCLUT .png file, got "
        f"{got}"
    )


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"the byte {data[error.start]:#04x}"
        msg = f"{name}, line {line}: expected text in UTF-8, got {got}"
        raise CurveError(msg) from error
