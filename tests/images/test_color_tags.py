"""Color told other than by ICC: computed by what is shown, and told again."""

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageCms

from imharmony.curves import Curves
from imharmony.errors import HarmonizeWarning, ImageError
from imharmony.images import avif_boxes, color_tags, files, png_chunks, profiles
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array, straighten, to_array
from imharmony.rendering.render import render

Floats = npt.NDArray[np.float64]


def numbers(dtype: str = "u2", channels: int = 3) -> npt.NDArray[Any]:
    rng = np.random.default_rng(5)
    return rng.integers(0, np.iinfo(dtype).max + 1, (24, 31, channels)).astype(dtype)


def png(pixels: npt.NDArray[Any], *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG by hand, W3C PNG 5."""
    depth = 8 * pixels.itemsize
    color = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chromaticities(*points: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(x * 100_000) for x in points))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> Any:
    return b"cICP", bytes((primaries, transfer, matrix, full))


STEP = 1.5 / 255  # of 8 bit; ICC profiles round their numbers to 2**-16
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def encode_srgb(light: Floats) -> Floats:
    """IEC 61966-2-1."""
    low, high = 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high)


def decode_srgb(value: Floats) -> Floats:
    high = ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, value / 12.92, high)


def shown(data: bytes) -> Floats:
    photo = files.read_photo(data)
    return np.asarray(profiles.to_srgb(photo).numpy() / 65535.0)


def test_linear_png_is_seen_as_a_viewer_shows_it() -> None:
    light = numbers() / 65535
    expected = encode_srgb(light)
    np.testing.assert_allclose(shown(png(numbers(), gamma(1.0))), expected, atol=0.002)


def test_gray_linear_png_is_seen_as_a_viewer_shows_it() -> None:
    gray = numbers(channels=1)
    seen = shown(png(gray, gamma(1.0)))
    expected = np.repeat(encode_srgb(gray / 65535), 3, axis=2)
    np.testing.assert_allclose(seen, expected, atol=0.002)


# SMPTE EG 432-1 and IEC 61966-2-1: linear light of P3-D65 to that of sRGB.
P3_TO_SRGB = np.array(
    [
        [1.2249401, -0.2249404, 0.0],
        [-0.0420569, 1.0420571, 0.0],
        [-0.0196376, -0.0786361, 1.0982735],
    ]
)


@pytest.mark.parametrize(
    ("chunks", "exponent"),
    [
        ([cicp(12, 13)], None),
        ([chromaticities(*P3)], None),
        ([cicp(12, 8)], 1.0),
        ([gamma(1 / 1.8), chromaticities(*P3)], 1.8),
        ([cicp(12, 13), gamma(1.0)], None),  # cICP goes before
    ],
)
def test_wide_gamut_is_seen_as_a_viewer_shows_it(
    chunks: list[Any], exponent: float | None
) -> None:
    value = numbers() / 65535
    light = decode_srgb(value) if exponent is None else value**exponent
    expected = encode_srgb(np.clip(light @ P3_TO_SRGB.T, 0, 1))
    np.testing.assert_allclose(shown(png(numbers(), *chunks)), expected, atol=STEP)


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455)],
        [(b"sRGB", b"\0"), gamma(0.45455)],
        [(b"sRGB", b"\0"), gamma(1.0)],
        [cicp(1, 13)],
        [cicp(2, 2)],
        [gamma(0)],
        [chromaticities(*(0.3, 0.3) * 4)],
        [(b"gAMA", b"\0")],
    ],
)
def test_usual_and_damaged_words_are_srgb(chunks: list[Any]) -> None:
    assert profiles.is_srgb(files.read_photo(png(numbers("u1"), *chunks)))


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (cicp(9, 16), r"hdr\.png: expected .*standard dynamic range, got PQ"),
        (cicp(9, 18), r"hdr\.png: .*HLG"),
        (cicp(10, 13), r"hdr\.png: .*primaries 10"),
        (cicp(1, 13, full=0), r"hdr\.png: .*full range"),
        (cicp(1, 13, matrix=1), r"hdr\.png: .*matrix 1"),
    ],
)
def test_what_cannot_be_honored_is_refused(chunk: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        files.read_photo(png(numbers("u1"), chunk), name="hdr.png")


def kept(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks = png_chunks.read_chunks(data)
    return [chunk for chunk in chunks if chunk[0] not in (b"IHDR", b"IDAT", b"IEND")]


def recolored(data: bytes, suffix: str) -> tuple[bytes, npt.NDArray[np.bool_]]:
    photo = files.read_photo(data)
    covered = np.zeros((photo.height, photo.width), bool)
    covered[5:15, 8:20] = True
    knots = np.array([0.0, 0.5, 1.0])
    curves = Curves((knots,) * 3, (np.array([0, 0.4, 1]),) * 3)
    mask = mask_from_array(covered, size=covered.shape)
    return files.encode_photo(render(photo, mask, curves), suffix), covered


CHUNKS = [
    cicp(12, 13),
    (b"mDCV", bytes(24)),
    gamma(1.0),
    chromaticities(*P3),
    (b"sBIT", b"\x0c\x0c\x0c"),
    (b"bKGD", b"\0\1\0\2\0\3"),
    (b"pHYs", struct.pack(">IIB", 3000, 2000, 1)),
    (b"tIME", struct.pack(">HBBBBB", 2020, 2, 3, 4, 5, 6)),
    (b"tEXt", b"Author\0Ann"),
    (b"iTXt", b"Title\0\0\0\0\0caf\xc3\xa9"),
    (b"prVt", b"private, safe to copy"),
]


def test_png_keeps_every_chunk_as_it_was() -> None:
    data = png(numbers(), *CHUNKS)
    after, covered = recolored(data, ".png")
    assert kept(after) == kept(data)
    back = to_array(files.read_photo(after))
    np.testing.assert_array_equal(back[~covered], numbers()[~covered])
    assert (back[covered] != numbers()[covered]).any()


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_other_files_get_the_color_as_a_profile(suffix: str) -> None:
    if suffix == ".png":  # by way of a TIFF
        data = recolored(png(numbers(), gamma(1.0)), ".tif")[0]
    else:
        data = png(numbers(), gamma(1.0))
    after, covered = recolored(data, suffix)
    seen, before = shown(after), shown(png(numbers(), gamma(1.0)))
    np.testing.assert_allclose(seen[~covered], before[~covered], atol=0.001)


def test_profile_is_one_that_others_read() -> None:
    tags = color_tags.from_cicp(12, 13, "x")
    profile = ImageCms.ImageCmsProfile(
        io.BytesIO(color_tags.make_profile(tags, is_gray=False))
    )
    assert "as the file says" in ImageCms.getProfileDescription(profile)
    pixel = Image.fromarray(np.array([[[200, 60, 30]]], np.uint8))
    srgb = ImageCms.createProfile("sRGB")
    turned = ImageCms.profileToProfile(pixel, profile, srgb)
    assert turned is not None
    light = decode_srgb(np.array([200, 60, 30]) / 255) @ P3_TO_SRGB.T
    expected = encode_srgb(np.clip(light, 0, 1)) * 255
    np.testing.assert_allclose(np.asarray(turned)[0, 0], expected, atol=1.5)


# EXIF and TIFF


def adobe_exif(index: bytes = b"R03\0") -> bytes:
    """Write what cameras write for Adobe RGB: Exif 2.3, 4.6.3, and DCF 2.0."""

    def directory(tag: int, kind: int, value: bytes) -> bytes:
        count = 4 if kind == 2 else 1
        return struct.pack(">HHHI", 1, tag, kind, count) + value + bytes(4)

    first = directory(0x8769, 4, struct.pack(">I", 26))
    second = directory(0xA005, 4, struct.pack(">I", 44))
    third = directory(0x0001, 2, index)
    return b"MM\0*" + struct.pack(">I", 8) + first + second + third


# Adobe RGB (1998) Color Image Encoding, 4.3.6.1, and IEC 61966-2-1, F.1.
ADOBE_TO_XYZ = np.array(
    [
        [0.57667, 0.18556, 0.18823],
        [0.29734, 0.62736, 0.07529],
        [0.02703, 0.07069, 0.99134],
    ]
)
XYZ_TO_SRGB = np.array(
    [
        [3.2406255, -1.5372080, -0.4986286],
        [-0.9689307, 1.8757561, 0.0415175],
        [0.0557101, -0.2040211, 1.0569959],
    ]
)


def adobe_as_srgb(value: Floats) -> Floats:
    light = value ** (563 / 256) @ (XYZ_TO_SRGB @ ADOBE_TO_XYZ).T
    return encode_srgb(np.clip(light, 0, 1))


def with_exif(kind: str, exif: bytes) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    flat = np.full((24, 32, 3), (90, 170, 60), np.uint8)
    Image.fromarray(flat).save(buffer, kind, exif=b"Exif\0\0" + exif, **options)
    return buffer.getvalue()


def adobe_tiff(byteorder: Literal["<", ">"], *, bigtiff: bool) -> bytes:
    """Write a TIFF with the directories of `adobe_exif` behind all else."""

    def start(place: int) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(
            buffer,
            np.full((24, 32, 3), (90, 170, 60), np.uint8),
            photometric="rgb",
            byteorder=byteorder,
            bigtiff=bigtiff,
            extratags=[(0x8768, 4, 1, place, True)],  # it does not write 0x8769
            metadata=None,
        )
        head = struct.pack(byteorder + "HH", 0x8768, 4)
        link = struct.pack(byteorder + "HH", 0x8769, 4)
        return buffer.getvalue().replace(head, link)

    def directory(tag: int, kind: int, value: bytes) -> bytes:
        head, word = ("Q", "Q") if bigtiff else ("H", "I")
        count = 4 if kind == 2 else 1
        entry = struct.pack(f"{byteorder}{head}HH{word}", 1, tag, kind, count)
        size = struct.calcsize(f"={word}")
        return entry + value.ljust(size, b"\0") + bytes(size)

    place = len(start(0)) + len(start(0)) % 2
    within = place + len(directory(0xA005, 4, b""))
    second = directory(0xA005, 4, struct.pack(byteorder + "I", within))
    return start(place).ljust(place, b"\0") + second + directory(1, 2, b"R03\0")


def says_adobe(kind: str) -> bytes:
    if kind.startswith("TIFF"):
        order = "<" if "little" in kind else ">"
        return adobe_tiff(order, bigtiff="wide" in kind)  # type: ignore[arg-type]
    return with_exif(kind, adobe_exif())


TIFFS = ["TIFF little", "TIFF big", "TIFF little wide", "TIFF big wide"]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", *TIFFS])
def test_adobe_rgb_that_a_camera_says_in_exif_counts(kind: str) -> None:
    data = says_adobe(kind)
    stored = to_array(files.read_photo(data))[0, 0] / 255
    seen = shown(data)[0, 0]
    np.testing.assert_allclose(seen, adobe_as_srgb(stored), atol=STEP)
    assert np.abs(seen - stored).max() > 0.1


def test_exif_of_srgb_is_srgb() -> None:
    data = with_exif("JPEG", adobe_exif(b"R98\0"))
    assert profiles.is_srgb(files.read_photo(data))


@pytest.mark.parametrize("cut", range(8, 62, 6))
def test_exif_that_is_cut_off_says_nothing(cut: int) -> None:
    data = with_exif("WEBP", adobe_exif()[:cut])
    assert profiles.is_srgb(files.read_photo(data))


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_adobe_rgb_is_told_as_it_was(kind: str, suffix: str) -> None:
    after = recolored(with_exif(kind, adobe_exif()), suffix)[0]
    with Image.open(io.BytesIO(after)) as image:
        assert "icc_profile" not in image.info
        assert image.info["exif"].removeprefix(b"Exif\0\0") == adobe_exif()
    other = recolored(with_exif(kind, adobe_exif()), ".png")[0]
    with Image.open(io.BytesIO(other)) as image:
        assert "icc_profile" in image.info


def index_of(data: bytes) -> bytes:
    """Follow a TIFF's EXIF to what it says of interoperability."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        order, wide = tiff.byteorder, tiff.is_bigtiff
        place = tiff.pages.first.offset
    head, word = ("Q", "Q") if wide else ("H", "I")
    size = struct.calcsize(f"=HH{word}{word}")
    for number in (0x8769, 0xA005, 0x0001):
        (count,) = struct.unpack_from(order + head, data, place)
        first = place + struct.calcsize("=" + head)
        entries = range(first, first + count * size, size)
        entry = next(
            e for e in entries if struct.unpack_from(order + "H", data, e)[0] == number
        )
        value = entry + size - struct.calcsize("=" + word)
        (kind,) = struct.unpack_from(order + "H", data, entry + 2)
        wide_kinds = (16, 18)  # LONG8, IFD8
        link = order + ("Q" if kind in wide_kinds else "I")
        (place,) = struct.unpack_from(link, data, value)
    return data[value : value + 4]


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_keeps_what_its_exif_says_of_interoperability(kind: str) -> None:
    data = says_adobe(kind)
    assert index_of(data) == b"R03\0"
    after = recolored(data, ".tif")[0]
    assert index_of(after) == b"R03\0"
    with tifffile.TiffFile(io.BytesIO(after)) as tiff:
        assert 34675 not in tiff.pages.first.tags  # no profile was added


def test_a_link_that_leads_nowhere_is_not_written() -> None:
    data = bytearray(adobe_tiff("<", bigtiff=False))
    link = struct.pack("<HHI", 0xA005, 4, 1)
    struct.pack_into("<I", data, data.index(link) + len(link), 1 << 30)
    assert profiles.is_srgb(files.read_photo(bytes(data)))
    assert link[:2] not in recolored(bytes(data), ".tif")[0]


def told_tiff(pixels: npt.NDArray[Any], **told: Any) -> bytes:
    """Write a TIFF with WhitePoint, PrimaryChromaticities or TransferFunction."""
    points = {"white": (318, 2), "primaries": (319, 6)}
    extra: list[tuple[Any, ...]] = []
    for name, value in told.items():
        if name == "transfer":
            extra.append((301, 3, len(value), tuple(value), True))
        else:
            number, count = points[name]
            fractions = [part for x in value for part in (round(x * 10_000), 10_000)]
            extra.append((number, 5, count, tuple(fractions), True))
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="rgb" if pixels.shape[2] == 3 else "minisblack",
        extratags=sorted(extra),
        metadata=None,
    )
    return buffer.getvalue()


