"""Decode and encode the coefficients of a JPEG by the libjpeg-turbo in jpeglib.

Only two C functions of jpeglib are used, and they get files without any of the markers
that a camera or a program puts in: what is kept byte for byte does not pass through.
"""

import ctypes
import importlib.util
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.errors import DecodeError
from imharmony.images.jpeg_file import (
    DHT,
    DQT,
    DRI,
    PROGRESSIVE,
    Component,
    JpegFile,
    Segment,
    find_scans,
    parse_jpeg,
)

__all__ = ["Coefficients", "is_installed", "read_scans", "write_scans"]

Coefficients = list[npt.NDArray[np.int16]]
"""For each component, quantized: (rows, columns, 64), rows of frequencies."""

_VERSION = "turbo210"
"""The quickest of the JPEG libraries that jpeglib contains."""
_PROGRESSIVE_VERSION = "mozjpeg403"
"""The library that writes progressive files by default."""
_BASELINE, _EXTENDED = 0xC0, 0xC1
_GRAYSCALE, _YCBCR = 1, 3  # J_COLOR_SPACE of libjpeg's jpeglib.h
_OPTIMIZE = 1 << 6  # OPTIMIZE_CODING among the flags of jpeglib
_MAX_SIDE = 65500  # JPEG_MAX_DIMENSION of libjpeg's jmorecfg.h


