"""Thumbnails, against a triangle filter written out in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.errors import ImageError
from imharmony.images import pixels as pixels_module
from imharmony.images.masks import mask_from_array
from imharmony.images.photo import from_array
from imharmony.inference.thumbnails import Thumbnails, make_thumbnails

Pixels = npt.NDArray[Any]

SIZE = (32, 24)

# From 8 times on, plain means of blocks of pixels come first.
TOLERANCE = 2 / 255
MEAN_TOLERANCE = 0.3 / 255
# Weights are float32, and their sums 1 within a rounding.
ROUNDING = 1e-6


def triangle_weights(length: int, new_length: int) -> Pixels:
    """Weights (new_length, length) of Pillow's antialiased bilinear filter."""
    scale = length / new_length
    support = max(scale, 1.0)
    centers = (np.arange(new_length) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centers[:, None]) / support
    weights = np.clip(1 - distance, 0, None)
    normalized: Pixels = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def reference(image: Pixels, size: tuple[int, int] = SIZE) -> Pixels:
    """Resize floats (H, W, C) to (C, h, w)."""
    rows = triangle_weights(image.shape[0], size[0])
    columns = triangle_weights(image.shape[1], size[1])
    resized: Pixels = rows @ image.transpose(2, 0, 1) @ columns.T
    return resized


def scene(size: tuple[int, int]) -> Pixels:
    """Waves and a little noise, floats (H, W, 3) in [0, 1]."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(7 * x / size[1] + 3 * y / size[0] + c) for c in range(3)]
    noise = np.random.default_rng(3).normal(0, 0.04, (*size, 3))
    return np.clip(0.5 + 0.45 * np.stack(waves, axis=-1) + noise, 0, 1)


def disc(size: tuple[int, int]) -> Pixels:
    """A soft disc off center, floats (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]]
    radius = np.hypot((y + 0.5) / size[0] - 0.4, (x + 0.5) / size[1] - 0.55)
    soft: Pixels = np.clip((0.3 - radius) * 12, 0, 1)
    return soft


def thumbnails_of(
    image: Pixels, mask: Pixels, size: tuple[int, int] = SIZE
) -> Thumbnails:
    soft = mask_from_array(mask, size=(image.shape[0], image.shape[1]))
    return make_thumbnails(from_array(image), soft, size=size)


def as_depth(image: Pixels, dtype: str) -> Pixels:
    if dtype == "float32":
        return image.astype(np.float32)
    whole: Pixels = np.rint(image * np.iinfo(dtype).max).astype(dtype)
    return whole


def assert_close(thumbnail: Pixels, expected: Pixels) -> None:
    assert thumbnail.dtype == np.float32
    assert thumbnail.shape == expected.shape
    assert thumbnail.flags.c_contiguous
    difference = np.abs(thumbnail - expected)
    assert difference.max() <= TOLERANCE
    assert difference.mean() <= MEAN_TOLERANCE


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "size",  # to 32 x 24
    [
        (640, 480),
        (416, 312),
        (100, 300),
        (33, 25),
        (31, 23),
        (10, 7),
        (9, 400),
        (32, 24),
    ],
)
def test_thumbnails_are_an_antialiased_triangle_filter(
    size: tuple[int, int], dtype: str
) -> None:
    image, mask = as_depth(scene(size), dtype), as_depth(disc(size), "uint8")
    thumbnails = thumbnails_of(image, mask)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    values = image.astype(np.float64) / full
    soft = mask[..., None] / 255
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert_close(thumbnails.composite[0], reference(values))
    assert_close(thumbnails.mask[0], reference(soft))
    assert_close(thumbnails.foreground, reference(values[box]))
    assert_close(thumbnails.foreground_mask, reference(soft[box]))


def test_very_large_photos_do_not_darken() -> None:
    image = np.full((30_000, 50, 3), 250, np.uint8)
    thumbnails = thumbnails_of(image, np.ones((30_000, 50), bool))
    np.testing.assert_allclose(thumbnails.composite, 250 / 255, rtol=0, atol=TOLERANCE)