P3_POINTS = {"white": P3[:2], "primaries": P3[2:]}


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_tiff_that_says_its_primaries_and_transfer_is_seen_so(dtype: str) -> None:
    count = 2 ** (8 * np.dtype(dtype).itemsize)
    table = np.rint((np.arange(count) / (count - 1)) ** 1.8 * 65535).astype(int)
    value = numbers(dtype) / (count - 1)
    cases: list[tuple[dict[str, Any], Floats]] = [
        ({}, decode_srgb(value)),
        ({"transfer": table.tolist()}, value**1.8),
        ({"transfer": table.tolist() * 3}, value**1.8),
    ]
    for transfer, light in cases:
        data = told_tiff(numbers(dtype), **P3_POINTS, **transfer)
        expected = encode_srgb(np.clip(light @ P3_TO_SRGB.T, 0, 1))
        # The table of 8 bit has steps that are coarse near black.
        np.testing.assert_allclose(shown(data), expected, atol=2 * STEP)


def test_tiff_keeps_what_it_said_and_gets_no_profile() -> None:
    table = [round((i / 255) ** 1.8 * 65535) for i in range(256)]
    data = told_tiff(numbers("u1"), **P3_POINTS, transfer=table)
    after, covered = recolored(data, ".tif")
    with (
        tifffile.TiffFile(io.BytesIO(data)) as old,
        tifffile.TiffFile(io.BytesIO(after)) as new,
    ):
        for number in (301, 318, 319):
            old_tag, new_tag = (f.pages.first.tags[number] for f in (old, new))
            np.testing.assert_array_equal(new_tag.value, old_tag.value)
        assert 34675 not in new.pages.first.tags
        back = new.asarray()
    np.testing.assert_array_equal(back[~covered], numbers("u1")[~covered])


