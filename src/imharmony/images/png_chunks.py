"""What a PNG file says beside its pixels: read, understood, written back.

The standard is PNG, third edition (W3C, 2025). Libvips writes chunks of its own choice;
this module puts the chunks of the photo's own file in their place.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import pyvips

from imharmony.errors import ImageError
from imharmony.images import exif_block, xmp
from imharmony.images.color_tags import ColorTags, from_cicp, from_gamma

__all__ = [
    "FIELD",
    "find_color",
    "finish",
    "is_animated",
    "make_upright",
    "pack",
    "read_chunks",
]

FIELD = "imharmony-png-chunks"
"""Field of a photo that holds the chunks of its file, without the pixels."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = 8 + 25  # signature and IHDR
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"hIST"}
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
_OF_DEPTH = {b"sBIT", b"bKGD"}
# Chunks of these types stay true although colors change.
_KNOWN = {
    *(b"cICP", b"mDCV", b"cLLI", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"bKGD"),
    *(b"pHYs", b"sPLT", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"eXIf"),
}
_BEFORE_PIXELS = b"\0before"
_MAX_BYTES = 2**26  # of all chunks together


Chunk = tuple[bytes, bytes]
"""Type and data of a chunk."""


def read_chunks(source: Path | bytes) -> list[Chunk]:
    """List a file's chunks without the data of the pixels.

    Nothing is checked: libvips has read the file before.
    """
    opened: BinaryIO
    opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with opened as file:
        file.seek(len(_SIGNATURE))
        chunks: list[tuple[bytes, bytes]] = []
        total = 0
        while len(head := file.read(8)) == 8:
            length, chunk_type = struct.unpack(">I4s", head)
            if chunk_type in (b"IDAT", b"fdAT") or total + length > _MAX_BYTES:
                file.seek(length + 4, io.SEEK_CUR)
                data = b""
            else:
                data = file.read(length)
                file.seek(4, io.SEEK_CUR)
                total += length
            if not (chunk_type == b"IDAT" and chunks and chunks[-1][0] == b"IDAT"):
                chunks.append((chunk_type, data))
            if chunk_type == b"IEND":
                break
        return chunks


def make_upright(chunks: list[Chunk]) -> list[Chunk]:
    """Say in XMP that the picture is upright, after its pixels were turned."""
    return [
        (chunk_type, _make_text_upright(data) if chunk_type == b"iTXt" else data)
        for chunk_type, data in chunks
    ]


def _make_text_upright(data: bytes) -> bytes:
    """Do so in an iTXt chunk: keyword, compression, language, text (PNG, 11.3.3.4)."""
    keyword, _, rest = data.partition(b"\0")
    head, parts = rest[:2], rest[2:].split(b"\0", 2)
    if keyword != b"XML:com.adobe.xmp" or len(parts) < 3:
        return data
    language, translated, text = parts
    if head[:1] == b"\1":
        try:
            text = zlib.compress(xmp.make_upright(zlib.decompress(text)))
        except zlib.error:
            return data
    else:
        text = xmp.make_upright(text)
    return b"\0".join((keyword, head + language, translated, text))


def is_animated(chunks: list[Chunk]) -> bool:
    """Whether the chunks are those of an animation (APNG)."""
    return any(chunk_type == b"acTL" for chunk_type, _ in chunks)


def find_color(chunks: list[Chunk], name: str) -> ColorTags | None:
    """Find what the chunks say of the colors.

    Returns
    -------
    ColorTags or None
        None for sRGB, and where an ICC profile says it. By PNG 4.3, cICP overrules
        iCCP, which overrules sRGB, which overrules gAMA and cHRM.

    Raises
    ------
    ImageError
        If we cannot handle the colors that the chunks name.
    """
    by_type = dict(reversed(chunks))  # the first of each
    try:
        if b"cICP" in by_type:
            primaries, transfer, matrix, is_full = by_type[b"cICP"][:4]
            if matrix != 0:
                raise ImageError(f"{name}: expected RGB, got cICP matrix {matrix}")
            return _drop_srgb(
                from_cicp(primaries, transfer, name, full_range=bool(is_full))
            )
        if b"iCCP" in by_type or b"sRGB" in by_type:
            return None
        gamma, points = None, None
        if b"gAMA" in by_type:
            gamma = struct.unpack(">I", by_type[b"gAMA"])[0] / 100_000
        if b"cHRM" in by_type:
            points = tuple(x / 100_000 for x in struct.unpack(">8I", by_type[b"cHRM"]))
    except (struct.error, ValueError):
        return None  # damaged: other programs ignore it, too
    if gamma is None and points is None:
        return None
    if gamma == 0 or (points is not None and 0 in points[1::2]):
        return None
    return _drop_srgb(from_gamma(gamma, points))


def _drop_srgb(tags: ColorTags) -> ColorTags | None:
    return None if tags.is_srgb else tags


def pack(chunks: list[Chunk]) -> bytes:
    """Encode chunks for a photo's field."""
    return b"".join(
        struct.pack(">I4s", len(data), chunk_type) + data for chunk_type, data in chunks
    )


def _unpack(stored: bytes) -> list[Chunk]:
    chunks, at = [], 0
    while at < len(stored):
        length, chunk_type = struct.unpack_from(">I4s", stored, at)
        chunks.append((chunk_type, stored[at + 8 : at + 8 + length]))
        at += 8 + length
    return chunks


def finish(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Copy a PNG that libvips wrote, with the chunks of the photo's own file.

    Parameters
    ----------
    photo : pyvips.Image
        What was written.
    written : binary file
        The PNG; read from its start.
    output : binary file
        Where the copy goes.
    """
    own = _unpack(bytes(photo.get(FIELD)))
    chunk_types = [chunk_type for chunk_type, _ in own]
    middle = chunk_types.index(b"IDAT") if b"IDAT" in chunk_types else len(own)
    written.seek(0)
    header = written.read(_HEADER)
    own_header = own[0][1] if own and own[0][0] == b"IHDR" else b""
    output.write(header)
    for chunk_type, data in own[:middle]:
        _copy(output, chunk_type, data, own_header, header[16:29])
    while True:
        head = written.read(8)
        length, chunk_type = struct.unpack(">I4s", head)
        if chunk_type == b"IEND":
            break
        if chunk_type in (b"IDAT", b"PLTE", b"tRNS"):
            output.write(head)
            output.write(written.read(length + 4))
        else:
            written.seek(length + 4, io.SEEK_CUR)
    for chunk_type, data in own[middle:]:
        _copy(output, chunk_type, data, own_header, header[16:29])
    output.write(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))


def _copy(
    output: BinaryIO,
    chunk_type: bytes,
    data: bytes,
    old_header: bytes,
    new_header: bytes,
) -> None:
    """Write a chunk if it still holds true."""
    is_safe = chunk_type in _KNOWN or (
        chunk_type not in _ANIMATION and chunk_type[3:4].islower()
    )
    if chunk_type in _PIXELS or not is_safe:
        return
    if chunk_type in _OF_DEPTH:
        old_depth, old_color = old_header[8:10]
        new_depth, new_color = new_header[8:10]
        # Alpha (4) counts for sBIT alone.
        relevant = 0xFF if chunk_type == b"sBIT" else 0xFB
        same = old_color & relevant == new_color & relevant
        if old_depth != new_depth or not same:
            return
    if chunk_type == b"eXIf":
        data = exif_block.make_true(data)
    output.write(struct.pack(">I4s", len(data), chunk_type) + data)
    output.write(struct.pack(">I", zlib.crc32(chunk_type + data)))