def test_box_holds_every_pixel_of_the_mask_that_is_not_0() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[4, 30], mask[20, 10] = 1, 200  # 1 of 255 is nearly nothing, and counts
    image = np.zeros((40, 40, 3), np.uint8)
    image[4:21, 10:31] = 255
    foreground = thumbnails_of(image, mask).foreground
    np.testing.assert_array_equal(foreground, 1)


def test_masks_are_neither_hardened_nor_multiplied_in() -> None:
    image = np.full((64, 48, 3), 255, np.uint8)
    thumbnails = thumbnails_of(image, disc((64, 48)))
    assert np.mean((thumbnails.mask > 0.05) & (thumbnails.mask < 0.95)) > 0.1
    for pixels in (thumbnails.composite, thumbnails.foreground):
        np.testing.assert_allclose(pixels, 1, rtol=0, atol=ROUNDING)


def test_gray_becomes_three_equal_channels() -> None:
    image = as_depth(scene((50, 40)), "uint8")[..., :1]
    thumbnails = thumbnails_of(image, disc((50, 40)))
    rgb = thumbnails_of(np.repeat(image, 3, axis=-1), disc((50, 40)))
    np.testing.assert_array_equal(thumbnails.composite, rgb.composite)
    np.testing.assert_array_equal(thumbnails.foreground, rgb.foreground)


@pytest.mark.parametrize("num_colors", [1, 3])
def test_alpha_is_dropped_and_not_multiplied_in(num_colors: int) -> None:
    image = as_depth(scene((50, 40)), "uint8")[..., :num_colors]
    alpha = np.zeros((50, 40, 1), np.uint8)
    with_alpha = np.concatenate([image, alpha], axis=-1)
    thumbnails = thumbnails_of(with_alpha, disc((50, 40)))
    without = thumbnails_of(image, disc((50, 40)))
    np.testing.assert_array_equal(thumbnails.composite, without.composite)
    np.testing.assert_array_equal(thumbnails.foreground, without.foreground)