@pytest.mark.parametrize(
    "told",
    [
        {"primaries": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)},  # sRGB
        {"primaries": (0.3, 0.3) * 3},  # no triangle
        {"transfer": [0, 65535, 7]},  # not one of 256 entries
    ],
)
def test_usual_and_damaged_tags_are_srgb(told: dict[str, Any]) -> None:
    assert profiles.is_srgb(files.read_photo(told_tiff(numbers("u1"), **told)))


def test_tables_that_differ_are_refused() -> None:
    tables = [round((i / 255) ** g * 65535) for g in (1, 1.8, 2.2) for i in range(256)]
    with pytest.raises(ImageError, match=r"a\.tif: expected one TransferFunction"):
        files.read_photo(told_tiff(numbers("u1"), transfer=tables), name="a.tif")


# AVIF


def avif(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 100, "subsampling": "4:4:4", **options}
    Image.fromarray(pixels).save(buffer, "AVIF", **options)
    return buffer.getvalue()


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(">HH", changed, data.index(b"nclx") + 4, primaries, transfer)
    return bytes(changed)


def test_avif_of_p3_is_seen_as_a_viewer_shows_it_and_says_so_again() -> None:
    data = with_nclx(avif(numbers("u1")), 12, 13)
    value = to_array(files.read_photo(data)) / 255
    expected = encode_srgb(np.clip(decode_srgb(value) @ P3_TO_SRGB.T, 0, 1))
    np.testing.assert_allclose(shown(data), expected, atol=STEP)
    after, covered = recolored(data, ".avif")
    words = avif_boxes.read_words(after)
    assert words is not None
    assert words.cicp == (12, 13)
    assert not words.has_profile
    back = to_array(files.read_photo(after))
    np.testing.assert_array_equal(back[~covered], (value[~covered] * 255).round())


