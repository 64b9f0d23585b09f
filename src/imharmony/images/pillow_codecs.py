"""BMP and HEIC, read by Pillow and pi-heif.

Only where the extra `formats` is installed; without it the error says so.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import pyvips

from imharmony.errors import DecodeError, ImageError, warn
from imharmony.images import exif_block
from imharmony.images.avif_boxes import read_words
from imharmony.images.color_tags import make_profile
from imharmony.images.photo import from_array
from imharmony.images.xmp import make_upright

__all__ = ["read"]


def read(
    source: Path | bytes, file_format: str, name: str, max_pixels: int
) -> pyvips.Image:
    """Decode a file, turned as it says, with profile, EXIF and XMP.

    Parameters
    ----------
    source : Path or bytes
        The file, or what is in it.
    file_format : "bmp" or "heic"
    name : str
        What error messages call it.
    max_pixels : int
        Pictures with more pixels are refused before they are decoded.

    Raises
    ------
    DecodeError
        If it cannot be decoded, or the extra is not installed.
    ImageError
        If it has too many pixels, or colors that we cannot honor.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError

        if file_format == "heic":
            import pi_heif

            pi_heif.register_heif_opener(thumbnails=False)
    except ImportError as error:
        raise DecodeError(
            f"{name}: a {file_format.upper()} file needs another decoder; "
            "pip install 'imharmony[formats]'"
        ) from error
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(opened)
        with picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{name}: expected at most {max_pixels} pixels, got "
                    f"{height}x{width} (height x width)"
                )
            info = dict(picture.info)
            turned = ImageOps.exif_transpose(picture)
            has_alpha = "A" in turned.getbands() or "transparency" in info
            is_gray = turned.mode in ("1", "L", "LA")
            mode = (
                ("LA" if is_gray else "RGBA")
                if has_alpha
                else "L"
                if is_gray
                else "RGB"
            )
            pixels = np.asarray(turned.convert(mode))
    except (
        *(UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError),
        *(ValueError, RuntimeError, EOFError, LookupError, ArithmeticError),
    ) as error:
        raise DecodeError(
            f"{name}: the {file_format.upper()} data is damaged, truncated or of an "
            f"unsupported kind ({error})"
        ) from error
    photo = from_array(pixels, name=name).copy()
    blob = pyvips.GValue.blob_type
    if info.get("icc_profile"):
        photo.set_type(blob, "icc-profile-data", info["icc_profile"])
    elif file_format == "heic" and (words := read_words(source)) is not None:
        color = words.color(name)
        if color is not None:
            profile = make_profile(color, is_gray=photo.bands < 3)
            photo.set_type(blob, "icc-profile-data", profile)
    if info.get("exif"):
        exif_block.remember(photo, exif_block.strip_head(info["exif"]))
    if info.get("xmp"):
        photo.set_type(blob, "xmp-data", make_upright(info["xmp"]))
    if file_format == "heic" and info.get("bit_depth", 8) > 8:
        msg = f"{name}: {info['bit_depth']} bit; read at 8"
        warn(msg)
    return photo
