"""Photo files, arrays and rendering. All pictures are made here, with libvips."""

import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imharmony.curves import Curves
from imharmony.errors import (
    DecodeError,
    HarmonizeWarning,
    ImageError,
    ShapeError,
    UsageError,
)
from imharmony.images.files import encode_photo, read_photo, write_photo
from imharmony.images.masks import alpha_mask, mask_box, mask_from_array
from imharmony.images.photo import (
    FULL_SCALE,
    Box,
    from_array,
    split_alpha,
    stretch,
    to_array,
    to_rgb,
)
from imharmony.images.pixels import get_pixels
from imharmony.rendering.render import render
from imharmony.writing import check_target

Pixels = npt.NDArray[Any]

H, W = 5, 7
DTYPES = ("uint8", "uint16", "float32")
SUFFIXES = (".jpg", ".png", ".webp", ".tif")
SAVERS = {".jpg": "jpegsave", ".png": "pngsave", ".webp": "webpsave"}
SAVERS |= {".tif": "tiffsave"}

# Of JPEG at quality 95 on smooth pixels: quantization and rounded color conversion.
JPEG_TOLERANCE = 4
# One for the table and one for the blend, each half a step; and float32 arithmetic.
ONE_STEP = 1 + 1e-3
FLOAT_TOLERANCE = 1e-6


def pixels(
    dtype: str = "uint8", num_channels: int = 3, size: tuple[int, int] = (H, W)
) -> Pixels:
    rng = np.random.default_rng(1)
    values = rng.random((*size, num_channels))
    if dtype == "float32":
        return values.astype(np.float32)
    return (values * np.iinfo(dtype).max).astype(dtype)


def smooth_pixels(size: tuple[int, int] = (48, 64)) -> Pixels:
    y, x = np.mgrid[: size[0], : size[1]]
    ramps = np.stack([x / size[1], y / size[0], (x + y) / sum(size)], axis=-1)
    return (40 + 180 * ramps).astype(np.uint8)


def full_scale(array: Pixels) -> float:
    return 1.0 if array.dtype == np.float32 else float(np.iinfo(array.dtype).max)


def curves_from(*slopes: float) -> Curves:
    rows = np.array([slopes, slopes[::-1], [1.0] * len(slopes)])
    return Curves.from_params(rows)


STRONG = curves_from(4, 2, 1, 1)


def render_array(image: Pixels, mask: Pixels, curves: Curves) -> Pixels:
    size = (image.shape[0], image.shape[1])
    photo = render(from_array(image), mask_from_array(mask, size=size), curves)
    return to_array(photo)


def tagged_photo() -> pyvips.Image:
    """A Display P3 picture with EXIF, an EXIF preview, and XMP."""
    photo = from_array(smooth_pixels()).icc_transform("p3").copy_memory()
    artist = "Ann (Ann, ASCII, 4 components, 4 bytes)"
    photo.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", artist)
    preview = from_array(np.zeros((8, 8, 3), np.uint8)).jpegsave_buffer()
    blob = pyvips.GValue.blob_type
    photo.set_type(blob, "jpeg-thumbnail-data", preview)
    photo.set_type(blob, "xmp-data", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    return photo


def turned(image: Pixels, orientation: int) -> Pixels:
    """Show pixels stored under an EXIF orientation; Exif 2.3, table in 4.6.4 A."""
    shown: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }
    return shown[orientation](image)