@pytest.mark.parametrize("transfer", [16, 18])
def test_avif_of_hdr_is_refused(transfer: int) -> None:
    with pytest.raises(ImageError, match=r"a\.avif: .*standard dynamic range"):
        files.read_photo(with_nclx(avif(numbers("u1")), 9, transfer), name="a.avif")


def premultiplied() -> bytes:
    pixels = numbers("u1", 4)
    pixels[..., 3] = np.linspace(0, 255, pixels.shape[1]).round()
    return avif(pixels, alpha_premultiplied=True)


def test_premultiplied_avif_keeps_its_mark_and_its_background() -> None:
    data = premultiplied()
    after, covered = recolored(data, ".avif")
    words = avif_boxes.read_words(after)
    assert words is not None
    assert words.is_premultiplied
    old, new = (
        np.asarray(Image.open(io.BytesIO(x)).convert("RGBA")) for x in (data, after)
    )
    clear = ~covered & (old[..., 3] > 60)  # dark ones are rounded by Pillow
    difference = np.abs(new.astype(int) - old)[clear]
    assert difference.max() <= 5
    first, second = (to_array(files.read_photo(x)) for x in (data, after))
    np.testing.assert_array_equal(first[~covered], second[~covered])


def test_premultiplied_avif_is_seen_as_another_decoder_sees_it() -> None:
    data = premultiplied()
    ours = to_array(straighten(files.read_photo(data))).astype(int)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)
    clear = theirs[..., 3] > 100
    assert np.abs(ours - theirs)[clear].max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_animation_is_read_to_its_first_frame_with_a_warning(kind: str) -> None:
    frames = [Image.fromarray(numbers("u1")), Image.fromarray(255 - numbers("u1"))]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=50)
    with pytest.warns(HarmonizeWarning, match="a.x: an animation; only the first"):
        photo = files.read_photo(buffer.getvalue(), name="a.x")
    if kind == "PNG":
        np.testing.assert_array_equal(to_array(photo), numbers("u1"))
        after = files.encode_photo(photo, ".png")
        assert not png_chunks.is_animated(png_chunks.read_chunks(after))


def test_photo_of_an_array_says_nothing_of_resolution() -> None:
    data = files.encode_photo(from_array(numbers("u1")), ".png")
    assert kept(data) == []
    jpeg = files.encode_photo(from_array(numbers("u1")), ".jpg")
    assert "dpi" not in Image.open(io.BytesIO(jpeg)).info
