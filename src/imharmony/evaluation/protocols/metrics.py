"""From pictures to numbers: MSE, PSNR, fMSE, SE and SSIM under a protocol.

Pictures are measured in tiles, so that the size of a picture does not matter to
memory, and methods that leave the background alone only around the foreground, so
that their number hardly matters to time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.evaluation.protocols.protocol import Protocol
from imharmony.evaluation.protocols.scene import Scene
from imharmony.images.masks import mask_box
from imharmony.images.photo import from_array
from imharmony.images.pixels import Box

__all__ = [
    "MAX_PSNR",
    "TILE_PX",
    "Metrics",
    "Recoloring",
    "cut",
    "measure",
    "measure_all",
    "scene_composite",
    "ssim_map",
]

FloatArray = npt.NDArray[np.floating[Any]]

Recoloring = Callable[[Box], FloatArray]
"""A method's picture, asked for by tiles: levels 0 … 255 of shape (h, w, 3), not yet
rounded and perhaps beyond the range."""

MAX_PSNR = 100.0  # of identical pictures, whose PSNR would be infinite

SSIM_RADIUS = 5
SSIM_SIGMA = 1.5
# (0.01 · 255)² = 6.5025 and (0.03 · 255)² = 58.5225
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MID = np.float32(128)  # taken off before squaring, to keep single precision exact

TILE_PX = 256


@dataclass(frozen=True)
class Metrics:
    """How far a picture is from the real one, in 8-bit levels."""

    mse: float
    """Mean over all pixels and channels of the squared difference."""
    psnr: float
    """In dB; 100 for identical pictures, or what the protocol's epsilon leaves."""
    fmse: float
    """Mean over the foreground; 0 without foreground."""
    se: float
    """Millions of squared levels: the sum of the mask times the squared difference."""
    ssim: float
    """As `ssim_map`, mean over positions and channels; NaN under 11 pixels a side."""


@dataclass
class _Sums:
    squared: float = 0.0
    weighted: float = 0.0  # with m
    masked: float = 0.0  # with m²
    ssim: float = 0.0
    low: float = 255.0
    high: float = 0.0


def measure(
    picture: npt.NDArray[np.uint8], scene: Scene, protocol: Protocol
) -> Metrics:
    """Compare a picture with the real one of a scene.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB-encoded, of the size of the scene.
    scene : Scene
        As `Protocol.prepare` makes it.
    protocol : Protocol

    Returns
    -------
    Metrics

    Examples
    --------
    One of four pixels is off by 6 in each channel:

    >>> from imharmony.evaluation.protocols.protocol import FULL
    >>> real = np.zeros((2, 2, 3), np.uint8)
    >>> picture, mask = real.copy(), np.zeros((2, 2), np.uint8)
    >>> picture[0, 0], mask[0, 0] = 6, 255
    >>> metrics = measure(picture, Scene(picture, real, mask), FULL)
    >>> metrics.mse, round(metrics.psnr, 4), metrics.fmse
    (9.0, 38.5884, 36.0)
    """
    (metrics,) = measure_all(
        scene, protocol, {"": lambda tile: tile.view(picture).astype(np.float64)}
    ).values()
    return metrics


