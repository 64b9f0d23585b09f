"""Coefficients of a JPEG out of its scans and back, by the libjpeg-turbo in jpeglib.

Only two C functions of jpeglib are used, and they get files without any of the markers
that a camera or a program puts in: what is kept byte for byte does not pass through.
"""

import ctypes
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.errors import DecodeError
from imharmony.images.jpeg_file import (
    DHT,
    DQT,
    DRI,
    SOS,
    JpegFile,
    Segment,
    parse_jpeg,
)

__all__ = ["Coefficients", "is_installed", "read_scans", "write_scans"]

Coefficients = list[npt.NDArray[np.int16]]
"""For each component, quantized: (rows, columns, 64), rows of frequencies."""

_VERSION = "turbo210"
"""The quickest of the libraries that jpeglib brings."""
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_GRAYSCALE, _YCBCR = 1, 3  # J_COLOR_SPACE of libjpeg's jpeglib.h
_OPTIMIZE = 1 << 6  # OPTIMIZE_CODING among the flags of jpeglib


def is_installed() -> bool:
    """Whether jpeglib can be used here."""
    try:
        return _library(_VERSION) is not None
    except OSError:
        return False


def read_scans(file: JpegFile) -> Coefficients:
    """Decode the coefficients of all components.

    Raises
    ------
    DecodeError
        If the file is of another process than baseline, sequential and progressive
        Huffman coding of 8 bit, or damaged.
    """
    is_usual = file.process in (_BASELINE, _EXTENDED, _PROGRESSIVE)
    if not is_usual or file.precision != 8 or len(file.components) not in (1, 3):
        raise DecodeError(
            "expected a JPEG of 8 bit, gray or in color, baseline or progressive"
        )
    library = _library(_VERSION)
    if library is None:
        raise DecodeError("jpeglib is not installed")
    coefficients = [
        np.empty((*file.grid(component), 64), np.int16) for component in file.components
    ]
    tables = np.zeros((4, 64), np.uint16)
    numbers = np.zeros(4, np.int16)
    plain = JpegFile.encode(_without_markers(file))
    with _named(plain) as path:
        status = library.read_jpeg_dct(
            path, *_pointers(coefficients), _pointer(tables), _pointer(numbers)
        )
    if not status:
        raise DecodeError("the JPEG's scans are damaged")
    return coefficients


def write_scans(
    file: JpegFile, coefficients: Coefficients, *, optimize: bool
) -> JpegFile:
    """Encode coefficients in the place of a file's own; all else stays.

    Parameters
    ----------
    file : JpegFile
    coefficients : list of ndarray
        As `read_scans` gives them for this file.
    optimize : bool
        Whether to make the Huffman tables for this picture, which takes longer and
        makes the file smaller. Progressive files always do.

    Raises
    ------
    DecodeError
        If they cannot be encoded.
    """
    library = _library(_VERSION)
    if library is None:
        raise DecodeError("jpeglib is not installed")
    grids = [size for component in file.components for size in file.grid(component)]
    factors = [n for c in file.components for n in (c.down, c.across)]
    if len(file.components) == 1:
        factors = [1, 1]  # of no meaning for one component
    blocks = [np.ascontiguousarray(values, np.int16) for values in coefficients]
    numbers = np.zeros(4, np.int16)
    with _named(b"") as path:
        status = library.write_jpeg_dct(
            None,
            path,
            *_pointers(blocks),
            (ctypes.c_int * 2)(file.height, file.width),
            (ctypes.c_int * len(grids))(*grids),
            (ctypes.c_int * len(factors))(*factors),
            _GRAYSCALE if len(blocks) == 1 else _YCBCR,
            len(blocks),
            None,
            ctypes.c_short(-1),
            _pointer(numbers),
            0,
            None,
            None,
            None,
            ctypes.c_uint(_OPTIMIZE if optimize else 0),
            ctypes.c_uint(0xFFFFFFFF),
        )
        encoded = Path(os.fsdecode(path)).read_bytes()
    if not status:
        raise DecodeError("the coefficients cannot be encoded")
    written = parse_jpeg(encoded)
    kept = (s for s in file.segments if s.marker not in (DHT, DRI))
    frames = (
        Segment(written.process, s.data) if s.marker == file.process else s
        for s in kept
    )
    return JpegFile(
        **{
            **vars(file),
            "segments": (*frames, *written.of(DHT)),
            "scans": _with_identifiers(written, file),
            "process": written.process,
        }
    )


def _without_markers(file: JpegFile) -> JpegFile:
    """Keep what decoding needs."""
    needed = tuple(file.of(DQT, DHT, DRI, file.process))
    return JpegFile(**{**vars(file), "segments": needed, "trailer": b""})


def _with_identifiers(written: JpegFile, file: JpegFile) -> bytes:
    """Let the scans name the components as the file's own frame does."""
    names = {
        new.identifier: old.identifier
        for new, old in zip(written.components, file.components, strict=True)
    }
    scans = bytearray(written.scans)
    at = 0
    mark = bytes((0xFF, SOS))
    while (at := scans.find(mark, at)) >= 0:
        for i in range(scans[at + 4]):
            place = at + 5 + 2 * i
            scans[place] = names[scans[place]]
        at += 2
    return bytes(scans)


def _pointer(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _pointers(coefficients: Coefficients) -> list[ctypes.c_void_p | None]:
    """Point to the components that there are, of four."""
    found: list[ctypes.c_void_p | None] = [_pointer(values) for values in coefficients]
    return found + [None] * (4 - len(found))


@contextmanager
def _named(content: bytes) -> Iterator[bytes]:
    """Give bytes a path, in memory where the system can do that (Linux)."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("imharmony")
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123
            file.write(content)
            yield f"/proc/self/fd/{descriptor}".encode()
        return
    with tempfile.TemporaryDirectory(prefix="imharmony-") as folder:
        path = Path(folder) / "scans.jpg"
        path.write_bytes(content)
        yield os.fsencode(path)


@cache
def _library(version: str) -> ctypes.CDLL | None:
    """Load one of jpeglib's libraries; None if there is none."""
    spec = importlib.util.find_spec("jpeglib")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "cjpeglib"
    for path in sorted(folder.glob(f"cjpeglib_{version}.*")):
        if path.suffix in (".so", ".pyd", ".dll"):
            return ctypes.CDLL(str(path))
    return None
