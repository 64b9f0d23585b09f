"""Tags of TIFF files that libvips neither reads nor writes, or reads wrongly.

EXIF is itself a small TIFF. libvips keeps it for JPEG, PNG, WebP and AVIF, as a block
of bytes and as one field per tag; here it is taken from a TIFF and put into one.
Premultiplied alpha is left as stored, since libvips divides and multiplies by it
without rounding, and loses floats. IPTC is kept in the wrapping that JPEG has, since
libvips reads a quarter of it from a TIFF.
"""

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyvips
import tifftools

from imharmony.errors import HarmonizeWarning
from imharmony.images.formats import BIGTIFF_FIELD, COMPRESSION_FIELD, TIFF_COMPRESSIONS
from imharmony.images.photo import PREMULTIPLIED, is_premultiplied

__all__ = ["Tags", "finish", "needs_finish", "read_tags"]

# TIFF 6.0, section 8, and Exif 2.3, 4.6: what says where, when and by whom a photo was
# taken. Whatever describes the pixels or their layout is libvips's.
# ImageDescription, Make, Model, Software, DateTime, Artist, HostComputer, Copyright,
# and the EXIF and GPS directories.
_CARRIED = {270, 271, 272, 305, 306, 315, 316, 33432, 34665, 34853}
_COMPRESSION, _EXTRA_SAMPLES, _IPTC = 259, 338, 33723
_ASSOCIATED, _UNASSOCIATED = 1, 2  # premultiplied and straight alpha; section 18
_APP1_HEAD = b"Exif\0\0"
# Adobe Photoshop File Formats, image resource blocks: mark, number, an empty name.
_RESOURCE_HEAD = b"8BIM\x04\x04\0\0"
_APP13_HEAD = b"Photoshop 3.0\0"


@dataclass(frozen=True)
class Tags:
    """What a TIFF file says beyond what libvips reads."""

    info: dict[str, Any]
    """What tifftools reads of the file, straight alpha included."""
    is_bigtiff: bool
    compression: str | None
    """libvips's name of a lossless one; None for others."""
    exif: bytes | None
    """The carried tags, as a TIFF without a picture."""
    straight_file: bytes | None
    """Where alpha is premultiplied: the file, made to say that it is straight."""
    iptc: bytes | None
    """As in the file, without any wrapping."""

    def remember(self, photo: pyvips.Image) -> pyvips.Image:
        """Note the tags on a copy of the photo that was read from the file."""
        photo = photo.copy()
        number = pyvips.GValue.gint_type
        if self.is_bigtiff:
            photo.set_type(number, BIGTIFF_FIELD, 1)
        if self.straight_file is not None:
            photo.set_type(number, PREMULTIPLIED, 1)
        if self.compression is not None:
            photo.set_type(pyvips.GValue.gstr_type, COMPRESSION_FIELD, self.compression)
        if self.exif is not None:
            _set_exif(photo, self.exif)
        if self.iptc is not None:
            size = struct.pack(">I", len(self.iptc))
            wrapped = _APP13_HEAD + _RESOURCE_HEAD + size + self.iptc
            wrapped += bytes(len(self.iptc) % 2)
            photo.set_type(pyvips.GValue.blob_type, "iptc-data", wrapped)
        return photo


def read_tags(source: Path | bytes, name: str) -> Tags | None:
    """Read the tags of a TIFF's first page.

    Parameters
    ----------
    source : Path or bytes
    name : str
        What the warning calls it.

    Warns
    -----
    HarmonizeWarning
        If the tags cannot be read; the result is then None, and EXIF is lost.
    """
    opened: Any = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        info = tifftools.read_tiff(opened)
        tags = info["ifds"][0]["tags"]
        exif = _exif_block(tags, info)
        extra = tags.get(_EXTRA_SAMPLES, {"data": [0]})
        compression = tags.get(_COMPRESSION, {"data": [1]})["data"][0]
        iptc = _raw_bytes(tags[_IPTC], info) if _IPTC in tags else None
        straight_file = None
        if extra["data"][0] == _ASSOCIATED:
            data = source if isinstance(source, bytes) else source.read_bytes()
            order = ">H" if info["bigEndian"] else "<H"
            changed = bytearray(data)
            where = extra.get("offset", extra["datapos"])
            struct.pack_into(order, changed, where, _UNASSOCIATED)
            straight_file = bytes(changed)
            extra["data"][0] = _UNASSOCIATED
    except (tifftools.TifftoolsError, struct.error, LookupError, ValueError) as error:
        msg = f"{name}: its TIFF tags cannot be read ({error}); EXIF is not kept"
        warnings.warn(msg, HarmonizeWarning, stacklevel=3)
        return None
    return Tags(
        info=info,
        is_bigtiff=info["bigtiff"],
        compression=TIFF_COMPRESSIONS.get(compression),
        exif=exif,
        straight_file=straight_file,
        iptc=iptc,
    )