def is_installed() -> bool:
    """Whether jpeglib can be used here."""
    try:
        return _load_library(_VERSION) is not None
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
    is_usual = file.process in (_BASELINE, _EXTENDED, PROGRESSIVE)
    if not is_usual or file.precision != 8 or len(file.components) not in (1, 3):
        raise DecodeError(
            "expected a JPEG of 8 bit, gray or in color, baseline or progressive"
        )
    library = _load_library(_VERSION)
    if library is None:
        raise DecodeError("jpeglib is not installed")
    coefficients = [
        np.empty((*file.grid(component), 64), np.int16) for component in file.components
    ]
    tables = np.zeros((4, 64), np.uint16)
    numbers = np.zeros(4, np.int16)
    plain = JpegFile.encode(_drop_markers(file))
    with _give_path(plain) as path:
        status = library.read_jpeg_dct(
            path,
            *_point_to_components(coefficients),
            _point_to(tables),
            _point_to(numbers),
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
        makes the file smaller. Progressive files always do, files with restart
        markers never.

    Returns
    -------
    JpegFile
        A progressive file stays progressive and keeps no restart markers, a sequential
        one keeps them. Without the library that can write it, a progressive file comes
        back sequential; an interval too long for a library is left out.

    Raises
    ------
    DecodeError
        If they cannot be encoded.
    """
    written: JpegFile | None = None
    if file.is_progressive:
        written = _encode_progressive(file, coefficients)
    elif file.restart_interval:
        written = _encode_intervals(file, coefficients)
    keeps_restarts = written is not None and not file.is_progressive
    if written is None:
        written = _encode(file, coefficients, _VERSION, optimize=optimize)
    left_out = {DHT} if keeps_restarts else {DHT, DRI}
    frames = [
        Segment(written.process, segment.data)
        if segment.marker == file.process
        else segment
        for segment in file.segments
        if segment.marker not in left_out
    ]
    return replace(
        file,
        segments=(*frames, *written.find_segments(DHT)),
        scans=_restore_identifiers(written, file),
        process=written.process,
    )


def _encode_progressive(file: JpegFile, coefficients: Coefficients) -> JpegFile | None:
    """Encode in progressive scans; None if there is no library that can."""
    if _load_library(_PROGRESSIVE_VERSION) is None:
        return None
    # From a source, the library takes that it is to leave the coefficients alone.
    source = _drop_markers(file).encode()
    return _encode(file, coefficients, _PROGRESSIVE_VERSION, source=source)


def _encode(
    file: JpegFile,
    coefficients: Coefficients,
    version: str,
    *,
    optimize: bool = False,
    source: bytes | None = None,
) -> JpegFile:
    """Encode coefficients of a picture of the sampling and size of a file."""
    library = _load_library(version)
    if library is None:
        raise DecodeError("jpeglib is not installed")
    grids = [size for values in coefficients for size in values.shape[:2]]
    factors = [n for c in file.components for n in (c.down, c.across)]
    if len(file.components) == 1:
        factors = [1, 1]  # of no meaning for one component
    blocks = [np.ascontiguousarray(values, np.int16) for values in coefficients]
    numbers = np.zeros(4, np.int16)
    with _give_path(b"") as path, _give_path(source or b"") as source_path:
        status = library.write_jpeg_dct(
            None if source is None else source_path,
            path,
            *_point_to_components(blocks),
            (ctypes.c_int * 2)(file.height, file.width),
            (ctypes.c_int * len(grids))(*grids),
            (ctypes.c_int * len(factors))(*factors),
            _GRAYSCALE if len(blocks) == 1 else _YCBCR,
            len(blocks),
            None,
            ctypes.c_short(-1),
            _point_to(numbers),
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
    return parse_jpeg(encoded)


def _encode_intervals(file: JpegFile, coefficients: Coefficients) -> JpegFile | None:
    """Encode with restart markers; None if an interval is too long.

    An interval begins like a picture, without regard to what was before it (T.81,
    E.1.4). So each is encoded as a picture of its own, and the scans are joined.
    """
    units = [
        _order_blocks(file, component, values)
        for component, values in zip(file.components, coefficients, strict=True)
    ]
    down, across = file.sampling if len(units) > 1 else (1, 1)
    count = len(units[0])
    first: JpegFile | None = None
    scans: list[bytes] = []
    for start in range(0, count, file.restart_interval):
        length = min(file.restart_interval, count - start)
        shape = _find_shape(length, (down, across))
        if shape is None:
            return None
        rows, columns = shape
        pieces = []
        for values in units:
            v, h = values.shape[1:3]
            piece = values[start : start + length].reshape(rows, columns, v, h, 64)
            pieces.append(piece.swapaxes(1, 2).reshape(rows * v, columns * h, 64))
        height, width = rows * down * 8, columns * across * 8
        sized = replace(file, height=height, width=width)
        written = _encode(sized, pieces, _VERSION)
        if first is None:
            first = written
            scans.append(written.scans)
        else:
            (head,) = struct.unpack_from(">H", written.scans, 2)
            marker = bytes((0xFF, 0xD0 + (len(scans) - 1) % 8))
            scans.append(marker + written.scans[2 + head :])
    return None if first is None else replace(first, scans=b"".join(scans))


def _order_blocks(
    file: JpegFile, component: Component, values: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """Put a component's blocks in the order of the scan: (units, down, across, 64).

    T.81, A.2: a scan of one component has units of one block. Otherwise blocks are
    added at the right and at the bottom until units are whole; decoders drop them.
    """
    if len(file.components) == 1:
        return values.reshape(-1, 1, 1, 64)
    v, h = component.down, component.across
    num_rows = -(-file.height // (8 * file.sampling[0]))
    num_columns = -(-file.width // (8 * file.sampling[1]))
    filled = np.zeros((num_rows * v, num_columns * h, 64), np.int16)
    rows, columns = values.shape[:2]
    filled[:rows, :columns] = values
    # The mean of the block before costs the fewest bits.
    filled[:rows, columns:, 0] = values[:, -1:, 0]
    filled[rows:, :, 0] = filled[rows - 1, :, 0]
    whole = filled.reshape(num_rows, v, num_columns, h, 64)
    return whole.swapaxes(1, 2).reshape(-1, v, h, 64)


def _find_shape(count: int, sampling: tuple[int, int]) -> tuple[int, int] | None:
    """Find rows and columns of a picture of so many units; None if there are none."""
    most_rows, most_columns = (_MAX_SIDE // (8 * factor) for factor in sampling)
    for columns in range(min(count, most_columns), 0, -1):
        if count % columns == 0:
            rows = count // columns
            return (rows, columns) if rows <= most_rows else None
    return None


def _drop_markers(file: JpegFile) -> JpegFile:
    """Keep what decoding needs."""
    needed = tuple(file.find_segments(DQT, DHT, DRI, file.process))
    return replace(file, segments=needed, trailer=b"")


def _restore_identifiers(written: JpegFile, file: JpegFile) -> bytes:
    """Let the scans name the components as the file's own frame does."""
    names = {
        new.identifier: old.identifier
        for new, old in zip(written.components, file.components, strict=True)
    }
    scans = bytearray(written.scans)
    for at in find_scans(written.scans):
        for i in range(scans[at + 4]):
            place = at + 5 + 2 * i
            scans[place] = names[scans[place]]
    return bytes(scans)


def _point_to(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _point_to_components(coefficients: Coefficients) -> list[ctypes.c_void_p | None]:
    """Point to the components that there are, of four."""
    pointers: list[ctypes.c_void_p | None] = [
        _point_to(values) for values in coefficients
    ]
    return pointers + [None] * (4 - len(pointers))


@contextmanager
def _give_path(content: bytes) -> Iterator[bytes]:
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
def _load_library(version: str) -> ctypes.CDLL | None:
    """Load one of jpeglib's libraries; None if there is none."""
    spec = importlib.util.find_spec("jpeglib")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "cjpeglib"
    for path in sorted(folder.glob(f"cjpeglib_{version}.*")):
        if path.suffix in (".so", ".pyd", ".dll"):
            return ctypes.CDLL(str(path))
    return None
