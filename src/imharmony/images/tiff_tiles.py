"""Tiles of a TIFF, read so that each damaged one is an error.

Libvips decodes tiles behind a cache, and the cache turns a tile that cannot be decoded
into black without a word. Strips are read without that cache. So the tiles of a file
are shown to libvips as the strips of a tall picture, one tile wide: same bytes, same
compression, another directory. Every tile is then decoded once, or the error is raised.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
import tifftools

from imharmony.errors import DecodeError
from imharmony.images.pixels import Box, PixelArray, get_pixels

__all__ = ["Tiles"]

# TIFF 6.0: tags that say how samples are stored. Others are the picture's.
_BITS, _SAMPLES, _PLANAR = 258, 277, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_CODING = (
    _BITS,
    259,  # Compression
    262,  # PhotometricInterpretation
    266,  # FillOrder
    _SAMPLES,
    _PLANAR,
    292,  # T4Options
    293,  # T6Options
    317,  # Predictor
    320,  # ColorMap
    338,  # ExtraSamples
    339,  # SampleFormat
    347,  # JPEGTables
    529,  # YCbCrCoefficients
    530,  # YCbCrSubSampling
    531,  # YCbCrPositioning
    532,  # ReferenceBlackWhite
)
_LONG, _LONG8 = 4, 16
_MAX_ROWS = 10_000_000
"""Of a picture in libvips."""


class Tiles:
    """The tiles of a TIFF's first page.

    Parameters
    ----------
    source : Path or bytes
        The file, or what is in it.
    info : dict
        What `tifftools.read_tiff` says of it.
    name : str
        What error messages call the file.
    """

    def __init__(self, source: Path | bytes, info: dict[str, Any], name: str) -> None:
        self._source = source
        self._info = info
        self._name = name
        tags = info["ifds"][0]["tags"]
        self._tags = tags
        self.width = int(tags[256]["data"][0])
        self.height = int(tags[257]["data"][0])
        self.tile_width = int(tags[_TILE_WIDTH]["data"][0])
        self.tile_height = int(tags[_TILE_HEIGHT]["data"][0])
        if min(self.width, self.height, self.tile_width, self.tile_height) < 1:
            raise DecodeError(f"{name}: expected tiles of at least one pixel")
        self.across = -(-self.width // self.tile_width)
        self.down = -(-self.height // self.tile_height)
        is_planar = tags.get(_PLANAR, {"data": [1]})["data"][0] == 2
        self.num_planes = self._first(_SAMPLES, 1) if is_planar else 1
        expected = self.across * self.down * self.num_planes
        for tag in (_TILE_OFFSETS, _TILE_COUNTS):
            count = len(tags[tag]["data"]) if tag in tags else 0
            if count < expected:
                raise DecodeError(
                    f"{name}: expected {expected} tiles, got the places of {count}"
                )

        # Past the end lies our own directory, which is no picture.
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        places = zip(
            tags[_TILE_OFFSETS]["data"], tags[_TILE_COUNTS]["data"], strict=False
        )
        for number, (offset, count) in enumerate(places):
            if offset + count > size:
                raise DecodeError(
                    f"{name}: tile {number} lies past the end of the file, at "
                    f"{offset} with {count} bytes of {size}; the file is cut off"
                )

    def _first(self, tag: int, default: int) -> int:
        return int(self._tags.get(tag, {"data": [default]})["data"][0])

    def read(self, progress: Callable[[int], None] | None = None) -> PixelArray:
        """Decode all tiles.

        Returns
        -------
        ndarray of the file's samples, shape (H, W, C)

        Raises
        ------
        pyvips.Error
            If a tile cannot be decoded.
        """
        pixels: PixelArray | None = None
        for first_row, rows in self._bands(progress):
            if pixels is None:
                shape = self.height, self.width, rows.shape[2]
                pixels = np.empty(shape, rows.dtype)
            part = pixels[first_row : first_row + len(rows)]
            part[...] = rows[: len(part), : self.width]
        if pixels is None:
            raise DecodeError(f"{self._name}: expected tiles, got none")
        return pixels

    def check(self, progress: Callable[[int], None] | None = None) -> None:
        """Decode all tiles and keep nothing.

        Raises
        ------
        pyvips.Error
            If one cannot be decoded.
        """
        for _ in self._bands(progress):
            pass

    def _bands(self, progress: Callable[[int], None] | None) -> Any:
        """Yield each row of tiles, put side by side, with its first row of pixels."""
        at_once = max(1, _MAX_ROWS // (self.tile_height * self.across))
        for first in range(0, self.down, at_once):
            last = min(self.down, first + at_once)
            tall = self._as_strips(first, last)
            for row in range(first, last):
                top = (row - first) * self.across * self.tile_height
                box = Box(top, 0, self.across * self.tile_height, self.tile_width)
                # (tiles, h, w, C) to (h, tiles, w, C)
                stacked = get_pixels(tall, box).reshape(
                    self.across, self.tile_height, self.tile_width, -1
                )
                shape = self.tile_height, self.across * self.tile_width, -1
                joined = stacked.transpose(1, 0, 2, 3).reshape(shape)
                yield row * self.tile_height, joined
                if progress is not None:
                    progress(100 * (row + 1) // self.down)

    def _as_strips(self, first: int, last: int) -> pyvips.Image:
        """Show some rows of tiles to libvips as the strips of a tall picture."""
        size = self.across * self.down
        chosen = slice(first * self.across, last * self.across)
        places = {
            tag: [
                value
                for plane in range(self.num_planes)
                for value in self._tags[tag]["data"][plane * size : (plane + 1) * size][
                    chosen
                ]
            ]
            for tag in (_TILE_OFFSETS, _TILE_COUNTS)
        }
        height = (last - first) * self.across * self.tile_height
        tags: dict[int, tuple[int, Any]] = {
            number: (self._tags[number]["datatype"], self._tags[number]["data"])
            for number in _CODING
            if number in self._tags
        }
        wide = _LONG8 if self._info["bigtiff"] else _LONG
        tags[256] = _LONG, [self.tile_width]
        tags[257] = _LONG, [height]
        tags[273] = wide, places[_TILE_OFFSETS]
        tags[278] = _LONG, [self.tile_height]
        tags[279] = wide, places[_TILE_COUNTS]
        file = _Relabeled(self._source, self._info, tags)
        source = pyvips.SourceCustom()
        source.on_read(file.read)
        source.on_seek(file.seek)
        strips = pyvips.Image.tiffload_source(
            source, access="sequential", fail_on="error"
        )
        strips._references += [source, file]  # libvips reads them later on
        return strips


class _Relabeled:
    """A TIFF file under another directory, which lies past its end."""

    def __init__(
        self,
        source: Path | bytes,
        info: dict[str, Any],
        tags: dict[int, tuple[int, Any]],
    ) -> None:
        self._file: BinaryIO
        self._file = (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        )
        size = self._file.seek(0, io.SEEK_END)
        start = size + size % 2
        order = ">" if info["bigEndian"] else "<"
        is_big = info["bigtiff"]
        self._head = _write_head(order, is_big, start)
        self._tail = bytes(start - size) + _write_directory(order, is_big, start, tags)
        self._size = size
        self._at = 0

    def __del__(self) -> None:
        self._file.close()

    def read(self, num_bytes: int) -> bytes:
        """Read from where we are; less at a seam."""
        at = self._at
        if at < len(self._head):
            data = self._head[at : at + num_bytes]
        elif at < self._size:
            self._file.seek(at)
            data = self._file.read(min(num_bytes, self._size - at))
        else:
            start = at - self._size
            data = self._tail[start : start + num_bytes]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        """Go to a place, as files do."""
        start = (0, self._at, self._size + len(self._tail))[whence]
        self._at = start + offset
        return self._at


def _write_head(order: str, is_big: bool, start: int) -> bytes:
    """Write the header of a file whose directory starts there; TIFF 6.0, section 2."""
    mark = b"MM" if order == ">" else b"II"
    if is_big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    if start >= 2**32 - 2**24:
        msg = "a TIFF of nearly 4 GB that is no BigTIFF cannot be checked for damage"
        raise DecodeError(msg)
    return mark + struct.pack(order + "HI", 42, start)


def _write_directory(
    order: str, is_big: bool, start: int, tags: dict[int, tuple[int, Any]]
) -> bytes:
    """Write a directory and its values, as they lie from `start` on."""
    word, inline = ("Q", 8) if is_big else ("I", 4)
    count_size = 8 if is_big else 2
    entry_size = 20 if is_big else 12
    values_at = start + count_size + entry_size * len(tags) + inline
    entries, values = b"", b""
    for number, (datatype, data) in sorted(tags.items()):
        packed, count = _pack(order, datatype, data)
        if len(packed) <= inline:
            place = packed.ljust(inline, b"\0")
        else:
            place = struct.pack(order + word, values_at + len(values))
            values += packed + bytes(len(packed) % 2)
        entries += struct.pack(order + "HH" + word, number, datatype, count) + place
    num_entries = struct.pack(order + ("Q" if is_big else "H"), len(tags))
    return num_entries + entries + bytes(inline) + values


def _pack(order: str, datatype: int, data: Any) -> tuple[bytes, int]:
    """Turn a tag's values into bytes; also count them."""
    if isinstance(data, bytes):
        return data, len(data)
    if isinstance(data, str):
        text = data.encode() + b"\0"
        return text, len(text)
    code = tifftools.Datatype[datatype].pack  # two letters for a fraction
    count = len(data) // len(code)
    return struct.pack(order + code * count, *data), count
