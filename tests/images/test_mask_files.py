"""Masks from files: any picture may be one; and the photo read with its mask."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony.errors import DecodeError, ImageError, ShapeError
from imharmony.images.files import encode_photo, read_photo, write_photo
from imharmony.images.mask_files import read_mask, read_pair
from imharmony.images.masks import mask_box
from imharmony.images.photo import Box, from_array, to_array, to_rgb

Pixels = npt.NDArray[Any]

H, W = 5, 7
DTYPES = ("uint8", "uint16", "float32")
SOFT = np.array([[0, 1, 127, 255], [3, 128, 254, 0]], dtype=np.uint8)


def pixels(
    dtype: str = "uint8", num_channels: int = 3, size: tuple[int, int] = (H, W)
) -> Pixels:
    values = np.random.default_rng(1).random((*size, num_channels))
    if dtype == "float32":
        return values.astype(np.float32)
    return (values * np.iinfo(dtype).max).astype(dtype)


def full_scale(array: Pixels) -> float:
    return 1.0 if array.dtype == np.float32 else float(np.iinfo(array.dtype).max)


def read_mask_from(photo: pyvips.Image, **options: Any) -> Pixels:
    encoded = photo.tiffsave_buffer(**options)
    mask = read_mask(encoded, size=(photo.height, photo.width))
    assert (mask.bands, mask.format) == (1, "uchar")
    return to_array(mask)[..., 0]


def test_gray_mask_stays_soft() -> None:
    np.testing.assert_array_equal(read_mask_from(from_array(SOFT)), SOFT)


def test_rgb_mask_of_every_gray_is_exact() -> None:
    gray = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(read_mask_from(to_rgb(from_array(gray))), gray)


def test_color_mask_is_its_luma() -> None:
    red = np.array([[[255, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    # 0.2126 * 255 = 54.2; ITU-R BT.709
    assert read_mask_from(from_array(red)).tolist() == [[54, 255]]


@pytest.mark.parametrize("num_channels", [2, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_alpha_that_is_not_opaque_is_the_mask(dtype: str, num_channels: int) -> None:
    image = pixels(dtype, num_channels)
    expected = np.rint(image[..., -1] / full_scale(image) * 255)
    np.testing.assert_array_equal(read_mask_from(from_array(image)), expected)


def test_under_opaque_alpha_the_brightness_is_the_mask() -> None:
    image = np.stack([SOFT, np.full_like(SOFT, 255)], axis=-1)
    np.testing.assert_array_equal(read_mask_from(from_array(image)), SOFT)


@pytest.mark.parametrize("bitdepth", [1, 2, 4])
def test_palette_and_few_bits(bitdepth: int) -> None:
    hard = (SOFT > 100).astype(np.uint8) * 255
    photo = to_rgb(from_array(hard))
    encoded = photo.pngsave_buffer(palette=True, bitdepth=bitdepth)
    mask = read_mask(encoded, size=hard.shape)
    np.testing.assert_array_equal(to_array(mask)[..., 0], hard)


def test_noise_of_a_jpeg_mask_is_no_foreground() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:50] = 255
    noisy = encode_photo(from_array(mask), ".jpg", quality=75)
    assert len(np.unique(to_array(read_photo(noisy)))) > 2
    box = mask_box(read_mask(noisy, size=(64, 64)))
    assert box == Box(20, 10, 20, 40)


def test_one_bit_mask() -> None:
    hard = (SOFT > 100).astype(np.uint8) * 255
    np.testing.assert_array_equal(read_mask_from(from_array(hard), bitdepth=1), hard)


def test_sixteen_bit_mask_is_scaled() -> None:
    wide = SOFT.astype(np.uint16) * 257
    wide += (SOFT < 255) * np.uint16(128)  # just not enough to round up
    np.testing.assert_array_equal(read_mask_from(from_array(wide)), SOFT)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_rgb", [False, True])
def test_zeros_and_ones_are_a_mask(dtype: str, is_rgb: bool) -> None:
    ones = (SOFT > 100).astype(dtype)
    photo = from_array(ones[..., None].repeat(3 if is_rgb else 1, axis=-1))
    np.testing.assert_array_equal(read_mask_from(photo), ones * 255)


def test_float_mask_out_of_range_is_refused() -> None:
    encoded = from_array(np.array([[-0.5, 2.0]], np.float32)).tiffsave_buffer()
    message = r"mask data: expected a float mask within \[0, 1\], got -0.5 to 2$"
    with pytest.raises(ImageError, match=message):
        read_mask(encoded, size=(1, 2))


def test_mask_orientation_is_applied() -> None:
    stored = from_array(SOFT).copy()
    stored.set_type(pyvips.GValue.gint_type, "orientation", 6)
    mask = read_mask(stored.pngsave_buffer(), size=(4, 2))
    np.testing.assert_array_equal(to_array(mask)[..., 0], SOFT.swapaxes(0, 1)[:, ::-1])


def test_mask_of_another_size_names_both_sizes_and_the_way_out(tmp_path: Path) -> None:
    write_photo(from_array(SOFT), tmp_path / "mask.png")
    message = (
        r"mask\.png: expected .* 5x7 \(height x width\), got 2x4\nresize_mask=True"
    )
    with pytest.raises(ShapeError, match=message):
        read_mask(tmp_path / "mask.png", size=(5, 7))


def test_mask_of_another_size_is_stretched_on_request() -> None:
    half = np.zeros((10, 20), dtype=np.uint8)
    half[:, 10:] = 255
    encoded = encode_photo(from_array(half), ".png")
    mask = to_array(read_mask(encoded, size=(25, 40), resize=True))
    assert mask.shape == (25, 40, 1)
    assert (mask[:, :19] == 0).all()
    assert (mask[:, 21:] == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_a_mask_brings_nothing_of_its_file_along(suffix: str) -> None:
    photo = from_array(pixels())
    photo.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x/>")
    noted = read_mask(encode_photo(photo, suffix), size=pixels().shape[:2])
    kept = ("imharmony-", "exif-", "icc-", "xmp-", "iptc-")
    assert [name for name in noted.get_fields() if name.startswith(kept)] == []


# Photo and mask at once


def test_pair_is_the_photo_and_its_mask(tmp_path: Path) -> None:
    image, mask = pixels(size=(8, 9)), np.zeros((8, 9), np.uint8)
    mask[2:4] = 200
    for name, array in (("photo", image), ("mask", mask)):
        write_photo(from_array(array), tmp_path / f"{name}.png")
    pair = read_pair(tmp_path / "photo.png", tmp_path / "mask.png")
    np.testing.assert_array_equal(to_array(pair[0]), image)
    np.testing.assert_array_equal(to_array(pair[1])[..., 0], mask)


def test_pair_of_different_sizes_names_the_mask() -> None:
    photo, mask = (
        encode_photo(from_array(np.zeros((height, 9), np.uint8)), ".png")
        for height in (8, 4)
    )
    with pytest.raises(ShapeError, match=r"^mask data: .* 8x9 .*, got 4x9"):
        read_pair(photo, mask)
    assert read_pair(photo, mask, resize=True)[1].height == 8


@pytest.mark.parametrize(
    ("broken", "name"), [((0,), "one"), ((1,), "two"), ((0, 1), "one")]
)
def test_pair_with_a_broken_file_names_the_first(
    broken: tuple[int, ...], name: str
) -> None:
    whole = encode_photo(from_array(np.zeros((8, 9), np.uint8)), ".png")
    sources = [b"neither" if k in broken else whole for k in range(2)]
    with pytest.raises(DecodeError, match=rf"^{name}: "):
        read_pair(sources[0], sources[1], names=("one", "two"))
