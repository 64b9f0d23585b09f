"""The page's sampling of the seam, against the plainest way to write it down."""

import base64
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

UInt8 = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
NUM_LINES, NUM_PAIRS, LEAST, REACH = 192, 512, 8, 16


class Crossing(NamedTuple):
    """Where one row or column of a photo crosses the mask's edge."""

    mask: UInt8
    colors: UInt8
    first: int
    last: int
    inner: int
    outer: int
    step: int


def reach(mask: UInt8, first: int, last: int, inner: int, step: int) -> int | None:
    for distance in range(1, REACH + 1):
        at = inner + step * distance
        if not first <= at <= last or mask[at] >= 250:
            return None
        if mask[at] <= 5:
            return at
    return None


def crossings(photo: UInt8, mask: UInt8, gaps: list[int]) -> list[Crossing]:
    found = []
    margin = REACH + max(gaps)
    for axis in (0, 1):  # rows, then columns
        lines = mask if axis == 0 else mask.T
        colors = photo if axis == 0 else photo.transpose(1, 0, 2)
        used = np.flatnonzero(lines.any(axis=1))
        across = np.flatnonzero(lines.any(axis=0))
        length = int(used[-1] - used[0]) + 1
        count = min(length, NUM_LINES)
        first = max(0, int(across[0]) - margin)
        last = min(lines.shape[1], int(across[-1]) + 1 + margin) - 1
        for index in range(count):
            at = int(used[0]) + (2 * index + 1) * length // (2 * count)
            line = lines[at]
            for j in range(first, last):
                if (line[j] >= 250) == (line[j + 1] >= 250):
                    continue
                inner, step = (j, 1) if line[j] >= 250 else (j + 1, -1)
                outer = reach(line, first, last, inner, step)
                if outer is not None:
                    found.append(
                        Crossing(line, colors[at], first, last, inner, outer, step)
                    )
    return found


def sample(photo: UInt8, mask: UInt8) -> tuple[FloatArray, FloatArray]:
    short = min(mask.shape)
    gaps = [1, *(max(1, (share * short + 256) // 512) for share in (1, 2, 4))]
    pairs = np.zeros((4, NUM_PAIRS, 6), np.float32)
    weights = np.zeros((4, NUM_PAIRS), np.float32)
    found = crossings(photo, mask, gaps)
    if len(found) < LEAST:
        return pairs, weights
    if len(found) > NUM_PAIRS:
        places = ((2 * k + 1) * len(found) // (2 * NUM_PAIRS) for k in range(NUM_PAIRS))
        found = [found[place] for place in places]
    for g, gap in enumerate(gaps):
        for k, one in enumerate(found):
            inner = one.inner - one.step * (gap - 1)
            outer = one.outer + one.step * (gap - 1)
            if not all(one.first <= at <= one.last for at in (inner, outer)):
                continue
            if one.mask[inner] >= 250 and one.mask[outer] <= 5:
                weights[g, k] = 1
                pairs[g, k] = np.r_[one.colors[inner], one.colors[outer]] / 255
    return pairs, weights


def ellipse(height: int, width: int, center: float, soft: float) -> UInt8:
    y, x = np.mgrid[:height, :width]
    away = np.hypot((x / width - center) / 0.4, (y / height - 0.5) / 0.3)
    return np.asarray(np.clip((1 - away) / soft * 255, 0, 255), np.uint8)


def specks(height: int, width: int) -> UInt8:
    rng = np.random.default_rng(1)
    return (255 * (rng.random((height, width)) < 0.3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("mask", "is_seam"),
    [
        (ellipse(90, 120, 0.5, 0.01), True),
        (ellipse(300, 200, 0.1, 0.05), True),  # beyond the photo's rim
        (ellipse(200, 300, 0.5, 0.6), False),  # nothing faces anything
        (specks(60, 60), True),  # more crossings than are kept
        (ellipse(600, 640, 0.6, 0.04), True),
    ],
    ids=["hard", "rim", "soft", "specks", "large"],
)
def test_seam_is_sampled_as_it_was_agreed(
    mask: UInt8, is_seam: bool, page: Page
) -> None:
    height, width = mask.shape
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = {
        "left": int(columns[0]),
        "top": int(rows[0]),
        "width": int(columns[-1] - columns[0]) + 1,
        "height": int(rows[-1] - rows[0]) + 1,
    }
    opaque = np.dstack([photo, np.full((height, width), 255, np.uint8)])
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    got: dict[str, Any] = page.evaluate(
        """async ({ data, mask, width, height, box }) => {
          const { sampleSeam } = await import("/page/browser/seam.js");
          const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const photo = { width, height, data: bytes(data) };
          const { pairs, weights, count } = sampleSeam(photo, bytes(mask), box);
          return { pairs: [...pairs], weights: [...weights], count };
        }""",
        {
            "data": encode(opaque),
            "mask": encode(part),
            "width": width,
            "height": height,
            "box": box,
        },
    )
    pairs, weights = sample(photo, mask)
    np.testing.assert_array_equal(np.float32(got["weights"]), weights.ravel())
    np.testing.assert_allclose(got["pairs"], pairs.ravel(), atol=1e-6)
    assert got["count"] == int(weights[0].sum())
    assert (got["count"] > 0) is is_seam


def encode(values: UInt8) -> str:
    return base64.b64encode(values.tobytes()).decode()
