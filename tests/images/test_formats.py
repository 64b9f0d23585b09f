"""What goes in comes out: what a file is beyond its pixels survives a rewrite."""

import gc
import io
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import tifftools

from imharmony.curves import Curves
from imharmony.errors import DecodeError, HarmonizeWarning, ImageError, UsageError
from imharmony.images import files
from imharmony.images.files import encode_photo, read_photo, write_photo
from imharmony.images.formats import estimate_jpeg_quality, sniff
from imharmony.images.mask_files import read_mask
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array, to_array
from imharmony.inference.thumbnails import make_thumbnails
from imharmony.rendering.render import render

Pixels = npt.NDArray[Any]

STRONG = Curves.from_params(np.array([[4, 2, 1, 1], [1, 1, 2, 4], [1, 1, 1, 1.0]]))
# Tags of TIFF 6.0 and Exif 2.3.
COMPRESSION, TILE_WIDTH, EXTRA_SAMPLES, ARTIST, EXIF = 259, 322, 338, 315, 34665
EXPOSURE_TIME, ISO = 33434, 34855


def picture(num_channels: int = 3, size: tuple[int, int] = (96, 128)) -> Pixels:
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin((k + 2) * x / 40 + y / (9 + k)) for k in range(num_channels)]
    return (128 + 90 * np.stack(waves, axis=-1)).astype(np.uint8)


def harmonized(photo: pyvips.Image) -> pyvips.Image:
    """A photo whose middle has been recolored: what a command writes."""
    mask = np.zeros((photo.height, photo.width), bool)
    mask[20:60, 30:90] = True
    size = (photo.height, photo.width)
    return render(photo, mask_from_array(mask, size=size), STRONG)


def rewritten(encoded: bytes, suffix: str) -> bytes:
    return encode_photo(harmonized(read_photo(encoded)), suffix)


def ifd(encoded: bytes) -> Any:
    return tifftools.read_tiff(io.BytesIO(encoded))["ifds"][0]["tags"]


# JPEG


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 83, 92, 98, 100])
def test_quality_of_a_jpeg_is_recognized(quality: int) -> None:
    assert (
        estimate_jpeg_quality(from_array(picture()).jpegsave_buffer(Q=quality))
        == quality
    )


def test_quality_is_recognized_behind_other_segments(tmp_path: Path) -> None:
    photo = from_array(picture()).icc_transform("p3").copy()
    photo.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x/>" * 9000)
    photo.jpegsave(str(tmp_path / "photo.jpg"), Q=71)
    assert estimate_jpeg_quality(tmp_path / "photo.jpg") == 71


@pytest.mark.parametrize(
    "encoded", [b"\xff\xd8", b"\xff\xd8\xff\xdb\0\x05\0\1\1", b"\xff\xd8abcd"]
)
def test_quality_is_unknown_without_a_table(encoded: bytes) -> None:
    assert estimate_jpeg_quality(encoded) is None


@pytest.mark.parametrize("quality", [61, 88, 97])
@pytest.mark.parametrize(("mode", "sampling"), [("on", "4:2:0"), ("off", "4:4:4")])
def test_jpeg_is_written_as_it_came(quality: int, mode: str, sampling: str) -> None:
    encoded = from_array(picture()).jpegsave_buffer(Q=quality, subsample_mode=mode)
    again = rewritten(encoded, ".jpg")
    assert estimate_jpeg_quality(again) == quality
    assert read_photo(again).get("jpeg-chroma-subsample") == sampling


def test_given_quality_wins_over_that_of_the_input() -> None:
    photo = read_photo(from_array(picture()).jpegsave_buffer(Q=60))
    with pytest.warns(HarmonizeWarning, match="encoded again"):
        assert estimate_jpeg_quality(encode_photo(photo, ".jpg", quality=91)) == 91


def test_quality_is_95_where_no_jpeg_came_in() -> None:
    photo = read_photo(from_array(picture()).pngsave_buffer())
    assert estimate_jpeg_quality(encode_photo(photo, ".jpg")) == 95


# TIFF


