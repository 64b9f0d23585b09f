"""Looks: what an expert, or the time of day, does to a photograph's colors.

retouch
    What an expert does to a raw photograph: exposure and white balance in linear
    light, contrast, gamma, tone curve, black and white point, saturation, split
    toning.
daylight
    The same place at another time: golden hour, overcast, dusk or night. Exposure,
    the light's color and haze in linear light; in the dark, the eye's rods, which
    see no color (H. W. Jensen et al., "Night Rendering", University of Utah
    UUCS-00-016, 2000).

light
    Light that falls on an object unevenly: stronger, or of another color, at one end
    than at the other, in linear light, depending on a pixel's place.

Looks that take the colors of another photograph are in `transfers`, further ones that
no curve undoes in `local_looks`.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from imharmony.colors import BT709_LUMA, decode_srgb, encode_srgb
from imharmony.evaluation.methods.baselines import (
    LAB_FROM_LOG_LMS,
    LMS_FROM_RGB,
    MIN_LMS,
)

__all__ = [
    "LEVELS",
    "TIMES",
    "UNTOUCHED",
    "FloatArray",
    "LocalChange",
    "Look",
    "UInt8Array",
    "after",
    "base_table",
    "daylight_look",
    "lattice",
    "light_look",
    "retouch_look",
    "smooth",
    "spread_places",
]

FloatArray = npt.NDArray[np.floating[Any]]
UInt8Array = npt.NDArray[np.uint8]

LEVELS = np.linspace(0.0, 1.0, 256)
"""The 8-bit levels, sRGB-encoded."""

_LUMA = np.array([BT709_LUMA], np.float32)
_LMS = LMS_FROM_RGB.astype(np.float32)
_RGB = np.linalg.inv(LMS_FROM_RGB).astype(np.float32)
_LAB = LAB_FROM_LOG_LMS.astype(np.float32)

# What rods answer to linear sRGB light: −0.702 X + 1.039 Y + 0.433 Z (S. N. Pattanaik
# et al., "A Multiscale Model of Adaptation and Spatial Vision", SIGGRAPH 1998) of the
# primaries is −0.06, 0.54, 0.36; red taken as 0, and a sum of 1.
_RODS = np.array([0.0, 0.6, 0.4])
_ROD_COLOR = np.array([0.75, 0.95, 1.3])
_ROD_GRID = 17  # linear between its points: 0.1 of an 8-bit step off, 0.7 at most


class LocalChange(Protocol):
    """A change that no curve for the whole object undoes."""

    @property
    def needs_place(self) -> bool:
        """Whether it depends on a pixel's place, not on its color alone."""

    def apply(self, x: FloatArray, place: FloatArray | None) -> FloatArray:
        """Change values (3, ...) at places (2, ...), which may be missing."""


class Look(NamedTuple):
    """One look: a function of a pixel's color, and of its place in the object."""

    table: FloatArray
    """(3, 256) float32: new sRGB-encoded value of each 8-bit level; applied first."""
    saturation: float = 1.0
    toning: FloatArray | None = None
    """(2, 3): what is added to shadows and to highlights."""
    transfer: FloatArray | None = None
    """(3, 3): strength, scale and offset of l, alpha, beta."""
    grid: FloatArray | None = None
    """(n, n, n, 3) float32: new colors at the points of `lattice(n)`, linear between
    them; applied before toning and saturation."""
    is_grainy: bool = False
    """Whether noise may grow under the look: large pictures get `regrain`."""
    light: FloatArray | None = None
    """(3, 3): what linear light is multiplied by at one end of the object and at the
    other, and the direction from one to the other, down and across."""
    local: LocalChange | None = None
    """Applied last."""
    family: str = "untouched"

    def apply(self, levels: UInt8Array, place: FloatArray | None = None) -> FloatArray:
        """Map 8-bit levels (3, ...) to float32 values, (3, ...), not clipped.

        A look that `needs_place` wants each pixel's place, (2, ...), as
        `pairs.positions` gives it. Without one, pixels are taken to lie evenly
        over the object.
        """
        x: FloatArray = np.empty(levels.shape, np.float32)
        for c in range(3):
            self.table[c].take(levels[c], out=x[c], mode="clip")  # "raise" buffers
        if self.transfer is not None:
            strength, scale, offset = self.transfer[:, :, None]  # (3, 1) each
            flat = x.reshape(3, -1).clip(0, 1)
            lms = np.maximum(_LMS @ flat, np.float32(MIN_LMS))
            lab = (_LAB @ np.log10(lms)) * scale + offset  # (3, N)
            moved = _RGB @ np.power(np.float32(10), _LAB.T @ lab)
            x = (flat + strength * (moved - flat)).reshape(x.shape)
        if self.grid is not None:
            x = _interpolate(self.grid, x)
        if self.toning is not None:
            y = _compute_luma(x).clip(0, 1)  # (...)
            shadows, highlights = (1 - y) ** 2 * np.minimum(4 * y, 1), y**2
            for c in range(3):
                x[c] += shadows * self.toning[0, c] + highlights * self.toning[1, c]
        if self.saturation != 1.0:
            y = _compute_luma(x)
            x -= y
            x *= np.float32(self.saturation)
            x += y
        if self.light is not None:
            x = _relight(x, self.light, place)
        if self.local is not None:
            x = self.local.apply(x, place)
        return x

    @property
    def needs_place(self) -> bool:
        """Whether it depends on a pixel's place in the object."""
        is_local = self.local is not None and self.local.needs_place
        return self.light is not None or is_local


