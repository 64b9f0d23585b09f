"""Photo files: read whole or refused with a reason, written whole or not at all."""

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pyvips

from imharmony.colors import BT709_LUMA
from imharmony.errors import (
    DecodeError,
    HarmonizeWarning,
    Hint,
    ImageError,
    ShapeError,
)
from imharmony.images import jpeg_coefficients
from imharmony.images.decoding import (
    Progress,
    damage_error,
    decode,
    decoded_bytes,
    detail_of,
    load_header,
    open_source,
    run_stoppable,
)
from imharmony.images.formats import QUALITY_FIELD, SUFFIXES, jpeg_quality, saver
from imharmony.images.photo import (
    FULL_SCALE,
    check_finite,
    scale_mask,
    split_alpha,
    straighten,
    stretch,
    tag,
)
from imharmony.images.pixels import STREAM_BYTES
from imharmony.writing import check_target, draft, replace_whole

__all__ = [
    "MAX_PIXELS",
    "as_mask",
    "encode_photo",
    "read_mask",
    "read_pair",
    "read_photo",
    "write_photo",
]

MAX_PIXELS = 2**28
"""16,384 x 16,384: what is refused before it is decoded, unless asked for."""

_TIFF = (".tif", ".tiff")


def read_photo(
    source: Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> pyvips.Image:
    """Read a JPEG, PNG, WebP, TIFF or AVIF file.

    Parameters
    ----------
    source : Path or bytes
        A file, or what is in one.
    name : str, optional
        What error messages call the input. Default: the path.
    max_pixels : int
        Pictures with more pixels are refused before they are decoded.
    progress : callable, optional
        Called with the percent decoded.

    Returns
    -------
    pyvips.Image
        Decoded once from end to end, so nothing is damaged, and in memory up to
        `STREAM_BYTES`. With the file's depth and channels; palettes become RGB and
        1-bit pictures 8-bit gray. Values are as in the file: an embedded profile is
        kept but not applied; premultiplied alpha of a TIFF is divided out. EXIF
        orientation has been applied and its tag removed, as is the EXIF preview,
        which would show the old picture.

    Raises
    ------
    DecodeError
        If the file is absent, empty, damaged, truncated, or of another kind.
    ImageError
        If the picture is not gray or RGB, is of another depth, has too many pixels,
        or holds NaN or infinity.

    Warns
    -----
    HarmonizeWarning
        If the file has several pages; only the first is used.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.photo import from_array, to_array
    >>> pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    >>> to_array(read_photo(encode_photo(from_array(pixels), ".png"))).shape
    (2, 3, 3)
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "image data"
    source, kind = open_source(source, name)
    if kind == "jpeg" and isinstance(source, Path):
        source = source.read_bytes()  # written back to a JPEG, most of it stays
    tags = None
    try:
        header = load_header(source, kind, name, max_pixels)
    except pyvips.Error as error:
        raise damage_error(name, kind, error) from error
    if header.get_n_pages() > 1:
        msg = f"{name}: {header.get_n_pages()} pages; only the first is used"
        warnings.warn(msg, HarmonizeWarning, stacklevel=2)
    if kind == "tiff":
        from imharmony.images import tiff_tags

        tags = tiff_tags.read_tags(source, name)
        if tags is not None and tags.straight_file is not None:
            source = tags.straight_file
            header = load_header(source, kind, name, max_pixels)
    image = decode(
        source,
        kind,
        header,
        name=name,
        tiff_info=None if tags is None else tags.info,
        progress=progress,
    )
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    if orientation != 1:
        is_small = decoded_bytes(image) <= STREAM_BYTES
        image = image.autorot()
        image = image.copy_memory() if is_small else image
    image = tag(image)
    image.remove("jpeg-thumbnail-data")
    check_finite(image, name)
    if isinstance(source, bytes) and kind == "jpeg":
        image = jpeg_coefficients.remember(image, source, orientation)
        if (estimated := jpeg_quality(source)) is not None:
            image.set_type(pyvips.GValue.gint_type, QUALITY_FIELD, estimated)
    return image if tags is None else tags.remember(image)


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
    >>> from imharmony.images.photo import from_array
    >>> file = encode_photo(from_array(np.array([[0, 255]], dtype=np.uint8)), ".png")
    >>> [image.width for image in read_pair(file, file)]
    [2, 2]
    """
    name = names[1] or (str(mask) if isinstance(mask, Path) else "mask data")
    # Ctrl-C waits for the mask, which is mostly done before the photo.
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(read_photo, mask, name=name, max_pixels=max_pixels)
        image = read_photo(
            composite, name=names[0], max_pixels=max_pixels, progress=progress
        )
        picture = reading.result()
    size = (image.height, image.width)
    return image, as_mask(picture, size, resize=resize, name=name)


def as_mask(
    picture: pyvips.Image, size: tuple[int, int], *, resize: bool, name: str
) -> pyvips.Image:
    """Turn any picture into a mask, as `read_mask` does with a file's."""
    color, alpha = split_alpha(picture)
    if (
        picture.get_typeof("vips-loader")
        and picture.get("vips-loader") == "jpegload_source"
    ):
        color = ((color - 16) * (255 / 223)).rint().cast("uchar")
    full = FULL_SCALE[color.format]
    if alpha is not None and alpha.min() < full:
        mask = scale_mask(alpha, full, name)
    else:
        mask = scale_mask(color, full, name)
    if mask.bands == 3:
        mask = tag(mask.recomb([list(BT709_LUMA)]).rint().cast("uchar"))
    if (mask.height, mask.width) == size:
        is_done = mask is picture or decoded_bytes(mask) > STREAM_BYTES
        return mask if is_done else mask.copy_memory()
    if not resize:
        raise ShapeError(
            f"{name}: expected a mask of the photo's size, {size[0]}x{size[1]} "
            f"(height x width), got {mask.height}x{mask.width}",
            hint=Hint.RESIZE_MASK,
        )
    return stretch(mask, size).copy_memory()


def write_photo(
    image: pyvips.Image,
    target: Path,
    *,
    overwrite: bool = False,
    quality: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a photo whole or not at all; see `replace_whole`.

    The extension says the format.

    Parameters
    ----------
    image : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float. EXIF, ICC profile, XMP, IPTC and
        resolution are written, where the format has a place for them.
    target : Path
        .jpg, .jpeg, .png, .webp, .tif, .tiff or .avif.
    overwrite : bool
        Whether an existing file may be replaced.
    quality : int, optional
        1 to 100, for JPEG (default: that of the JPEG the photo was read from, else
        95), WebP and AVIF (default: lossless). PNG and TIFF are always lossless.
    progress : callable, optional
        Called with the percent written.

    Raises
    ------
    UsageError
        As `check_target`, and if the format cannot hold the photo's depth or alpha
        channel, or `quality` does not apply or is out of range.
    ImageError
        If writing fails, for instance on a full disk.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "black.png"
    ...     write_photo(photo, target)
    ...     read_photo(target).width
    3
    """
    check_target(target, tuple(SUFFIXES), overwrite=overwrite)
    if target.suffix.lower() not in _TIFF:
        image = straighten(image)
    name, options = saver(image, target.suffix, quality, str(target))
    blocks_kept = _with_blocks_kept(image, target.suffix, quality, str(target))
    if blocks_kept is not None:
        with replace_whole(target, overwrite=overwrite) as file:
            file.write(blocks_kept)
        if progress is not None:
            progress(100)
        return

    def save(file: BinaryIO) -> None:
        stored = pyvips.Target.new_to_descriptor(file.fileno())

        def work(it: pyvips.Image) -> None:
            getattr(it, name)(stored, **options)

        run_stoppable(image, work, progress)

    try:
        with replace_whole(target, overwrite=overwrite) as file:
            if not _needs_finish(image, target.suffix):
                save(file)
            else:
                from imharmony.images import tiff_tags

                with draft(target) as (plain, _):
                    save(plain)
                    tiff_tags.finish(image, plain, file)
    except pyvips.Error as error:
        msg = f"{target}: cannot be written ({detail_of(error)})"
        raise ImageError(msg) from error


def encode_photo(
    image: pyvips.Image, suffix: str, *, quality: int | None = None
) -> bytes:
    """Encode a photo as the bytes of a file, for pipes.

    Parameters
    ----------
    image, quality
        As for `write_photo`.
    suffix : str
        Extension that says the format, such as ".png".

    Raises
    ------
    UsageError, ImageError
        As `write_photo`.

    Examples
    --------
    >>> import numpy as np
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> encode_photo(photo, ".png")[1:4]
    b'PNG'
    """
    if suffix.lower() not in _TIFF:
        image = straighten(image)
    operation, options = saver(image, suffix, quality, "output")
    blocks_kept = _with_blocks_kept(image, suffix, quality, "output")
    if blocks_kept is not None:
        return blocks_kept
    stored = pyvips.Target.new_to_memory()
    try:
        run_stoppable(image, lambda it: getattr(it, operation)(stored, **options))
    except pyvips.Error as error:
        raise ImageError(f"output: cannot be encoded ({detail_of(error)})") from error
    encoded: bytes = stored.get("blob")
    if not _needs_finish(image, suffix):
        return encoded
    from imharmony.images import tiff_tags

    finished = io.BytesIO()
    tiff_tags.finish(image, io.BytesIO(encoded), finished)
    return finished.getvalue()


def _needs_finish(image: pyvips.Image, suffix: str) -> bool:
    if suffix.lower() not in _TIFF:
        return False
    from imharmony.images import tiff_tags  # and tifftools: only where there is a TIFF

    return tiff_tags.needs_finish(image)


def _with_blocks_kept(
    image: pyvips.Image, suffix: str, quality: int | None, name: str
) -> bytes | None:
    """Encode a recolored JPEG file so that unchanged blocks stay; None if it cannot be.

    Warns
    -----
    HarmonizeWarning
        If all of a JPEG file is encoded again.
    """
    if SUFFIXES.get(suffix.lower()) != "jpeg":
        return None
    original = jpeg_coefficients.original_of(image)
    if original is None:
        return None
    try:
        if quality is not None:
            raise DecodeError(f"a quality of {quality} is asked for")
        if not jpeg_coefficients.is_installed():
            raise DecodeError("jpeglib is not installed")
        return jpeg_coefficients.replace_blocks(original, image)
    except DecodeError as error:
        msg = f"{name}: all of the JPEG is encoded again, background included: {error}"
        warnings.warn(msg, HarmonizeWarning, stacklevel=3)
    except pyvips.Error as error:
        msg = f"{name}: cannot be written ({detail_of(error)})"
        raise ImageError(msg) from error
    return None
