"""JPEG to JPEG: blocks without a changed pixel keep their coefficients, law 9."""

import io
import re
import struct
import warnings
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import jpeglib
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from imharmony.curves import Curves
from imharmony.errors import HarmonizeWarning, ImageError
from imharmony.images import coefficient_codec, files
from imharmony.images.jpeg_file import (
    APP0,
    APP2,
    APP14,
    COM,
    DRI,
    JpegFile,
    find_scans,
    parse_jpeg,
)
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array, to_array
from imharmony.rendering.render import render

pytestmark = pytest.mark.skipif(
    not coefficient_codec.is_installed(), reason="jpeglib has no wheel here"
)

HEIGHT, WIDTH = 93, 139  # whole blocks in no direction
TOP, LEFT, BOTTOM, RIGHT = 37, 50, 77, 131
Pixels = npt.NDArray[np.uint8]


def scene(height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    y, x = np.mgrid[:height, :width]
    colors = [128 + 90 * np.sin(x / 20), 128 + 80 * np.cos(y / 15), 60 + x * 0.8]
    noise = np.random.default_rng(3).normal(0, 6, (height, width, 3))
    return np.clip(np.stack(colors, -1) + noise, 0, 255).astype(np.uint8)


def pillow_jpeg(pixels: Pixels, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def mask() -> npt.NDArray[np.bool_]:
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered[TOP:BOTTOM, LEFT:RIGHT] = True
    return covered


def recolored(data: bytes, covered: npt.NDArray[np.bool_], **options: Any) -> bytes:
    """Read, darken the foreground, write."""
    knots = np.array([0.0, 0.5, 1.0])
    curves = Curves(
        (knots,) * 3, (np.array([0, 0.4, 1]), np.array([0, 0.35, 1]), knots)
    )
    photo = files.read_photo(data)
    weights = mask_from_array(covered, size=covered.shape)
    return files.encode_photo(render(photo, weights, curves), ".jpg", **options)


def coefficients(data: bytes, tmp_path: Any) -> list[npt.NDArray[np.int16]]:
    """Read them by another library than ours: IJG's 6b."""
    path = tmp_path / "read.jpg"
    path.write_bytes(data)
    found = jpeglib.read_dct(str(path))
    planes = [found.Y, found.Cb, found.Cr] if found.has_chrominance else [found.Y]
    return [np.asarray(plane).reshape(*plane.shape[:2], 64) for plane in planes]


def blocks_of_mask(
    file: JpegFile, index: int, covered: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Find the blocks that span a pixel of the mask, one by one."""
    component = file.components[index]
    down, across = file.sampling
    height = 8 * down // component.down
    width = 8 * across // component.across
    rows, columns = file.grid(component)
    return np.array(
        [
            [
                covered[
                    r * height : (r + 1) * height, c * width : (c + 1) * width
                ].any()
                for c in range(columns)
            ]
            for r in range(rows)
        ]
    )


def assert_law_holds(
    before: bytes, after: bytes, covered: npt.NDArray[np.bool_], tmp_path: Any
) -> None:
    file = parse_jpeg(before)
    pairs = zip(
        coefficients(before, tmp_path), coefficients(after, tmp_path), strict=True
    )
    for index, (old, new) in enumerate(pairs):
        outside = ~blocks_of_mask(file, index, covered)
        assert outside.any()
        np.testing.assert_array_equal(new[outside], old[outside])
        assert (new[~outside] != old[~outside]).any() or index > 0


@pytest.mark.parametrize("sampling", ["444", "422", "420", "411", "440"])
@pytest.mark.parametrize("optimize", [False, True])
def test_blocks_outside_the_mask_keep_their_coefficients(
    sampling: str, optimize: bool, tmp_path: Any
) -> None:
    data = bytes(
        imagecodecs.jpeg8_encode(
            scene(), level=90, subsampling=sampling, optimize=optimize
        )
    )
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert parse_jpeg(after).components == parse_jpeg(data).components
    assert len(after) < 1.05 * len(data)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_blocks_of_a_progressive_file_keep_their_coefficients(
    sampling: str, tmp_path: Any
) -> None:
    data = pillow_jpeg(scene(), progressive=True, subsampling=sampling)
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert len(after) < 1.05 * len(data)
    with Image.open(io.BytesIO(after)) as read:
        assert read.info["progressive"]
    assert len(find_scans(parse_jpeg(after).scans)) > 3


def test_progressive_becomes_sequential_with_a_warning_without_its_library(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = coefficient_codec._load_library
    monkeypatch.setattr(
        coefficient_codec,
        "_load_library",
        lambda version: None if "moz" in version else library(version),
    )
    data = pillow_jpeg(scene(), progressive=True)
    with pytest.warns(HarmonizeWarning, match="was progressive and is sequential now"):
        after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)


def test_progressive_file_loses_restart_markers_with_a_warning(tmp_path: Any) -> None:
    data = pillow_jpeg(scene(), progressive=True, restart_marker_blocks=3)
    with pytest.warns(HarmonizeWarning, match="restart markers are not kept"):
        after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert parse_jpeg(after).is_progressive


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_gray_keeps_its_blocks(options: dict[str, Any], tmp_path: Any) -> None:
    data = pillow_jpeg(scene()[..., 0], **options)
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert Image.open(io.BytesIO(after)).mode == "L"


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(
    "restart",
    [
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1},
        {"restart_marker_rows": 2},
    ],
)
def test_restart_markers_and_blocks_stay(
    sampling: str, restart: dict[str, int], tmp_path: Any
) -> None:
    data = pillow_jpeg(scene(), subsampling=sampling, **restart)
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert restart_markers(after) == restart_markers(data) != []
    assert (
        parse_jpeg(after).find_segments(DRI)
        == parse_jpeg(data).find_segments(DRI)
        != []
    )
    assert len(after) < 1.1 * len(data)


def restart_markers(data: bytes) -> list[int]:
    scans = parse_jpeg(data).scans
    found = re.findall(rb"\xff([\xd0-\xd7])", scans)
    return [marker[0] for marker in found]


def test_gray_keeps_its_restart_markers(tmp_path: Any) -> None:
    data = pillow_jpeg(scene()[..., 0], restart_marker_blocks=4)
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    assert restart_markers(after) == restart_markers(data) != []


def test_interval_too_long_for_the_library_is_left_out_with_a_warning() -> None:
    # 16 * 4099 > 65500, and 4099 is prime: as a picture it is too wide or too high.
    pixels = np.tile(scene(16, 2048), (1, 3, 1))[:, :4800]
    data = pillow_jpeg(np.tile(pixels, (16, 1, 1)), restart_marker_blocks=4099)
    covered = np.zeros((256, 4800), bool)
    covered[3:40, 5:60] = True
    with pytest.warns(HarmonizeWarning, match="restart markers are not kept"):
        after = recolored(data, covered)
    assert parse_jpeg(after).find_segments(DRI) == []
    Image.open(io.BytesIO(after)).load()


def test_rgb_file_keeps_its_blocks(tmp_path: Any) -> None:
    data = pillow_jpeg(scene(), keep_rgb=True, subsampling="4:4:4")
    assert parse_jpeg(data).is_rgb
    after = recolored(data, mask())
    assert_law_holds(data, after, mask(), tmp_path)
    touched = np.kron(blocks_of_mask(parse_jpeg(data), 0, mask()), np.ones((8, 8)))
    background = touched[:HEIGHT, :WIDTH] == 0
    old, new = (np.asarray(Image.open(io.BytesIO(x))) for x in (data, after))
    np.testing.assert_array_equal(new[background], old[background])


def test_no_pixel_outside_the_blocks_changes(tmp_path: Any) -> None:
    data = pillow_jpeg(scene(), subsampling="4:4:4", quality=95)
    after = recolored(data, mask())
    touched = np.kron(blocks_of_mask(parse_jpeg(data), 0, mask()), np.ones((8, 8)))
    outside = touched[:HEIGHT, :WIDTH] == 0
    old, new = (np.asarray(Image.open(io.BytesIO(x))) for x in (data, after))
    np.testing.assert_array_equal(new[outside], old[outside])


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0"])
def test_foreground_is_as_near_as_by_encoding_anew(sampling: str) -> None:
    data = pillow_jpeg(scene(), subsampling=sampling)
    knots = np.array([0.0, 0.5, 1.0])
    curves = Curves(
        (knots,) * 3, (np.array([0, 0.4, 1]), np.array([0, 0.35, 1]), knots)
    )
    wanted = render(
        files.read_photo(data), mask_from_array(mask(), size=mask().shape), curves
    )
    target = to_array(wanted).astype(float)
    kept = np.asarray(Image.open(io.BytesIO(files.encode_photo(wanted, ".jpg"))))
    anew = np.asarray(
        Image.open(io.BytesIO(pillow_jpeg(to_array(wanted), subsampling=sampling)))
    )
    error, usual = (np.abs(x - target)[mask()].mean() for x in (kept, anew))
    assert error < 1.1 * usual


def test_highlights_that_are_cut_off_come_down_to_the_right_value() -> None:
    # Ringing beside an edge exceeds white in the file, and is cut off in its pixels.
    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[:, ::5] = 20
    data = pillow_jpeg(pixels, quality=60, subsampling="4:4:4")
    photo = files.read_photo(data)
    target = np.rint(to_array(photo) * 0.5).astype(np.uint8)
    changed = photo.insert(from_array(target), 0, 0)
    out = np.asarray(Image.open(io.BytesIO(files.encode_photo(changed, ".jpg"))))
    anew = np.asarray(Image.open(io.BytesIO(pillow_jpeg(target, quality=60))))
    error, usual = (np.abs(x - target.astype(float)).mean() for x in (out, anew))
    assert error < 1.2 * usual


def test_unchanged_photo_gives_the_file_itself() -> None:
    data = pillow_jpeg(scene(), progressive=True)
    assert files.encode_photo(files.read_photo(data), ".jpg") == data


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker"
    tags[0x9286] = b"UNICODE\0comment"
    return tags.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photo_keeps_its_blocks_and_its_orientation(
    orientation: int, tmp_path: Any
) -> None:
    pixels = scene()
    data = pillow_jpeg(pixels, exif=exif(orientation), subsampling="4:2:0")
    shown = to_array(files.read_photo(data))
    seen = np.zeros(shown.shape[:2], bool)
    seen[10:40, 20:50] = True
    after = recolored(data, seen)
    # Where the mask lies in the file, found by Pillow.
    numbers = np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape(HEIGHT, WIDTH)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    places = Image.fromarray(numbers)
    turned = np.asarray(places if turn is None else places.transpose(turn))
    covered = np.isin(numbers, turned[seen])
    assert_law_holds(data, after, covered, tmp_path)
    assert Image.open(io.BytesIO(after)).getexif()[0x0112] == orientation
    assert to_array(files.read_photo(after)).shape == shown.shape


def with_segments(data: bytes) -> bytes:
    """Add what cameras and programs put in."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(
        buffer,
        "JPEG",
        quality="keep",
        exif=exif(1),
        icc_profile=profile,
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        comment=b"caf\xe9",
    )
    return buffer.getvalue()


def index_of_pictures(first: int, second: int, distance: int) -> bytes:
    """Write a multi-picture index of two pictures, CIPA DC-007."""
    entries = struct.pack(">IIIHH", 0x030000, first, 0, 0, 0)
    entries += struct.pack(">IIIHH", 0, second, distance, 0, 0)
    head = b"MM\0*" + struct.pack(">I", 8)
    directory = struct.pack(">H", 3)
    directory += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(">HHII", 0xB001, 4, 1, 2)
    directory += struct.pack(">HHII", 0xB002, 7, 32, 50) + bytes(4)
    return b"MPF\0" + head + directory + entries


def with_gain_map(data: bytes) -> bytes:
    """Put a second picture behind a file and an index before its first scan."""
    gain_map = pillow_jpeg(scene(16, 24)[..., 0])
    size = len(index_of_pictures(0, 0, 0)) + 4
    end = len(data) + size
    index_at = 2 + 4 + 4  # SOI, marker and length, MPF
    index = index_of_pictures(end, len(gain_map), end - index_at)
    segment = b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index
    return data[:2] + segment + data[2:] + gain_map


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_every_segment_stays_byte_for_byte(options: dict[str, Any]) -> None:
    data = with_segments(pillow_jpeg(scene(), **options))
    old, new = parse_jpeg(data), parse_jpeg(recolored(data, mask()))
    kinds = (*range(APP0, APP0 + 16), COM)
    assert len(old.find_segments(*kinds)) >= 4
    assert new.find_segments(*kinds) == old.find_segments(*kinds)
    assert new.trailer == old.trailer == b""


def second_picture(data: bytes) -> bytes:
    """Find it as a reader does: by the index."""
    at = data.index(b"MPF\0") + 4
    length, distance = struct.unpack(">II", data[at + 50 + 16 + 4 : at + 50 + 16 + 12])
    return data[at + distance : at + distance + length]


def test_gain_map_stays_where_its_index_says() -> None:
    data = with_gain_map(pillow_jpeg(scene()))
    after = recolored(data, mask())
    assert second_picture(after) == second_picture(data)
    assert Image.open(io.BytesIO(second_picture(after))).size == (24, 16)
    assert parse_jpeg(after).find_segments(APP2) == parse_jpeg(data).find_segments(APP2)


def test_index_is_corrected_where_the_picture_has_grown() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    data = with_gain_map(pillow_jpeg(flat, optimize=True))
    photo = files.read_photo(data)
    noisy = photo.insert(from_array(scene()[:64, :64]), 0, 0)
    after = files.encode_photo(noisy, ".jpg")
    assert parse_jpeg(after).size > parse_jpeg(data).size
    assert second_picture(after) == second_picture(data)


def test_bytes_after_the_picture_stay() -> None:
    data = pillow_jpeg(scene()) + b"maker's trailer \xff\xd9\xff\xda"
    assert recolored(data, mask()).endswith(b"maker's trailer \xff\xd9\xff\xda")


def test_a_quality_encodes_all_anew_and_says_so() -> None:
    data = pillow_jpeg(scene())
    with pytest.warns(HarmonizeWarning, match="encoded again.*quality of 70"):
        after = recolored(data, mask(), quality=70)
    assert len(after) < len(data)


@pytest.mark.parametrize("sampling", ["444", "422", "420", "411", "440"])
def test_without_jpeglib_chroma_is_not_coarser_than_before(
    sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imharmony.images.jpeg_coefficients.is_installed", lambda: False
    )
    data = bytes(imagecodecs.jpeg8_encode(scene(), level=90, subsampling=sampling))
    with pytest.warns(HarmonizeWarning, match="jpeglib is not installed"):
        after = recolored(data, mask())
    expected = (2, 2) if sampling == "420" else (1, 1)
    assert parse_jpeg(after).sampling == expected


def test_photo_of_another_size_is_encoded_as_any_other() -> None:
    photo = files.read_photo(pillow_jpeg(scene()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = files.encode_photo(photo.crop(0, 0, 40, 30), ".jpg")
    assert Image.open(io.BytesIO(data)).size == (40, 30)


def test_cmyk_is_refused() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(buffer, "JPEG")
    with pytest.raises(ImageError, match="CMYK"):
        files.read_photo(buffer.getvalue())


def test_adobe_marker_stays() -> None:
    data = pillow_jpeg(scene(), keep_rgb=True)
    after = parse_jpeg(recolored(data, mask()))
    assert after.find_segments(APP14) == parse_jpeg(data).find_segments(APP14)


def test_only_the_preview_of_exif_goes() -> None:
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    block = bytearray(tags.tobytes())  # head, TIFF head, one directory, no second
    start = len(b"Exif\0\0")
    preview = pillow_jpeg(scene(8, 8))
    order = "<" if block[start : start + 2] == b"II" else ">"
    second = len(block) - start
    (count,) = struct.unpack_from(order + "H", block, start + 8)
    struct.pack_into(order + "I", block, start + 10 + 12 * count, second)
    where = second + 2 + 2 * 12 + 4
    block += struct.pack(order + "H", 2)
    block += struct.pack(order + "HHII", 0x0201, 4, 1, where)
    block += struct.pack(order + "HHII", 0x0202, 4, 1, len(preview)) + bytes(4)
    block += preview
    data = pillow_jpeg(scene(), exif=bytes(block))
    assert preview in data
    after = recolored(data, mask())
    assert preview not in after
    assert Image.open(io.BytesIO(after)).getexif()[0x010F] == "Maker"
    assert len(parse_jpeg(after).find_segments(0xE1)[0].data) == len(block)


ULTRA_HDR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="a film" hdrgm:Version="1.0">
<Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"/></rdf:li>
</rdf:Seq></Container:Directory>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_gain_map_and_its_promise_stay_in_jpeg() -> None:
    data = with_gain_map(pillow_jpeg(scene(), xmp=ULTRA_HDR))
    after = recolored(data, mask())
    assert ULTRA_HDR in after
    assert second_picture(after) == second_picture(data)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_no_file_promises_a_gain_map_that_it_lacks(suffix: str) -> None:
    photo = files.read_photo(with_gain_map(pillow_jpeg(scene(), xmp=ULTRA_HDR)))
    quality = 80 if suffix == ".jpg" else None
    with pytest.warns(HarmonizeWarning) as caught:
        after = files.encode_photo(photo, suffix, quality=quality)
    assert any("further pictures" in str(w.message) for w in caught)
    xmp = bytes(files.read_photo(after).get("xmp-data"))
    assert ElementTree.fromstring(xmp) is not None
    assert b"a film" in xmp
    assert b"hdrgm:Version" not in xmp
    assert b"GainMap" not in xmp