def finish(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Copy a TIFF that libvips wrote, with the photo's EXIF and kind of alpha added.

    Parameters
    ----------
    photo : pyvips.Image
        What was written.
    written : binary file
        The TIFF; read from its start.
    output : binary file
        Where the copy goes.
    """
    written.seek(0)
    info = tifftools.read_tiff(written)
    tags = info["ifds"][0]["tags"]
    exif = _exif_of(photo)
    if exif is not None:
        added = tifftools.read_tiff(io.BytesIO(exif))["ifds"][0]["tags"]
        for number in _CARRIED & added.keys():
            tags.setdefault(number, added[number])
    iptc = _iptc_of(photo)
    if iptc is not None:
        tags[_IPTC] = {"datatype": tifftools.Datatype.UNDEFINED, "data": iptc}
    else:
        tags.pop(_IPTC, None)
    if is_premultiplied(photo):
        tags[_EXTRA_SAMPLES]["data"] = [_ASSOCIATED]
    tifftools.write_tiff(info, output)


def needs_finish(photo: pyvips.Image) -> bool:
    """Whether libvips alone would lose something of a photo in a TIFF."""
    has_metadata = photo.get_typeof("iptc-data") or _exif_of(photo) is not None
    return bool(is_premultiplied(photo) or has_metadata)


def _exif_of(photo: pyvips.Image) -> bytes | None:
    """Return a photo's EXIF as a small TIFF; None if it has none.

    Libvips brings the block up to date with the photo's fields while it writes, so
    a picture of one pixel is written.
    """
    if not photo.get_typeof("exif-data"):
        return None
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    for name in photo.get_fields():
        if name.startswith("exif-"):
            pixel.set_type(photo.get_typeof(name), name, photo.get(name))
    encoded: bytes = pixel.jpegsave_buffer()
    start = encoded.find(_APP1_HEAD)
    if start < 0:
        return None
    length = int.from_bytes(encoded[start - 2 : start], "big")
    return encoded[start + len(_APP1_HEAD) : start - 2 + length]


def _iptc_of(photo: pyvips.Image) -> bytes | None:
    """Unwrap a photo's IPTC; None if it has none."""
    if not photo.get_typeof("iptc-data"):
        return None
    wrapped = bytes(photo.get("iptc-data"))
    start = wrapped.find(_RESOURCE_HEAD)
    if start < 0:
        return None
    start += len(_RESOURCE_HEAD)
    length = int.from_bytes(wrapped[start : start + 4], "big")
    return wrapped[start + 4 : start + 4 + length]


def _raw_bytes(tag: dict[str, Any], info: dict[str, Any]) -> bytes:
    """Return the bytes of a tag in the file, whatever type it has."""
    data = tag["data"]
    if isinstance(data, bytes):
        return data
    order = ">" if info["bigEndian"] else "<"
    code = tifftools.Datatype[tag["datatype"]].pack
    return struct.pack(order + code * len(data), *data)


def _exif_block(tags: dict[int, Any], info: dict[str, Any]) -> bytes | None:
    """Write the carried tags alone, as a TIFF without a picture."""
    carried = {number: tags[number] for number in _CARRIED & tags.keys()}
    if not carried:
        return None
    ifd = {**info["ifds"][0], "tags": carried}
    block = io.BytesIO()
    tifftools.write_tiff([ifd], block, bigEndian=info["bigEndian"], bigtiff=False)
    return block.getvalue()


def _set_exif(photo: pyvips.Image, exif: bytes) -> None:
    """Let libvips read an EXIF block, by way of a picture of one pixel."""
    encoded: bytes = pyvips.Image.black(1, 1, bands=3).jpegsave_buffer(keep="none")
    segment = _APP1_HEAD + exif
    if len(segment) + 2 > 0xFFFF:  # the most that a segment holds; T.81, B.1.1.4
        msg = "EXIF of more than 64 KB fits no JPEG or PNG, and is not kept"
        warnings.warn(msg, HarmonizeWarning, stacklevel=4)
        return
    size = (len(segment) + 2).to_bytes(2, "big")
    marked = encoded[:2] + b"\xff\xe1" + size + segment + encoded[2:]
    pixel = pyvips.Image.jpegload_buffer(marked)
    for name in pixel.get_fields():
        if name.startswith("exif-"):
            photo.set_type(pixel.get_typeof(name), name, pixel.get(name))