def test_floats_are_clipped_before_they_are_averaged() -> None:
    image = np.full((50, 40, 3), 0.25, np.float32)
    bright, white = image.copy(), image.copy()
    bright[20, 20], white[20, 20] = 1000, 1
    bright[30, 30], white[30, 30] = -1000, 0
    np.testing.assert_array_equal(
        thumbnails_of(bright, disc((50, 40))).composite,
        thumbnails_of(white, disc((50, 40))).composite,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_tiny_and_thin_photos(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 51, np.uint8)
    thumbnails = thumbnails_of(image, np.ones(size, bool))
    for pixels in (thumbnails.composite[0], thumbnails.foreground):
        assert pixels.shape == (3, *SIZE)
        np.testing.assert_allclose(pixels, 0.2, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(thumbnails.mask, 1, rtol=0, atol=TOLERANCE)


def test_foreground_of_a_single_pixel_fills_its_thumbnail() -> None:
    image = as_depth(scene((70, 90)), "uint8")
    mask = np.zeros((70, 90), bool)
    mask[69, 13] = True
    thumbnails = thumbnails_of(image, mask)
    color = image[69, 13][:, None, None] / np.float32(255)
    np.testing.assert_array_equal(
        thumbnails.foreground, np.broadcast_to(color, (3, *SIZE))
    )
    np.testing.assert_array_equal(thumbnails.foreground_mask, 1)


def test_values_stay_in_the_unit_interval() -> None:
    image = np.where(np.indices((90, 80)).sum(axis=0) % 7 > 2, 255, 0)
    thumbnails = thumbnails_of(image.astype(np.uint8)[..., None], disc((90, 80)))
    for pixels in vars(thumbnails).values():
        assert pixels.min() >= 0
        assert pixels.max() <= 1


def test_empty_mask_is_refused() -> None:
    with pytest.raises(
        ImageError, match=r"a mask with a foreground, got 0 everywhere$"
    ):
        thumbnails_of(as_depth(scene((9, 9)), "uint8"), np.zeros((9, 9), bool))


def test_another_background_is_seen_whole_and_the_foreground_as_before() -> None:
    photo = from_array(as_depth(scene((50, 40)), "uint8"))
    mask = mask_from_array(disc((50, 40)), size=(50, 40))
    other = from_array(np.full((7, 90, 3), 51, np.uint8))
    own = make_thumbnails(photo, mask, size=SIZE)
    seen = make_thumbnails(photo, mask, size=SIZE, reference=other)
    np.testing.assert_allclose(seen.composite, 0.2, rtol=0, atol=1e-6)
    assert not seen.mask.any()
    np.testing.assert_array_equal(seen.foreground, own.foreground)
    np.testing.assert_array_equal(seen.foreground_mask, own.foreground_mask)


def test_views_draw_their_frame_in_to_the_object() -> None:
    # The box is rows 40 to 80 of 100 and columns 60 to 80 of 200; half way in, the
    # frame is rows 20 to 90 and columns 30 to 140.
    image = as_depth(scene((100, 200)), "uint8")
    mask = np.zeros((100, 200), np.uint8)
    mask[40:80, 60:80] = 255
    soft = mask_from_array(mask, size=(100, 200))
    views = make_thumbnails(from_array(image), soft, size=SIZE, contexts=(0, 0.5, 1))
    frames = [np.s_[:, :], np.s_[20:90, 30:140], np.s_[40:80, 60:80]]
    for k, frame in enumerate(frames):
        assert_close(views.composite[k], reference(image[frame] / 255))
        assert_close(views.mask[k], reference(mask[frame][..., None] / 255))


def test_views_of_a_large_photo_are_those_of_a_small_one() -> None:
    # Larger than 16 times the thumbnail, so shrunk once for all views.
    image = np.rint(scene((1200, 1000)) * 255).astype(np.uint8)
    mask = np.zeros((1200, 1000), np.uint8)
    mask[301:777, 123:555] = 255
    views = make_thumbnails(
        from_array(image),
        mask_from_array(mask, size=(1200, 1000)),
        size=SIZE,
        contexts=(0, 0.6),
    )
    frame = np.s_[180:947, 73:734]  # ends: 1200 - 423 * 0.6 and 1000 - 445 * 0.6
    np.testing.assert_allclose(
        views.composite[1], reference(image[frame] / 255), rtol=0, atol=8 / 255
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_photos_and_masks_read_piece_by_piece_give_what_arrays_give(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (640, 480)
    image = from_array(as_depth(scene(size), dtype))
    soft = mask_from_array(disc(size), size=size)
    options: dict[str, Any] = {"size": SIZE, "contexts": (0, 0.5)}
    expected = make_thumbnails(image, soft, **options)
    monkeypatch.setattr(pixels_module, "STREAM_BYTES", 0)
    streamed = make_thumbnails(image.copy(), soft.copy(), **options)
    for name, pixels in vars(expected).items():
        # libvips rounds means to whole numbers, first down, then across.
        step = 1 / 255 + ROUNDING
        np.testing.assert_allclose(vars(streamed)[name], pixels, rtol=0, atol=step)


@pytest.mark.parametrize("strip_bytes", [1, 5000, 2**30])
def test_strips_do_not_show(strip_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = as_depth(scene((901, 703)), "uint8")
    expected = thumbnails_of(image, disc((901, 703)))
    monkeypatch.setattr(pixels_module, "STRIP_BYTES", strip_bytes)
    found = thumbnails_of(image, disc((901, 703)))
    for name, pixels in vars(expected).items():
        np.testing.assert_array_equal(vars(found)[name], pixels)


def test_small_objects_in_a_large_photo_are_seen_as_sharp_as_they_are() -> None:
    image = as_depth(scene((1500, 1400)), "uint8")
    mask = np.zeros((1500, 1400), np.uint8)
    mask[700:760, 650:700] = 255
    soft = mask_from_array(mask, size=(1500, 1400))
    views = make_thumbnails(from_array(image), soft, size=SIZE, contexts=(0, 0.8))
    box = np.s_[700:760, 650:700]
    assert_close(views.foreground, reference(image[box] / 255))
    frame = np.s_[560:908, 520:840]  # ends: 1500 - 740 * 0.8 and 1400 - 700 * 0.8
    np.testing.assert_allclose(
        views.composite[1], reference(image[frame] / 255), rtol=0, atol=8 / 255
    )