# Reading


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_every_format_is_read_from_a_file_and_from_bytes(
    suffix: str, as_bytes: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"photo{suffix}"
    image = smooth_pixels()
    options = {"lossless": True} if suffix == ".webp" else {}
    getattr(from_array(image), SAVERS[suffix])(str(path), **options)
    photo = read_photo(path.read_bytes() if as_bytes else path)
    tolerance = JPEG_TOLERANCE if suffix == ".jpg" else 0
    difference = to_array(photo).astype(int) - image
    assert np.abs(difference).max() <= tolerance + (suffix == ".jpg") * 4  # Q 75


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_tiff_keeps_depth_and_channels(
    dtype: str, num_channels: int, tmp_path: Path
) -> None:
    image = pixels(dtype, num_channels)
    write_photo(from_array(image), tmp_path / "photo.tif")
    back = to_array(read_photo(tmp_path / "photo.tif"))
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_png_keeps_depth_and_channels(dtype: str, num_channels: int) -> None:
    image = pixels(dtype, num_channels)
    back = to_array(read_photo(encode_photo(from_array(image), ".png")))
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(suffix: str, orientation: int) -> None:
    image = smooth_pixels()
    stored = from_array(image).copy()
    stored.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    options = {"lossless": True} if suffix == ".webp" else {}
    photo = read_photo(getattr(stored, f"{SAVERS[suffix]}_buffer")(**options))
    again = read_photo(encode_photo(photo, ".png"))
    for shown in (photo, again):
        expected = turned(image, orientation)
        assert to_array(shown).shape == expected.shape
        difference = to_array(shown).astype(int) - expected
        assert np.abs(difference).max() <= (8 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_profile_and_xmp_survive_reading_and_writing(suffix: str) -> None:
    photo = tagged_photo()
    photo.remove("exif-ifd0-Artist")
    back = read_photo(encode_photo(photo, suffix))
    for field in ("icc-profile-data", "xmp-data"):
        assert back.get(field) == photo.get(field)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_exif_survives_reading_and_writing(suffix: str) -> None:
    photo = read_photo(encode_photo(tagged_photo(), ".jpg"))
    back = read_photo(encode_photo(photo, suffix))
    assert back.get("exif-ifd0-Artist").startswith("Ann ")


def test_exif_preview_of_the_old_picture_is_dropped() -> None:
    encoded = tagged_photo().jpegsave_buffer()
    stored = pyvips.Image.new_from_buffer(encoded, "")
    assert stored.get_typeof("jpeg-thumbnail-data")
    back = pyvips.Image.new_from_buffer(encode_photo(read_photo(encoded), ".jpg"), "")
    assert not back.get_typeof("jpeg-thumbnail-data")


def test_profile_and_exif_survive_rendering() -> None:
    photo = read_photo(encode_photo(tagged_photo(), ".jpg"))
    mask = mask_from_array(np.eye(48, 64), size=(48, 64))
    rendered = render(photo, mask, STRONG)
    assert rendered.get("icc-profile-data") == photo.get("icc-profile-data")
    assert rendered.get("exif-ifd0-Artist") == photo.get("exif-ifd0-Artist")
    assert rendered.interpretation == photo.interpretation


def test_palette_becomes_rgb_and_is_written_without_loss() -> None:
    encoded = from_array(smooth_pixels()).pngsave_buffer(palette=True, colours=16)
    photo = read_photo(encoded)
    assert photo.get("palette") == 1
    assert photo.bands == 3
    changed = photo.insert(from_array(smooth_pixels()), 0, 0)  # more than 16 colors
    assert changed.get("palette") == 1
    back = read_photo(encode_photo(changed, ".png"))
    np.testing.assert_array_equal(to_array(back), smooth_pixels())


@pytest.mark.parametrize("saver", ["pngsave_buffer", "tiffsave_buffer"])
def test_one_bit_becomes_eight(saver: str) -> None:
    is_white = pixels(num_channels=1) > 100
    stored = from_array(is_white.astype(np.uint8) * 255)
    photo = read_photo(getattr(stored, saver)(bitdepth=1))
    np.testing.assert_array_equal(to_array(photo), is_white * np.uint8(255))


def test_one_pixel_is_read() -> None:
    image = pixels(size=(1, 1))
    back = read_photo(encode_photo(from_array(image), ".png"))
    np.testing.assert_array_equal(to_array(back), image)


def test_brackets_in_a_file_name_are_no_options(tmp_path: Path) -> None:
    path = tmp_path / "photo[page=1,é].tif"
    write_photo(from_array(pixels()), path)
    np.testing.assert_array_equal(to_array(read_photo(path)), pixels())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    encoded = encode_photo(from_array(pixels()), ".png")
    writer = threading.Thread(target=path.write_bytes, args=(encoded,))
    writer.start()
    photo = read_photo(path)
    writer.join()
    np.testing.assert_array_equal(to_array(photo), pixels())


def test_only_the_first_page_is_used_and_that_is_announced() -> None:
    pages = from_array(pixels(size=(20, 7))).copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", 10)
    with pytest.warns(HarmonizeWarning, match=r"data: 2 pages; only the first is used"):
        photo = read_photo(pages.tiffsave_buffer())
    np.testing.assert_array_equal(to_array(photo), pixels(size=(20, 7))[:10])


@pytest.mark.parametrize("saver", ["jpegsave_buffer", "tiffsave_buffer"])
def test_cmyk_is_refused(saver: str) -> None:
    encoded = getattr(from_array(pixels()).colourspace("cmyk"), saver)()
    message = r"^ad\.x: expected an RGB or gray picture, got CMYK; convert it to RGB"
    with pytest.raises(ImageError, match=message):
        read_photo(encoded, name="ad.x")


def test_lab_is_refused() -> None:
    encoded = from_array(pixels()).colourspace("lab").tiffsave_buffer()
    with pytest.raises(ImageError, match="expected an RGB or gray picture, got LAB"):
        read_photo(encoded)


def test_five_channels_are_refused() -> None:
    photo = from_array(pixels())
    encoded = photo.bandjoin(photo[:2]).tiffsave_buffer()
    with pytest.raises(ImageError, match="expected 1 to 4 channels, got 5"):
        read_photo(encoded)


def test_32_bit_whole_numbers_are_refused() -> None:
    encoded = from_array(pixels()).cast("uint").tiffsave_buffer()
    with pytest.raises(ImageError, match=r"16 bit or 32-bit float, got uint$"):
        read_photo(encoded)


def test_double_precision_is_refused() -> None:
    encoded = from_array(pixels()).cast("double").tiffsave_buffer()
    with pytest.raises(DecodeError, match=r"unsupported kind .*samples out of range"):
        read_photo(encoded)


def test_nan_in_a_tiff_is_refused() -> None:
    image = np.full((2, 2), np.nan, np.float32)
    encoded = pyvips.Image.new_from_array(image).tiffsave_buffer()
    with pytest.raises(ImageError, match="expected finite numbers, got NaN or infin"):
        read_photo(encoded)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"nowhere\.png: no such file$"):
        read_photo(tmp_path / "nowhere.png")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"expected a file, got a folder$"):
        read_photo(tmp_path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "photo.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DecodeError, match=r"cannot be read \(Permission denied\)$"):
        read_photo(tmp_path / "photo.png")


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DecodeError, match=r"empty\.jpg: expected a picture, got 0 by"):
        read_photo(tmp_path / "empty.jpg")


