"""File formats: how each is recognized, and with which options it is written."""

import io
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import pyvips

from imharmony.errors import UsageError
from imharmony.writing import check_suffix

__all__ = [
    "HEAD_BYTES",
    "SUFFIXES",
    "check_quality",
    "choose_saver",
    "describe",
    "estimate_jpeg_quality",
    "sniff",
]

SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "heif",
}
"""Formats by extension, named as libvips names them."""

HEAD_BYTES = 256  # enough to tell file formats apart

QUALITY_FIELD = "imharmony-jpeg-quality"
SAMPLING_FIELD = "imharmony-jpeg-sampling"
COMPRESSION_FIELD = "imharmony-tiff-compression"
BIGTIFF_FIELD = "imharmony-tiff-big"
"""What a photo remembers of the file it came from, beside libvips's own fields."""
UNSPECIFIED = "imharmony-extra-channel"
"""Field of a photo whose last channel is not said to be alpha, a saved selection."""

TIFF_COMPRESSIONS = {
    1: "none",
    5: "lzw",
    8: "deflate",
    32946: "deflate",
    32773: "packbits",
}
"""Lossless ones by their tag; TIFF 6.0, section 8, and libtiff's tiff.h."""

_HEIC = {b"heic", b"heix", b"hevc", b"heim", b"heis"}
"""Brands of HEIF with HEVC inside, ISO/IEC 23008-12, annex B."""

