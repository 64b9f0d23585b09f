"""Several objects in one picture."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imharmony import Harmonizer, harmonize
from imharmony.curves import Curves
from imharmony.curves.smoothing import from_heights, to_heights
from imharmony.errors import ImageError, ShapeError, UsageError
from imharmony.images.masks import mask_from_array, split_labels
from imharmony.images.photo import from_array, to_array
from imharmony.inference.thumbnails import make_thumbnails
from imharmony.rendering.objects import join_masks, render_objects
from imharmony.rendering.render import render

IDENTITY = to_heights(Curves.identity())
CURVES = [from_heights(IDENTITY**exponent) for exponent in (0.5, 1.6, 0.8)]
H, W = 6, 7
SIZE = (H, W)

masks = st.lists(arrays(np.uint8, SIZE), min_size=1, max_size=3)
pictures = arrays(np.uint8, (H, W, 3))
# Masks drawn at random may be so faint that a warning asks whether they are meant.
may_be_faint = pytest.mark.filterwarnings("ignore:mask. the brightest value")


def both(
    image: npt.NDArray[np.uint8], weights: list[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    objects = [
        (mask_from_array(mask, size=SIZE), change)
        for mask, change in zip(weights, CURVES, strict=False)
    ]
    rendered: npt.NDArray[np.uint8] = to_array(
        render_objects(from_array(image), objects)
    )
    return rendered


@may_be_faint
@settings(max_examples=30)
@given(pictures, masks)
def test_each_pixel_is_the_weighted_sum_of_changes(
    image: npt.NDArray[np.uint8], weights: list[npt.NDArray[np.uint8]]
) -> None:
    levels = [255 * mask if mask.max() == 1 else mask for mask in weights]
    total = np.maximum(np.sum(levels, axis=0, dtype=float), 255)[..., None]
    values = image / 255
    expected = values.copy()
    for mask, change in zip(levels, CURVES, strict=False):
        expected += mask[..., None] / total * (change(values) - values)
    gap = np.abs(both(image, weights) - 255 * expected)
    assert gap.max() <= 2.01


@may_be_faint
@settings(max_examples=30)
@given(pictures, masks)
def test_background_stays(
    image: npt.NDArray[np.uint8], weights: list[npt.NDArray[np.uint8]]
) -> None:
    rendered = both(image, weights)
    nothing = np.max(weights, axis=0) == 0
    np.testing.assert_array_equal(rendered[nothing], image[nothing])


def test_objects_apart_are_what_each_alone_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    left, right = np.zeros((2, H, W), np.uint8)
    left[:, :3], right[:, 4:] = 255, 120
    rendered = both(image, [left, right])
    for mask, change in ((left, CURVES[0]), (right, CURVES[1])):
        alone = to_array(
            render(from_array(image), mask_from_array(mask, size=SIZE), change)
        )
        np.testing.assert_array_equal(rendered[mask > 0], alone[mask > 0])


def test_network_sees_no_other_object_as_background() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    one, other = np.zeros((2, 96, 128), np.uint8)
    one[20:70, 20:50], other[20:70, 60:120] = 255, 255
    changed = image.copy()
    changed[other > 0] = 255 - changed[other > 0]
    masks = [mask_from_array(mask, size=(96, 128)) for mask in (one, other)]
    seen = [
        make_thumbnails(
            from_array(pixels),
            masks[0],
            size=(32, 32),
            contexts=(0.0, 0.5),
            covered=join_masks(masks),
        )
        for pixels in (image, changed)
    ]
    # Cells that an edge crosses are mixtures.
    is_background = np.broadcast_to(seen[0].mask < 0.01, seen[0].composite.shape)
    np.testing.assert_allclose(
        seen[0].composite[is_background], seen[1].composite[is_background], atol=0.01
    )
    assert is_background.mean() > 0.3
    np.testing.assert_allclose(seen[0].foreground, seen[1].foreground, atol=0.02)
    alone = make_thumbnails(from_array(image), masks[0], size=(32, 32))
    np.testing.assert_allclose(seen[0].foreground, alone.foreground, atol=0.02)
    assert seen[0].mask[0].mean() > alone.mask[0].mean() + 0.1


def test_each_object_has_its_request_and_label() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    one, other = np.zeros((2, 40, 60), np.uint8)
    one[10:30, 5:25], other[10:30, 30:55] = 255, 255
    labels = ["food", "vehicle"]
    result = Harmonizer().harmonize_objects(image, [one, other], labels=labels)
    assert [each.label for each in result.objects] == labels
    assert [each.box.left for each in result.objects if each.box] == [5, 30]
    outside = (one == 0) & (other == 0)
    np.testing.assert_array_equal(result.image[outside], image[outside])


def test_one_object_is_plain_harmonizing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 255
    result = Harmonizer().harmonize_objects(image, [mask])
    np.testing.assert_array_equal(result.image, harmonize(image, mask).image)


def two_objects() -> tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.uint8]]]:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    one, other = np.zeros((2, 40, 60), np.uint8)
    one[10:30, 5:25], other[10:30, 30:55] = 255, 255
    return image, [one, other]


def test_float64_comes_back_as_it_was_but_for_the_objects() -> None:
    image, masks = two_objects()
    exact = image / 255 + np.pi * 1e-12  # not to be had in float32
    result = Harmonizer().harmonize_objects(exact, masks)
    assert result.image.dtype == np.float64
    outside = np.max(masks, axis=0) == 0
    np.testing.assert_array_equal(result.image[outside], exact[outside])
    single = Harmonizer().harmonize_objects(exact.astype(np.float32), masks).image
    assert np.abs(result.image - single).max() < 1e-6
    assert np.abs(result.image - exact).max() > 0.01


def test_channels_first_are_refused() -> None:
    image, masks = two_objects()
    with pytest.raises(ShapeError, match="looks like channels first"):
        Harmonizer().harmonize_objects(image.transpose(2, 0, 1), masks)


def test_wrong_numbers_are_refused() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=bool)
    with pytest.raises(UsageError, match="masks: expected one for each object"):
        Harmonizer().harmonize_objects(image, [])
    with pytest.raises(UsageError, match="labels: expected 2, one for each mask"):
        Harmonizer().harmonize_objects(image, [mask, ~mask], labels=["food"])
    with pytest.raises(ShapeError, match="masks of the photo's size"):
        render_objects(
            from_array(image), [(mask_from_array(mask[:4], size=(4, 8)), CURVES[0])]
        )


def test_values_of_a_mask_are_objects() -> None:
    values = np.array([[0, 9], [300, 9]], np.uint16)
    found = split_labels(from_array(values), size=(2, 2))
    assert [to_array(mask).ravel().tolist() for mask in found] == [
        [0, 255, 0, 255],
        [0, 0, 255, 0],
    ]
    for bad, message in (
        (np.zeros((2, 2), np.uint8), "got 0"),
        (np.arange(100, dtype=np.uint8).reshape(10, 10), "1 to 64 values beside 0"),
        (np.eye(3, dtype=np.uint8).reshape(1, 3, 3), "got colors"),
        (np.ones((2, 2), np.float32), "got colors"),
    ):
        with pytest.raises(ImageError, match=message):
            split_labels(from_array(bad), size=bad.shape[:2])
    with pytest.raises(ShapeError, match="photo's size"):
        split_labels(from_array(values), size=(3, 3))
