"""JPEG to JPEG: blocks without a changed pixel keep their coefficients.

A JPEG's pixels are blocks of 8x8 frequencies, rounded. Encoding a picture again rounds
all of them again, and changes most of the background's pixels by a step or so. Here the
file's coefficients are read, and only what a change of the pixels makes of them is
added: for each block, the transform of the difference, in steps of the file's own
quantization tables. A difference of zero adds nothing, so all other blocks stay as they
are; so do all segments (EXIF, ICC, XMP, MPF, ...) and what follows the picture, such as
a gain map. Only the preview in EXIF goes, since it would show the old picture.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.errors import DecodeError
from imharmony.images.coefficient_codec import (
    Coefficients,
    is_installed,
    read_scans,
    write_scans,
)
from imharmony.images.formats import SAMPLING_FIELD
from imharmony.images.jpeg_file import DHT, Component, JpegFile, parse_jpeg
from imharmony.images.pixels import STRIP_BYTES, Box, PixelArray, pixels_of

__all__ = [
    "FIELD",
    "holds_more",
    "is_installed",
    "original_of",
    "remember",
    "replace_blocks",
]

FIELD = "imharmony-jpeg-file"
"""Field of a photo: the file that it was read from."""
_PIXELS = "imharmony-jpeg-pixels"
_ORIENTATION = "imharmony-jpeg-orientation"

Floats = npt.NDArray[np.float32]

# ITU-T T.871 (JFIF), section 7: R, G, B to Y, Cb, Cr; without the offset of 128.
_TO_YCBCR = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168735892, -0.331264108, 0.5],
        [0.5, -0.418687589, -0.081312411],
    ],
    np.float32,
)
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


def original_of(photo: pyvips.Image) -> Original | None:
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


def replace_blocks(original: Original, photo: pyvips.Image) -> bytes:
    """Encode a recolored version of a JPEG file.

    Parameters
    ----------
    original : Original
        As `original_of` gives it.
    photo : pyvips.Image
        The version.

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

    Notes
    -----
    Where chroma is subsampled, a block of chroma spans several of luma, and decoders
    smooth it over its edge: the pixels next to such a block move with it.
    """
    file = parse_jpeg(original.data)
    _check(file)
    coefficients: Coefficients | None = None
    before, after = (
        _turn_back(im, original.orientation) for im in (original.pixels, photo)
    )
    unit_rows = 8 * file.sampling[0]
    strip_rows = max(1, STRIP_BYTES // (unit_rows * before.width * before.bands))
    for strip in Box(0, 0, before.height, before.width).strips(strip_rows * unit_rows):
        old, new = pixels_of(before, strip), pixels_of(after, strip)
        differs = old != new
        if not differs.any():
            continue
        if coefficients is None:
            coefficients = read_scans(file)
        _add_change(file, coefficients, old, new, strip.top // unit_rows)
    if coefficients is None:
        plain = file.without_preview()
        return original.data if plain.segments == file.segments else plain.encode()
    is_own = file.holds_pictures or not _has_standard_tables(file)
    written = write_scans(file, coefficients, optimize=is_own).without_preview()
    if not file.holds_pictures:
        return written.encode()
    # Readers find further pictures by their distance from the first one.
    if written.size > file.size:
        return written.with_moved_pictures(written.size - file.size).encode()
    return written.encode(fill_to=file.size)


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


def _add_change(
    file: JpegFile,
    coefficients: Coefficients,
    old: PixelArray,
    new: PixelArray,
    first_row: int,
) -> None:
    """Add to the coefficients what has changed between two strips of pixels.

    Parameters
    ----------
    old, new : ndarray of uint8, shape (h, W, C)
        Whole rows of units; a unit is the pixels that one block of the coarsest
        component spans. Only the picture's last one may be cut off.
    first_row : int
        Row of units that the strips begin with.
    """
    down, across = file.sampling
    size = 8 * down, 8 * across
    changed, (old_units, new_units) = _changed_units(old, new, size)
    rows, columns = changed[0] + first_row, changed[1]
    change = new_units.astype(np.float32) - old_units  # (N, h, w, C)
    # What a file holds beyond black or white is cut off in its pixels: there, a block
    # is encoded anew, since the difference would be from the wrong place.
    is_cut = ((old_units == 0) | (old_units == 255)) & (old_units != new_units)
    anew = is_cut.reshape(len(is_cut), -1).any(axis=1)
    has_anew = bool(anew.any())
    values = change
    if has_anew:
        values[anew] = new_units[anew]
    planes = values if file.is_rgb or values.shape[3] == 1 else values @ _TO_YCBCR.T
    differs = (old_units != new_units).any(axis=3)
    for i, component in enumerate(file.components):
        is_offset = file.is_rgb or i == 0  # chroma lies around 0 already
        plane = planes[..., i]
        if is_offset and has_anew:
            plane = np.where(anew[:, None, None], plane - 128, plane)
        blocks = _blocks(file, component, plane)  # (N, v, h, 64)
        table = file.tables[component.table]
        steps = np.rint(blocks @ (_DCT / table).astype(np.float32))
        touched = _touched(component, differs)
        _put(coefficients[i], steps, touched, anew, rows, columns, component)


def _changed_units(
    old: PixelArray, new: PixelArray, size: tuple[int, int]
) -> tuple[tuple[npt.NDArray[np.intp], ...], list[PixelArray]]:
    """Cut out the units in which a pixel differs: (N, h, w, C) of old and new.

    Units at the edge are filled up by repeating the last row and column.
    """
    height, width, C = old.shape
    num_rows, num_columns = -(-height // size[0]), -(-width // size[1])
    pad = (
        (0, num_rows * size[0] - height),
        (0, num_columns * size[1] - width),
        (0, 0),
    )
    stacked = []
    for pixels in (old, new):
        whole = np.pad(pixels, pad, mode="edge") if pad[0][1] or pad[1][1] else pixels
        stacked.append(whole.reshape(num_rows, size[0], num_columns, size[1], C))
    differs = (stacked[0] != stacked[1]).any(axis=1).reshape(num_rows, num_columns, -1)
    changed = np.nonzero(differs.any(axis=2))
    rows, columns = changed
    return changed, [units[rows, :, columns] for units in stacked]


def _blocks(file: JpegFile, component: Component, plane: Floats) -> Floats:
    """Average a plane of units to a component's resolution, and cut it in blocks."""
    down, across = (
        whole // own
        for whole, own in zip(
            file.sampling, (component.down, component.across), strict=True
        )
    )
    count = len(plane)
    v, h = component.down, component.across
    if (down, across) != (1, 1):
        parts = plane.reshape(count, v * 8, down, h * 8, across)
        # Sums of views: ten times as quick as a mean over two short axes.
        total = sum(
            parts[:, :, i, :, j] for i in range(1, down) for j in range(across)
        ) + sum(parts[:, :, 0, :, j] for j in range(across))
        plane = np.asarray(total) * np.float32(1 / (down * across))
    blocks = plane.reshape(count, v, 8, h, 8).swapaxes(2, 3)
    return blocks.reshape(count, v, h, 64)


