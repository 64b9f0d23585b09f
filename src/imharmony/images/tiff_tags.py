"""Tags of TIFF files that libvips neither reads nor writes, or reads wrongly.

EXIF is itself a small TIFF. libvips keeps it for JPEG, PNG, WebP and AVIF, as a block
of bytes and as one field per tag; here it is taken from a TIFF and put into one.
Premultiplied alpha is left as stored, since libvips divides and multiplies by it
without rounding, and loses floats. IPTC is kept in the wrapping that JPEG has, since
libvips reads a quarter of it from a TIFF.
"""

import io
import struct
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyvips
import tifftools
from tifftools import path_or_fobj

from imharmony.errors import ImageError, warn
from imharmony.images import exif_block
from imharmony.images.color_tags import ColorTags, from_table
from imharmony.images.formats import (
    BIGTIFF_FIELD,
    COMPRESSION_FIELD,
    TIFF_COMPRESSIONS,
    UNSPECIFIED,
)
from imharmony.images.photo import PREMULTIPLIED, is_premultiplied

__all__ = ["Tags", "finish", "read_tags"]

# TIFF 6.0, section 8, and Exif 2.3, 4.6: what says where, when and by whom a photo was
# taken. Whatever describes the pixels or their layout is libvips's.
# ImageDescription, Make, Model, Software, DateTime, Artist, HostComputer, Copyright,
# Rating, RatingPercent, the EXIF and GPS directories, and Windows' title, comment,
# author, keywords and subject.
_CARRIED = {
    *(270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 34665, 34853),
    *(40091, 40092, 40093, 40094, 40095),
}
# How samples are stored, which libvips says of what it writes; TIFF 6.0, section 8, and
# the layout of further pages, previews and private data at a place in the old file.
_LAYOUT = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279),
    *(284, 288, 289, 292, 293, 317, 320, 322, 323, 324, 325, 330, 338),
    *(339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521),
    *(529, 530, 531, 532, 33723, 34675, 700, 50674),
}
_RESOLUTION = (282, 283, 296)
_SAMPLE_FORMAT = 339
_BITS, _COMPRESSION, _EXTRA_SAMPLES, _IPTC = 258, 259, 338, 33723
_SAME_LIGHT = 0.01  # of what a table may differ from the others
_TRANSFER, _WHITE, _PRIMARIES, _PROFILE = 301, 318, 319, 34675
_D65 = (0.3127, 0.3290)
_UNSPECIFIED, _ASSOCIATED, _UNASSOCIATED = 0, 1, 2  # section 18: alpha or not
_EXIF, _INTEROPERABILITY = 34665, 40965
_OTHERS = "imharmony-tiff-tags"
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
    others: bytes
    """All tags that do not say how samples are stored, as a TIFF without a picture."""
    meaning: int | None
    """What the last channel is, if there is more than color: ExtraSamples."""

    def color(self, name: str) -> ColorTags | None:
        """Say what the colors are, where no ICC profile says it; TIFF 6.0, section 20.

        Returns
        -------
        ColorTags or None
            None for sRGB, without a word, and where a profile says it.

        Raises
        ------
        ImageError
            If each channel has a transfer of its own.
        """
        tags = self.info["ifds"][0]["tags"]
        if _PROFILE in tags or not {_TRANSFER, _PRIMARIES} & tags.keys():
            return None
        table, points = None, None
        if _TRANSFER in tags:
            entries = np.array(tags[_TRANSFER]["data"], dtype=np.float64) / 65535
            depth = int(tags.get(_BITS, {"data": [1]})["data"][0])
            if entries.size not in (2**depth, 3 * 2**depth):
                return None  # damaged
            tables = entries.reshape(-1, 2**depth)
            if np.ptp(tables, axis=0).max() > _SAME_LIGHT:
                raise ImageError(
                    f"{name}: expected one TransferFunction for all channels, got "
                    "several; convert it to sRGB first"
                )
            table = tables[0]
        if _PRIMARIES in tags:
            white = _read_fractions(tags[_WHITE]) if _WHITE in tags else _D65
            points = (*white, *_read_fractions(tags[_PRIMARIES]))
            if len(points) != 8 or min(points[1::2]) <= 0:
                return None  # damaged
        color = from_table(table, points)
        return None if color.is_srgb else color

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
        photo.set_type(pyvips.GValue.blob_type, _OTHERS, self.others)
        if self.meaning == _UNSPECIFIED and photo.hasalpha():
            photo.set_type(number, UNSPECIFIED, 1)
        if self.exif is not None:
            _set_exif(photo, self.exif)
            exif_block.remember(photo, self.exif)
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
        info = _read(opened)
        tags = info["ifds"][0]["tags"]
        if any("data" not in tag for tag in tags.values()):
            raise ValueError("a tag's data lie past the end of the file")
        exif = _write_small_tiff(tags, info, _CARRIED)
        kept_tags = (tags.keys() - _LAYOUT) | {_SAMPLE_FORMAT}
        others = _write_small_tiff(tags, info, kept_tags) or b"\0"
        extra = tags.get(_EXTRA_SAMPLES, {"data": [0]})
        compression = tags.get(_COMPRESSION, {"data": [1]})["data"][0]
        iptc = _read_raw_bytes(tags[_IPTC], info) if _IPTC in tags else None
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
        warn(msg)
        return None
    return Tags(
        info=info,
        is_bigtiff=info["bigtiff"],
        compression=TIFF_COMPRESSIONS.get(compression),
        exif=exif,
        straight_file=straight_file,
        iptc=iptc,
        others=others,
        meaning=extra["data"][-1] if _EXTRA_SAMPLES in tags else None,
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
    if not photo.get_typeof(_OTHERS):
        exif = _make_exif(photo)
        added = {} if exif is None else _parse_tags(exif)
        tags |= {number: added[number] for number in _CARRIED & added.keys()}
        has_resolution = (photo.xres, photo.yres) != (1.0, 1.0)
    else:
        added = _parse_tags(bytes(photo.get(_OTHERS)))
        tags |= {number: added[number] for number in added.keys() - _LAYOUT}
        has_resolution = not added.keys().isdisjoint(_RESOLUTION)
    for number in () if has_resolution else _RESOLUTION:
        tags.pop(number, None)
    if _SAMPLE_FORMAT not in added and set(tags[_SAMPLE_FORMAT]["data"]) == {1}:
        tags.pop(_SAMPLE_FORMAT)  # whole numbers, which is what its absence means
    iptc = _unwrap_iptc(photo)
    if iptc is not None:
        tags[_IPTC] = {"datatype": tifftools.Datatype.UNDEFINED, "data": iptc}
    else:
        tags.pop(_IPTC, None)
    if is_premultiplied(photo):
        tags[_EXTRA_SAMPLES]["data"] = [_ASSOCIATED]
    elif photo.get_typeof(UNSPECIFIED) and _EXTRA_SAMPLES in tags:
        tags[_EXTRA_SAMPLES]["data"] = [_UNSPECIFIED]
    tifftools.write_tiff(info, output)


def _read_fractions(tag: dict[str, Any]) -> tuple[float, ...]:
    """Read numbers that are stored as fractions."""
    data = tag["data"]
    return tuple(
        over / under if under else 0.0
        for over, under in zip(data[::2], data[1::2], strict=False)
    )


def _read(source: Any) -> dict[str, Any]:
    """Read a TIFF, and the interoperability that hangs on its EXIF.

    tifftools looks for that directory beside EXIF, but Exif 2.3, 4.6.3, has it within:
    there its place in the file is taken for a number, which is wrong in any other file.
    """
    info: dict[str, Any] = tifftools.read_tiff(source)
    exif = info["ifds"][0]["tags"].get(_EXIF, {})
    for directory in (ifd for chain in exif.get("ifds", ()) for ifd in chain):
        link = directory["tags"].get(_INTEROPERABILITY)
        if link is None or "ifds" in link:
            continue
        chain: list[dict[str, Any]] = []
        with path_or_fobj.OpenPathOrFobj(source, "rb") as file:
            tifftools.tifftools.read_ifd(file, info, link["data"][0], chain, None)
        if chain and all("data" in tag for tag in chain[0]["tags"].values()):
            link |= {"ifds": [chain], "datatype": tifftools.Datatype.IFD}
        else:  # it leads nowhere
            del directory["tags"][_INTEROPERABILITY]
    return info


def _parse_tags(block: bytes) -> dict[int, Any]:
    """Read the tags of a small TIFF; none where it is damaged."""
    try:
        tags: dict[int, Any] = _read(io.BytesIO(block))["ifds"][0]["tags"]
    except (tifftools.TifftoolsError, struct.error, LookupError, ValueError):
        return {}
    return tags


def _make_exif(photo: pyvips.Image) -> bytes | None:
    """Return a photo's EXIF as a small TIFF; None if it has none.

    Where the fields of a photo were set by a program, libvips brings the block up to
    date with them while it writes, so a picture of one pixel is written.
    """
    remembered = exif_block.get_block(photo)
    if remembered is not None:
        return remembered
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


def _unwrap_iptc(photo: pyvips.Image) -> bytes | None:
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


def _read_raw_bytes(tag: dict[str, Any], info: dict[str, Any]) -> bytes:
    """Return the bytes of a tag in the file, whatever type it has."""
    data = tag["data"]
    if isinstance(data, bytes):
        return data
    order = ">" if info["bigEndian"] else "<"
    code = tifftools.Datatype[tag["datatype"]].pack
    return struct.pack(order + code * len(data), *data)


def _write_small_tiff(
    tags: dict[int, Any], info: dict[str, Any], numbers: Set[int]
) -> bytes | None:
    """Write some tags alone, as a TIFF without a picture; None without any."""
    carried = {number: tags[number] for number in numbers & tags.keys()}
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
        warn(msg)
        return
    size = (len(segment) + 2).to_bytes(2, "big")
    marked = encoded[:2] + b"\xff\xe1" + size + segment + encoded[2:]
    pixel = pyvips.Image.jpegload_buffer(marked)
    for name in pixel.get_fields():
        if name.startswith("exif-"):
            photo.set_type(pixel.get_typeof(name), name, pixel.get(name))
