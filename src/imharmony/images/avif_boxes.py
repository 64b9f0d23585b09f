"""What an AVIF file says beside its pixels: the meaning of color and alpha, and EXIF.

The standards are ISO/IEC 14496-12 (boxes) and 23008-12 (items). Libvips reads the
pixels and writes the file, but drops some metadata. This module reads that metadata,
and adds it to the file that libvips wrote.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyvips

from imharmony.errors import ImageError
from imharmony.images import exif_block
from imharmony.images.color_tags import ColorTags, from_cicp
from imharmony.images.photo import is_premultiplied

__all__ = ["AvifWords", "finish", "read_words", "remember"]

_CICP_FIELD = "imharmony-avif-cicp"
_OWN_PROFILE = "imharmony-avif-profile"
_PROFILE = "icc-profile-data"
_NCLX = b"colr", b"nclx"
_NOTHING_SAID = (2, 2)  # H.273: unspecified
_MAX_META = 2**24
_MAX_DEPTH = 8
_COVER = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iref": 4}
"""Boxes that hold boxes, and how many bytes stand before the inner ones."""


@dataclass(frozen=True)
class AvifWords:
    """What a file says of its first picture."""

    cicp: tuple[int, int] | None
    """Primaries and transfer of ITU-T H.273."""
    has_profile: bool
    is_premultiplied: bool
    is_animated: bool
    longest_side: int
    """The longest side of any picture in the file, thumbnails included, in pixels."""

    def color(self, name: str) -> ColorTags | None:
        """Find what the file says of the colors; None for sRGB or if a profile says it.

        Raises
        ------
        ImageError
            If we cannot handle the colors that the file names.
        """
        if self.cicp is None:
            return None
        tags = from_cicp(*self.cicp, name)
        return None if tags.is_srgb or self.has_profile else tags


@dataclass(frozen=True)
class _Box:
    type: bytes
    start: int
    """Where the box begins, its head included."""
    body: int
    end: int


def read_words(source: Path | bytes) -> AvifWords | None:
    """Read what a file says; None if its boxes are not understood."""
    try:
        data = source if isinstance(source, bytes) else _read_front(source)
        boxes = list(_walk(data, 0, len(data)))
    except (struct.error, OSError):
        return None
    if not boxes:
        return None
    cicp, has_profile, longest_side = None, False, 0
    for box in boxes:
        if box.type == b"ispe" and box.end - box.body >= 12:  # 23008-12, 6.5.3
            sides = struct.unpack_from(">II", data, box.body + 4)
            longest_side = max(longest_side, *sides)
        if box.type == b"colr":
            color_type = data[box.body : box.body + 4]
            if color_type == b"nclx" and cicp is None:  # the first is the picture's
                cicp = struct.unpack_from(">HH", data, box.body + 4)
            has_profile = has_profile or color_type in (b"prof", b"rICC")
    box_types = {box.type for box in boxes}
    brand = data[boxes[0].body : boxes[0].body + 4]
    return AvifWords(
        cicp=cicp,
        has_profile=has_profile,
        is_premultiplied=b"prem" in box_types,
        is_animated=brand == b"avis" or b"moov" in box_types,
        longest_side=longest_side,
    )


def remember(photo: pyvips.Image, words: AvifWords, *, says_colors: bool) -> None:
    """Note on a photo what its file says of color, to be written back.

    Parameters
    ----------
    photo : pyvips.Image
        As read.
    words : AvifWords
    says_colors : bool
        Whether the words say what the colors are. If they do not, they are noted only
        where the file has a profile beside them.
    """
    is_beside = words.has_profile and words.cicp != _NOTHING_SAID
    if words.cicp is None or not (says_colors or is_beside):
        return
    stored = list(words.cicp)
    photo.set_type(pyvips.GValue.array_int_type, _CICP_FIELD, stored)
    if words.has_profile:
        photo.set_type(pyvips.GValue.gint_type, _OWN_PROFILE, 1)


def get_cicp(photo: pyvips.Image) -> tuple[int, int] | None:
    """Return what `remember` has noted."""
    if not photo.get_typeof(_CICP_FIELD):
        return None
    primaries, transfer = photo.get(_CICP_FIELD)
    return primaries, transfer


def _read_front(path: Path) -> bytes:
    """Read a file up to the end of its meta box; skip the pixels before it."""
    front = b""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        at = 0
        while at < size:
            file.seek(at)
            length, box_type = struct.unpack(">I4s", file.read(8))
            if length == 1:
                (length,) = struct.unpack(">Q", file.read(8))
            length = length or size - at
            if box_type in (b"ftyp", b"meta", b"moov") and length < _MAX_META:
                file.seek(at)
                front += file.read(length)
            at += max(length, 8)
    return front


def _walk(data: bytes, start: int, end: int, depth: int = 0) -> "list[_Box]":
    """List boxes in order, each followed by the boxes inside it."""
    boxes = []
    at = start
    while at + 8 <= end:
        length, box_type = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        length = length or end - at
        if length < 8 or at + length > end:
            break
        box = _Box(box_type, at, body, at + length)
        boxes.append(box)
        if box_type in _COVER and depth < _MAX_DEPTH:
            boxes += _walk(data, body + _COVER[box_type], box.end, depth + 1)
        at += length
    return boxes


def finish(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Copy an AVIF that libvips wrote, with the photo's color and EXIF as they were.

    Parameters
    ----------
    photo : pyvips.Image
        What was written.
    written : binary file
        The AVIF; read from its start.
    output : binary file
        Where the copy goes.

    Raises
    ------
    ImageError
        If libvips wrote a structure that we do not know.
    """
    written.seek(0)
    data = bytearray(written.read())
    cicp = get_cicp(photo)
    if cicp is not None:
        places = [
            box.body + 4
            for box in _find_boxes(data, b"colr")
            if data[box.body : box.body + 4] == b"nclx"
        ]
        if not places:  # libheif's default for lossy files: YCbCr by BT.601, full range
            _insert_property(data, struct.pack(">I4s4sHHHB", 19, *_NCLX, *cicp, 6, 128))
        for place in places:
            struct.pack_into(">HH", data, place, *cicp)
    has_profile = photo.get_typeof(_OWN_PROFILE) and photo.get_typeof(_PROFILE)
    if cicp is not None and has_profile:
        profile = bytes(photo.get(_PROFILE))
        head = struct.pack(">I4s4s", len(profile) + 12, b"colr", b"prof")
        _insert_property(data, head + profile)
    exif = exif_block.get_block(photo)
    if exif is not None:
        _replace_exif(data, exif)
    if is_premultiplied(photo):
        _insert_premultiplied(data)
    output.write(bytes(data))


