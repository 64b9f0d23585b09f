"""From a file to pixels: all of it is decoded, or an error says why not."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyvips

from imharmony.errors import DecodeError, Hint, ImageError, UsageError
from imharmony.images import avif_boxes
from imharmony.images.formats import HEAD_BYTES, describe, sniff
from imharmony.images.photo import FULL_SCALE, GRAY_NAMES, RGB_NAMES, from_array
from imharmony.images.pixels import STREAM_BYTES, PixelArray

__all__ = [
    "MAX_SIDE",
    "Progress",
    "attach_header",
    "check_process",
    "count_bytes",
    "damage_error",
    "decode",
    "join_detail",
    "load_header",
    "open_source",
    "run_stoppable",
]

MAX_SIDE = 10_000_000
"""Longest side of a picture that libvips can hold, in pixels."""
Progress = Callable[[int], None]
"""Called with the percent that is done."""


def open_source(source: Path | bytes, name: str) -> tuple[Path | bytes, str]:
    """Open a file or its bytes, and tell its format from its first bytes.

    Raises
    ------
    DecodeError
        If the file is absent, empty, or of another format.
    """
    check_process()
    try:
        if isinstance(source, Path) and source.is_dir():
            raise DecodeError(f"{name}: expected a file, got a folder")
        if isinstance(source, Path) and source.is_file():
            with source.open("rb") as file:
                head = file.read(HEAD_BYTES)
        else:
            # A path that is no file may be a pipe; a pipe can be read only once.
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
    file_format = sniff(head)
    if file_format is None:
        raise DecodeError(
            f"{name}: expected a JPEG, PNG, WebP, TIFF or AVIF file, got "
            f"{describe(head)}"
        )
    return source, file_format


class _Process:
    """Whether libvips has threads in this process, or had in its parent."""

    has_threads = False
    is_forked = False

    def note_fork(self) -> None:
        """Remember, in a child, that the threads of libvips stayed in the parent."""
        self.is_forked = self.has_threads


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.note_fork)


def check_process() -> None:
    """Refuse to work in a fork, where libvips would wait for its parent's threads.

    Raises
    ------
    UsageError
        If this process was forked after libvips had worked in its parent.
    """
    if _process.is_forked:
        raise UsageError(
            "this process was forked after pictures had been read in its parent, so "
            "libvips would wait for threads that are not there; start processes by "
            'spawn or forkserver (multiprocessing.get_context("spawn")), or read none '
            "before the fork"
        )


def load_header(
    source: Path | bytes, file_format: str, name: str, max_pixels: int
) -> pyvips.Image:
    """Open a file without decoding it; refuse a picture that we cannot use.

    Raises
    ------
    ImageError
        If the picture is not gray or RGB, has another depth, or is too large.
    pyvips.Error
        If the header cannot be read.
    """
    if file_format == "heif":
        _check_sides(source, name)
    image = _load(source, file_format)
    _check_header(image, name, max_pixels)
    return image


def decode(
    source: Path | bytes,
    file_format: str,
    header: pyvips.Image,
    *,
    name: str,
    tiff_info: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> pyvips.Image:
    """Decode a file once from end to end.

    Parameters
    ----------
    source, file_format
        As `open_source` gives them.
    header : pyvips.Image
        As `load_header` gives it.
    name : str
        What error messages call the file.
    tiff_info : dict, optional
        What tifftools reads of a TIFF.
    progress : callable, optional
        Called with the percent decoded.

    Returns
    -------
    pyvips.Image
        Up to `STREAM_BYTES`, in memory. A larger one was decoded once to find damage,
        and is read again, piece by piece, when its pixels are asked for.

    Raises
    ------
    DecodeError
        If any part cannot be decoded.
    """
    try:
        is_small = count_bytes(header) <= STREAM_BYTES
        if file_format == "tiff" and header.get_typeof("tile-width"):
            if tiff_info is None:
                raise DecodeError(f"{name}: its TIFF tags cannot be read")
            from imharmony.images.tiff_tiles import Tiles

            _process.has_threads = True
            try:
                tiles = Tiles(source, tiff_info, name)
            except (LookupError, TypeError, ValueError) as error:  # of other types
                msg = f"{name}: the TIFF's tags of its tiles are damaged ({error})"
                raise DecodeError(msg) from error
            if is_small:
                return attach_header(tiles.read(progress), header, name)
            tiles.check(progress)
            return _load(source, file_format, access="random")
        if is_small:
            image = run_stoppable(header, pyvips.Image.copy_memory, progress)
        else:
            image = _load(source, file_format, access="random")
            run_stoppable(image, lambda it: it.avg(), progress)  # to find damage
    except pyvips.Error as error:
        if file_format == "tiff" and tiff_info is not None:
            from imharmony.images import tiff_codecs

            if tiff_codecs.is_foreign(tiff_info):
                pixels = tiff_codecs.read(source, tiff_info, name)
                return attach_header(pixels, header, name)
        raise damage_error(name, file_format, error) from error
    return image


def damage_error(name: str, file_format: str, error: pyvips.Error) -> DecodeError:
    """Make the error for a file that libvips cannot decode."""
    msg = f"{name}: the {file_format.upper()} data is damaged, truncated or of an"
    return DecodeError(f"{msg} unsupported kind ({join_detail(error)})")


def attach_header(
    pixels: PixelArray, header: pyvips.Image, name: str = "image"
) -> pyvips.Image:
    """Give pixels the metadata of a file's header, and what its channels mean.

    Raises
    ------
    DecodeError
        If the pixels are not what the header announces.
    """
    image = from_array(pixels)
    announced = header.height, header.width, header.bands, header.format
    if (image.height, image.width, image.bands, image.format) != announced:
        raise DecodeError(
            f"{name}: expected {announced[0]}x{announced[1]} pixels (height x width) "
            f"of {announced[2]} channels as in the header, got {pixels.shape} of "
            f"{pixels.dtype}"
        )
    image = image.copy(
        interpretation=header.interpretation, xres=header.xres, yres=header.yres
    )
    for field in header.get_fields():
        if not image.get_typeof(field):
            image.set_type(header.get_typeof(field), field, header.get(field))
    return image


def _load(
    source: Path | bytes, file_format: str, access: str = "sequential"
) -> pyvips.Image:
    load = partial(getattr(pyvips.Image, f"{file_format}load_source"), fail_on="error")
    return load(_open_stored(source), access=access)


def _open_stored(source: Path | bytes) -> pyvips.Source:
    if isinstance(source, bytes):
        return pyvips.Source.new_from_memory(source)
    return pyvips.Source.new_from_file(os.fsencode(source))


def count_bytes(image: pyvips.Image) -> int:
    """Compute how many bytes a picture takes in memory."""
    sample_bytes = {"uchar": 1, "ushort": 2, "float": 4}[image.format]
    size: int = image.width * image.height * image.bands * sample_bytes
    return size


def _check_sides(source: Path | bytes, name: str) -> None:
    """Refuse an AVIF with a side so long that libvips would print a complaint."""
    words = avif_boxes.read_words(source)
    if words is not None and words.longest_side > MAX_SIDE:
        raise ImageError(
            f"{name}: expected at most {MAX_SIDE} pixels a side, got "
            f"{words.longest_side}"
        )


def _check_header(image: pyvips.Image, name: str, max_pixels: int) -> None:
    size = f"{image.height}x{image.width}"
    if image.height * image.width > max_pixels:
        raise ImageError(
            f"{name}: expected at most {max_pixels} pixels, got {size} (height x "
            f"width), {image.height * image.width}",
            hint=Hint.MAX_PIXELS,
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


def run_stoppable(
    image: pyvips.Image,
    work: Callable[[pyvips.Image], Any],
    progress: Progress | None = None,
) -> Any:
    """Let libvips read or write all of an image so that Ctrl-C stops it at once.

    Another thread waits for libvips. If the main thread waited, Python would see Ctrl-C
    only in the callback by which libvips logs that it has finished, and lose it there.
    """
    check_process()
    _process.has_threads = True
    # A copy: everything made of an image later reports progress, too, even when the
    # Python function that it reports to is gone.
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


def join_detail(error: pyvips.Error) -> str:
    """Join the lines of a libvips message; equal lines appear once."""
    lines = (line.strip() for line in (error.detail or error.message).split("\n"))
    return "; ".join(dict.fromkeys(filter(None, lines))).strip("; ")
