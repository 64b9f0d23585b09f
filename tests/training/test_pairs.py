"""Pictures to thumbnails: halved ahead, and cut from what is small enough."""

from collections.abc import Sequence

import numpy as np
import pytest

from imharmony.training.data.looks import UInt8Array
from imharmony.training.data.pairs import Box, halve, resize, resize_part

SIZE = (8, 8)


def waves(height: int, width: int) -> tuple[UInt8Array, UInt8Array]:
    """A smooth photo and a smooth mask."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [127 + 120 * np.sin(a * x + b * y) for a, b in ((7, 2), (3, 9), (5, 5))]
    photo = np.rint(np.stack(planes, -1)).astype(np.uint8)
    return photo, np.rint(255 * x.clip(0, 1)).astype(np.uint8)


def part_of(photo: UInt8Array, mask: UInt8Array, part: Box) -> UInt8Array:
    return resize_part(photo, mask, halve(photo, mask, SIZE), part, SIZE)


def test_halving_averages_four_pixels_rounded() -> None:
    photo = np.zeros((6, 6, 3), np.uint8)
    photo[:2, :2, 0] = [[1, 2], [3, 4]]  # 2.5 is rounded up
    layers = halve(photo, np.full((6, 6), 7, np.uint8), (2, 2))
    assert len(layers) == 1
    assert layers[0][0, 0].tolist() == [3, 0, 0, 7]


@pytest.mark.parametrize(
    ("side", "sides"), [(23, []), (24, [12]), (49, [24, 12]), (96, [48, 24, 12])]
)
def test_pictures_are_halved_while_they_are_half_as_large_again(
    side: int, sides: list[int]
) -> None:
    layers = halve(*waves(side, side), SIZE)
    assert [layer.shape for layer in layers] == [(n, n, 4) for n in sides]


@pytest.mark.parametrize(
    "part", [np.s_[0:96, 0:128], np.s_[8:72, 16:112], np.s_[40:60, 30:51]]
)
def test_a_part_looks_as_if_resized_at_once(part: Box) -> None:
    photo, mask = waves(96, 128)
    found = part_of(photo, mask, part).astype(int)
    np.testing.assert_allclose(found[:3], resize(photo[part], SIZE), rtol=0, atol=4)
    np.testing.assert_allclose(found[3:], resize(mask[part], SIZE), rtol=0, atol=2)


def test_a_small_part_is_cut_from_the_photo_itself() -> None:
    photo, mask = waves(96, 128)
    part = np.s_[41:52, 31:43]
    found = part_of(photo, mask, part)
    np.testing.assert_array_equal(found[:3], resize(photo[part], SIZE))
    np.testing.assert_array_equal(found[3:], resize(mask[part], SIZE))


@pytest.mark.parametrize(("length", "layer"), [(95, 24), (96, 12), (48, 24), (47, 48)])
def test_the_smallest_layer_that_has_enough_is_taken(length: int, layer: int) -> None:
    layers: Sequence[UInt8Array] = [
        np.full((n, n, 4), n, np.uint8) for n in (48, 24, 12)
    ]
    photo, mask = np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96), np.uint8)
    part = (slice(0, length), slice(0, 96))
    assert resize_part(photo, mask, layers, part, SIZE)[0, 0, 0] == layer
