"""What a file says beside its pixels, noted on the photo that is read from it.

Notes let the file's colors count, and let all of it be written back as it was.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pyvips

from imharmony.errors import warn
from imharmony.images import (
    avif_boxes,
    color_tags,
    exif_block,
    jpeg_coefficients,
    png_chunks,
)
from imharmony.images.formats import QUALITY_FIELD, estimate_jpeg_quality
from imharmony.images.photo import PREMULTIPLIED

if TYPE_CHECKING:
    from imharmony.images.tiff_tags import Tags

__all__ = ["note"]


def note(
    image: pyvips.Image,
    source: Path | bytes,
    file_format: str,
    name: str,
    *,
    tags: "Tags | None",
    exif: bytes,
    orientation: int,
) -> pyvips.Image:
    """Note on a photo what its file says of color, alpha, quality and metadata.

    Parameters
    ----------
    image : pyvips.Image
        Turned as its orientation says.
    source, file_format
        As `decoding.open_source` gives them. A JPEG given as bytes keeps its
        coefficients.
    name : str
        What error messages call the file.
    tags : Tags or None
        The tags of a TIFF; None for another format.
    exif : bytes
        EXIF without its head; empty if there is none.
    orientation : int
        By EXIF's numbers; 1 is upright.

    Returns
    -------
    pyvips.Image

    Raises
    ------
    ImageError
        If we cannot handle the colors that the file names.

    Warns
    -----
    HarmonizeWarning
        If the file is an animation: the photo is its first frame.
    """
    if tags is not None:
        image = tags.remember(image)
        if (color := tags.color(name)) is not None:
            color_tags.remember(image, color, file_format)
        elif tags.exif is not None:
            _heed_exif(image, tags.exif, file_format)
        return image
    if exif:
        exif_block.remember(image, exif)
        if file_format in ("jpeg", "webp"):  # other formats have better ways to say it
            _heed_exif(image, exif, file_format)
    if isinstance(source, bytes) and file_format == "jpeg":
        image = jpeg_coefficients.remember(image, source, orientation)
        if (estimated := estimate_jpeg_quality(source)) is not None:
            image.set_type(pyvips.GValue.gint_type, QUALITY_FIELD, estimated)
    elif file_format == "png":
        image = _remember_png(image, source, name, is_turned=orientation != 1)
    elif file_format == "heif":
        _remember_avif(image, source, name)
    return image


def _remember_png(
    image: pyvips.Image, source: Path | bytes, name: str, *, is_turned: bool
) -> pyvips.Image:
    """Note what a PNG says beside its pixels; let its color count."""
    chunks = png_chunks.read_chunks(source)
    if not any(chunk_type == b"pHYs" for chunk_type, _ in chunks):
        image = image.copy(xres=1, yres=1)  # libvips would say 72 per inch
    if png_chunks.is_animated(chunks):
        _warn_of_frames(name)
    color = png_chunks.find_color(chunks, name)
    if color is not None:
        color_tags.remember(image, color, "png")
    elif any(
        chunk_type == b"cICP" for chunk_type, _ in chunks
    ):  # cICP overrules a profile
        image.remove("icc-profile-data")
    if is_turned:
        chunks = png_chunks.make_upright(chunks)
    stored = png_chunks.pack(chunks)
    image.set_type(pyvips.GValue.blob_type, png_chunks.FIELD, stored)
    return image


def _remember_avif(image: pyvips.Image, source: Path | bytes, name: str) -> None:
    """Note what an AVIF says of its color and alpha; let its color count."""
    words = avif_boxes.read_words(source)
    if words is None:
        return
    if words.is_animated:
        _warn_of_frames(name)
    color = words.color(name)
    if color is not None:
        color_tags.remember(image, color, "heif")
    avif_boxes.remember(image, words, says_colors=color is not None)
    if words.is_premultiplied and image.hasalpha():
        image.set_type(pyvips.GValue.gint_type, PREMULTIPLIED, 1)


def _heed_exif(image: pyvips.Image, block: bytes, file_format: str) -> None:
    """Take the colors for Adobe RGB where only EXIF says so, as cameras do."""
    if not image.get_typeof("icc-profile-data") and exif_block.says_adobe_rgb(block):
        color_tags.remember(image, color_tags.ADOBE_RGB, file_format)


def _warn_of_frames(name: str) -> None:
    msg = f"{name}: an animation; only the first frame is used"
    warn(msg)