def test_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html><p>404</p>")
    message = r"page\.jpg: expected a JPEG, PNG, WebP, TIFF or AVIF.*b'<!DOCTYPE ht'$"
    with pytest.raises(DecodeError, match=message):
        read_photo(tmp_path / "page.jpg")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_do_not_become_gray_rows(suffix: str, share: float) -> None:
    encoded = encode_photo(from_array(pixels(size=(64, 64))), suffix)
    message = r"^standard input: the (JPEG|PNG|WEBP|TIFF) data is damaged, truncated or"
    with pytest.raises(DecodeError, match=message):
        read_photo(encoded[: int(len(encoded) * share)], name="standard input")


def test_too_many_pixels_are_refused_unless_allowed() -> None:
    encoded = encode_photo(from_array(pixels()), ".png")
    message = r"at most 34 pixels, got 5x7 \(height x width\), 35"
    with pytest.raises(ImageError, match=message):
        read_photo(encoded, max_pixels=H * W - 1)
    assert read_photo(encoded, max_pixels=H * W).width == W


# Masks


SOFT = np.array([[0, 1, 127, 255], [3, 128, 254, 0]], dtype=np.uint8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_alpha_of_a_photo_becomes_a_mask(dtype: str) -> None:
    image = pixels(dtype, 4)
    _, alpha = split_alpha(from_array(image))
    assert alpha is not None
    expected = np.rint(image[..., 3:] / full_scale(image) * 255)
    mask = to_array(alpha_mask(alpha))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "mask",
    [
        SOFT > 100,
        (SOFT > 100).astype(np.uint8),
        np.uint8(255) * (SOFT > 100),
        np.uint16(65535) * (SOFT > 100),
        (SOFT > 100).astype(np.float64),
        (SOFT > 100).astype(np.float32)[..., None],
        (SOFT > 100)[:, ::-1][:, ::-1],
    ],
)
def test_mask_arrays_of_all_kinds_agree(mask: Pixels) -> None:
    found = to_array(mask_from_array(mask, size=(2, 4)))[..., 0]
    np.testing.assert_array_equal(found, np.uint8(255) * (SOFT > 100))


