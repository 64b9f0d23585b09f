"""Masks of the foreground from files: any picture may be one."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyvips

from imharmony.colors import BT709_LUMA
from imharmony.errors import DecodeError, Hint, ShapeError, collect_warnings, warn
from imharmony.images.decoding import Progress, count_bytes
from imharmony.images.files import MAX_PIXELS, read_photo
from imharmony.images.masks import scale_mask
from imharmony.images.photo import FULL_SCALE, split_alpha, stretch, tag
from imharmony.images.pixels import STREAM_BYTES

__all__ = ["as_mask", "read_mask", "read_pair"]


def read_mask(
    source: Path | bytes,
    *,
    size: tuple[int, int],
    resize: bool = False,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> pyvips.Image:
    """Read a mask of the foreground from any kind of picture.

    The black and white of a JPEG are only nearly so: values up to 16 are taken as
    background there, from 239 as foreground.

    Where the picture has an alpha channel that is not opaque everywhere, that is
    the mask. Otherwise its brightness is: the luma of ITU-R BT.709 of the encoded
    values. A picture of zeros and ones only is a mask in 8-bit disguise: 1 counts
    as foreground.

    Parameters
    ----------
    source, name, max_pixels
        As for `read_photo`.
    size : (height, width)
        Size of the photo in pixels.
    resize : bool
        Whether a mask of another size is stretched to `size` rather than refused.

    Returns
    -------
    pyvips.Image
        One channel of 8 bit, 0 background, 255 foreground; soft edges are kept.

    Raises
    ------
    DecodeError, ImageError
        As `read_photo`.
    ShapeError
        If the mask has another size than the photo and `resize` is false.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.files import encode_photo
    >>> from imharmony.images.photo import from_array
    >>> mask = from_array(np.array([[0, 1]], dtype=np.uint8))
    >>> read_mask(encode_photo(mask, ".png"), size=(1, 2)).numpy().tolist()
    [[0, 255]]
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "mask data"
    picture = read_photo(source, name=name, max_pixels=max_pixels)
    return as_mask(picture, size, resize=resize, name=name)


def read_pair(
    composite: Path | bytes,
    mask: Path | bytes,
    *,
    names: tuple[str | None, str | None] = (None, None),
    resize: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> tuple[pyvips.Image, pyvips.Image]:
    """Read a composite and its mask at the same time.

    Parameters
    ----------
    composite, mask
        Files, or what is in them.
    names : pair of str, optional
        What error messages call them. Default: the paths.
    resize : bool
        As for `read_mask`.
    max_pixels, progress
        As for `read_photo`; the progress is that of the composite.

    Returns
    -------
    composite, mask : pyvips.Image
        As `read_photo` and `read_mask` give them.

    Raises
    ------
    DecodeError, ImageError, ShapeError
        As those two; where both fail, the composite's error.

    Warns
    -----
    HarmonizeWarning
        As `read_photo`, for either.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.files import encode_photo
    >>> from imharmony.images.photo import from_array
    >>> file = encode_photo(from_array(np.array([[0, 255]], dtype=np.uint8)), ".png")
    >>> [image.width for image in read_pair(file, file)]
    [2, 2]
    """
    name = names[1] or (str(mask) if isinstance(mask, Path) else "mask data")
    # Ctrl-C waits for the mask, which is mostly done before the photo.
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            reading = pool.submit(
                collect_warnings, read_photo, mask, name=name, max_pixels=max_pixels
            )
            image = read_photo(
                composite, name=names[0], max_pixels=max_pixels, progress=progress
            )
            picture, notices = reading.result()
    except DecodeError:
        # Libvips has one place for the reasons of all threads: each is read alone.
        for source, called in ((composite, names[0]), (mask, name)):
            # Not Path.is_file, which fails where a name is too long.
            if isinstance(source, bytes) or os.path.isfile(source):  # noqa: PTH113
                read_photo(source, name=called, max_pixels=max_pixels)
        raise
    for message, code in notices:
        warn(message, code)
    size = (image.height, image.width)
    return image, as_mask(picture, size, resize=resize, name=name)


def _drop_fields(picture: pyvips.Image) -> pyvips.Image:
    """Forget what a picture's file said: what is made with it must not inherit that.

    libvips gives a picture made of two the fields of both. A JPEG that was written as
    PNG got EXIF and color from its mask.
    """
    plain = picture.copy()
    for field in plain.get_fields():
        plain.remove(field)  # leaves size, format and the like
    return plain


def as_mask(
    picture: pyvips.Image, size: tuple[int, int], *, resize: bool, name: str
) -> pyvips.Image:
    """Turn any picture into a mask, as `read_mask` does with a file's."""
    is_jpeg = (
        picture.get_typeof("vips-loader")
        and picture.get("vips-loader") == "jpegload_source"
    )
    picture = _drop_fields(picture)
    color, alpha = split_alpha(picture)
    if is_jpeg:
        color = ((color - 16) * (255 / 223)).rint().cast("uchar")
    full = FULL_SCALE[color.format]
    if alpha is not None and alpha.min() < full:
        mask = scale_mask(alpha, full, name)
    else:
        mask = scale_mask(color, full, name)
    if mask.bands == 3:
        mask = tag(mask.recomb([list(BT709_LUMA)]).rint().cast("uchar"))
    if (mask.height, mask.width) == size:
        is_done = mask is picture or count_bytes(mask) > STREAM_BYTES
        return mask if is_done else mask.copy_memory()
    if not resize:
        raise ShapeError(
            f"{name}: expected a mask of the photo's size, {size[0]}x{size[1]} "
            f"(height x width), got {mask.height}x{mask.width}",
            hint=Hint.RESIZE_MASK,
        )
    return stretch(mask, size).copy_memory()