@pytest.mark.parametrize(
    ("options", "compression"),
    [
        ({"compression": "none"}, 1),
        ({"compression": "lzw"}, 5),
        ({"compression": "deflate"}, 8),
        ({"compression": "packbits"}, 32773),
        ({"compression": "jpeg"}, 8),  # lossy: kept without loss instead
    ],
)
def test_tiff_keeps_its_lossless_compression(
    options: dict[str, Any], compression: int
) -> None:
    encoded = from_array(picture()).tiffsave_buffer(**options)
    assert ifd(rewritten(encoded, ".tif"))[COMPRESSION]["data"][0] == compression


def test_tiled_tiff_stays_tiled() -> None:
    encoded = from_array(picture()).tiffsave_buffer(
        tile=True, tile_width=32, tile_height=16
    )
    assert ifd(rewritten(encoded, ".tif"))[TILE_WIDTH]["data"][0] == 32


def test_tiff_in_strips_stays_in_strips() -> None:
    encoded = from_array(picture()).tiffsave_buffer()
    assert TILE_WIDTH not in ifd(rewritten(encoded, ".tif"))


@pytest.mark.parametrize(("bigtiff", "head"), [(True, b"II+\0"), (False, b"II*\0")])
def test_bigtiff_stays_bigtiff(bigtiff: bool, head: bytes) -> None:
    encoded = from_array(picture()).tiffsave_buffer(bigtiff=bigtiff)
    assert rewritten(encoded, ".tif").startswith(head)


def test_output_too_large_for_a_plain_tiff_becomes_a_bigtiff() -> None:
    from imharmony.images.formats import choose_saver

    huge = pyvips.Image.black(40_000, 40_000, bands=3).copy(interpretation="srgb")
    assert choose_saver(huge, ".tif", None, "huge.tif")[1]["bigtiff"] is True


def premultiplied_tiff(dtype: str) -> bytes:
    """RGBA with associated alpha; TIFF 6.0, section 18."""
    top = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    straight = picture(4) / 255
    premultiplied = np.concatenate(
        [straight[..., :3] * straight[..., 3:], straight[..., 3:]], axis=-1
    )
    values = premultiplied * top
    pixels = (values if dtype == "float32" else np.rint(values)).astype(dtype)
    info = tifftools.read_tiff(io.BytesIO(from_array(pixels).tiffsave_buffer()))
    info["ifds"][0]["tags"][EXTRA_SAMPLES]["data"] = [1]
    written = io.BytesIO()
    tifftools.write_tiff(info, written)
    return written.getvalue()


def stored(encoded: bytes) -> Pixels:
    """The values in a TIFF, whatever it says about its alpha."""
    info = tifftools.read_tiff(io.BytesIO(encoded))
    info["ifds"][0]["tags"][EXTRA_SAMPLES]["data"] = [2]
    plain = io.BytesIO()
    tifftools.write_tiff(info, plain)
    pixels: Pixels = pyvips.Image.tiffload_buffer(plain.getvalue()).numpy()
    return pixels


MIDDLE = np.zeros((96, 128), bool)
MIDDLE[20:60, 30:90] = True


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_background_of_a_premultiplied_tiff_keeps_every_stored_bit(dtype: str) -> None:
    encoded = premultiplied_tiff(dtype)
    again = rewritten(encoded, ".tif")
    assert ifd(again)[EXTRA_SAMPLES]["data"][0] == 1
    before, after = stored(encoded), stored(again)
    assert after[~MIDDLE].tobytes() == before[~MIDDLE].tobytes()
    assert (after[MIDDLE] != before[MIDDLE]).any()


def test_straight_alpha_stays_straight() -> None:
    encoded = from_array(picture(4)).tiffsave_buffer()
    assert ifd(rewritten(encoded, ".tif"))[EXTRA_SAMPLES]["data"][0] == 2


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_premultiplied_foreground_gets_the_look_of_a_straight_one(suffix: str) -> None:
    straight = from_array(np.rint(picture(4) / 255.0 * 65535).astype(np.uint16))
    expected = to_array(harmonized(straight))[MIDDLE] / 65535
    shown = read_photo(rewritten(premultiplied_tiff("uint16"), suffix))
    pixels = to_array(shown)[MIDDLE] / 65535
    if suffix == ".tif":
        pixels[..., :3] /= pixels[..., 3:]
    # Rounded to 16 bit under an alpha of 0.15 and more, then steepened by 3.2.
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=2e-4)