def measure_all(
    scene: Scene, protocol: Protocol, recolorings: Mapping[str, Recoloring]
) -> dict[str, Metrics]:
    """Measure several methods' pictures of one scene.

    Parameters
    ----------
    scene : Scene
        As `Protocol.prepare` makes it.
    protocol : Protocol
    recolorings : mapping of str to Recoloring
        By method. Under a protocol in which the background of a prediction does not
        count, they are asked for little more than the foreground.

    Returns
    -------
    dict of str to Metrics
    """
    whole = Box(0, 0, *scene.size)
    if not protocol.has_local_error:
        totals = _add_up(scene, protocol, list(recolorings.values()), whole)
    else:
        # What all have in common, the composite around the foreground, only once.
        foreground = mask_box(from_array((scene.mask > 0).astype(np.uint8)))
        foreground_box = _grow(foreground or Box(0, 0, 0, 0), scene.size)
        (composite_sums,) = _add_up(scene, protocol, [scene_composite(scene)], whole)
        (composite_in_box, *methods_in_box) = _add_up(
            scene,
            protocol,
            [scene_composite(scene), *recolorings.values()],
            foreground_box,
        )
        totals = [
            _exchange(composite_sums, composite_in_box, method_in_box)
            for method_in_box in methods_in_box
        ]
    return {
        method: _finish(sums, scene, protocol)
        for method, sums in zip(recolorings, totals, strict=True)
    }


def scene_composite(scene: Scene) -> Recoloring:
    """Leave the composite as it is."""
    return lambda tile: tile.view(scene.composite).astype(np.float64)


def cut(box: Box, *, side_px: int = TILE_PX) -> Iterator[Box]:
    """Cut a box into nearly equal tiles of at most `side_px` pixels a side.

    Examples
    --------
    >>> [(tile.top, tile.height) for tile in cut(Box(0, 0, 5, 2), side_px=2)]
    [(0, 1), (1, 2), (3, 2)]
    """
    for top, bottom in _split(box.height, side_px):
        for left, right in _split(box.width, side_px):
            yield Box(box.top + top, box.left + left, bottom - top, right - left)


