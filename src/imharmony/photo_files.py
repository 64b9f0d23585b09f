"""Photo files by their paths: the thin layer over `images.files`."""

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import pyvips

from imharmony.default import default_harmonizer
from imharmony.errors import HarmonizeWarning, warn
from imharmony.harmonizer import Harmonizer
from imharmony.images import adapters, files, formats, mask_files
from imharmony.images.masks import split_mask
from imharmony.results import Predicted
from imharmony.writing import check_target

__all__ = ["harmonize_file", "read_photo", "write_photo"]

PathLikeStr = str | PathLike[str]


def harmonize_file(
    composite: PathLikeStr,
    mask: PathLikeStr | None = None,
    *,
    output: PathLikeStr,
    label: str | None = None,
    strength: float = 1.0,
    reference: PathLikeStr | None = None,
    resize_mask: bool = False,
    quality: int | None = None,
    overwrite: bool = False,
    max_pixels: int = files.MAX_PIXELS,
    harmonizer: Harmonizer | None = None,
) -> Predicted:
    """Harmonize a photo file into another, as `imharmony harmonize` does.

    Parameters
    ----------
    composite : path
        JPEG, PNG, WebP, TIFF or AVIF.
    mask : path or None
        White where the pasted foreground is; soft edges welcome. None takes the
        composite's alpha.
    output : path
        Its extension sets the format. Depth, profile and EXIF are the composite's.
    label, strength
        As for calling a `Harmonizer`.
    reference : path or None
        Another photo to fit the foreground to.
    resize_mask : bool
        Whether a mask of another size is stretched.
    quality : int or None
        1 to 100, for JPEG, WebP and AVIF.
    overwrite : bool
        Whether `output` may exist.
    max_pixels : int
        Pictures of more pixels are refused before they are decoded.
    harmonizer : Harmonizer or None
        None takes the default model.

    Returns
    -------
    Predicted
        The change of color, and how it came about.

    Raises
    ------
    DecodeError, ImageError, ShapeError, UsageError
        If a file cannot be used, or `output` cannot be written; nothing is written
        then.

    Warns
    -----
    HarmonizeWarning
        As for calling a `Harmonizer`, and as `read_photo`.
    """
    target = Path(output)
    check_target(target, tuple(formats.SUFFIXES), overwrite=overwrite)
    if mask is None:
        image = read_photo(composite, max_pixels=max_pixels)
        image, mask_image = split_mask(
            image, name=str(composite), may_be_full=reference is not None
        )
    else:
        image, mask_image = mask_files.read_pair(
            Path(composite), Path(mask), resize=resize_mask, max_pixels=max_pixels
        )
    other = None
    if reference is not None:
        other = read_photo(reference, max_pixels=max_pixels)
    harmonizer = harmonizer or default_harmonizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizeWarning)  # said below, of this call
        predicted = harmonizer.predict(
            image, mask_image, label=label, strength=strength, reference=other
        )
    for notice in predicted.warnings:
        warn(notice, notice.code)
    rendered = harmonizer.render(predicted, image, mask_image).image
    files.write_photo(rendered, target, overwrite=overwrite, quality=quality)
    return predicted


def read_photo(
    source: PathLikeStr | bytes, *, max_pixels: int = files.MAX_PIXELS
) -> pyvips.Image:
    """Read a photo file, with its depth, profile and EXIF.

    Parameters
    ----------
    source : path or bytes
        A JPEG, PNG, WebP, TIFF or AVIF file, or what is in one.
    max_pixels : int
        Pictures of more pixels are refused before they are decoded.

    Returns
    -------
    pyvips.Image
        Turned upright. `harmonize` takes it and gives one back; `numpy.asarray` makes
        an array (H, W, C) of it.

    Raises
    ------
    DecodeError, ImageError
        If the file is damaged, or no picture of gray or RGB.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/black.png"
    ...     write_photo(np.zeros((2, 3, 3), np.uint8), path)
    ...     np.asarray(read_photo(path)).shape
    (2, 3, 3)
    """
    opened = source if isinstance(source, bytes) else Path(source)
    return files.read_photo(opened, max_pixels=max_pixels)


def write_photo(
    image: Any,
    path: PathLikeStr,
    *,
    overwrite: bool = False,
    quality: int | None = None,
) -> None:
    """Write a picture to a file, whole or not at all.

    Parameters
    ----------
    image : pyvips image, array, Pillow image or tensor
        As `read_photo` or `harmonize` gives it. A pyvips image is written with its
        metadata, a Pillow image with its profile and EXIF.
    path : path
        .jpg, .jpeg, .png, .webp, .tif, .tiff or .avif.
    overwrite : bool
        Whether an existing file may be replaced.
    quality : int or None
        1 to 100, for JPEG, WebP and AVIF.

    Raises
    ------
    UsageError
        If the file exists, or its format cannot hold the picture.
    ImageError
        If writing fails.
    """
    photo_image = adapters.to_vips(image, name="image")
    files.write_photo(photo_image, Path(path), overwrite=overwrite, quality=quality)