def test_network_sees_premultiplied_colors_as_straight_ones() -> None:
    mask = mask_from_array(MIDDLE, size=MIDDLE.shape)
    premultiplied = read_photo(premultiplied_tiff("uint16"))
    straight = from_array(np.rint(picture(3) / 255.0 * 65535).astype(np.uint16))
    seen, expected = (
        make_thumbnails(photo, mask, size=(24, 32)).foreground
        for photo in (premultiplied, straight)
    )
    # Smooth, so that weighting by alpha changes little.
    np.testing.assert_allclose(seen, expected, rtol=0, atol=0.02)


def camera_tiff() -> bytes:
    """A TIFF as cameras write them: Artist, and an EXIF directory with exposure."""
    plain = from_array(picture()).tiffsave_buffer()
    info = tifftools.read_tiff(io.BytesIO(plain))
    tags = info["ifds"][0]["tags"]
    tags[ARTIST] = {"datatype": tifftools.Datatype.ASCII, "data": "Ann"}
    exif = {
        EXPOSURE_TIME: {"datatype": tifftools.Datatype.RATIONAL, "data": [1, 250]},
        ISO: {"datatype": tifftools.Datatype.SHORT, "data": [400]},
    }
    tags[EXIF] = {"ifds": [[{**info["ifds"][0], "tags": exif}]]}
    written = io.BytesIO()
    tifftools.write_tiff(info, written)
    return written.getvalue()


def test_exif_of_a_tiff_is_written_to_a_tiff() -> None:
    tags = ifd(rewritten(camera_tiff(), ".tif"))
    exif = tags[EXIF]["ifds"][0][0]["tags"]
    assert tags[ARTIST]["data"] == "Ann"
    assert exif[EXPOSURE_TIME]["data"] == [1, 250]
    assert exif[ISO]["data"][0] == 400


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_exif_of_a_tiff_is_written_to_other_formats(suffix: str) -> None:
    photo = read_photo(rewritten(camera_tiff(), suffix))
    assert photo.get("exif-ifd0-Artist").startswith("Ann ")
    assert photo.get("exif-ifd2-ExposureTime").startswith("1/250 ")


def test_exif_is_written_to_a_tiff_file(tmp_path: Path) -> None:
    write_photo(harmonized(read_photo(camera_tiff())), tmp_path / "photo.tif")
    tags = ifd((tmp_path / "photo.tif").read_bytes())
    assert tags[EXIF]["ifds"][0][0]["tags"][ISO]["data"][0] == 400
    assert [path.name for path in tmp_path.iterdir()] == ["photo.tif"]


def test_tiff_pixels_are_the_same_with_exif() -> None:
    photo = harmonized(read_photo(camera_tiff()))
    back = read_photo(encode_photo(photo, ".tif"))
    np.testing.assert_array_equal(to_array(back), to_array(photo))


def test_unreadable_tags_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise tifftools.TifftoolsError("no directory")

    encoded = from_array(picture()).tiffsave_buffer()
    monkeypatch.setattr(tifftools, "read_tiff", fail)
    with pytest.warns(HarmonizeWarning, match=r"tags cannot be read \(no directory\)"):
        read_photo(encoded)


# Metadata

# IIM 4.2, 2:05, object name; a multiple of four bytes.
IPTC = b"\x1c\x02\x05\x00\x07A title"


WRAPPED = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0c" + IPTC


def iptc_tiff(datatype: Any) -> bytes:
    info = tifftools.read_tiff(io.BytesIO(from_array(picture()).tiffsave_buffer()))
    data = IPTC if datatype == UNDEFINED else list(np.frombuffer(IPTC, "<u4"))
    info["ifds"][0]["tags"][33723] = {"datatype": datatype, "data": data}
    written = io.BytesIO()
    tifftools.write_tiff(info, written)
    return written.getvalue()


