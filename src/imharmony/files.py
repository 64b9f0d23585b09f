"""Photo files: read whole or refused with a reason, written whole or not at all."""

import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyvips

from imharmony.curves import BT709_LUMA
from imharmony.errors import (
    DecodeError,
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
)
from imharmony.photo import (
    FULL_SCALE,
    GRAY_NAMES,
    RGB_NAMES,
    check_finite,
    scale_mask,
    split_alpha,
    stretch,
    tag,
)

__all__ = [
    "MAX_PIXELS",
    "check_target",
    "encode_photo",
    "read_mask",
    "read_photo",
    "write_photo",
]

MAX_PIXELS = 2**28  # 16,384 x 16,384; decoded, 0.8 GB of 8-bit RGB


_SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}


_FILLER_EXIF = {
    *("Orientation", "XResolution", "YResolution", "ResolutionUnit"),
    *("YCbCrPositioning", "ExifVersion", "ComponentsConfiguration"),
    *("FlashpixVersion", "FlashPixVersion", "ColorSpace"),
    *("PixelXDimension", "PixelYDimension"),
}
_HEAD_BYTES = 12  # enough to tell the kinds of file apart


def read_photo(
    source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> pyvips.Image:
    """Read a JPEG, PNG, WebP or TIFF file.

    Parameters
    ----------
    source : Path or bytes
        A file, or what is in one.
    name : str, optional
        What error messages call the input. Default: the path.
    max_pixels : int
        Pictures with more pixels are refused before they are decoded.

    Returns
    -------
    pyvips.Image
        Decoded and in memory, with the file's depth and channels; palettes become
        RGB and 1-bit pictures 8-bit gray. Values are as in the file: an embedded
        profile is kept but not applied. EXIF orientation has been applied and its
        tag removed, as is the EXIF preview, which would show the old picture.

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
    >>> from imharmony.photo import from_array, to_array
    >>> pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    >>> to_array(read_photo(encode_photo(from_array(pixels), ".png"))).shape
    (2, 3, 3)
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "image data"
    stored, kind = _open(source, name)
    try:
        load = getattr(pyvips.Image, f"{kind}load_source")
        image = load(stored, access="sequential", fail_on="error")
        _check_header(image, name, max_pixels)
        if image.get_n_pages() > 1:
            msg = f"{name}: {image.get_n_pages()} pages; only the first is used"
            warnings.warn(msg, HarmonizeWarning, stacklevel=2)
        image = _stoppable(image, image.copy_memory)
        if image.get_typeof("orientation") and image.get("orientation") != 1:
            image = image.autorot().copy_memory()
    except pyvips.Error as error:
        raise DecodeError(
            f"{name}: the {kind.upper()} data is damaged, truncated or of an "
            f"unsupported kind ({_detail(error)})"
        ) from error
    image = tag(image)
    image.remove("jpeg-thumbnail-data")
    check_finite(image, name)
    return image


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
    >>> from imharmony.photo import from_array
    >>> mask = from_array(np.array([[0, 1]], dtype=np.uint8))
    >>> read_mask(encode_photo(mask, ".png"), size=(1, 2)).numpy().tolist()
    [[0, 255]]
    """
    if name is None:
        name = str(source) if isinstance(source, Path) else "mask data"
    picture = read_photo(source, name=name, max_pixels=max_pixels)
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
        mask = tag(mask.recomb([list(BT709_LUMA)]).rint().cast("uchar")).copy_memory()
    if (mask.height, mask.width) == size:
        return mask
    if not resize:
        raise ShapeError(
            f"{name}: expected a mask of the photo's size, {size[0]}x{size[1]} "
            f"(height x width), got {mask.height}x{mask.width}; "
            "--resize-mask stretches it"
        )
    return stretch(mask, size).copy_memory()


def check_target(
    target: Path, *, overwrite: bool = False, suffixes: Sequence[str] | None = None
) -> None:
    """Refuse an output path that cannot be written, before any work is done.

    Parameters
    ----------
    target : Path
        File to be written.
    overwrite : bool
        Whether it may exist.
    suffixes : sequence of str, optional
        Known extensions. Default: those of pictures.

    Raises
    ------
    UsageError
        If the extension is unknown, the folder does not exist or cannot be written
        to, or the target exists and may not be replaced.

    Examples
    --------
    >>> check_target(Path("result.bmp"))
    Traceback (most recent call last):
    imharmony.errors.UsageError: result.bmp: expected an extension of .jpg, .jpeg, \
.png, .webp, .tif, .tiff, got '.bmp'
    """
    _check_suffix(target.suffix, str(target), suffixes or tuple(_SUFFIXES))
    folder = target.parent
    try:
        if not folder.exists():
            raise UsageError(f"{target}: the folder {folder} does not exist")
        if not folder.is_dir():
            raise UsageError(f"{target}: {folder} is not a folder")
        if target.is_dir():
            raise UsageError(f"{target}: expected a file to write, got a folder")
        if target.exists() and not target.is_file():
            raise UsageError(f"{target}: expected a regular file, got a device or pipe")
        if target.exists() and not overwrite:
            raise _exists_error(target)
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{target}: no permission to write to the folder {folder}")
    except OSError as error:  # such as a name that is too long
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise UsageError(msg) from error


def write_photo(
    image: pyvips.Image,
    target: Path,
    *,
    overwrite: bool = False,
    quality: int | None = None,
) -> None:
    """Write a photo whole or not at all.

    The extension says the format. The picture is written under a temporary name in
    the same folder and then renamed; whatever happens before that, the temporary
    file is removed and an older file stays as it was.

    Parameters
    ----------
    image : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float. EXIF, ICC profile and XMP are written.
    target : Path
        .jpg, .jpeg, .png, .webp, .tif or .tiff.
    overwrite : bool
        Whether an existing file may be replaced.
    quality : int, optional
        1 to 100, for JPEG (default 95; chroma is subsampled below 90) and WebP
        (default: lossless). PNG and TIFF are always lossless.

    Raises
    ------
    UsageError
        As `check_target`, and if the format cannot hold the photo's depth or alpha
        channel, or `quality` does not apply or is out of range.
    ImageError
        If writing fails, for instance on a full disk.

    Warns
    -----
    HarmonizeWarning
        If the photo has EXIF and the target is a TIFF, which libvips writes without.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from imharmony.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "black.png"
    ...     write_photo(photo, target)
    ...     read_photo(target).width
    3
    """
    check_target(target, overwrite=overwrite)
    saver, options = _saver(image, target.suffix, quality, str(target))
    with _temporary(target) as path:
        try:
            # "x+b": created, never opened; with the permissions of a new file.
            with path.open("x+b") as file:
                stored = pyvips.Target.new_to_descriptor(file.fileno())
                _stoppable(image, partial(getattr(image, saver), stored, **options))
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, path)
            _rename(path, target, overwrite=overwrite)
        except OSError as error:
            msg = f"{target}: cannot be written ({error.strerror or error})"
            raise ImageError(msg) from error
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
    >>> from imharmony.photo import from_array
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint8))
    >>> encode_photo(photo, ".png")[1:4]
    b'PNG'
    """
    saver, options = _saver(image, suffix, quality, "output")
    stored = pyvips.Target.new_to_memory()
    try:
        _stoppable(image, partial(getattr(image, saver), stored, **options))
    except pyvips.Error as error:
        raise ImageError(f"output: cannot be encoded ({_detail(error)})") from error
    encoded: bytes = stored.get("blob")
    return encoded


def _open(source: Path | bytes, name: str) -> tuple[pyvips.Source, str]:
    """Open a file or its bytes, and tell from its head which kind it is."""
    try:
        if isinstance(source, Path) and source.is_dir():
            raise DecodeError(f"{name}: expected a file, got a folder")
        if isinstance(source, Path) and source.is_file():
            with source.open("rb") as file:
                head = file.read(_HEAD_BYTES)
            stored = pyvips.Source.new_from_file(os.fsencode(source))
        else:
            # A path that is no file may be a pipe, which can be read only once.
            data = source if isinstance(source, bytes) else source.read_bytes()
            head = data[:_HEAD_BYTES]
            stored = pyvips.Source.new_from_memory(data)
    except FileNotFoundError as error:
        raise DecodeError(f"{name}: no such file") from error
    except OSError as error:
        raise DecodeError(
            f"{name}: cannot be read ({error.strerror or error})"
        ) from error
    if not head:
        raise DecodeError(f"{name}: expected a picture, got 0 bytes")
    if head.startswith(b"\xff\xd8\xff"):
        return stored, "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return stored, "png"
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return stored, "webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):  # +: BigTIFF
        return stored, "tiff"
    raise DecodeError(
        f"{name}: expected a JPEG, PNG, WebP or TIFF file, got one that starts with "
        f"{head!r}"
    )


def _check_header(image: pyvips.Image, name: str, max_pixels: int) -> None:
    size = f"{image.height}x{image.width}"
    if image.height * image.width > max_pixels:
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {size} (height x "
            f"width), {image.height * image.width}"
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


def _check_suffix(suffix: str, name: str, known: Sequence[str]) -> None:
    if suffix.lower() not in known:
        expected = ", ".join(known)
        raise UsageError(f"{name}: expected an extension of {expected}, got {suffix!r}")


def _saver(
    image: pyvips.Image, suffix: str, quality: int | None, name: str
) -> tuple[str, dict[str, Any]]:
    """Choose the libvips saver and its options; refuse what would lose something."""
    _check_suffix(suffix, name, tuple(_SUFFIXES))
    kind = _SUFFIXES[suffix.lower()]
    if quality is not None and kind not in ("jpeg", "webp"):
        raise UsageError(f"{name}: quality applies to JPEG and WebP only")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"{name}: expected a quality from 1 to 100, got {quality}")
    if kind == "jpeg" and image.hasalpha():
        raise UsageError(f"{name}: JPEG holds no alpha channel; use .png")
    if image.format == "float" and kind != "tiff":
        raise UsageError(f"{name}: only TIFF holds float pixels; use .tif")
    if image.format == "ushort" and kind in ("jpeg", "webp"):
        raise UsageError(f"{name}: {kind.upper()} holds 8 bit, not 16; use .png")
    if kind == "tiff" and _has_camera_exif(image):
        msg = f"{name}: EXIF data is not written to TIFF; use .png to keep it"
        warnings.warn(msg, HarmonizeWarning, stacklevel=3)
    options: dict[str, Any]
    if kind == "jpeg":
        options = {"Q": 95 if quality is None else quality}
    elif kind == "webp" and quality is not None:
        options = {"Q": quality}
    elif kind == "webp":
        options = {"lossless": True, "exact": True}  # exact: colors under alpha 0 too
    elif kind == "png":
        # Measured on photographs: 20 percent smaller and no slower than the default.
        options = {"compression": 3, "filter": "sub"}
    else:
        predictor = "float" if image.format == "float" else "horizontal"
        options = {"compression": "deflate", "predictor": predictor}
    return f"{kind}save_target", options


def _has_camera_exif(image: pyvips.Image) -> bool:
    """Whether there is more EXIF than the filler libvips gives every PNG and JPEG."""
    fields = [name for name in image.get_fields() if name.startswith("exif-ifd")]
    return any(name.split("-")[2] not in _FILLER_EXIF for name in fields)


def _stoppable(image: pyvips.Image, work: Callable[[], Any]) -> Any:
    """Let libvips read or write all of an image so that Ctrl-C stops it at once.

    Were it the main thread that waits for libvips, Python would hear of Ctrl-C only
    in the callback by which libvips logs that it has finished, and lose it there.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(work)
        try:
            return running.result()
        except KeyboardInterrupt:
            image.set_kill(True)
            raise


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Name a file beside the target that is gone afterwards, whatever happens."""
    path = target.with_name(f".imharmony-{secrets.token_hex(8)}{target.suffix}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _rename(path: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        path.replace(target)
        return
    try:
        target.hardlink_to(path)  # unlike renaming, fails if the target appeared
    except FileExistsError as error:
        raise _exists_error(target) from error
    except OSError:  # a file system without hard links, such as exFAT
        check_target(target)
        path.replace(target)


def _exists_error(target: Path) -> UsageError:
    return UsageError(f"{target}: exists already; --overwrite replaces it")


def _detail(error: pyvips.Error) -> str:
    """Put the lines of a libvips message on one."""
    return "; ".join((error.detail or error.message).split("\n")).strip("; ")
