"""Photo files: read whole or refused with a reason, written whole or not at all."""

import io
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyvips

from imharmony.colors import BT709_LUMA
from imharmony.errors import (
    DecodeError,
    HarmonizeWarning,
    ImageError,
    ShapeError,
)
from imharmony.images.formats import (
    HEAD_BYTES,
    QUALITY_FIELD,
    SUFFIXES,
    jpeg_quality,
    saver,
    sniff,
)
from imharmony.images.photo import (
    FULL_SCALE,
    GRAY_NAMES,
    RGB_NAMES,
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
    "encode_photo",
    "read_mask",
    "read_pair",
    "read_photo",
    "write_photo",
]

MAX_PIXELS = 2**28
"""16,384 x 16,384: what is refused before it is decoded, unless asked for."""

_TIFF = (".tif", ".tiff")

Progress = Callable[[int], None]
"""Told the percent done."""


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
    source, kind = _open(source, name)
    tags = None
    try:
        load = partial(getattr(pyvips.Image, f"{kind}load_source"), fail_on="error")
        image = load(_stored(source), access="sequential")
        _check_header(image, name, max_pixels)
        if image.get_n_pages() > 1:
            msg = f"{name}: {image.get_n_pages()} pages; only the first is used"
            warnings.warn(msg, HarmonizeWarning, stacklevel=2)
        if kind == "tiff":
            from imharmony.images import tiff_tags

            tags = tiff_tags.read_tags(source, name)
            if tags is not None and tags.straight_file is not None:
                source = tags.straight_file
                image = load(_stored(source), access="sequential")
        is_small = _decoded_bytes(image) <= STREAM_BYTES
        if is_small:
            image = _stoppable(image, pyvips.Image.copy_memory, progress)
        else:
            image = load(_stored(source), access="random")
            _stoppable(image, lambda it: it.avg(), progress)  # to find damage
        if image.get_typeof("orientation") and image.get("orientation") != 1:
            image = image.autorot()
            image = image.copy_memory() if is_small else image
    except pyvips.Error as error:
        raise DecodeError(
            f"{name}: the {kind.upper()} data is damaged, truncated or of an "
            f"unsupported kind ({_detail(error)})"
        ) from error
    image = tag(image)
    image.remove("jpeg-thumbnail-data")
    check_finite(image, name)
    if kind == "jpeg" and (quality := jpeg_quality(source)) is not None:
        image.set_type(pyvips.GValue.gint_type, QUALITY_FIELD, quality)
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
    return _as_mask(picture, size, resize=resize, name=name)


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
    return image, _as_mask(picture, size, resize=resize, name=name)


def _as_mask(
    picture: pyvips.Image, size: tuple[int, int], *, resize: bool, name: str
) -> pyvips.Image:
    """Turn any picture into a mask; see `read_mask`."""
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
        is_done = mask is picture or _decoded_bytes(mask) > STREAM_BYTES
        return mask if is_done else mask.copy_memory()
    if not resize:
        raise ShapeError(
            f"{name}: expected a mask of the photo's size, {size[0]}x{size[1]} "
            f"(height x width), got {mask.height}x{mask.width}; "
            "--resize-mask stretches it"
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

    def save(file: BinaryIO) -> None:
        stored = pyvips.Target.new_to_descriptor(file.fileno())

        def work(it: pyvips.Image) -> None:
            getattr(it, name)(stored, **options)

        _stoppable(image, work, progress)

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
        msg = f"{target}: cannot be written ({_detail(error)})"
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
    stored = pyvips.Target.new_to_memory()
    try:
        _stoppable(image, lambda it: getattr(it, operation)(stored, **options))
    except pyvips.Error as error:
        raise ImageError(f"output: cannot be encoded ({_detail(error)})") from error
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


def _open(source: Path | bytes, name: str) -> tuple[Path | bytes, str]:
    """Take a file or its bytes, and tell from its head which kind it is."""
    try:
        if isinstance(source, Path) and source.is_dir():
            raise DecodeError(f"{name}: expected a file, got a folder")
        if isinstance(source, Path) and source.is_file():
            with source.open("rb") as file:
                head = file.read(HEAD_BYTES)
        else:
            # A path that is no file may be a pipe, which can be read only once.
            source = source if isinstance(source, bytes) else source.read_bytes()
            head = source[:HEAD_BYTES]
    except FileNotFoundError as error:
        raise DecodeError(f"{name}: no such file") from error
    except OSError as error:
        raise DecodeError(
            f"{name}: cannot be read ({error.strerror or error})"
        ) from error
    if not head:
        raise DecodeError(f"{name}: expected a picture, got 0 bytes")
    kind = sniff(head)
    if kind is None:
        raise DecodeError(
            f"{name}: expected a JPEG, PNG, WebP, TIFF or AVIF file, got one that "
            f"starts with {head!r}"
        )
    return source, kind


def _stored(source: Path | bytes) -> pyvips.Source:
    if isinstance(source, bytes):
        return pyvips.Source.new_from_memory(source)
    return pyvips.Source.new_from_file(os.fsencode(source))


def _decoded_bytes(image: pyvips.Image) -> int:
    sample_bytes = {"uchar": 1, "ushort": 2, "float": 4}[image.format]
    size: int = image.width * image.height * image.bands * sample_bytes
    return size


def _check_header(image: pyvips.Image, name: str, max_pixels: int) -> None:
    size = f"{image.height}x{image.width}"
    if image.height * image.width > max_pixels:
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {size} (height x "
            f"width), {image.height * image.width}; --max-pixels raises the limit"
        )
    if image.interpretation not in {*GRAY_NAMES.values(), *RGB_NAMES.values()}:
        raise ImageError(
            f"{name}: expected an RGB or gray picture, got "
            f"{image.interpretation.upper()}; convert it to RGB first"
        )
    if image.format not in FULL_SCALE:
        raise ImageError(
            f"{name}: expected samples of 8 bit, 16 bit or 32-bit float, got "
            f"{image.format}"
        )
    if image.bands > 4:
        raise ImageError(f"{name}: expected 1 to 4 channels, got {image.bands}")


def _stoppable(
    image: pyvips.Image,
    work: Callable[[pyvips.Image], Any],
    progress: Progress | None = None,
) -> Any:
    """Let libvips read or write all of an image so that Ctrl-C stops it at once.

    Were it the main thread that waits for libvips, Python would hear of Ctrl-C only
    in the callback by which libvips logs that it has finished, and lose it there.
    """
    # A copy, since whatever is made of an image later on tells its progress, too, even
    # after Python has forgotten whom to tell.
    image = image.copy()
    if progress is not None:
        image.set_progress(True)
        image.signal_connect("eval", lambda _, state: progress(state.percent))
        image.signal_connect("posteval", lambda *_: progress(100))
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(work, image)
        try:
            return running.result()
        except KeyboardInterrupt:
            image.set_kill(True)
            raise
        finally:
            image.set_progress(False)


def _detail(error: pyvips.Error) -> str:
    """Put the lines of a libvips message on one."""
    return "; ".join((error.detail or error.message).split("\n")).strip("; ")