def _find_boxes(data: bytearray, box_type: bytes) -> list[_Box]:
    return [box for box in _walk(bytes(data), 0, len(data)) if box.type == box_type]


def _find_box(data: bytearray, box_type: bytes) -> _Box:
    boxes = _find_boxes(data, box_type)
    if len(boxes) != 1:
        msg = f"expected one box {box_type.decode()} in what libvips wrote"
        raise ImageError(f"{msg}, got {len(boxes)}")
    return boxes[0]


@dataclass(frozen=True)
class _Place:
    """Where the file says where an item lies; 14496-12, 8.11.3, as of libheif."""

    base: slice
    """Where the base stands that is added to all offsets: 4 bytes or none."""
    first: int
    """Where the first extent's offset and length stand, 4 bytes each."""
    num_extents: int


def _find_places(data: bytearray) -> dict[int, _Place]:
    """Find the places of all items that lie in the file, not in the meta box."""
    box = _find_box(data, b"iloc")
    version = data[box.body]
    at = box.body + 4
    offset_size, length_size = data[at] >> 4, data[at] & 15
    base_size = data[at + 1] >> 4
    index_size = data[at + 1] & 15 if version else 0
    (count,) = struct.unpack_from(">H", data, at + 2)
    at += 4
    known = (offset_size, length_size, index_size) == (4, 4, 0)
    if version > 1 or not known or base_size not in (0, 4):
        raise ImageError("libvips wrote an AVIF with places of another kind")
    places = {}
    for _ in range(count):
        (item,) = struct.unpack_from(">H", data, at)
        at += 4 if version == 0 else 6
        method = data[at - 3] & 15 if version else 0
        base = slice(at, at + base_size)
        (extents,) = struct.unpack_from(">H", data, at + base_size)
        at += base_size + 2
        if method == 0:
            places[item] = _Place(base, at, extents)
        at += 8 * extents
    return places