def test_soft_float_mask_is_rounded_to_8_bit() -> None:
    found = mask_from_array(SOFT / 255, size=(2, 4))
    np.testing.assert_array_equal(to_array(found)[..., 0], SOFT)


@pytest.mark.parametrize("shape", [(2, 3), (4, 2), (2, 4, 3), (8,)])
def test_mask_array_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"^mask: expected shape \(2, 4\), the photo"):
        mask_from_array(np.zeros(shape), size=(2, 4))


def test_mask_array_of_another_type() -> None:
    with pytest.raises(ImageError, match=r"mask: expected dtype bool.*got complex128$"):
        mask_from_array(np.zeros((2, 4), dtype=np.complex128), size=(2, 4))


def test_mask_array_with_nan() -> None:
    with pytest.raises(ImageError, match="mask: expected finite numbers, got NaN"):
        mask_from_array(np.full((2, 4), np.nan), size=(2, 4))


def test_mask_array_out_of_range() -> None:
    with pytest.raises(ImageError, match=r"within \[0, 1\], got 0 to 255$"):
        mask_from_array(SOFT.astype(np.float32), size=(2, 4))


# Arrays


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_arrays_come_back(dtype: str, num_channels: int) -> None:
    image = pixels(dtype, num_channels)
    photo = from_array(image)
    assert bool(photo.hasalpha()) == (num_channels in (2, 4))
    back = to_array(photo)
    assert back.dtype == image.dtype
    assert back.flags.writeable
    np.testing.assert_array_equal(back, image)


def test_strided_reversed_and_big_endian_arrays_come_back() -> None:
    image = pixels("uint16")
    for view in (image[:, ::2], image[::-1, :, ::-1], image.astype(">u2")):
        np.testing.assert_array_equal(to_array(from_array(view)), view)


def test_contiguous_array_is_not_copied() -> None:
    image = pixels()
    photo = from_array(image)
    image[0, 0] = 77
    assert photo(0, 0) == [77, 77, 77]


def test_photo_keeps_its_array_alive() -> None:
    mask = np.eye(200, 300, dtype=bool)
    photo = render_lazily(pixels(size=(200, 300)), mask)
    gc.collect()
    np.empty((200, 300, 3), np.uint8).fill(9)  # would reuse the freed memory
    expected = render_array(pixels(size=(200, 300)), mask, STRONG)
    np.testing.assert_array_equal(to_array(photo), expected)


def render_lazily(image: Pixels, mask: Pixels) -> pyvips.Image:
    size = (image.shape[0], image.shape[1])
    return render(from_array(image.copy()), mask_from_array(mask, size=size), STRONG)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_array_that_is_not_finite(bad: float) -> None:
    image = pixels("float32")
    image[2, 3, 1] = bad
    with pytest.raises(ImageError, match=r"^photo: expected finite numbers, got NaN"):
        from_array(image, name="photo")


@pytest.mark.parametrize("dtype", ["int32", "float64", "bool"])
def test_array_of_another_type(dtype: str) -> None:
    message = f"image: expected dtype uint8, uint16 or float32, got {dtype}"
    with pytest.raises(ImageError, match=message):
        from_array(pixels().astype(dtype))


@pytest.mark.parametrize("shape", [(5,), (5, 7, 5), (5, 7, 0), (0, 7, 3), (1, 5, 7, 3)])
def test_array_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"image: expected shape \(H, W\) or .* got \("
    ):
        from_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_of_an_array_are_its_own_and_of_other_pictures_the_same(
    dtype: str,
) -> None:
    image, box = pixels(dtype, 3), Box(1, 2, 3, 4)
    photo = from_array(image)
    assert np.shares_memory(get_pixels(photo, box), image)
    other = get_pixels(photo.copy(), box)
    assert not np.shares_memory(other, image)
    assert other.dtype == image.dtype
    np.testing.assert_array_equal(other, image[1:4, 2:6])


