"""One transform after another: curves, and then a change by place."""

import numpy as np
import pytest

from imharmony.curves import Curves
from imharmony.images.photo import Box, from_array, to_array
from imharmony.rendering.bilateral_grid import NUM_KNOTS, BilateralGrid
from imharmony.rendering.render import render
from imharmony.rendering.transform import Chain, CurveTransform, Transform

KNOTS = np.array([0.0, 0.5, 1.0])
BRIGHTER = CurveTransform(Curves((KNOTS,) * 3, (np.array([0.0, 0.75, 1.0]),) * 3))
BOX = Box(0, 0, 4, 8)


def fading(amount: float = 0.2) -> BilateralGrid:
    """Brighter by an amount at the left end, unchanged at the right."""
    nodes = np.zeros((2, 2, 3, NUM_KNOTS + 3), np.float32)
    nodes[:, 0, :, :NUM_KNOTS] = amount
    return BilateralGrid((0, 0), (4, 8), nodes)


CHAIN = Chain(BRIGHTER, fading())


def expected(values: np.ndarray) -> np.ndarray:
    """What curve and grid make of values (h, w, 3) of [0, 1], by hand."""
    bright = np.where(values < 0.5, 1.5 * values, 0.5 + values / 2)
    left = 1 - (np.arange(values.shape[1]) + 0.5) / 8
    return (bright + 0.2 * left[None, :, None]).clip(0, 1)


@pytest.mark.parametrize(
    ("dtype", "full", "atol"),
    [("uint8", 255, 0.51), ("uint16", 65535, 2.0), ("float32", 1, 1e-3)],
)
def test_the_grid_gets_what_the_curves_gave(dtype: str, full: int, atol: float) -> None:
    values = np.random.default_rng(0).uniform(0.05, 0.6, (4, 8, 3))
    pixels = (values * full).round() if full > 1 else values
    pixels = pixels.astype(dtype)
    found = to_array(CHAIN.map_box(from_array(pixels), BOX))
    assert found.dtype == pixels.dtype
    np.testing.assert_allclose(found, expected(pixels / full) * full, atol=atol)


def test_levels_are_not_rounded() -> None:
    levels = np.random.default_rng(0).integers(20, 150, (4, 8, 3), dtype=np.uint8)
    found = CHAIN.map_levels(levels, BOX)
    np.testing.assert_allclose(found, expected(levels / 255) * 255, atol=0.01)


def test_a_part_gets_the_bytes_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    whole = to_array(CHAIN.map_box(from_array(pixels), BOX))
    for box in (Box(0, 0, 4, 3), Box(1, 3, 2, 5), Box(3, 7, 1, 1)):
        part = to_array(
            CHAIN.map_box(
                from_array(
                    np.ascontiguousarray(
                        pixels[
                            box.top : box.top + box.height,
                            box.left : box.left + box.width,
                        ]
                    )
                ),
                box,
            )
        )
        cut = whole[box.top : box.top + box.height, box.left : box.left + box.width]
        np.testing.assert_array_equal(part, cut)


def test_gray_stays_gray_and_keeps_its_background() -> None:
    pixels = np.full((4, 8), 100, np.uint8)
    mask = np.zeros((4, 8), np.uint8)
    mask[1:3, 2:6] = 255
    found = to_array(render(from_array(pixels), from_array(mask), CHAIN))[..., 0]
    assert (found[mask == 0] == 100).all()
    assert (found[mask == 255] > 150).all()


def test_strength_zero_is_no_change_and_one_is_all() -> None:
    assert CHAIN.blend(0.0).is_identity
    assert not CHAIN.is_identity
    assert CHAIN.blend(1.0) == CHAIN
    pixels = from_array(np.full((4, 8, 3), 90, np.uint8))
    half, all_ = (
        to_array(CHAIN.blend(s).map_box(pixels, BOX)).astype(int) for s in (0.5, 1.0)
    )
    assert ((half > 90) & (half < all_)).all()


def test_no_curves_and_no_table_say_it() -> None:
    assert CHAIN.curves is None
    change: Transform = CHAIN
    assert change.make_table(np.uint8) is None
