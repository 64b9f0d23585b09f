"""JPEG to JPEG: blocks without a changed pixel keep their coefficients.

A JPEG's pixels are blocks of 8x8 frequencies, rounded. Encoding a picture again rounds
all of them again, and changes most of the background's pixels by a step or so. Here the
file's coefficients are read, and only what a change of the pixels makes of them is
added: for each block, the transform of the difference, in steps of the file's own
quantization tables. A difference of zero adds nothing, so all other blocks stay as they
are; so do all segments (EXIF, ICC, XMP, MPF, ...) and what follows the picture, such as
a gain map. Only the preview in EXIF goes, since it would show the old picture.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyvips

from imharmony.errors import DecodeError, warn
from imharmony.images.block_changes import BlockChange, find_changes
from imharmony.images.coefficient_codec import (
    Coefficients,
    is_installed,
    read_scans,
    write_scans,
)
from imharmony.images.formats import SAMPLING_FIELD
from imharmony.images.jpeg_file import DHT, JpegFile, parse_jpeg
from imharmony.images.pixels import Box, get_pixels

__all__ = [
    "FIELD",
    "get_original",
    "holds_more",
    "is_installed",
    "remember",
    "replace_blocks",
]

FIELD = "imharmony-jpeg-file"
"""Field of a photo: the file that it was read from."""
_PIXELS = "imharmony-jpeg-pixels"
_ORIENTATION = "imharmony-jpeg-orientation"
_STRIP_BYTES = 2**18
"""Pixels that are compared at once."""
_MAX_WAITING = 192
"""Changes that wait for the coefficients; a strip has three of half a megabyte."""

# T.81, annex K.3: Huffman tables that encoders use unless told to make their own.
_STANDARD_DC_LUMINANCE = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_STANDARD_AC_LUMINANCE = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))


@dataclass(frozen=True)
class Original:
    """The JPEG file that a photo was read from, and what it decoded to."""

    data: bytes
    pixels: pyvips.Image
    """Turned as its orientation says."""
    orientation: int
    """EXIF orientation, 1 to 8."""


def remember(photo: pyvips.Image, data: bytes, orientation: int) -> pyvips.Image:
    """Note on a copy of a photo the file that it was read from.

    Parameters
    ----------
    photo : pyvips.Image
        Decoded, and turned as `orientation` says.
    data : bytes
        The file.
    orientation : int
        EXIF orientation, 1 to 8.
    """
    try:
        file = parse_jpeg(data)
    except DecodeError:  # an unusual file, which libvips reads nevertheless
        file = None
    if file is None or file.has_resolution:
        noted = photo.copy()
    else:
        noted = photo.copy(xres=1, yres=1)  # libvips takes 72 per inch instead
    noted.set_type(pyvips.GValue.blob_type, FIELD, data)
    noted.set_type(pyvips.GValue.image_type, _PIXELS, photo)
    noted.set_type(pyvips.GValue.gint_type, _ORIENTATION, orientation)
    if file is not None:
        down, across = file.sampling
        sampling = f"{across}x{down}"
        noted.set_type(pyvips.GValue.gstr_type, SAMPLING_FIELD, sampling)
    return noted


def get_original(photo: pyvips.Image) -> Original | None:
    """Find the JPEG file of which a photo is a recolored version.

    Returns
    -------
    Original or None
        None if the photo was not read from a JPEG file, or has another size or other
        channels than it.
    """
    if not photo.get_typeof(FIELD):
        return None
    pixels = photo.get(_PIXELS)
    shape = photo.width, photo.height, photo.bands, photo.format
    if shape != (pixels.width, pixels.height, pixels.bands, pixels.format):
        return None
    return Original(bytes(photo.get(FIELD)), pixels, photo.get(_ORIENTATION))


def holds_more(photo: pyvips.Image) -> bool:
    """Whether the file that a photo was read from holds further pictures."""
    if not photo.get_typeof(FIELD):
        return False
    try:
        return parse_jpeg(bytes(photo.get(FIELD))).holds_pictures
    except DecodeError:
        return False


def replace_blocks(
    original: Original, photo: pyvips.Image, name: str = "output"
) -> bytes:
    """Encode a recolored version of a JPEG file.

    Parameters
    ----------
    original : Original
        As `get_original` gives it.
    photo : pyvips.Image
        The version.
    name : str
        What warnings call it.

    Returns
    -------
    bytes
        A JPEG file. Each block of a component in which no pixel of `photo` differs
        has the coefficients of the original. The file itself where none differs,
        but for the preview in EXIF.

    Raises
    ------
    DecodeError
        If the file is built in a way that is not supported: the message says how.

    Warns
    -----
    HarmonizeWarning
        If a progressive file becomes a sequential one, or restart markers are lost.

    Notes
    -----
    Where chroma is subsampled, a block of chroma spans several of luma, and decoders
    smooth it over its edge: the pixels next to such a block move with it.
    """
    file = parse_jpeg(original.data)
    _check(file)
    coefficients = _change_blocks(file, original, photo)
    if coefficients is None:
        plain = file.without_preview()
        return original.data if plain.segments == file.segments else plain.encode()
    is_own = file.holds_pictures or not _has_standard_tables(file)
    written = write_scans(file, coefficients, optimize=is_own).without_preview()
    _warn_of_losses(file, written, name)
    if not file.holds_pictures:
        return written.encode()
    # Readers find further pictures by their distance from the first one.
    if written.size > file.size:
        return written.with_moved_pictures(written.size - file.size).encode()
    return written.encode(fill_to=file.size)


def _change_blocks(
    file: JpegFile, original: Original, photo: pyvips.Image
) -> Coefficients | None:
    """Read a file's coefficients, and change them as the pixels say; None if none do.

    The file is read in another thread, from the first pixel on that differs.
    """
    before, after = (
        _turn_back(im, original.orientation) for im in (original.pixels, photo)
    )
    unit_rows = 8 * file.sampling[0]
    strip_rows = max(1, _STRIP_BYTES // (unit_rows * before.width * before.bands))
    waiting: list[BlockChange] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading: Future[Coefficients] | None = None
        for strip in Box(0, 0, before.height, before.width).strips(
            strip_rows * unit_rows
        ):
            old, new = get_pixels(before, strip), get_pixels(after, strip)
            changes = list(find_changes(file, old, new, strip.top // unit_rows))
            if not changes:
                continue
            waiting += changes
            reading = reading or pool.submit(read_scans, file)
            if reading.done() or len(waiting) > _MAX_WAITING:
                _apply(waiting, reading.result())
                waiting = []
        if reading is None:
            return None
        _apply(waiting, reading.result())
        return reading.result()


def _apply(changes: list[BlockChange], coefficients: Coefficients) -> None:
    for change in changes:
        change.apply(coefficients[change.component])


def _check(file: JpegFile) -> None:
    """Refuse what the arithmetic below does not cover."""
    down, across = file.sampling
    for component in file.components:
        if component.down == 0 or component.across == 0:
            raise DecodeError("expected sampling factors of at least 1")
        if down % component.down or across % component.across:
            raise DecodeError("sampling factors that do not divide each other")
        if component.table not in file.tables:
            raise DecodeError("expected all quantization tables before the first scan")
        if not file.tables[component.table].all():
            raise DecodeError("expected quantization steps of at least 1")


def _turn_back(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """Turn a photo from how it is shown to how it lies in its file."""
    if orientation == 1:
        return image
    # Mirrored ones undo themselves; a quarter turn is undone by the other one.
    back = {6: 8, 8: 6}.get(orientation, orientation)
    turned = image.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", back)
    return turned.autorot().copy_memory()


def _warn_of_losses(file: JpegFile, written: JpegFile, name: str) -> None:
    if written.process != file.process and file.is_progressive:
        msg = f"{name}: the JPEG was progressive and is sequential now, pixels alike"
        warn(msg)
    if file.restart_interval and not written.restart_interval:
        msg = f"{name}: the JPEG's restart markers are not kept"
        warn(msg)


def _has_standard_tables(file: JpegFile) -> bool:
    """Whether the file was written without Huffman tables of its own."""
    counts = [segment.data for segment in file.find_segments(DHT)]
    joined = b"".join(counts)
    return _STANDARD_DC_LUMINANCE in joined and _STANDARD_AC_LUMINANCE in joined