_RAW = "a camera's raw file; develop it to TIFF or JPEG first"
_OTHERS: tuple[tuple[bytes | tuple[bytes, ...], int, str], ...] = (
    (b"8BPS", 0, "a Photoshop document (PSD); save it as TIFF or PNG"),
    (b"8BPB", 0, "a large Photoshop document (PSB); save it as TIFF or PNG"),
    (b"%PDF", 0, "a PDF; export it as PNG or TIFF"),
    (b"gimp xcf", 0, "a GIMP document (XCF); export it as PNG or TIFF"),
    (b"v/1\x01", 0, "an OpenEXR file; convert it to TIFF"),
    (b"#?RADIANCE", 0, "a Radiance HDR file; convert it to TIFF"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL "), 0, "a JPEG XL file; convert it to PNG"),
    (
        (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
        0,
        "a JPEG 2000 file; convert it to PNG or TIFF",
    ),
    ((b"SDPX", b"XPDS"), 0, "a DPX file; convert it to TIFF"),
    (b"\0\0\1\0", 0, "an icon (ICO); convert it to PNG"),
    ((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7"), 0, "a PNM file; use PNG"),
    ((b"FUJIFILM", b"IIU\0", b"IIRO", b"\0MRM"), 0, _RAW),
    (b"ftypcrx", 4, _RAW),
    ((b"ftypqt", b"ftypisom", b"ftypmp4"), 4, "a video; expected a picture"),
    (b"PK\3\4", 0, "an archive (ZIP); unpack it"),
    (b"version https://git-lfs", 0, "a Git LFS pointer; fetch the file itself"),
)
"""What else people hand in: how it starts, at which byte, in words."""

# ITU-T T.81, table K.1. libjpeg scales it by the quality.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def sniff(head: bytes) -> str | None:
    """Tell a file's format from its first `HEAD_BYTES` bytes; None if unknown."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):  # +: BigTIFF
        return "tiff"
    if head.startswith(b"GIF8"):
        return "gif"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "bmp"
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, length, 4))}
        if brands & {b"avif", b"avis"}:
            return "heif"
        if brands & _HEIC:
            return "heic"
        if b"mif1" in brands:
            return "heif"
    return None


def check_quality(suffix: str, quality: int | None, name: str) -> None:
    """Refuse a quality that is out of range or that the format does not have.

    Raises
    ------
    UsageError
        Also if the extension is unknown.

    Examples
    --------
    >>> check_quality(".png", 90, "out.png")
    Traceback (most recent call last):
    imharmony.errors.UsageError: out.png: quality applies to JPEG, WebP and AVIF only
    """
    check_suffix(suffix, name, tuple(SUFFIXES))
    if quality is None:
        return
    if SUFFIXES[suffix.lower()] not in ("jpeg", "webp", "heif"):
        raise UsageError(f"{name}: quality applies to JPEG, WebP and AVIF only")
    if not 1 <= quality <= 100:
        raise UsageError(f"{name}: expected a quality from 1 to 100, got {quality}")


def describe(head: bytes) -> str:
    r"""Name what a file is that we cannot read, from its first `HEAD_BYTES` bytes.

    Examples
    --------
    >>> describe(b"8BPS\0\1")
    'a Photoshop document (PSD); save it as TIFF or PNG'
    >>> describe(b"hello")
    "one that starts with b'hello'"
    """
    for starts, at, words in _OTHERS:
        if head[at:].startswith(starts):
            return words
    if b"<svg" in head.lower():
        return "an SVG drawing; export it as PNG"
    return f"one that starts with {head[:12]!r}"


def choose_saver(
    image: pyvips.Image, suffix: str, quality: int | None, name: str
) -> tuple[str, dict[str, Any]]:
    """Choose the libvips saver and its options; refuse what would lose something.

    What the photo remembers of its own file is followed where the format is the
    same: quality and chroma subsampling of a JPEG, tiles, compression and BigTIFF of a
    TIFF, depth of an AVIF.

    Returns
    -------
    saver : str
        Name of the libvips operation that writes to a target.
    options : dict

    Raises
    ------
    UsageError
        If the extension is unknown, the format cannot hold the photo's depth or
        alpha channel, or the quality does not apply or is out of range.
    """
    check_quality(suffix, quality, name)
    file_format = SUFFIXES[suffix.lower()]
    if file_format == "jpeg" and image.hasalpha():
        raise UsageError(f"{name}: JPEG holds no alpha channel; use .png")
    if image.format == "float" and file_format != "tiff":
        raise UsageError(f"{name}: only TIFF holds float pixels; use .tif")
    if image.format == "ushort" and file_format in ("jpeg", "webp"):
        raise UsageError(f"{name}: {file_format.upper()} holds 8 bit, not 16; use .png")
    options: dict[str, Any]
    if file_format == "jpeg":
        options = _choose_jpeg_options(image, quality)
    elif file_format == "heif":
        options = _choose_avif_options(image, quality, name)
    elif file_format == "webp" and quality is not None:
        options = {"Q": quality}
    elif file_format == "webp":
        options = {"lossless": True, "exact": True}  # exact: colors under alpha 0 too
    elif file_format == "png":
        # Measured on photographs: 20 percent smaller and no slower than the default.
        options = {"compression": 3, "filter": "sub"}
    else:
        options = _choose_tiff_options(image)
    return f"{file_format}save_target", options


def _get(image: pyvips.Image, field: str, default: Any) -> Any:
    return image.get(field) if image.get_typeof(field) else default


def _choose_jpeg_options(image: pyvips.Image, quality: int | None) -> dict[str, Any]:
    options = {"Q": quality or _get(image, QUALITY_FIELD, 95)}
    sampling = _get(image, SAMPLING_FIELD, None)
    if sampling is not None:  # otherwise libvips subsamples below a quality of 90
        # It writes 4:4:4 and 4:2:0 only; coarser than the file's it must not be.
        options["subsample_mode"] = "on" if sampling == "2x2" else "off"
    return options


def _choose_avif_options(
    image: pyvips.Image, quality: int | None, name: str
) -> dict[str, Any]:
    depth = _get(image, "bits-per-sample", 16)
    is_avif = _get(image, "vips-loader", "").startswith("heif")
    if image.format == "ushort" and not (is_avif and depth in (10, 12)):
        raise UsageError(f"{name}: AVIF holds at most 12 bit, not 16; use .png")
    options: dict[str, Any] = {
        "compression": "av1",
        "bitdepth": depth if image.format == "ushort" else 8,
    }
    if quality is None:
        return options | {"lossless": True}
    return options | {"Q": quality}


def _choose_tiff_options(image: pyvips.Image) -> dict[str, Any]:
    compression = _get(image, COMPRESSION_FIELD, "deflate")
    options = {"compression": compression}
    if compression in ("lzw", "deflate"):
        is_float = image.format == "float"
        options["predictor"] = "float" if is_float else "horizontal"
    if image.get_typeof("tile-width"):
        sides = (image.get(f"tile-{side}") for side in ("width", "height"))
        options |= dict(zip(("tile_width", "tile_height"), sides, strict=True))
        options["tile"] = True
    pixel_bytes = {"uchar": 1, "ushort": 2, "float": 4}[image.format] * image.bands
    # Offsets in a plain TIFF end at 2**32; a tenth is left for what does not compress.
    is_big = image.width * image.height * pixel_bytes > 0.9 * 2**32
    if is_big or image.get_typeof(BIGTIFF_FIELD):
        options["bigtiff"] = True
    return options


def estimate_jpeg_quality(source: Path | bytes) -> int | None:
    """Estimate the quality a JPEG was written with.

    Exact for files of libjpeg and its kin, which scale the luminance table of ITU-T
    T.81, K.1; for others the quality whose table has the nearest sum. None if there
    is no such table.
    """
    opened: BinaryIO
    opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with opened as file:
        file.seek(2)  # past the start of image
        while True:
            head = file.read(4)  # marker and length, T.81, B.1.1.4
            if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:  # start of scan
                return None
            length = int.from_bytes(head[2:], "big") - 2
            if head[1] != 0xDB:  # quantization tables, B.2.4.1
                file.seek(length, io.SEEK_CUR)
                continue
            table = _find_first_table(file.read(length))
            if table is not None:
                return _find_nearest_quality(sum(table))


def _find_first_table(data: bytes) -> list[int] | None:
    """Find table 0, which is for luminance, in a segment of quantization tables."""
    while data:
        width = 2 if data[0] >> 4 else 1  # bytes per entry
        entries, rest = data[1 : 1 + 64 * width], data[1 + 64 * width :]
        if len(entries) < 64 * width:
            return None
        if data[0] & 15 == 0:
            pieces = range(0, 64 * width, width)
            return [int.from_bytes(entries[i : i + width], "big") for i in pieces]
        data = rest
    return None


@cache
def _find_nearest_quality(total: int) -> int:
    """Invert libjpeg's scaling (jpeg_quality_scaling in its jcparam.c)."""

    def table_sum(quality: int) -> int:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        return sum(min(max((n * scale + 50) // 100, 1), 255) for n in _LUMINANCE)

    return min(range(1, 101), key=lambda quality: abs(table_sum(quality) - total))