def _touched(
    component: Component, differs: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Find a component's blocks that span a pixel that differs: (N, v, h)."""
    v, h = component.down, component.across
    count, height, width = differs.shape
    parts = differs.reshape(count, v, height // v, h, width // h)
    touched: npt.NDArray[np.bool_] = np.asarray(parts.any(axis=(2, 4)))
    return touched


def _put(
    coefficients: npt.NDArray[np.int16],
    steps: Floats,
    touched: npt.NDArray[np.bool_],
    anew: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    component: Component,
) -> None:
    """Add steps to blocks, or put them in their place where they are anew."""
    num_rows, num_columns = coefficients.shape[:2]
    for down in range(component.down):
        for across in range(component.across):
            row = rows * component.down + down
            column = columns * component.across + across
            used = touched[:, down, across]
            used = used & (row < num_rows) & (column < num_columns)
            place = row[used], column[used]
            kept = np.where(anew[used, None], 0, coefficients[place])
            # T.81, F.1.2: what a file of 8-bit samples can hold.
            whole = np.clip(kept + steps[used, down, across], -1023, 1023)
            coefficients[place] = whole.astype(np.int16)


def _dct() -> Floats:
    """Make the matrix from a block's 64 samples to its frequencies; T.81, A.3.3."""
    frequency, sample = np.mgrid[:8, :8]
    basis = np.cos((2 * sample + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return np.kron(basis, basis).T.astype(np.float32)  # (samples, frequencies)


_DCT = _dct()


def _has_standard_tables(file: JpegFile) -> bool:
    """Whether the file was written without Huffman tables of its own."""
    counts = [segment.data for segment in file.of(DHT)]
    joined = b"".join(counts)
    return _STANDARD_DC_LUMINANCE in joined and _STANDARD_AC_LUMINANCE in joined