UNDEFINED, LONG = tifftools.Datatype.UNDEFINED, tifftools.Datatype.LONG


def iptc_jpeg() -> bytes:
    photo = from_array(picture()).copy()
    photo.set_type(pyvips.GValue.blob_type, "iptc-data", WRAPPED)
    encoded: bytes = photo.jpegsave_buffer()
    return encoded


@pytest.mark.parametrize(
    "encoded",
    [iptc_tiff(UNDEFINED), iptc_tiff(LONG), iptc_jpeg()],
    ids=["tiff", "tiff of longs", "jpeg"],
)
def test_iptc_is_written_to_a_tiff(encoded: bytes) -> None:
    assert ifd(rewritten(encoded, ".tif"))[33723]["data"] == IPTC


@pytest.mark.parametrize(
    "encoded", [iptc_tiff(LONG), iptc_jpeg()], ids=["tiff", "jpeg"]
)
def test_iptc_is_written_to_a_jpeg(encoded: bytes) -> None:
    assert WRAPPED in rewritten(encoded, ".jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_xmp_survives(suffix: str) -> None:
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    photo = from_array(picture()).copy()
    photo.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
    back = read_photo(rewritten(encode_photo(photo, suffix), suffix))
    assert xmp in bytes(back.get("xmp-data"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_resolution_survives(suffix: str) -> None:
    photo = from_array(picture()).copy(xres=300 / 25.4, yres=200 / 25.4)  # dots per mm
    back = read_photo(rewritten(encode_photo(photo, suffix), suffix))
    assert round(back.xres * 25.4, 1) == 300
    assert round(back.yres * 25.4, 1) == 200


# AVIF


@pytest.mark.parametrize("num_channels", [3, 4])
def test_avif_is_lossless_by_default(num_channels: int) -> None:
    photo = from_array(picture(num_channels))
    back = read_photo(encode_photo(photo, ".avif"))
    np.testing.assert_array_equal(to_array(back), to_array(photo))


@pytest.mark.parametrize("depth", [10, 12])
def test_avif_keeps_its_depth_and_its_background_every_bit(depth: int) -> None:
    pixels = picture().astype(np.uint16) * 257
    encoded = from_array(pixels).heifsave_buffer(
        compression="av1", bitdepth=depth, lossless=True
    )
    before, after = read_photo(encoded), read_photo(rewritten(encoded, ".avif"))
    assert after.get("bits-per-sample") == depth
    mask = np.zeros((96, 128), bool)
    mask[20:60, 30:90] = True
    assert (to_array(after)[~mask] == to_array(before)[~mask]).all()
    assert (to_array(after)[mask] != to_array(before)[mask]).any()


def test_quality_makes_an_avif_smaller() -> None:
    photo = from_array(picture())
    assert len(encode_photo(photo, ".avif", quality=40)) < len(
        encode_photo(photo, ".avif")
    )


def test_16_bit_is_not_written_to_avif() -> None:
    photo = from_array(picture().astype(np.uint16))
    with pytest.raises(UsageError, match=r"AVIF holds at most 12 bit, not 16; use"):
        encode_photo(photo, ".avif")


def test_damaged_avif_is_named() -> None:
    encoded = encode_photo(from_array(picture()), ".avif")
    with pytest.raises(DecodeError, match="image data: the HEIF data is damaged"):
        read_photo(encoded[: len(encoded) // 2])


def test_length_that_a_box_claims_costs_no_time() -> None:
    head = b"\xff\xff\xff\xffftypmsf1" + bytes(4) + b"avif" + bytes(40)
    start = time.process_time()
    assert sniff(head) == "heif"
    assert time.process_time() - start < 1


def test_boxes_in_boxes_without_end_are_no_traceback() -> None:
    boxes = b""
    for _ in range(2000):
        boxes = struct.pack(">I4sI", len(boxes) + 12, b"meta", 0) + boxes
    with pytest.raises(DecodeError, match="the HEIF data is damaged"):
        read_photo(b"\0\0\0\x10ftypavif\0\0\0\0" + boxes)


def test_side_beyond_libvips_is_refused_before_glib_complains(
    capfd: pytest.CaptureFixture[str],
) -> None:
    photo = from_array(np.zeros((16, 16, 3), np.uint8))
    data = encode_photo(photo, ".avif")
    sides = struct.pack(">II", 16, 16)
    assert sides in data
    damaged = data.replace(sides, struct.pack(">II", 16, 1_660_944_434))
    with pytest.raises(ImageError, match="pixels a side, got 1660944434"):
        read_photo(damaged)
    assert capfd.readouterr().err == ""


def test_unknown_kind_is_not_guessed() -> None:
    assert sniff(b"\0\0\0\x18ftypqt  ") is None


# Photos too large for memory


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STREAM_BYTES", 1000)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.usefixtures("streamed")
def test_large_photo_is_read_like_a_small_one(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo(from_array(picture()), tmp_path / f"photo{suffix}")
    streamed = to_array(harmonized(read_photo(tmp_path / f"photo{suffix}")))
    monkeypatch.setattr(files, "STREAM_BYTES", 2**28)
    whole = to_array(harmonized(read_photo(tmp_path / f"photo{suffix}")))
    np.testing.assert_array_equal(streamed, whole)


@pytest.mark.usefixtures("streamed")
def test_large_photo_can_be_written_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    from_array(picture()).tiffsave(str(path), tile=True, tile_width=16, tile_height=16)
    photo = harmonized(read_photo(path))
    expected = to_array(photo)
    write_photo(photo, path, overwrite=True)
    np.testing.assert_array_equal(to_array(read_photo(path)), expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.usefixtures("streamed")
def test_damage_in_a_large_photo_is_found_when_it_is_read(
    suffix: str, tmp_path: Path
) -> None:
    encoded = encode_photo(from_array(picture()), suffix)
    (tmp_path / f"photo{suffix}").write_bytes(encoded[: len(encoded) * 2 // 3])
    with pytest.raises(DecodeError, match=r"data is damaged, truncated or"):
        read_photo(tmp_path / f"photo{suffix}")


@pytest.mark.usefixtures("streamed")
def test_large_photo_is_turned_upright(tmp_path: Path) -> None:
    photo = from_array(picture()).copy()
    photo.set_type(pyvips.GValue.gint_type, "orientation", 6)
    photo.tiffsave(str(tmp_path / "photo.tif"))
    # A quarter turn clockwise; Exif 2.3, table in 4.6.4 A.
    upright = read_photo(tmp_path / "photo.tif")
    np.testing.assert_array_equal(to_array(upright), np.rot90(picture(), -1))


@pytest.mark.usefixtures("streamed")
def test_large_mask_is_read_like_a_small_one(tmp_path: Path) -> None:
    mask = picture(1)
    from_array(mask).pngsave(str(tmp_path / "mask.png"))
    read = read_mask(tmp_path / "mask.png", size=(96, 128))
    np.testing.assert_array_equal(to_array(read), mask)


def test_progress_of_reading_and_writing_reaches_100(tmp_path: Path) -> None:
    write_photo(from_array(picture(size=(2000, 1500))), tmp_path / "photo.png")
    seen: list[int] = []
    photo = read_photo(tmp_path / "photo.png", progress=seen.append)
    assert max(seen) == 100
    seen.clear()
    write_photo(photo, tmp_path / "again.png", progress=seen.append)
    assert max(seen) == 100


@pytest.mark.usefixtures("streamed")
def test_progress_is_not_told_any_more_once_the_photo_is_read(tmp_path: Path) -> None:
    # Work on the photo later on must not call what has been forgotten meanwhile.
    write_photo(from_array(picture(size=(2000, 1500))), tmp_path / "photo.tif")
    seen: list[int] = []
    photo = read_photo(tmp_path / "photo.tif", progress=seen.append)
    seen.clear()
    gc.collect()
    harmonized(photo).invert().copy_memory()
    assert seen == []
