"""TIFF tiles and strips: every sample as another decoder reads it, or an error."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import tifftools

from imharmony.errors import DecodeError, HarmonizeError
from imharmony.images import decoding, files, mask_files, tiff_codecs
from imharmony.images.photo import to_array

HEIGHT, WIDTH = 70, 90
LIBVIPS_OWN = ["none", "lzw", "deflate", "packbits", "webp"]
FOREIGN = ["zstd", "lerc", "lzma", "jpegxl", "jpeg2000", "jpegxr", "png"]

Pixels = npt.NDArray[Any]


def picture(dtype: str, channels: int) -> Pixels:
    rng = np.random.default_rng(7)
    smooth = np.linspace(0, 200, WIDTH)[None, :, None] + rng.integers(
        0, 40, (HEIGHT, WIDTH, channels)
    )
    if dtype == "f4":
        return (smooth / 255).astype("f4")
    return (smooth * (257 if dtype == "u2" else 1)).astype(dtype)


def encoded(pixels: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if pixels.shape[-1] >= 3 and "photometric" not in options:
        options["photometric"] = "rgb"
    with tifffile.TiffWriter(buffer, bigtiff=options.pop("bigtiff", False)) as writer:
        writer.write(pixels, **options)
    return buffer.getvalue()


def read(data: bytes) -> Pixels:
    return to_array(files.read_photo(data))


@pytest.mark.parametrize("compression", LIBVIPS_OWN + FOREIGN)
@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_every_compression_reads_as_tifffile_reads_it(
    compression: str, tile: tuple[int, int] | None
) -> None:
    data = encoded(picture("u1", 3), compression=compression, tile=tile)
    expected = tifffile.imread(io.BytesIO(data))
    np.testing.assert_array_equal(read(data), expected)


LAYOUTS = [
    (compression, dtype, channels, layout)
    for compression in ("none", "lzw", "zstd")
    for dtype in ("u1", "u2", "f4")
    for channels in (1, 3, 4)
    for layout in ("contig", "separate", "predictor", "bigtiff", ">")
    # One channel has one plane, and a predictor belongs to a compression.
    if (channels, layout) != (1, "separate")
    if (compression, layout) != ("none", "predictor")
]


@pytest.mark.parametrize(("compression", "dtype", "channels", "layout"), LAYOUTS)
def test_every_layout_of_tiles_reads_as_written(
    compression: str, dtype: str, channels: int, layout: str
) -> None:
    pixels = picture(dtype, channels)
    options: dict[str, Any] = {"compression": compression, "tile": (16, 32)}
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    stored = pixels
    if layout == "separate":
        stored = np.moveaxis(pixels, -1, 0)
        options |= {"planarconfig": "separate", "photometric": "rgb"}
    elif layout == "predictor":
        options["predictor"] = True
    elif layout == "bigtiff":
        options["bigtiff"] = True
    elif layout == ">":
        stored = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = encoded(np.ascontiguousarray(stored), **options)
    np.testing.assert_array_equal(read(data), pixels)


def test_jpeg_tiles_read_as_libvips_reads_strips_of_one_tile() -> None:
    pixels = np.kron(picture("u1", 3)[:4, :4], np.ones((16, 16, 1), np.uint8))
    data = encoded(pixels, compression="jpeg", tile=(64, 64))
    strips = encoded(pixels, compression="jpeg", rowsperstrip=64)
    np.testing.assert_array_equal(read(data), read(strips))


def test_black_and_white_tiles_are_read() -> None:
    bits = picture("u1", 1)[..., 0] > 100
    data = encoded(bits, tile=(32, 32), photometric="minisblack")
    np.testing.assert_array_equal(read(data)[..., 0], bits * np.uint8(255))


def broken(data: bytes, tile: int, how: str) -> bytes:
    """Damage one tile or strip of a file."""
    info = tifftools.read_tiff(io.BytesIO(data))
    tags = info["ifds"][0]["tags"]
    offsets = tags.get(324, tags.get(273))["data"]
    counts = tags.get(325, tags.get(279))["data"]
    start, count = offsets[tile], counts[tile]
    changed = bytearray(data)
    if how == "zeros":
        changed[start : start + count] = b"\xff" * count
        return bytes(changed)
    return bytes(changed[: start + count // 2])


@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma", "webp"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize("how", ["zeros", "cut"])
def test_one_damaged_piece_is_an_error(
    compression: str, tile: tuple[int, int] | None, how: str
) -> None:
    data = encoded(
        picture("u1", 3),
        compression=compression,
        tile=tile,
        rowsperstrip=None if tile else 16,
        metadata=None,
    )
    with pytest.raises(DecodeError, match=r"damaged\.tif: "):
        files.read_photo(broken(data, -1, how), name="damaged.tif")


@pytest.mark.parametrize("compression", ["none", "packbits"])
def test_tiles_cut_off_are_an_error(compression: str) -> None:
    data = encoded(picture("u1", 3), compression=compression, tile=(32, 48))
    with pytest.raises(DecodeError, match=r"cut\.tif: "):
        files.read_photo(broken(data, -1, "cut"), name="cut.tif")


def test_tile_without_data_is_an_error() -> None:
    data = bytearray(encoded(picture("u1", 3), compression="lzw", tile=(32, 48)))
    tags = tifftools.read_tiff(io.BytesIO(bytes(data)))["ifds"][0]["tags"]
    at = tags[325]["offset"]
    data[at : at + 4] = bytes(4)
    with pytest.raises(DecodeError):
        files.read_photo(bytes(data))


@pytest.mark.parametrize("how", ["zeros", "cut"])
def test_damaged_tile_of_a_mask_is_an_error(how: str) -> None:
    mask = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    data = encoded(mask, compression="deflate", tile=(32, 48))
    size = (HEIGHT, WIDTH)
    with pytest.raises(DecodeError, match=r"mask\.tif: "):
        mask_files.read_mask(broken(data, 2, how), size=size, name="mask.tif")


def test_damaged_tile_of_a_large_file_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(decoding, "STREAM_BYTES", 1)
    whole = encoded(picture("u1", 3), compression="lzw", tile=(32, 48))
    path = tmp_path / "large.tif"
    path.write_bytes(whole)
    np.testing.assert_array_equal(
        to_array(files.read_photo(path)), tifffile.imread(path)
    )
    path.write_bytes(broken(whole, 3, "zeros"))
    with pytest.raises(DecodeError, match=r"large\.tif: "):
        files.read_photo(path)


def test_compression_without_its_decoder_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(picture("u1", 3), compression="zstd", tile=(32, 48))
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(DecodeError, match=r"Zstandard .* 'imharmony\[formats\]'"):
        files.read_photo(data, name="a.tif")


def test_sparse_file_in_a_foreign_compression_is_an_error() -> None:
    data = bytearray(encoded(picture("u1", 3), compression="zstd", tile=(32, 48)))
    tags = tifftools.read_tiff(io.BytesIO(bytes(data)))["ifds"][0]["tags"]
    data[tags[325]["offset"] : tags[325]["offset"] + 4] = bytes(4)
    with pytest.raises(HarmonizeError):
        files.read_photo(bytes(data))


def test_white_is_zero_turns_gray_only() -> None:
    pixels = picture("u1", 1)[..., 0]
    data = encoded(255 - pixels, compression="zstd", photometric="miniswhite")
    np.testing.assert_array_equal(read(data)[..., 0], pixels)
    assert tiff_codecs.is_foreign(tifftools.read_tiff(io.BytesIO(data)))


@pytest.mark.parametrize("missing", [1, 4, 100])
def test_last_tile_that_lacks_some_bytes_is_an_error(missing: int) -> None:
    data = encoded(picture("u1", 3), compression="none", tile=(32, 48))
    tags = tifftools.read_tiff(io.BytesIO(data))["ifds"][0]["tags"]
    end = tags[324]["data"][-1] + tags[325]["data"][-1]
    assert end == len(data)
    with pytest.raises(DecodeError, match="past the end"):
        files.read_photo(data[:-missing])


@pytest.mark.parametrize("tag", [256, 258, 322, 324, 325])
@pytest.mark.parametrize("at", [4, 8])
@pytest.mark.filterwarnings("ignore:.*TIFF tags cannot be read")
def test_tag_that_points_past_the_end_is_an_error(tag: int, at: int) -> None:
    """Found by damaging ten thousand files: a tag without any data."""
    data = bytearray(encoded(picture("u1", 3), tile=(32, 48)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        entry = file.pages.first.tags[tag].offset
    data[entry + at : entry + at + 4] = b"\xff\xff\xff\x7f"  # count, or place
    with pytest.raises(HarmonizeError):
        read(bytes(data))
