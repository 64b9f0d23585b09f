"""Photo files: read whole or refused with a reason, written whole or not at all."""

import io
from pathlib import Path
from typing import BinaryIO

import pyvips

from imharmony.errors import ImageError, warn
from imharmony.images import beside_pixels, exif_block
from imharmony.images.decoding import (
    Progress,
    count_bytes,
    damage_error,
    decode,
    join_detail,
    load_header,
    open_source,
    run_stoppable,
)
from imharmony.images.encoding import drop_selection, keep_blocks, prepare
from imharmony.images.formats import SUFFIXES, choose_saver
from imharmony.images.photo import (
    check_finite,
    tag,
)
from imharmony.images.pixels import STREAM_BYTES
from imharmony.images.xmp import make_upright
from imharmony.writing import check_target, draft, replace_whole

__all__ = [
    "MAX_PIXELS",
    "encode_photo",
    "read_photo",
    "write_photo",
]

MAX_PIXELS = 2**28
"""16,384 x 16,384: what is refused before it is decoded, unless asked for."""


def read_photo(
    source: Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> pyvips.Image:
    """Read a JPEG, PNG, WebP, TIFF, AVIF or GIF file; BMP and HEIC by an extra.

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
    source, file_format = open_source(source, name)
    if file_format == "jpeg" and isinstance(source, Path):
        source = source.read_bytes()  # written back to a JPEG, most of it stays
    if file_format in ("bmp", "heic"):
        from imharmony.images import pillow_codecs

        return pillow_codecs.read(source, file_format, name, max_pixels)
    tags = None
    try:
        header = load_header(source, file_format, name, max_pixels)
    except pyvips.Error as error:
        raise damage_error(name, file_format, error) from error
    if header.get_n_pages() > 1:
        msg = f"{name}: {header.get_n_pages()} pages; only the first is used"
        warn(msg)
    if file_format == "tiff":
        from imharmony.images import tiff_tags

        tags = tiff_tags.read_tags(source, name)
        if tags is not None and tags.straight_file is not None:
            source = tags.straight_file
            header = load_header(source, file_format, name, max_pixels)
    image = decode(
        source,
        file_format,
        header,
        name=name,
        tiff_info=None if tags is None else tags.info,
        progress=progress,
    )
    exif = bytes(image.get("exif-data")) if image.get_typeof("exif-data") else b""
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    if orientation != 1:
        is_small = count_bytes(image) <= STREAM_BYTES
        image = image.autorot()
        image = image.copy_memory() if is_small else image
    image = tag(image)
    if orientation != 1 and image.get_typeof("xmp-data"):
        upright = make_upright(bytes(image.get("xmp-data")))
        image.set_type(pyvips.GValue.blob_type, "xmp-data", upright)
    image.remove("jpeg-thumbnail-data")
    check_finite(image, name)
    return beside_pixels.note(
        image,
        source,
        file_format,
        name,
        tags=tags,
        exif=exif_block.strip_head(exif),
        orientation=orientation,
    )


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
    image = drop_selection(image, target.suffix, str(target))
    name, options = choose_saver(image, target.suffix, quality, str(target))
    blocks_kept = keep_blocks(image, target.suffix, quality, str(target))
    if blocks_kept is not None:
        with replace_whole(target, overwrite=overwrite) as file:
            file.write(blocks_kept)
        if progress is not None:
            progress(100)
        return

    def save(photo: pyvips.Image, file: BinaryIO, more: dict[str, int]) -> None:
        stored = pyvips.Target.new_to_descriptor(file.fileno())

        def work(copy: pyvips.Image) -> None:
            getattr(copy, name)(stored, **options, **more)

        run_stoppable(photo, work, progress)

    try:
        with replace_whole(target, overwrite=overwrite) as file:
            photo, more, finish = prepare(image, target.suffix)
            if finish is None:
                save(photo, file, more)
            else:
                with draft(target) as (plain, _):
                    save(photo, plain, more)
                    finish(image, plain, file)
    except pyvips.Error as error:
        msg = f"{target}: cannot be written ({join_detail(error)})"
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
    image = drop_selection(image, suffix, "output")
    operation, options = choose_saver(image, suffix, quality, "output")
    blocks_kept = keep_blocks(image, suffix, quality, "output")
    if blocks_kept is not None:
        return blocks_kept
    photo, more, finish = prepare(image, suffix)
    stored = pyvips.Target.new_to_memory()
    try:
        run_stoppable(
            photo, lambda copy: getattr(copy, operation)(stored, **options, **more)
        )
    except pyvips.Error as error:
        raise ImageError(f"output: cannot be encoded ({join_detail(error)})") from error
    encoded: bytes = stored.get("blob")
    if finish is None:
        return encoded
    finished = io.BytesIO()
    finish(image, io.BytesIO(encoded), finished)
    return finished.getvalue()
