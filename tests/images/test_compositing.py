"""Pasting a cut-out on a background."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imharmony.errors import HarmonizeWarning, ImageError, UsageError
from imharmony.images.compositing import (
    Length,
    Pasted,
    parse_length,
    parse_point,
    paste,
    side_by_side,
)
from imharmony.images.photo import from_array, to_array

Pixels = npt.NDArray[Any]

DTYPES = ("uint8", "uint16", "float32")

ORIGIN = (Length(0), Length(0))
HALF = Length(50, is_percent=True)


def pixels(
    dtype: str = "uint8", num_channels: int = 3, size: tuple[int, int] = (8, 10)
) -> Pixels:
    values = np.random.default_rng(5).random((*size, num_channels))
    return as_depth(values, dtype)


def as_depth(image: Pixels, dtype: str) -> Pixels:
    if dtype == "float32":
        return image.astype(np.float32)
    whole: Pixels = np.rint(image * np.iinfo(dtype).max).astype(dtype)
    return whole


def full_scale(array: Pixels) -> float:
    return 1.0 if array.dtype == np.float32 else float(np.iinfo(array.dtype).max)


def paste_arrays(
    cutout: Pixels,
    background: Pixels,
    at: tuple[Length | float, Length | float] = ORIGIN,
    **options: Length,
) -> tuple[Pixels, Pixels]:
    pasted = paste(from_array(cutout), from_array(background), at=at, **options)
    return to_array(pasted.composite), to_array(pasted.mask)[..., 0]


def red_disc(size: int = 64) -> Pixels:
    """An opaque red disc on transparent black, uint8 (size, size, 4)."""
    y, x = np.mgrid[:size, :size] + 0.5
    is_inside = np.hypot(y - size / 2, x - size / 2) < size / 3
    return np.where(is_inside[..., None], [255, 0, 0, 255], 0).astype(np.uint8)


# Lengths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", Length(120)),
        ("120px", Length(120)),
        (" 120 px ", Length(120)),
        ("-7", Length(-7)),
        ("+7", Length(7)),
        (".5", Length(0.5)),
        ("30%", Length(30, is_percent=True)),
        ("-12.5%", Length(-12.5, is_percent=True)),
    ],
)
def test_lengths_are_read(text: str, expected: Length) -> None:
    assert parse_length(text) == expected


@pytest.mark.parametrize(
    "text", ["", "px", "12cm", "1,5", "nan", "inf", "1e3", "--1", "%", "1 2"]
)
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as 120 or 120px.* 30%, got '"):
        parse_length(text)


def test_length_beyond_all_numbers() -> None:
    with pytest.raises(UsageError, match="expected a finite length, got inf"):
        parse_length("9" * 400)


def test_points_are_two_lengths() -> None:
    assert parse_point("-5, 30%") == (Length(-5), Length(30, is_percent=True))


@pytest.mark.parametrize("text", ["", "5", "1,2,3", "5x7"])
def test_other_points_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a position X,Y, such as 120,80"):
        parse_point(text)


def test_length_in_pixels() -> None:
    assert Length(30).pixels(200) == 30
    assert Length(30, is_percent=True).pixels(200) == 60


@pytest.mark.parametrize("text", ["30%", "120px", "-2.5px"])
def test_length_reads_as_it_was_written(text: str) -> None:
    assert str(parse_length(text)) == text


# Placing


@pytest.mark.parametrize("dtype", DTYPES)
def test_opaque_cutout_replaces_the_background(dtype: str) -> None:
    cutout = pixels(dtype, 4, size=(3, 4))
    cutout[..., 3] = full_scale(cutout)
    background = pixels(dtype, 3)
    expected = background.copy()
    expected[2:5, 5:9] = cutout[..., :3]
    composite, mask = paste_arrays(cutout, background, (5, Length(2)))
    assert composite.dtype == background.dtype
    np.testing.assert_allclose(composite, expected, rtol=0, atol=1e-7)
    assert mask.sum() == 3 * 4 * 255
    assert (mask[2:5, 5:9] == 255).all()


def test_percent_is_of_the_background() -> None:
    _, mask = paste_arrays(
        np.full((1, 1, 4), 255, np.uint8), pixels(), (HALF, parse_length("25%"))
    )
    assert np.argwhere(mask).tolist() == [[2, 5]]


def test_positions_are_rounded_to_whole_pixels() -> None:
    dot = np.full((1, 1, 4), 255, np.uint8)
    _, mask = paste_arrays(dot, pixels(), (2.6, 3.4))
    assert np.argwhere(mask).tolist() == [[3, 3]]


@given(x=st.integers(-6, 12), y=st.integers(-6, 10))
@settings(deadline=None)
def test_what_reaches_outside_is_cut_off(x: int, y: int) -> None:
    cutout = pixels(num_channels=4, size=(5, 5))
    cutout[..., 3] = 255
    background = pixels()
    wide = np.zeros((30, 32, 3), np.uint8)
    wide[10:18, 10:20] = background
    wide[10 + y : 15 + y, 10 + x : 15 + x] = cutout[..., :3]
    expected = wide[10:18, 10:20]
    if not (-5 < x < 10 and -5 < y < 8):
        with pytest.raises(UsageError, match=f"got x {x}, y {y}$"):
            paste_arrays(cutout, background, (x, y))
        return
    composite, _ = paste_arrays(cutout, background, (x, y))
    np.testing.assert_array_equal(composite, expected)


def test_wholly_outside_says_both_sizes() -> None:
    message = (
        r"cut-out \(4 wide, 3 high\) on the background \(10 wide, 8 high\), "
        "got x 10, y 0"
    )
    with pytest.raises(UsageError, match=message):
        paste_arrays(pixels(num_channels=4, size=(3, 4)), pixels(), (10, 0))


# Blending


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cutout_dtype", DTYPES)
@pytest.mark.parametrize("num_colors", [1, 3])
def test_blend_is_the_formula_at_the_depth_of_the_background(
    dtype: str, cutout_dtype: str, num_colors: int
) -> None:
    cutout = pixels(cutout_dtype, num_colors + 1)
    background = pixels(dtype, 3)[::-1]
    alpha = cutout[..., -1:] / full_scale(cutout)
    color = cutout[..., :-1] / full_scale(cutout)
    full = full_scale(background)
    expected = full * alpha * color + (1 - alpha) * background
    composite, mask = paste_arrays(cutout, background)
    assert composite.dtype == background.dtype
    tolerance = 1e-6 if full == 1 else 0.5 + 1e-6 * full  # rounded once
    seen = mask > 0  # alpha too faint for the mask is another test
    np.testing.assert_allclose(composite[seen], expected[seen], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(mask, np.rint(alpha[..., 0] * 255))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
@given(alpha=hnp.arrays(np.uint8, (8, 10), elements=st.sampled_from([0, 0, 1, 255])))
@settings(deadline=None, max_examples=20)
def test_where_the_mask_is_0_every_bit_stays(
    dtype: str, num_channels: int, alpha: Pixels
) -> None:
    background = pixels(dtype, num_channels)
    background[0] *= 0
    if dtype == "float32":
        background[0] = -0.0  # arithmetic would make it 0.0
    cutout = np.stack([255 - alpha, alpha], axis=-1)
    composite, mask = paste_arrays(cutout, background)
    np.testing.assert_array_equal(mask, alpha)
    kept, given_ = composite[mask == 0], background[mask == 0]
    bits = f"u{background.itemsize}"
    np.testing.assert_array_equal(kept.view(bits), given_.view(bits))


def test_alpha_too_faint_for_the_mask_leaves_the_background() -> None:
    cutout = np.full((8, 10, 4), 65535, np.uint16)
    cutout[..., 3] = 100  # of 65535: 0.39 of 255, rounded to 0
    background = pixels("uint16")
    composite, mask = paste_arrays(cutout, background)
    assert mask.max() == 0
    np.testing.assert_array_equal(composite, background)


def test_opaque_background_stays_opaque() -> None:
    background = pixels(num_channels=4)
    background[..., 3] = 255
    cutout = pixels(num_channels=4)
    composite, mask = paste_arrays(cutout, background)
    without_alpha, mask_without_alpha = paste_arrays(cutout, background[..., :3])
    assert (composite[..., 3] == 255).all()
    np.testing.assert_array_equal(composite[..., :3], without_alpha)
    np.testing.assert_array_equal(mask, mask_without_alpha)


def test_transparent_background_becomes_as_opaque_as_the_cutout() -> None:
    cutout = pixels(num_channels=4)
    background = pixels(num_channels=4)[::-1].copy()
    background[..., 3] = 0
    composite, mask = paste_arrays(cutout, background)
    np.testing.assert_array_equal(composite[..., 3], mask)
    visible = mask > 0
    np.testing.assert_array_equal(composite[visible], cutout[visible])


def test_half_transparent_background_follows_porter_and_duff() -> None:
    cutout = np.array([[[255, 0, 0, 51]]], np.uint8)  # alpha 0.2
    background = np.array([[[0, 0, 255, 127]]], np.uint8)
    composite, _ = paste_arrays(cutout, background)
    below = 0.8 * 127 / 255
    opacity = 0.2 + below
    expected = np.array([0.2 / opacity, 0, below / opacity, opacity]) * 255
    np.testing.assert_array_equal(composite[0, 0], np.rint(expected))


def test_gray_background_becomes_rgb_under_a_colored_cutout() -> None:
    background = pixels(num_channels=1)
    composite, mask = paste_arrays(red_disc(6), background)
    assert composite.shape == (8, 10, 3)
    outside = np.repeat(background, 3, axis=-1)[mask == 0]
    np.testing.assert_array_equal(composite[mask == 0], outside)
    assert (composite[mask == 255] == [255, 0, 0]).all()


def test_gray_background_stays_gray_under_a_gray_cutout() -> None:
    composite, _ = paste_arrays(pixels(num_channels=2), pixels(num_channels=1))
    assert composite.shape == (8, 10, 1)


def test_metadata_of_the_background_is_kept() -> None:
    blob = pyvips.GValue.blob_type
    background, cutout = (from_array(pixels(num_channels=n)).copy() for n in (3, 4))
    profile = pyvips.Image.profile_load("p3")
    background.set_type(blob, "icc-profile-data", profile)
    pasted = paste(cutout, background, at=ORIGIN)
    assert bytes(pasted.composite.get("icc-profile-data")) == bytes(profile)
    assert pasted.composite.interpretation == background.interpretation


def test_profile_of_a_gray_background_is_dropped_aloud() -> None:
    background = from_array(pixels(num_channels=1)).copy()
    background.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"gray")
    with pytest.warns(HarmonizeWarning, match="profile of a gray picture is dropped"):
        pasted = paste(from_array(red_disc(6)), background, at=ORIGIN)
    assert not pasted.composite.get_typeof("icc-profile-data")


def test_mask_is_one_channel_of_8_bit_at_the_size_of_the_background() -> None:
    background = from_array(pixels("uint16"))
    pasted = paste(from_array(red_disc(6)), background, at=ORIGIN)
    assert isinstance(pasted, Pasted)
    mask = pasted.mask
    assert (mask.bands, mask.format, mask.interpretation) == (1, "uchar", "b-w")
    assert (mask.height, mask.width) == (8, 10)


def test_cutout_without_alpha_is_refused() -> None:
    message = "a cut-out with an alpha channel, such as an RGBA PNG, got 3 channels"
    with pytest.raises(ImageError, match=message):
        paste_arrays(pixels(), pixels())


# Comparing


@pytest.mark.parametrize("dtype", DTYPES)
def test_strip_joins_pictures_of_all_kinds(dtype: str) -> None:
    gray, rgba = pixels("uint8", 1), pixels(dtype, 4)
    strip = to_array(side_by_side([from_array(rgba), from_array(gray)]))
    assert strip.dtype == np.uint8
    expected = np.rint(rgba[..., :3] / full_scale(rgba) * 255)
    np.testing.assert_array_equal(strip[:, :10], expected)
    np.testing.assert_array_equal(strip[:, 10:], np.repeat(gray, 3, axis=-1))


def test_strip_clips_floats() -> None:
    strip = side_by_side([from_array(np.array([[-1, 7]], np.float32))])
    assert to_array(strip)[0, :, 0].tolist() == [0, 255]


# Scaling


@pytest.mark.parametrize(
    ("text", "size"),
    [("50%", (4, 5)), ("5", (4, 5)), ("20px", (16, 20)), ("250%", (20, 25))],
)
def test_scale_is_a_width_or_percent_of_the_cutout(
    text: str, size: tuple[int, int]
) -> None:
    cutout = np.full((8, 10, 4), 255, np.uint8)
    background = np.zeros((40, 40, 3), np.uint8)
    composite, mask = paste_arrays(cutout, background, scale=parse_length(text))
    expected = np.zeros((40, 40), np.uint8)
    expected[: size[0], : size[1]] = 255
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(composite, expected[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize("text", ["0.4", "0%", "-50%", "0px"])
def test_scale_that_leaves_nothing(text: str) -> None:
    with pytest.raises(UsageError, match=r"a cut-out from 1 pixel wide .*50% halves"):
        paste_arrays(red_disc(), pixels(), scale=parse_length(text))


def test_scale_beyond_what_libvips_can_count() -> None:
    with pytest.raises(UsageError, match=r"to 10000000 wide and high, got 99999999 w"):
        paste_arrays(red_disc(), pixels(), scale=Length(99_999_999))


def test_only_the_visible_part_of_a_huge_cutout_is_computed() -> None:
    # 640,000 squared would be 3 TB.
    scale = parse_length("1000000%")
    composite, _ = paste_arrays(red_disc(), pixels(), (-320_000, -320_000), scale=scale)
    assert (composite == [255, 0, 0]).all()


@pytest.mark.parametrize("percent", [13, 50, 77, 150, 310])
def test_scaled_disc_on_white_has_no_dark_halo(percent: int) -> None:
    background = np.full((220, 220, 3), 255, np.uint8)
    composite, mask = paste_arrays(
        red_disc(), background, scale=Length(percent, is_percent=True)
    )
    # Red over white is 255 in red however soft the edge; hidden black would show.
    assert composite[..., 0].min() >= 254
    assert (composite[mask == 255] == [255, 0, 0]).all()
    assert mask.max() == 255


@pytest.mark.parametrize("percent", [50, 150])
def test_scaled_disc_on_black_has_no_bright_halo(percent: int) -> None:
    background = np.zeros((100, 100, 3), np.uint8)
    composite, mask = paste_arrays(
        red_disc(), background, scale=Length(percent, is_percent=True)
    )
    difference = composite[..., 0].astype(int) - mask
    assert np.abs(difference).max() <= 1
    assert composite[..., 1:].max() == 0


@pytest.mark.parametrize("percent", [50, 150])
def test_scaled_disc_has_no_ring_of_another_brightness(percent: int) -> None:
    disc = red_disc() // np.array([2, 1, 1, 1], np.uint8)  # 127: room above and below
    background = np.full((100, 100, 3), 127, np.uint8)
    composite, _ = paste_arrays(
        disc, background, scale=Length(percent, is_percent=True)
    )
    assert (composite[..., 0] == 127).all()


@pytest.mark.parametrize("percent", [50, 150, 300])
def test_scaling_keeps_the_middle_in_the_middle(percent: int) -> None:
    size = 64 * percent // 100
    background = np.zeros((size, size, 3), np.uint8)
    _, mask = paste_arrays(
        red_disc(), background, scale=Length(percent, is_percent=True)
    )
    difference = mask.astype(int) - mask[::-1, ::-1]
    assert np.abs(difference).max() <= 1