def test_pictures_made_of_an_array_keep_it_alive() -> None:
    mirrored = from_array(np.full((300, 400, 3), 7, np.uint8)).fliphor()
    gc.collect()
    np.full((300, 400, 3), 9, np.uint8)  # would take the freed memory
    assert (mirrored.min(), mirrored.max()) == (7, 7)


def test_split_alpha_gives_all_channels_back() -> None:
    image = pixels(num_channels=4)
    color, alpha = split_alpha(from_array(image))
    np.testing.assert_array_equal(to_array(color), image[..., :3])
    assert alpha is not None
    np.testing.assert_array_equal(to_array(alpha), image[..., 3:])
    assert split_alpha(color) == (color, None)


def test_gray_becomes_rgb_without_its_profile() -> None:
    photo = from_array(pixels(num_channels=2)).copy()
    photo.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"gray")
    with pytest.warns(HarmonizeWarning, match="profile of a gray picture is dropped"):
        rgb = to_rgb(photo)
    assert not rgb.get_typeof("icc-profile-data")
    expected = pixels(num_channels=2)[..., [0, 0, 0, 1]]
    np.testing.assert_array_equal(to_array(rgb), expected)


@given(mask=hnp.arrays(np.uint8, (6, 5), elements=st.sampled_from([0, 0, 0, 1, 255])))
def test_mask_box_is_the_smallest(mask: Pixels) -> None:
    rows, columns = mask.nonzero()
    expected = None
    if len(rows):
        top, left = int(rows.min()), int(columns.min())
        height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        expected = Box(top, left, height, width)
    assert mask_box(from_array(mask)) == expected


def test_stretch_enlarges_around_the_center() -> None:
    rows = to_array(stretch(from_array(np.eye(2, dtype=np.float32)), (6, 6)))[..., 0]
    np.testing.assert_allclose(rows, rows[::-1, ::-1], atol=FLOAT_TOLERANCE)
    np.testing.assert_allclose(rows, rows.T, atol=FLOAT_TOLERANCE)
    # Centers of the six pixels lie at -1/3, 0, 1/3, 2/3, 1, 4/3 of the two.
    expected = np.array([1, 1, 2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(rows[0], expected, atol=1e-6)


# Rendering


slopes = hnp.arrays(np.float64, (3, 8), elements=st.floats(0.05, 8))
masks = hnp.arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 0, 1, 99, 254, 255]))


@st.composite
def photos(draw: st.DrawFn) -> Pixels:
    shape = (4, 6, draw(st.integers(1, 4)))
    dtype = draw(st.sampled_from(DTYPES))
    if dtype == "float32":
        # Beyond [0, 1], and with -0.0, which arithmetic turns into 0.0.
        values = st.sampled_from([-0.0]) | st.floats(-1, 3, width=32)
        return draw(hnp.arrays(np.float32, shape, elements=values))
    return draw(hnp.arrays(dtype, shape))


def bits(image: Pixels) -> Pixels:
    return np.ascontiguousarray(image).view(f"u{image.itemsize}")


def num_colors(image: Pixels) -> int:
    return 1 if image.shape[2] < 3 else 3


@given(image=photos(), mask=masks, curve_params=slopes)
@settings(deadline=None)
def test_where_the_mask_is_0_every_bit_stays(
    image: Pixels, mask: Pixels, curve_params: Pixels
) -> None:
    rendered = render_array(image, mask, Curves.from_params(curve_params))
    assert rendered.dtype == image.dtype
    outside = mask == 0 if mask.max() != 1 else mask < 0  # 0 and 1 only: truth values
    np.testing.assert_array_equal(bits(rendered[outside]), bits(image[outside]))


@given(image=photos(), mask=masks, curve_params=slopes)
@settings(deadline=None)
def test_alpha_stays(image: Pixels, mask: Pixels, curve_params: Pixels) -> None:
    rendered = render_array(image, mask, Curves.from_params(curve_params))
    colors = num_colors(image)
    np.testing.assert_array_equal(
        bits(rendered[..., colors:]), bits(image[..., colors:])
    )


