"""What a WebP file says beside its pixels, added to the file that libvips wrote.

RFC 9649: a RIFF file of chunks; VP8X first where there is more than pixels.
"""

import struct
from typing import BinaryIO

import pyvips

from imharmony.images import exif_block

__all__ = ["finish"]

_ICC, _ALPHA, _EXIF, _XMP = 0x20, 0x10, 0x08, 0x04  # flags of VP8X


def finish(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Copy a WebP that libvips wrote, with the photo's EXIF as it was in its file.

    Parameters
    ----------
    photo : pyvips.Image
        What was written.
    written : binary file
        The WebP; read from its start.
    output : binary file
        Where the copy goes.
    """
    written.seek(0)
    chunks = _read(written.read())
    exif = exif_block.get_block(photo)
    kept = [
        (chunk_type, data)
        for chunk_type, data in chunks
        if chunk_type not in (b"EXIF", b"VP8X")
    ]
    if exif is not None:
        at = next((i for i, (name, _) in enumerate(kept) if name == b"XMP "), len(kept))
        kept.insert(at, (b"EXIF", exif))
    chunk_types = {chunk_type for chunk_type, _ in kept}
    if chunk_types & {b"ICCP", b"EXIF", b"XMP ", b"ALPH"}:
        flags = _ICC * (b"ICCP" in chunk_types) | _EXIF * (exif is not None)
        flags |= _XMP * (b"XMP " in chunk_types) | _ALPHA * photo.hasalpha()
        size = (photo.width - 1).to_bytes(3, "little")
        size += (photo.height - 1).to_bytes(3, "little")
        kept.insert(0, (b"VP8X", bytes((flags, 0, 0, 0)) + size))
    body = b"".join(
        chunk_type + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        for chunk_type, data in kept
    )
    output.write(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)


def _read(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 12
    while at + 8 <= len(data):
        chunk_type, length = struct.unpack_from("<4sI", data, at)
        chunks.append((chunk_type, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks
