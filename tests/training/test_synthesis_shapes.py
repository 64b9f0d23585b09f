"""Masks for photographs that have none, and parts of objects."""

import numpy as np
import pytest

from imharmony.training.data import shapes as module
from imharmony.training.data.looks import UInt8Array
from imharmony.training.data.pairs import mask_limits
from imharmony.training.data.shapes import (
    ellipse_mask,
    part_of_object,
    stretch,
    superpixel_mask,
)

SIZES = [(90, 120), (120, 90), (40, 31)]


def checks(size: tuple[int, int], step: int = 9) -> UInt8Array:
    """A photograph of large checks, blue and orange."""
    y, x = np.mgrid[: size[0], : size[1]] // step
    colors = np.array([[30, 60, 160], [230, 140, 40]], np.uint8)
    photo: UInt8Array = colors[(x + y) % 2]
    return photo


def draw(shape: str, seed: int, size: tuple[int, int]) -> UInt8Array:
    rng = np.random.default_rng(seed)
    if shape == "ellipse":
        return ellipse_mask(rng, size)
    return superpixel_mask(rng, checks(size))


@pytest.mark.parametrize("shape", ["ellipse", "superpixel"])
@pytest.mark.parametrize("size", SIZES)
def test_a_mask_has_the_photographs_size(shape: str, size: tuple[int, int]) -> None:
    mask = draw(shape, 0, size)
    assert mask.shape == size
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("shape", ["ellipse", "superpixel"])
@pytest.mark.parametrize("size", SIZES)
def test_a_mask_has_foreground_and_background(
    shape: str, size: tuple[int, int]
) -> None:
    shares = [(draw(shape, seed, size) > 127).mean() for seed in range(30)]
    assert 0.005 < min(shares) < max(shares) < 0.4
    assert max(shares) > 2 * min(shares)


@pytest.mark.parametrize("shape", ["ellipse", "superpixel"])
def test_a_masks_edge_is_soft_and_thin(shape: str) -> None:
    mask = draw(shape, 1, (90, 120))
    soft = ((mask > 0) & (mask < 255)).sum()
    assert 0 < soft < 0.1 * mask.size


def test_an_ellipse_has_the_area_of_its_axes() -> None:
    # 2 to 30 percent of the photo; those that its edge cuts off have less.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        area = rng.uniform(0.02, 0.3)
        mask = ellipse_mask(np.random.default_rng(seed), (200, 200))
        edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
        if not any(edge.any() for edge in edges):
            assert (mask / 255).mean() == pytest.approx(area, rel=0.01)


def test_an_ellipse_is_convex_and_even_about_its_middle() -> None:
    mask = ellipse_mask(np.random.default_rng(3), (150, 150)) > 127
    assert not mask[0].any()
    runs = np.abs(np.diff(mask.astype(int), axis=1)).sum(axis=1)
    assert set(runs) <= {0, 2}
    y, x = np.nonzero(mask)
    offset = np.stack([y - y.mean(), x - x.mean()])
    assert np.abs((offset**3).mean(axis=1)).max() < 30  # of up to 50³


def test_superpixels_do_not_cross_edges() -> None:
    small = checks((48, 64), step=13).transpose(2, 0, 1)
    clusters, _ = module._find_clusters(np.ascontiguousarray(small))
    is_blue = small[0] < 128
    for cluster in np.unique(clusters):
        share = is_blue[clusters == cluster].mean()
        assert share in (0.0, 1.0)


def test_superpixels_stay_together_where_there_are_no_edges() -> None:
    flat = np.full((3, 48, 64), 99, np.uint8)
    clusters, middles = module._find_clusters(flat)
    for cluster in np.unique(clusters):
        y, x = np.nonzero(clusters == cluster)
        assert np.hypot(y - middles[cluster, 0], x - middles[cluster, 1]).max() < 8
    assert len(np.unique(clusters)) == 48


@pytest.mark.parametrize("shape", ["ellipse", "superpixel"])
def test_a_mask_is_drawn_by_the_generator_alone(shape: str) -> None:
    first, again, other = (draw(shape, seed, (60, 80)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stretching_repeats_pixels() -> None:
    mask = np.array([[1, 2], [3, 4]], np.uint8)
    assert stretch(mask, (2, 4)).tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]


def test_stretching_to_less_leaves_pixels_out() -> None:
    mask = np.array([[1, 2, 3, 4]], np.uint8)
    assert stretch(mask, (1, 2)).tolist() == [[1, 3]]


def test_a_part_lies_in_the_objects_box_and_shows_enough() -> None:
    mask = ellipse_mask(np.random.default_rng(3), (90, 120))
    whole = mask_limits(mask)
    for seed in range(50):
        part = part_of_object(np.random.default_rng(seed), whole, mask)
        for side, of_whole in zip(part, whole, strict=True):
            assert of_whole.start <= side.start < side.stop <= of_whole.stop
            length = of_whole.stop - of_whole.start
            assert side.stop - side.start >= 0.6 * length - 0.5


def test_an_empty_part_becomes_the_whole_box() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[0, 0] = mask[99, 99] = 255  # any smaller box has next to nothing in it
    whole = mask_limits(mask)
    for seed in range(10):
        assert part_of_object(np.random.default_rng(seed), whole, mask) == whole


def test_the_limits_of_an_empty_mask_are_the_photos() -> None:
    found = mask_limits(np.zeros((3, 5), np.uint8))
    assert found == (slice(0, 3), slice(0, 5))
