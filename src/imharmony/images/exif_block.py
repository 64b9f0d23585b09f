"""EXIF as a block of bytes; only what a new picture makes untrue is changed.

Exif 2.3: a small TIFF with a directory for the picture, others that hang on it, and a
second one for a preview.
"""

import struct

import pyvips

__all__ = [
    "HEAD",
    "get_block",
    "has_resolution",
    "is_exif",
    "is_remembered",
    "make_true",
    "remember",
    "says_adobe_rgb",
    "strip_head",
]

_FIELD = "imharmony-exif"

HEAD = b"Exif\0\0"
"""What stands before it in JPEG."""
_ORIENTATION, _X_RESOLUTION = 0x0112, 0x011A
_EXIF_DIRECTORY, _INTEROPERABILITY, _INDEX = 0x8769, 0xA005, 0x0001
_PREVIEW_START, _PREVIEW_LENGTH = 0x0201, 0x0202


def strip_head(data: bytes) -> bytes:
    """Return the small TIFF alone."""
    return data[len(HEAD) :] if data.startswith(HEAD) else data


def is_exif(data: bytes) -> bool:
    """Whether bytes look like EXIF without its head."""
    return data[:4] in (b"II*\0", b"MM\0*")


def make_true(block: bytes, *, keep_orientation: bool = False) -> bytes:
    """Unlink the preview, which shows the old picture; reset the orientation.

    Parameters
    ----------
    block : bytes
        Without head.
    keep_orientation : bool
        For pixels that lie in the file as before.

    Returns
    -------
    bytes
        Of the same length; all else is where it was. A damaged block comes back as it
        is from the damage on.
    """
    if not is_exif(block):
        return block
    order = ">" if block.startswith(b"MM") else "<"
    changed = bytearray(block)
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, value_type, _ = struct.unpack_from(order + "HHI", block, entry)
            if tag == _ORIENTATION and not keep_orientation:
                struct.pack_into(
                    order + ("I" if value_type == 4 else "H"), changed, entry + 8, 1
                )
        link = directory + 2 + 12 * count
        (preview,) = struct.unpack_from(order + "I", block, link)
        if preview == 0:
            return bytes(changed)
        struct.pack_into(order + "I", changed, link, 0)
        (count,) = struct.unpack_from(order + "H", block, preview)
        values = {}
        for entry in range(preview + 2, preview + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHII", block, entry)
            values[tag] = value
        if {_PREVIEW_START, _PREVIEW_LENGTH} <= values.keys():
            first = values[_PREVIEW_START]
            last = min(len(block), first + values[_PREVIEW_LENGTH])
            if block[first : first + 2] == b"\xff\xd8":
                changed[first:last] = bytes(last - first)
    except struct.error:
        pass
    return bytes(changed)


def has_resolution(block: bytes) -> bool:
    """Whether a block says a resolution."""
    order = ">" if block.startswith(b"MM") else "<"
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        return _find_entry(block, order, directory, _X_RESOLUTION) is not None
    except struct.error:
        return False


def says_adobe_rgb(block: bytes) -> bool:
    """Whether a camera says Adobe RGB as DCF 2.0 has it: by the index R03."""
    order = ">" if block.startswith(b"MM") else "<"
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        for tag in (_EXIF_DIRECTORY, _INTEROPERABILITY):
            entry = _find_entry(block, order, directory, tag)
            if entry is None:
                return False
            (directory,) = struct.unpack_from(order + "I", block, entry + 8)
        entry = _find_entry(block, order, directory, _INDEX)
    except struct.error:
        return False
    return entry is not None and block[entry + 8 : entry + 11] == b"R03"


def _find_entry(block: bytes, order: str, directory: int, tag: int) -> int | None:
    """Find where a directory speaks of a tag."""
    (count,) = struct.unpack_from(order + "H", block, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from(order + "H", block, entry)[0] == tag:
            return entry
    return None


def remember(photo: pyvips.Image, block: bytes) -> None:
    """Note on a photo the EXIF of its file, without head, to be written as it was."""
    photo.set_type(pyvips.GValue.blob_type, _FIELD, make_true(block))


def get_block(photo: pyvips.Image) -> bytes | None:
    """Return what `remember` has noted; None if the file had none."""
    return bytes(photo.get(_FIELD)) if photo.get_typeof(_FIELD) else None


def is_remembered(photo: pyvips.Image) -> bool:
    """Whether a photo comes from a file, so that its EXIF, or that it has none, counts.

    A photo that a program has made may have fields of EXIF that libvips writes.
    """
    has_fields = any(name.startswith("exif-") for name in photo.get_fields())
    return get_block(photo) is not None or not has_fields