def test_alpha_of_every_16_bit_value_stays_under_every_mask() -> None:
    alpha = np.broadcast_to(np.arange(65536, dtype=np.uint16)[:, None], (65536, 256))
    image = np.stack([np.zeros_like(alpha), alpha], axis=-1)
    mask = np.broadcast_to(np.arange(256, dtype=np.uint8), (65536, 256))
    rendered = render_array(image, mask, STRONG)
    np.testing.assert_array_equal(rendered, image)


@given(image=photos(), mask=masks, curve_params=slopes)
@settings(deadline=None)
def test_soft_masks_blend_the_rendered_with_the_original(
    image: Pixels, mask: Pixels, curve_params: Pixels
) -> None:
    curves = Curves.from_params(curve_params)
    colors = num_colors(image)
    full = full_scale(image)
    color = image[..., :colors].astype(np.float64) / full
    if colors == 1:
        curves = curves.luminance()
    inside = np.clip(color, 0, 1)
    mapped = curves(np.repeat(inside, 3 // colors, axis=-1))[..., :colors]
    mapped += color - inside
    M = (mask / 255.0 if mask.max() > 1 else mask * 1.0)[..., None]
    expected = full * (M * mapped + (1 - M) * color)
    rendered = render_array(image, mask, curves)[..., :colors]
    tolerance = FLOAT_TOLERANCE * 3 if full == 1 else ONE_STEP
    np.testing.assert_allclose(rendered, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@given(curve_params=slopes)
@settings(deadline=None, max_examples=20)
def test_table_and_float_path_agree_within_half_a_step(
    dtype: str, curve_params: Pixels
) -> None:
    curves = Curves.from_params(curve_params)
    image = pixels(dtype, size=(9, 11))
    full = full_scale(image)
    mask = np.ones((9, 11), dtype=bool)
    by_table = render_array(image, mask, curves)
    by_floats = render_array((image / full).astype(np.float32), mask, curves)
    # Half a step, and float32: 65535 times 6e-8 for the input, steepened by a slope.
    tolerance = 0.5 + 1e-6 * full
    np.testing.assert_allclose(by_table, by_floats * full, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_whole_foreground_is_the_curve(dtype: str, num_channels: int) -> None:
    image = pixels(dtype, num_channels)
    rendered = render_array(image, np.ones((H, W), bool), STRONG)
    colors = num_colors(image)
    assert (rendered[..., :colors] != image[..., :colors]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_mask_gives_the_photo_itself(dtype: str) -> None:
    photo = from_array(pixels(dtype))
    mask = mask_from_array(np.zeros((H, W), bool), size=(H, W))
    assert render(photo, mask, STRONG) is photo


@pytest.mark.parametrize("dtype", DTYPES)
def test_identity_gives_the_photo_itself(dtype: str) -> None:
    photo = from_array(pixels(dtype))
    mask = mask_from_array(np.ones((H, W), bool), size=(H, W))
    assert render(photo, mask, Curves.identity()) is photo


@pytest.mark.parametrize("dtype", DTYPES)
def test_gray_stays_gray_and_follows_the_luminance_curve(dtype: str) -> None:
    image = pixels(dtype, 1)
    mask = np.ones((H, W), bool)
    gray = render_array(image, mask, STRONG)
    rgb = render_array(np.repeat(image, 3, axis=-1), mask, STRONG.luminance())
    np.testing.assert_array_equal(gray, rgb[..., :1])


def test_curves_that_leave_the_range_are_clipped_as_in_the_table() -> None:
    overshooting = Curves.from_params(np.array([[3.0, -1.0]] * 3))
    image = np.linspace(0, 1, 30, dtype=np.float32).reshape(2, 5, 3)
    assert overshooting(image).max() > 1
    assert render_array(image, np.ones((2, 5)), overshooting).max() <= 1


def test_floats_beyond_the_range_keep_their_distance() -> None:
    image = np.array([[[-0.5, 2.0, 1.0]]], dtype=np.float32)
    rendered = render_array(image, np.ones((1, 1)), STRONG)
    np.testing.assert_allclose(rendered, image, atol=FLOAT_TOLERANCE)


def test_only_the_box_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    maplut = pyvips.Operation.call

    def spy(name: str, *args: Any, **options: Any) -> Any:
        if name == "maplut":
            seen.append((args[0].height, args[0].width))
        return maplut(name, *args, **options)

    monkeypatch.setattr(pyvips.Operation, "call", spy)
    mask = np.zeros((50, 60), bool)
    mask[10:13, 20:24] = True
    render_array(pixels(size=(50, 60)), mask, STRONG)
    assert seen == [(3, 4)]


def test_mask_of_another_size_is_not_rendered() -> None:
    photo = from_array(pixels())
    mask = mask_from_array(SOFT, size=(2, 4))
    with pytest.raises(ShapeError, match=r"5x7 \(height x width\), got 2x4$"):
        render(photo, mask, STRONG)


# Writing


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".jpeg", ".tiff", ".PNG"])
def test_written_files_are_read_back(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"out{suffix}"
    image = smooth_pixels()
    write_photo(from_array(image), target)
    difference = to_array(read_photo(target)).astype(int) - image
    is_jpeg = suffix in (".jpg", ".jpeg")
    assert np.abs(difference).max() <= (JPEG_TOLERANCE if is_jpeg else 0)
    assert list(tmp_path.iterdir()) == [target]


def test_webp_keeps_colors_hidden_under_alpha_0() -> None:
    image = pixels(num_channels=4)
    image[..., 3] = 0
    back = to_array(read_photo(encode_photo(from_array(image), ".webp")))
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_changes_the_size(suffix: str) -> None:
    photo = from_array(pixels(size=(64, 64)))
    low, high = (len(encode_photo(photo, suffix, quality=q)) for q in (20, 90))
    assert low < high


def test_jpeg_quality_is_95_without_chroma_subsampling() -> None:
    photo = from_array(pixels(size=(64, 64)))
    assert encode_photo(photo, ".jpg") == encode_photo(photo, ".jpg", quality=95)
    assert (
        read_photo(encode_photo(photo, ".jpg")).get("jpeg-chroma-subsample") == "4:4:4"
    )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_quality_of_a_lossless_format(suffix: str) -> None:
    with pytest.raises(UsageError, match="quality applies to JPEG, WebP and AVIF only"):
        encode_photo(from_array(pixels()), suffix, quality=90)


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_out_of_range(quality: int) -> None:
    with pytest.raises(UsageError, match=f"a quality from 1 to 100, got {quality}"):
        encode_photo(from_array(pixels()), ".jpg", quality=quality)


def test_jpeg_refuses_alpha() -> None:
    with pytest.raises(UsageError, match=r"JPEG holds no alpha channel; use \.png"):
        encode_photo(from_array(pixels(num_channels=4)), ".jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_eight_bit_formats_refuse_16(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"holds 8 bit, not 16; use \.png"):
        encode_photo(from_array(pixels("uint16")), suffix)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_only_tiff_takes_floats(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"only TIFF holds float pixels; use \.tif"):
        encode_photo(from_array(pixels("float32")), suffix)


def test_picture_larger_than_its_format() -> None:
    message = r"output: cannot be encoded \(webpsave: image too large\)"
    with pytest.raises(ImageError, match=message):
        encode_photo(from_array(np.zeros((1, 20_000), np.uint8)), ".webp")


@pytest.mark.parametrize("name", ["out.bmp", "out", "out.png.gz"])
def test_unknown_extension_lists_the_known(name: str, tmp_path: Path) -> None:
    message = r"an extension of \.jpg, \.jpeg, \.png, \.webp, \.tif, \.tiff, \.avif, g"
    with pytest.raises(UsageError, match=message):
        write_photo(from_array(pixels()), tmp_path / name)


def test_missing_output_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder .*nowhere does not exist"):
        check_target(tmp_path / "nowhere" / "out.png", [".png"])


def test_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file is not a folder$"):
        check_target(tmp_path / "file" / "out.png", [".png"])


def test_output_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(UsageError, match="expected a file to write, got a folder"):
        check_target(tmp_path / "out.png", [".png"], overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_output_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.png")
    with pytest.raises(UsageError, match="expected a regular file, got a device"):
        check_target(tmp_path / "out.png", [".png"], overwrite=True)


def test_output_folder_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(UsageError, match="no permission to write to the folder"):
        check_target(tmp_path / "out.png", [".png"])


def test_existing_output_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"out\.png: exists already"):
        write_photo(from_array(pixels()), target)
    assert target.read_bytes() == b"old"


def test_existing_output_is_replaced_on_request(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    target.chmod(0o600)
    write_photo(from_array(pixels()), target, overwrite=True)
    np.testing.assert_array_equal(to_array(read_photo(target)), pixels())
    assert target.stat().st_mode & 0o777 == 0o600


def test_new_output_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_photo(from_array(pixels()), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.fixture(params=["unnamed", "named"])
def draft_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Drafts without a name, as Linux has them, and with one, as elsewhere."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    return str(request.param)


@pytest.mark.parametrize("overwrite", [False, True])
def test_ctrl_c_while_encoding_leaves_nothing_behind(
    overwrite: bool, draft_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    if overwrite:
        target.write_bytes(b"old")

    def interrupt(name: str, *args: Any, **_: Any) -> None:
        named = list(tmp_path.glob(".imharmony-*.png"))
        assert len(named) == (draft_kind == "named")
        raise KeyboardInterrupt

    photo = from_array(pixels())
    monkeypatch.setattr(pyvips.Operation, "call", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_photo(photo, target, overwrite=overwrite)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"] * overwrite


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.usefixtures("draft_kind")
def test_draft_takes_the_name_of_the_target(overwrite: bool, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    if overwrite:
        target.write_bytes(b"old")
    write_photo(from_array(pixels()), target, overwrite=overwrite)
    assert list(tmp_path.iterdir()) == [target]
    np.testing.assert_array_equal(to_array(read_photo(target)), pixels())


def test_failure_while_encoding_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    encoded = encode_photo(from_array(pixels(size=(64, 64))), ".jpg")
    half = pyvips.Image.jpegload_buffer(encoded[: len(encoded) // 2], fail_on="error")
    with pytest.raises(
        ImageError, match=r"out\.png: cannot be written \(VipsJpeg: pre"
    ):
        write_photo(half, target, overwrite=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ImageError, match=r"cannot be written \(No space left on dev"):
        write_photo(from_array(pixels()), tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_links", [True, False])
def test_file_that_appears_meanwhile_is_kept(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    monkeypatch.setattr(os, "fsync", lambda _: target.write_bytes(b"theirs"))
    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    with pytest.raises(UsageError, match="exists already"):
        write_photo(from_array(pixels()), target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]


def test_file_systems_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    write_photo(from_array(pixels()), tmp_path / "out.png")
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def refuse_links(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def test_full_scale_knows_every_format() -> None:
    for dtype in DTYPES:
        image = pixels(dtype)
        assert FULL_SCALE[from_array(image).format] == full_scale(image)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("behind", [0.02, 0.98])
def test_feathered_edge_has_no_halo(behind: float, dtype: str) -> None:
    # A gray object whose edge fades over 40 pixels into a nearly black or white rest.
    # From the object to the rest the result must go one way, as the composite does,
    # whether the curve brightens or darkens: a halo would be a dip or a bump.
    soft = np.clip((100 - np.arange(160)) / 40, 0, 1)[np.newaxis]  # 1 … 0
    values = soft * 0.5 + (1 - soft) * behind
    top = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    composite = np.repeat((values * top).astype(dtype)[..., np.newaxis], 3, axis=2)
    mask = np.rint(soft * 255).astype(np.uint8)
    knots = np.linspace(0, 1, 65)
    for gamma in (0.6, 1.6):
        curves = Curves((knots,) * 3, (knots**gamma,) * 3)
        edge = render_array(composite, mask, curves)[0, :, 0].astype(np.float64) / top
        inside, outside = edge[0], edge[-1]
        steps = np.diff(edge) * np.sign(outside - inside)
        assert steps.min() > -2 / 255
        assert outside == pytest.approx(behind, abs=1 / 255)
