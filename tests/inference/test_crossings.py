"""Crossings of a mask's edge, against a walk along each line, pixel by pixel."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imharmony.inference.crossings import (
    BACKGROUND,
    FOREGROUND,
    GAPS,
    NUM_LINES,
    REACH,
    find_crossings,
    gap_lengths,
)

Mask = npt.NDArray[np.uint8]
Places = list[tuple[tuple[int, int], tuple[int, int], bool]]


def limits(mask: Mask) -> tuple[int, int, int, int]:
    """Top, left, height and width of the smallest box that holds a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def walk(
    level: Callable[[int], int], first: int, last: int, gaps: tuple[int, ...]
) -> Iterator[list[tuple[int, int, bool]]]:
    """Follow one line and yield the pairs of each crossing."""

    def is_in(place: int) -> bool:
        return first <= place <= last

    for place in range(first, last):
        here = level(place) >= FOREGROUND
        if here == (level(place + 1) >= FOREGROUND):
            continue
        inner, step = (place, 1) if here else (place + 1, -1)
        for distance in range(1, REACH + 1):
            outer = inner + step * distance
            if not is_in(outer) or level(outer) >= FOREGROUND:
                break
            if level(outer) <= BACKGROUND:
                pairs = []
                for gap in gaps:
                    a, b = inner - step * (gap - 1), outer + step * (gap - 1)
                    is_valid = (
                        is_in(a)
                        and is_in(b)
                        and level(a) >= FOREGROUND
                        and level(b) <= BACKGROUND
                    )
                    pairs.append((a, b, is_valid))
                yield pairs
                break


def walked(mask: Mask) -> list[Places]:
    """All crossings of a mask, by the contract's text."""
    H, W = mask.shape
    gaps = gap_lengths(H, W)
    top, left, height, width = limits(mask)
    margin = REACH + max(gaps)
    found: list[Places] = []
    count = min(height, NUM_LINES)
    for k in range(count):
        y = top + (2 * k + 1) * height // (2 * count)
        first, last = max(0, left - margin), min(W, left + width + margin) - 1
        found += [
            [((y, a), (y, b), ok) for a, b, ok in pairs]
            for pairs in walk(mask[y].item, first, last, gaps)
        ]
    count = min(width, NUM_LINES)
    for k in range(count):
        x = left + (2 * k + 1) * width // (2 * count)
        first, last = max(0, top - margin), min(H, top + height + margin) - 1
        found += [
            [((a, x), (b, x), ok) for a, b, ok in pairs]
            for pairs in walk(mask[:, x].item, first, last, gaps)
        ]
    return found


def check(mask: Mask) -> int:
    """Compare, and return how many crossings there are."""
    found, expected = find_crossings(mask, limits(mask)), walked(mask)
    assert len(found) == len(expected)
    for m, places in enumerate(expected):
        for g, (inner, outer, is_valid) in enumerate(places):
            assert bool(found.is_valid[g, m]) == is_valid
            if is_valid:
                assert tuple(found.inner[g, m]) == inner
                assert tuple(found.outer[g, m]) == outer
    return len(expected)


masks = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    elements=st.sampled_from([0, 0, 0, 5, 6, 128, 249, 250, 255, 255, 255]),
    fill=st.just(0),
).filter(lambda mask: bool(mask.any()))


@given(masks)
def test_crossings_are_those_of_a_walk(mask: Mask) -> None:
    check(mask)


@pytest.mark.parametrize("softness", [0.01, 1.0, 5.0, 12.0])
def test_edges_of_any_softness_are_crossed(softness: float) -> None:
    y, x = np.mgrid[:300, :260]
    depth = 80 - np.hypot(y - 150, x - 120)
    mask = np.rint(255 * np.clip(depth / softness + 0.5, 0, 1)).astype(np.uint8)
    assert check(mask) > 100


def test_an_edge_wider_than_the_reach_is_none() -> None:
    ramp = np.clip(np.arange(60) * 6, 0, 255).astype(np.uint8)  # 42 pixels
    mask = np.tile(ramp, (40, 1))
    assert len(find_crossings(mask, limits(mask))) == 0


def test_the_rim_of_the_photo_is_no_edge() -> None:
    mask = np.full((30, 30), 255, np.uint8)
    assert len(find_crossings(mask, limits(mask))) == 0


def test_pairs_are_spread_evenly_and_the_same_each_time() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[50:350, 60:340] = 255
    crossings = find_crossings(mask, limits(mask)).spread(100)
    again = find_crossings(mask, limits(mask)).spread(100)
    assert len(crossings) == 100
    np.testing.assert_array_equal(crossings.inner, again.inner)
    sides = [
        (crossings.outer[0, :, axis] == place).sum()
        for axis, place in ((1, 59), (1, 340), (0, 49), (0, 350))
    ]
    assert min(sides) >= 24


def test_gaps_grow_with_the_photo() -> None:
    assert gap_lengths(512, 900) == (1, 1, 2, 4)
    assert gap_lengths(6000, 4096) == (1, 8, 16, 32)
    assert len(gap_lengths(10, 10)) == GAPS


def test_wider_pairs_stay_on_their_own_side() -> None:
    mask: npt.NDArray[Any] = np.zeros((2048, 2048), np.uint8)
    mask[1000:1004, 200:1800] = 255  # four pixels high: no room for wide gaps
    crossings = find_crossings(mask, limits(mask))
    assert crossings.is_valid[0].all()
    is_across = crossings.inner[0, :, 1] == crossings.outer[0, :, 1]
    assert not crossings.is_valid[3, is_across].any()
