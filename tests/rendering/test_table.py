"""Tables: the quick way gives the bytes of the plain one, whatever the pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imharmony.rendering.table import Table, blend_plainly

Pixels = npt.NDArray[Any]


def random_part(
    dtype: str, num_channels: int, size: tuple[int, int], seed: int
) -> tuple[Pixels, Pixels, Pixels]:
    """Pixels, a mask with hard and soft parts, and any table at all."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    part = rng.integers(0, top, (*size, num_channels), dtype, endpoint=True)
    levels = np.array([0, 0, 255, 255, 1, 127, 254], np.uint8)
    mask = rng.choice(levels, size)
    rows = rng.integers(0, top, (num_channels, top + 1), dtype, endpoint=True)
    return part, mask, rows


@settings(max_examples=60)
@given(
    dtype=st.sampled_from(["uint8", "uint16"]),
    num_channels=st.integers(1, 4),
    size=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    seed=st.integers(0, 2**32 - 1),
)
def test_quick_way_gives_the_bytes_of_the_plain_one(
    dtype: str, num_channels: int, size: tuple[int, int], seed: int
) -> None:
    part, mask, rows = random_part(dtype, num_channels, size, seed)
    expected = blend_plainly(part, mask, rows)
    Table(rows, mask.size).blend_into(part, mask)
    assert part.tobytes() == expected.tobytes()


@pytest.mark.parametrize("order", ["F", "view", "swapped"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_any_layout_of_memory_will_do(dtype: str, order: str) -> None:
    part, mask, rows = random_part(dtype, 3, (7, 33), seed=0)
    expected = blend_plainly(part, mask, rows)
    if order == "F":
        part = np.asfortranarray(part)
    elif order == "view":
        part = np.repeat(part, 2, axis=1)[:, ::2]
    else:
        part = part.astype(part.dtype.newbyteorder())
    Table(rows, mask.size).blend_into(part, mask)
    np.testing.assert_array_equal(part, expected)


def test_plain_way_is_the_formula() -> None:
    part, mask, rows = random_part("uint16", 2, (5, 6), seed=1)
    for (y, x, c), value in np.ndenumerate(blend_plainly(part, mask, rows)):
        share = int(mask[y, x]) / 255
        wanted = share * int(rows[c, part[y, x, c]]) + (1 - share) * int(part[y, x, c])
        assert abs(int(value) - wanted) <= 0.5 + 1e-9
