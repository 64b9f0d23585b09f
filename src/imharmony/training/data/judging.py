"""Judge by some pixels whether two looks make a good pair; and draw names by shares."""

from typing import Literal

import numpy as np

from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import UNTOUCHED, FloatArray, Look, UInt8Array

__all__ = ["Choice", "judge", "some_foreground", "some_pixels"]


def judge(
    looks: tuple[Look, Look],
    whole: UInt8Array,
    own: UInt8Array,
    settings: LookSettings,
) -> Literal["good", "too strong", "too weak"]:
    """Measure looks on pixels (3, N) of the photo and of the object against bounds."""
    low, high = settings.difference
    real, foreground = (look.apply(own).clip(0, 1) for look in looks)
    difference = float(((real - foreground) ** 2).mean()) ** 0.5
    clipped = _share_clipped(own, foreground)
    if looks[0] is not UNTOUCHED:
        clipped = max(clipped, _share_clipped(whole, looks[0].apply(whole)))
    if difference > high or clipped > settings.max_clipped:
        return "too strong"
    largest = settings.max_hue_change
    if largest < 180 and _measure_hue_change(real, foreground) > largest:
        return "too strong"
    return "good" if difference >= low else "too weak"


class Choice:
    """Names that are drawn by their shares."""

    def __init__(self, shares: dict[str, float]) -> None:
        self._names = list(shares)
        # What Generator.choice makes of shares, once instead of at each draw.
        below = np.array(list(shares.values()))
        below = (below / below.sum()).cumsum()
        self._below = below / below[-1]

    def draw(self, rng: np.random.Generator) -> str:
        """Draw a name; the same draw as `Generator.choice`."""
        return self._names[int(self._below.searchsorted(rng.random(), side="right"))]


def some_pixels(pixels: UInt8Array) -> UInt8Array:
    """Up to about 2,000 of the pixels (..., 3), evenly spread: (3, N)."""
    pixels = pixels.reshape(-1, 3)
    return np.ascontiguousarray(pixels[:: max(1, len(pixels) // 2000)].T)


def some_foreground(photo: UInt8Array, mask: UInt8Array) -> UInt8Array:
    """Likewise of the foreground; of the whole photo if the mask is thin or absent."""
    if not mask.size:
        return some_pixels(photo)
    pixels = photo[::2, ::2][mask[::2, ::2] > 127]
    return some_pixels(pixels if len(pixels) else photo)


def _share_clipped(levels: UInt8Array, values: FloatArray) -> float:
    """Share of values at the rim that were not there in the photo."""
    is_inner = (levels > 2) & (levels < 253)
    return float((((values < 0.002) | (values > 0.998)) & is_inner).mean())


def _measure_hue_change(real: FloatArray, foreground: FloatArray) -> float:
    """Angle in degrees by which hues (3, N) differ, weighted by the chroma of both.

    On the plane across the gray axis; 0 where hardly anything has a color.
    """
    planes = [
        (x[0] - (x[1] + x[2]) / 2) + 0.75**0.5 * 1j * (x[1] - x[2])
        for x in (real, foreground)
    ]
    product = planes[0].conj() * planes[1]
    weight = np.abs(product)
    if weight.mean() < 1e-4:
        return 0.0
    return float(np.average(np.abs(np.angle(product, deg=True)), weights=weight))