def _split(length: int, longest: int) -> list[tuple[int, int]]:
    """Split a length into nearly equal parts: where each begins and ends."""
    number = -(-length // longest)  # rounded up
    return [(length * i // number, length * (i + 1) // number) for i in range(number)]


def ssim_map(picture: npt.NDArray[Any], real: npt.NDArray[Any]) -> FloatArray:
    """Structural similarity at every position where the window fits.

    Parameters
    ----------
    picture, real : ndarray, shape (H, W, 3)
        Levels 0 … 255.

    Returns
    -------
    ndarray of float32, shape (H − 10, W − 10, 3)
        Per channel; empty where a side is under 11 pixels.

    Notes
    -----
    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE TIP 13(4), 2004: a Gaussian window of 11×11 with a deviation of
    1.5, K₁ = 0.01, K₂ = 0.03, range 255, moments divided by the window's weight. No
    padding. As PCT-Net's and DCCF's tables have it, from single precision too.

    Examples
    --------
    >>> picture = np.full((12, 11, 3), 40.0)
    >>> ssim_map(picture, picture).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    return _compute_ssim(_Blurred(picture), _Blurred(real))


class _Blurred:
    """A picture with its local means and variances."""

    def __init__(self, levels: npt.NDArray[Any]) -> None:
        self.levels = levels.astype(np.float32) - MID
        self.mean = _blur(self.levels)
        self.variance = _blur(self.levels * self.levels) - self.mean * self.mean


def _compute_ssim(x: _Blurred, y: _Blurred) -> FloatArray:
    covariance = _blur(x.levels * y.levels) - x.mean * y.mean
    mean_x, mean_y = x.mean + MID, y.mean + MID
    c1, c2 = np.float32(SSIM_C1), np.float32(SSIM_C2)
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x * mean_x + mean_y * mean_y + c1) * (x.variance + y.variance + c2)
    return np.asarray(above / below)


def _blur(field: FloatArray) -> FloatArray:
    """Weigh (H, W, 3) by the window; (H − 10, W − 10, 3), or empty."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    kernel = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        length = max(0, field.shape[axis] - 2 * SSIM_RADIUS)
        parts = [
            field[(slice(None),) * axis + (slice(start, start + length),)]
            for start in range(2 * SSIM_RADIUS + 1)
        ]
        field = parts[SSIM_RADIUS] * kernel[SSIM_RADIUS]
        pair = np.empty_like(field)  # one for all, since making one takes longest
        for near in range(SSIM_RADIUS):  # the kernel is symmetric
            np.add(parts[near], parts[-1 - near], out=pair)
            pair *= kernel[near]
            field += pair
    return field


def _grow(box: Box, size: tuple[int, int]) -> Box:
    """Widen a box by the reach of the SSIM window, within a picture."""
    top, left = max(0, box.top - SSIM_RADIUS), max(0, box.left - SSIM_RADIUS)
    bottom = min(size[0], box.top + box.height + SSIM_RADIUS)
    right = min(size[1], box.left + box.width + SSIM_RADIUS)
    return Box(top, left, bottom - top, right - left)


def _add_up(
    scene: Scene, protocol: Protocol, recolorings: list[Recoloring], box: Box
) -> list[_Sums]:
    """Sum errors over a box, and SSIM over the window's centers in it."""
    totals = [_Sums() for _ in recolorings]
    for part in cut(box):
        halo = _grow(part, scene.size)
        inner = Box(part.top - halo.top, part.left - halo.left, part.height, part.width)
        real = halo.view(scene.real).astype(np.float64)
        blurred = _Blurred(real)
        weight = (halo.view(scene.mask) / 255.0)[..., None]
        for sums, recolor in zip(totals, recolorings, strict=True):
            levels = protocol.quantize(recolor(halo))
            if protocol.has_blending:
                levels = np.where(weight > 0, levels, halo.view(scene.composite))
            squares = inner.view(np.square(levels - real))
            weighted = squares * inner.view(weight)
            sums.squared += float(squares.sum())
            sums.weighted += float(weighted.sum())
            sums.masked += float((weighted * inner.view(weight)).sum())
            sums.low = min(sums.low, float(inner.view(levels).min(initial=255.0)))
            sums.high = max(sums.high, float(inner.view(levels).max(initial=0.0)))
            if protocol.region == "error times mask":
                levels = weight * levels + (1 - weight) * real
            similarity = _compute_ssim(_Blurred(levels), blurred)
            sums.ssim += float(similarity.sum(dtype=np.float64))
    return totals


def _exchange(
    composite_sums: _Sums, composite_in_box: _Sums, method_in_box: _Sums
) -> _Sums:
    """Take the composite's sums, but for a box another method's."""
    return _Sums(
        *(
            max(0.0, getattr(composite_sums, name) - getattr(composite_in_box, name))
            + getattr(method_in_box, name)
            for name in ("squared", "weighted", "masked", "ssim")
        )
    )


def _finish(sums: _Sums, scene: Scene, protocol: Protocol) -> Metrics:
    """Turn sums into what the protocol prints."""
    height, width = scene.size
    num_values = 3 * height * width
    has_mask_error = protocol.region == "error times mask"
    mse = (sums.weighted if has_mask_error else sums.squared) / num_values
    if protocol.peak == "255":
        peak = 255.0
    elif protocol.peak == "the real photo's maximum":
        peak = float(scene.real.max())
    else:
        peak = sums.high - sums.low
    divisor = mse + protocol.epsilon
    if divisor == 0:
        psnr = MAX_PSNR
    else:
        psnr = 10 * np.log10(peak**2 / divisor) if peak else 0.0
        psnr = psnr if protocol.epsilon else min(MAX_PSNR, psnr)
    area = protocol.measure_area(scene)
    over = {
        "over the foreground": sums.weighted,
        "whole image's by area": sums.squared,
        "masked images' by area": sums.masked,
    }[protocol.fmse]
    num_centers = 3 * max(0, height - 2 * SSIM_RADIUS) * max(0, width - 2 * SSIM_RADIUS)
    return Metrics(
        mse=mse,
        psnr=float(psnr),
        fmse=over / (3 * area + protocol.epsilon) if area else 0.0,
        se=sums.weighted / 1e6,
        ssim=sums.ssim / num_centers if num_centers else float("nan"),
    )
