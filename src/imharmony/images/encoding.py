"""From pixels to a file with the metadata of the photo's own file, and no other."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO

import pyvips

from imharmony.errors import DecodeError, ImageError, warn
from imharmony.images import (
    avif_boxes,
    color_tags,
    exif_block,
    jpeg_coefficients,
    png_chunks,
    webp_chunks,
)
from imharmony.images.decoding import join_detail
from imharmony.images.formats import SUFFIXES, UNSPECIFIED
from imharmony.images.jpeg_file import APP0, APP1, Segment, parse_jpeg
from imharmony.images.photo import straighten
from imharmony.images.xmp import drop_gain_map

__all__ = ["Finish", "drop_selection", "keep_blocks", "prepare"]

Finish = Callable[[pyvips.Image, BinaryIO, BinaryIO], None]
"""Copies a file that libvips wrote, and adds what libvips left out."""


_PROFILE = "icc-profile-data"
# VipsForeignKeep: XMP, IPTC, ICC and others, but not EXIF. libvips adds tags of its own
# to EXIF, even where there is none.
_NO_EXIF = {"keep": 2 | 4 | 8 | 16}


def drop_selection(image: pyvips.Image, suffix: str, name: str) -> pyvips.Image:
    """Drop a TIFF's extra channel that is not alpha, unless a TIFF is written.

    Warns
    -----
    HarmonizeWarning
        If there was such a channel.
    """
    file_format = SUFFIXES.get(suffix.lower())
    if file_format in (None, "tiff") or not image.get_typeof(UNSPECIFIED):
        return image
    plain = image.extract_band(0, n=image.bands - 1) if image.hasalpha() else image
    msg = (
        f"{name}: the TIFF's channel beside its colors, such as a saved selection, is "
        "not said to be transparency and is left out; only a TIFF keeps it"
    )
    warn(msg)
    return plain


def prepare(
    image: pyvips.Image, suffix: str
) -> tuple[pyvips.Image, dict[str, int], Finish | None]:
    """Make a photo ready for libvips to write.

    Parameters
    ----------
    image : pyvips.Image
    suffix : str
        A known extension.

    Returns
    -------
    photo : pyvips.Image
        For the saver.
    options : dict
        For the saver, beside those that `formats.choose_saver` gives.
    finish : callable or None
        Finishes the file that libvips writes; None if nothing is to be done.
    """
    file_format = SUFFIXES[suffix.lower()]
    image = _drop_promises(image)
    if file_format not in ("tiff", "heif"):
        image = straighten(image)
    image = image.copy()
    if color_tags.needs_no_profile(image, file_format):
        image.remove(_PROFILE)
    if file_format == "tiff":
        from imharmony.images import tiff_tags  # and tifftools: only for a TIFF

        return image, {}, tiff_tags.finish
    if file_format == "png" and image.get_typeof(png_chunks.FIELD):
        image.remove(_PROFILE)  # a chunk says it, in its own words
        return image, _NO_EXIF, png_chunks.finish
    if file_format == "heif":
        if avif_boxes.get_cicp(image) is not None:
            image.remove(_PROFILE)  # a box says it, or finish adds it
        has_exif = exif_block.get_block(image) is not None
        is_plain = not has_exif and exif_block.is_remembered(image)
        # If there is EXIF, libvips is to make a place for it.
        return image, _NO_EXIF if is_plain else {}, avif_boxes.finish
    if not exif_block.is_remembered(image):
        return image, {}, None
    finish = {"png": _finish_png, "webp": webp_chunks.finish, "jpeg": _finish_jpeg}
    return image, _NO_EXIF, finish[file_format]


def _drop_promises(image: pyvips.Image) -> pyvips.Image:
    """Remove from XMP what it says of pictures that the new file does not hold.

    Warns
    -----
    HarmonizeWarning
        If the photo's file holds such pictures.
    """
    if not jpeg_coefficients.holds_more(image):
        return image
    msg = (
        "the JPEG holds further pictures, such as an HDR gain map, which are not kept: "
        "only JPEG to JPEG without a quality keeps them"
    )
    warn(msg)
    if not image.get_typeof("xmp-data"):
        return image
    plain = image.copy()
    xmp = drop_gain_map(bytes(image.get("xmp-data")))
    plain.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    return plain


def _has_resolution(image: pyvips.Image) -> bool:
    """Whether the resolution is known; libvips calls an unknown one 1 per mm."""
    return (image.xres, image.yres) != (1.0, 1.0)


def _encode_density(photo: pyvips.Image) -> bytes:
    """Encode the resolution for JFIF (T.871, 10.1). Unit 0 means that it is unknown."""
    if not _has_resolution(photo):
        return struct.pack(">BHH", 0, 1, 1)
    is_cm = photo.get_typeof("resolution-unit") and photo.get("resolution-unit") == "cm"
    factor = 10 if is_cm else 25.4
    dots = (min(65535, max(1, round(x * factor))) for x in (photo.xres, photo.yres))
    return struct.pack(">BHH", 2 if is_cm else 1, *dots)


def _finish_jpeg(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Add EXIF as it was; remove a resolution that libvips made up."""
    written.seek(0)
    file = parse_jpeg(written.read())
    # No preview.
    jfif = Segment(APP0, b"JFIF\0\1\2" + _encode_density(photo) + bytes(2))
    segments = [jfif, *(s for s in file.segments if s.marker != APP0)]
    exif = exif_block.get_block(photo)
    if exif is not None:
        data = exif_block.HEAD + exif
        if len(data) + 2 <= 0xFFFF:
            segments.insert(1, Segment(APP1, data))
        else:
            msg = "EXIF of more than 64 KB fits no JPEG, and is not kept"
            warn(msg)
    head = b"\xff\xd8" + b"".join(segment.encode() for segment in segments)
    output.write(head + file.scans + b"\xff\xd9")