def _replace_exif(data: bytearray, exif: bytes) -> None:
    """Append EXIF to the file, and let its item point there."""
    items = _find_boxes(data, b"iinf")
    if not items:
        return
    box = items[0]
    at = box.body + 6
    for _ in range(struct.unpack_from(">H", data, box.body + 4)[0]):
        (length,) = struct.unpack_from(">I", data, at)
        # infe, 8.11.6, version 2: item, protection, type
        item, _, item_type = struct.unpack_from(">HH4s", data, at + 12)
        if item_type == b"Exif":
            place = _find_places(data)[item]
            if place.num_extents != 1:
                raise ImageError("libvips wrote EXIF in more than one piece")
            start, size = struct.unpack_from(">II", data, place.first)
            start += int.from_bytes(data[place.base], "big")
            data[start : start + size] = bytes(size)
            data[place.base] = bytes(place.base.stop - place.base.start)
            payload = bytes(4) + exif  # 23008-12, A.2.1: no distance to the TIFF head
            struct.pack_into(">II", data, place.first, len(data) + 8, len(payload))
            data += struct.pack(">I4s", len(payload) + 8, b"mdat") + payload
        at += length


def _insert_premultiplied(data: bytearray) -> None:
    """Say that colors are multiplied by alpha; 23008-12, 6.10.1.2.2: prem."""
    references = _find_box(data, b"iref")
    meta = _find_box(data, b"meta")
    if data[references.body] != 0:
        raise ImageError("libvips wrote an AVIF with references of another kind")
    at = references.body + 4
    while data[at + 4 : at + 8] != b"auxl":
        at += struct.unpack_from(">I", data, at)[0]
        if at >= references.end:
            raise ImageError("libvips wrote an AVIF without its alpha")
    alpha, _, color = struct.unpack_from(">HHH", data, at + 8)
    added = struct.pack(">I4sHHH", 14, b"prem", color, 1, alpha)
    _insert(data, references.end, added, (references, meta))


def _insert_property(data: bytearray, added: bytes) -> None:
    """Give the primary item one more property; 23008-12, 9.3: ipco, ipma."""
    meta, all_properties = _find_box(data, b"meta"), _find_box(data, b"iprp")
    container, links = _find_box(data, b"ipco"), _find_box(data, b"ipma")
    primary = _find_box(data, b"pitm")
    number = 1 + len(_walk(bytes(data), container.body, container.end))
    version, flags = data[links.body], data[links.body + 3]
    if version or flags or data[primary.body] or number > 127:
        raise ImageError("an AVIF with properties of another kind")
    (item,) = struct.unpack_from(">H", data, primary.body + 4)
    at = links.body + 8
    for _ in range(struct.unpack_from(">I", data, links.body + 4)[0]):
        (owner,) = struct.unpack_from(">H", data, at)
        end = at + 3 + data[at + 2]
        if owner == item:
            # Links stand behind the container, so lengthening them first moves nothing.
            data[at + 2] += 1
            _insert(data, end, bytes((number,)), (links, all_properties, meta))
            meta, all_properties = _find_box(data, b"meta"), _find_box(data, b"iprp")
            _insert(data, container.end, added, (container, all_properties, meta))
            return
        at = end
    raise ImageError("an AVIF whose primary item has no properties")


def _insert(data: bytearray, at: int, added: bytes, inside: tuple[_Box, ...]) -> None:
    """Insert bytes into boxes, the last of them meta; correct the places of items."""
    meta = inside[-1]
    for place in _find_places(data).values():
        base = int.from_bytes(data[place.base], "big")
        spots = [place.first + 8 * i for i in range(place.num_extents)]
        for spot in spots if base == 0 else [place.base.start]:
            (start,) = struct.unpack_from(">I", data, spot)
            if start >= meta.end:
                struct.pack_into(">I", data, spot, start + len(added))
    for box in inside:
        (length,) = struct.unpack_from(">I", data, box.start)
        struct.pack_into(">I", data, box.start, length + len(added))
    data[at:at] = added