def _compute_luma(x: FloatArray) -> FloatArray:
    """Weighted sum of the channels (3, ...): (...)."""
    # What np.tensordot computes, in half its time for small pictures.
    y: FloatArray = (_LUMA @ x.reshape(3, -1)).reshape(x.shape[1:])
    return y


UNTOUCHED = Look(np.tile(LEVELS.astype(np.float32), (3, 1)))


def lattice(n: int) -> FloatArray:
    """List the colors at n³ evenly spread points of the RGB cube, (3, n³).

    Examples
    --------
    >>> lattice(2).T.astype(int).tolist()[:3]
    [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    """
    axes = np.meshgrid(*[np.linspace(0.0, 1.0, n)] * 3, indexing="ij")
    return np.stack(axes).reshape(3, -1)


def _interpolate(grid: FloatArray, x: FloatArray) -> FloatArray:
    """Look colors (3, ...) up, trilinearly; those outside the cube at its surface."""
    volume = torch.from_numpy(grid).permute(3, 0, 1, 2)[None]  # (1, 3, n, n, n)
    # grid_sample wants the last axis, blue, first, and the cube from −1 to 1.
    points = torch.from_numpy(np.ascontiguousarray(x[::-1].reshape(3, -1).T)) * 2 - 1
    mapped = F.grid_sample(
        volume,
        points[None, None, None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )  # (1, 3, 1, 1, N)
    return mapped.numpy().reshape(x.shape)


def after(base: FloatArray, look: Look) -> Look:
    """Apply a look to what a base table (3, 256) gives."""
    rows = zip(base, look.table, strict=True)
    table = [np.interp(levels, LEVELS, row) for levels, row in rows]
    return look._replace(table=np.array(table, np.float32))


def base_table(rng: np.random.Generator, strength: float) -> FloatArray | None:
    """Draw the curves, (3, 256), of a look up to a strength; None for none."""
    if strength == 0:
        return None
    return retouch_look(rng, rng.uniform(0, strength)).table.clip(0, 1)


def retouch_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw an expert's retouch; each control is used about two times in three."""

    def amount(deviation: float, size: int | None = None) -> Any:
        used = rng.random() < 0.65
        return rng.normal(0.0, deviation * strength, size) * used

    exposure_ev = min(max(amount(0.85), -3.0), 3.0)
    warm, tint = amount(0.20), amount(0.08)
    gains = 2.0**exposure_ev * np.exp([warm, tint, -warm])
    x = _to_srgb(_LINEAR_LEVELS * gains[:, None])  # (3, 256), may exceed 1
    roll = rng.uniform(0.0, 1.0)  # highlights clip, or bend as film does
    x = roll * np.minimum(x, 1.0) + (1 - roll) * x / np.maximum(1.0, x[:, -1:])
    x = x ** np.exp(amount(0.20) + amount(0.05, 3)[:, None])  # gamma, color gamma
    pivot, contrast = rng.uniform(0.3, 0.65), np.exp(amount(0.25))
    x = _bend_contrast(x, float(pivot), float(contrast))
    bends = amount(0.35, 3)
    bends *= min(1.0, 0.85 / max(1e-9, float(np.abs(bends).sum())))
    for k, bend in enumerate(bends, 1):  # slope 1 + Σ bend·cos, so never negative
        if bend:
            x = x + bend * np.sin(np.pi * k * x) / (np.pi * k)
    black, white = amount(0.05), 1.0 + amount(0.07)
    x = black + (white - black) * x
    saturation = float(np.exp(min(max(amount(0.35), -1.5), 0.7)))
    toning = np.stack([amount(0.03, 3), amount(0.03, 3)]).astype(np.float32)
    return Look(x.astype(np.float32), saturation, toning if toning.any() else None)


class _Time(NamedTuple):
    """A time of day at strength 1: the ranges its settings are drawn from."""

    exposure_ev: tuple[float, float]
    warmth: tuple[float, float]
    """Logarithm of red's gain, and of blue's loss, in linear light."""
    haze: tuple[float, float]
    """Share of the light that comes from the air before the scene."""
    rods: tuple[float, float]
    """Share of what the eye sees by rods."""
    contrast: tuple[float, float]
    """Exponent's logarithm about middle gray."""
    saturation: tuple[float, float]
    """Factor's logarithm."""


# Exposure, warmth, haze, rods, contrast, saturation.
TIMES = {
    "golden hour": _Time(
        (-0.5, 0.3), (0.12, 0.32), (0.0, 0.02), (0.0, 0.0), (0.0, 0.25), (0.0, 0.2)
    ),
    "overcast": _Time(
        (-0.6, 0.2), (-0.12, 0.0), (0.01, 0.06), (0.0, 0.0), (-0.3, -0.05), (-0.5, -0.1)
    ),
    "dusk": _Time(
        (-1.4, -0.5), (-0.3, 0.05), (0.0, 0.03), (0.1, 0.3), (-0.1, 0.15), (-0.3, 0.1)
    ),
    "night": _Time(
        (-2.4, -1.3), (-0.3, 0.3), (0.0, 0.01), (0.2, 0.6), (-0.2, 0.1), (-0.4, 0.0)
    ),
}


def daylight_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw another time of day; a strength of 0 leaves the photograph as it is."""
    strength = min(strength, 1.25)  # a retouch may exceed nature, a night may not
    time = list(TIMES.values())[rng.integers(len(TIMES))]
    exposure_ev, warmth, haze, rods, contrast, saturation = (
        strength * rng.uniform(*bounds) for bounds in time
    )
    tint = rng.normal(0.0, 0.03 * strength)
    light = 2.0**exposure_ev * np.exp([warmth, tint, -warmth])[:, None]
    x = _to_srgb(light * ((1 - haze) * decode_srgb(LEVELS) + haze))  # (3, 256)
    x = x / np.maximum(1.0, x[:, -1:])  # the sensor is exposed for the brightest
    x = _bend_contrast(x, 0.5, float(np.exp(contrast)))
    grid = _mix_rods(rods) if rods > 0 else None
    return Look(x.astype(np.float32), float(np.exp(saturation)), grid=grid)


def _mix_rods(share: float) -> FloatArray:
    """Mix what rods see into linear light by a share."""
    mixed = (1 - share) * np.eye(3) + share * np.outer(_ROD_COLOR, _RODS)
    colors = _to_srgb(mixed @ decode_srgb(lattice(_ROD_GRID)))
    return colors.T.reshape(*[_ROD_GRID] * 3, 3).astype(np.float32)


def light_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw light that changes across an object; a strength of 0 leaves it as it is.

    Both ends differ from the photograph in exposure and in warmth, in opposite ways
    mostly, so that no curve for the whole object undoes it.
    """
    exposure_ev, warmth = strength * rng.normal(0.0, [[0.7], [0.25]], (2, 2))
    exposure_ev[1] -= exposure_ev.sum() * rng.uniform(0, 1)  # (2,): of both ends
    warmth[1] -= warmth.sum() * rng.uniform(0, 1)
    gains = 2.0 ** exposure_ev.clip(-2.5, 2.5)[:, None] * np.exp(
        warmth[:, None] * np.array([1.0, 0.0, -1.0])
    )  # (2, 3)
    angle = rng.uniform(0, 2 * np.pi)
    direction = [np.sin(angle), np.cos(angle), 0.0]
    return UNTOUCHED._replace(light=np.array([*gains, direction], np.float32))


def _relight(x: FloatArray, light: FloatArray, place: FloatArray | None) -> FloatArray:
    """Multiply linear light (3, ...) by gains that change with the place, (2, ...)."""
    first, last, (down, across, _) = light
    if place is None:
        share = np.linspace(0, 1, x[0].size, dtype=np.float32).reshape(x.shape[1:])
    else:
        along = down * (place[0] - 0.5) + across * (place[1] - 0.5)
        share = smooth((along + np.float32(0.5)).clip(0, 1))  # no edge at the rim
    relit = np.empty_like(x)
    for c in range(3):
        gain = first[c] + (last[c] - first[c]) * share
        relit[c] = _to_srgb(decode_srgb(x[c].clip(0, None)) * gain)
    return relit


def smooth(share: FloatArray) -> FloatArray:
    """Bend a share of [0, 1] so that it leaves 0 and meets 1 flat.

    Examples
    --------
    >>> smooth(np.array([0.0, 0.25, 0.5, 1.0])).tolist()
    [0.0, 0.15625, 0.5, 1.0]
    """
    return share * share * (3 - 2 * share)


def spread_places(shape: tuple[int, ...]) -> FloatArray:
    """Places (2, ...) of pixels of which none are known: evenly over the object.

    Examples
    --------
    >>> spread_places((4,))[0].tolist()
    [0.125, 0.375, 0.625, 0.875]
    """
    count = int(np.prod(shape))
    along = (np.arange(count) + 0.5) / max(count, 1)
    across = np.arange(count) * 0.6180339887 % 1  # the golden ratio fills evenly
    return np.stack([along, across]).reshape(2, *shape).astype(np.float32)


def _bend_contrast(x: FloatArray, pivot: float, exponent: float) -> FloatArray:
    """Bend values of [0, 1] away from a pivot by an exponent above 1, or towards it."""
    is_low = x < pivot
    span = np.where(is_low, pivot, 1 - pivot)
    bent = span * (np.where(is_low, x, 1 - x) / span) ** exponent
    return np.where(is_low, bent, 1 - bent)


def _to_srgb(x: FloatArray) -> FloatArray:
    """Encode light as sRGB; what is below black becomes black."""
    return encode_srgb(np.maximum(x, 0.0))


_LINEAR_LEVELS = decode_srgb(LEVELS)
