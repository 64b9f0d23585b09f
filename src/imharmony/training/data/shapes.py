"""Masks for photographs that have none, and parts of objects.

object
    The mask of another photograph's object, stretched to the photograph.
ellipse
    An ellipse of any size, place and angle.
superpixel
    A region of similar colors: a few neighboring clusters of color and place, after
    R. Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel
    Methods", IEEE TPAMI 34(11), 2012.

All are uint8, (H, W), 255 = foreground, soft at the edge.
"""

import numpy as np
import numpy.typing as npt

from imharmony.training.data.looks import FloatArray, UInt8Array
from imharmony.training.data.pairs import Box, resize

__all__ = ["SHAPES", "ellipse_mask", "part_of_object", "stretch", "superpixel_mask"]

SHAPES = ("object", "ellipse", "superpixel")


def stretch(mask: UInt8Array, shape: tuple[int, ...]) -> UInt8Array:
    """Nearest-neighbor resize of a mask (h, w) to a shape (H, W).

    Examples
    --------
    >>> stretch(np.array([[1, 2]], np.uint8), (1, 4)).tolist()
    [[1, 1, 2, 2]]
    """
    rows, columns = (
        np.arange(n) * old // n for n, old in zip(shape, mask.shape, strict=True)
    )
    return np.ascontiguousarray(mask[rows[:, None], columns])


def ellipse_mask(rng: np.random.Generator, shape: tuple[int, ...]) -> UInt8Array:
    """Draw an ellipse that fills 2 to 30 percent, its middle well inside the photo."""
    height, width = shape
    area = rng.uniform(0.02, 0.3) * height * width
    ratio = np.exp(rng.uniform(-0.7, 0.7))  # of the half axes: up to two to one
    half = np.sqrt(area / np.pi * np.array([ratio, 1 / ratio]))
    angle, middle = rng.uniform(0, np.pi), rng.uniform(0.25, 0.75, 2)
    y, x = np.ogrid[:height, :width]
    y, x = y - middle[0] * height, x - middle[1] * width
    along, across = (
        (x * np.cos(a) + y * np.sin(a)) / length
        for a, length in zip((angle, angle + np.pi / 2), half, strict=True)
    )
    return _soften_edge((1 - np.hypot(along, across)) * half.min())


def superpixel_mask(rng: np.random.Generator, photo: UInt8Array) -> UInt8Array:
    """Draw a region of 2 to 30 percent that follows the edges of a photo (H, W, 3)."""
    height, width = photo.shape[:2]
    scale = 64 / max(height, width)
    h, w = (max(4, round(length * scale)) for length in (height, width))
    clusters, middles = _find_clusters(resize(photo, (h, w)))
    sizes = np.bincount(clusters.reshape(-1), minlength=len(middles))
    first = middles[rng.integers(len(middles))]
    nearest = np.argsort(((middles - first) ** 2).sum(axis=1), kind="stable")
    area = rng.uniform(0.02, 0.3) * h * w
    count = 1 + int(np.searchsorted(sizes[nearest].cumsum(), area))
    chosen = np.isin(clusters, nearest[:count])
    mask = resize(np.where(chosen, 255, 0).astype(np.uint8), (height, width))[0]
    # Enlarging has made the edge soft; half a photo's pixel of it is kept.
    return _soften_edge((mask / np.float32(255) - 0.5) / scale)


_COLOR_REACH = 0.15  # a step in color that weighs as much as one cluster's width


def _find_clusters(small: UInt8Array) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Group the pixels of a picture (3, h, w) by color and place.

    Returns the number of each pixel's cluster, (h, w), and the clusters' middles in
    pixels, (48, 2).
    """
    h, w = small.shape[1:]
    y, x = np.mgrid[:h, :w].reshape(2, -1)
    width = np.sqrt(h * w / 48)
    color = small.reshape(3, -1) / (255 * _COLOR_REACH)
    points = np.concatenate([color, np.stack([y, x]) / width]).T  # (h·w, 5)
    rows, columns = np.mgrid[:6, :8] if h <= w else np.mgrid[:8, :6]
    first = (2 * rows + 1) * h // (2 * rows.shape[0]) * w + (
        (2 * columns + 1) * w // (2 * rows.shape[1])
    )
    centers = points[first.reshape(-1)]  # (48, 5)
    for _ in range(5):
        distance = (centers**2).sum(axis=1) - 2 * points @ centers.T  # (h·w, 48)
        nearest = distance.argmin(axis=1)
        counts = np.bincount(nearest, minlength=48)
        sums = np.stack([np.bincount(nearest, p, minlength=48) for p in points.T], 1)
        centers = np.where(counts[:, None], sums / counts.clip(1)[:, None], centers)
    return nearest.reshape(h, w), centers[:, 3:] * width


def _soften_edge(depth: FloatArray) -> UInt8Array:
    """Turn the distance in pixels from the edge, positive inside, into a mask."""
    mask: UInt8Array = np.rint(255 * (depth + 0.5).clip(0, 1)).astype(np.uint8)
    return mask


def part_of_object(rng: np.random.Generator, inner: Box, mask: UInt8Array) -> Box:
    """Choose a box of 0.6 to 1 of the object's sides; the whole one if it is empty."""
    sides = []
    for part in inner:
        length = part.stop - part.start
        new_length = max(1, round(length * rng.uniform(0.6, 1.0)))
        start = part.start + int(rng.integers(length - new_length + 1))
        sides.append(slice(start, start + new_length))
    share = (mask[sides[0], sides[1]] > 127).mean()
    return (sides[0], sides[1]) if share > 0.1 else inner