def _finish_png(photo: pyvips.Image, written: BinaryIO, output: BinaryIO) -> None:
    """Add EXIF as it was; remove a resolution that libvips made up."""
    written.seek(0)
    output.write(written.read(8 + 25))  # signature and IHDR
    exif = exif_block.get_block(photo)
    if exif is not None:
        output.write(struct.pack(">I4s", len(exif), b"eXIf") + exif)
        output.write(struct.pack(">I", zlib.crc32(b"eXIf" + exif)))
    while len(head := written.read(8)) == 8:
        length, chunk_type = struct.unpack(">I4s", head)
        if chunk_type == b"pHYs" and not _has_resolution(photo):
            written.seek(length + 4, io.SEEK_CUR)
        else:
            output.write(head)
            output.write(written.read(length + 4))


def keep_blocks(
    image: pyvips.Image, suffix: str, quality: int | None, name: str
) -> bytes | None:
    """Encode a recolored JPEG so that unchanged blocks stay; None if that cannot be.

    Raises
    ------
    ImageError
        If the photo cannot be computed.

    Warns
    -----
    HarmonizeWarning
        If all blocks of a JPEG have to be encoded again.
    """
    if SUFFIXES.get(suffix.lower()) != "jpeg":
        return None
    original = jpeg_coefficients.get_original(image)
    if original is None:
        return None
    try:
        if quality is not None:
            raise DecodeError(f"a quality of {quality} is asked for")
        if not jpeg_coefficients.is_installed():
            raise DecodeError("jpeglib is not installed")
        return jpeg_coefficients.replace_blocks(original, image, name)
    except DecodeError as error:
        msg = f"{name}: all of the JPEG is encoded again, background included: {error}"
        warn(msg)
    except pyvips.Error as error:
        msg = f"{name}: cannot be written ({join_detail(error)})"
        raise ImageError(msg) from error
    return None
