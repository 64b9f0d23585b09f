"""Training pairs from single photographs: change looks, keep one as the truth.

A pair is made from one photograph and the mask of an object in it. Two looks are
drawn: the truth is the whole photograph under the first, the composite is the
truth with the foreground replaced by the photograph under the second. Either look
may be the untouched photograph. So the network learns to undo whatever was done
to the foreground and to redo whatever was done to the rest.

Families of looks:

retouch
    What an expert does to a raw photograph: exposure and white balance in linear
    light, contrast, gamma, tone curve, black and white point, saturation, split
    toning.
transfer
    Means and deviations of another photograph's object, in the decorrelated
    log-LMS space of E. Reinhard et al., "Color Transfer between Images", IEEE
    CG&A 21(5), 2001.
histogram
    Cumulative histograms of another photograph's object per channel, after
    U. Fecker et al., "Histogram-Based Prefiltering for Luminance and Chrominance
    Compensation of Multiview Video", IEEE TCSVT 18(9), 2008.

Every draw depends on a seed and the pair's index alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.evaluation.baselines import (
    LAB_FROM_LOG_LMS,
    LMS_FROM_RGB,
    MIN_LMS,
    FloatArray,
    lab_statistics,
)
from imharmony.training.data.pool import Pool, UInt8Array

__all__ = ["FAMILIES", "LookSettings", "Pair", "Synthesis"]

FAMILIES = ("retouch", "transfer", "histogram")
CHANGED = ("foreground", "rest", "both")
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
_LMS = LMS_FROM_RGB.astype(np.float32)
_RGB = np.linalg.inv(LMS_FROM_RGB).astype(np.float32)
_LAB = LAB_FROM_LOG_LMS.astype(np.float32)


@dataclass(frozen=True)
class LookSettings:
    """How often and how strongly looks change; shares are relative."""

    families: dict[str, float] = field(
        default_factory=lambda: {"retouch": 0.7, "transfer": 0.15, "histogram": 0.15}
    )
    changed: dict[str, float] = field(
        default_factory=lambda: {"foreground": 0.4, "rest": 0.35, "both": 0.25}
    )
    """What differs from the untouched photograph. The rest is always retouched:
    a whole photo with another object's colors is no photo any more."""
    strengths: dict[str, tuple[float, float, float]] = field(
        default_factory=lambda: {
            "small": (0.2, 0.5, 0.9),
            "moderate": (0.4, 0.9, 1.5),
            "large": (0.4, 1.5, 2.4),
        }
    )
    """Share, and the range that a look's strength is drawn from."""
    difference: tuple[float, float] = (0.06, 0.45)
    """Root mean square difference of the two foregrounds a pair may have."""
    max_clipped: float = 0.25
    """Share of foreground values a look may push out of range."""
    maskless: float = 0.25
    """Share of pairs made from photographs without a mask, where the pool has any:
    each gets the mask of another photograph's object, stretched to its size."""
    base: float = 0.0
    """Greatest strength of a look that the whole photograph takes on before the
    pair's own looks, as if another camera had taken it."""
    parts: float = 0.0
    """Share of pairs whose foreground crop shows a part of the object's box only."""

    def __post_init__(self) -> None:
        for name, known in (("families", FAMILIES), ("changed", CHANGED)):
            shares = getattr(self, name)
            if not shares.keys() <= set(known) or not sum(shares.values()) > 0:
                msg = f"{name} gives shares above 0 to {', '.join(known)}, got {shares}"
                raise UsageError(msg)


class Look(NamedTuple):
    """One look: a function of a pixel's color alone, so it suits any size."""

    table: FloatArray
    """(3, 256) float32: new sRGB-encoded value of each 8-bit level; applied first."""
    saturation: float = 1.0
    toning: FloatArray | None = None
    """(2, 3): what is added to shadows and to highlights."""
    transfer: FloatArray | None = None
    """(3, 3): strength, scale and offset of l, alpha, beta."""

    def apply(self, levels: UInt8Array) -> FloatArray:
        """Map 8-bit levels (3, ...) to float32 values, (3, ...), not clipped."""
        planes = [self.table[c].take(levels[c]) for c in range(3)]
        x: FloatArray = np.stack(planes)  # (3, ...)
        if self.transfer is not None:
            strength, scale, offset = self.transfer[:, :, None]  # (3, 1) each
            flat = x.reshape(3, -1).clip(0, 1)
            lms = np.maximum(_LMS @ flat, np.float32(MIN_LMS))
            lab = (_LAB @ np.log10(lms)) * scale + offset  # (3, N)
            moved = _RGB @ np.power(np.float32(10), _LAB.T @ lab)
            x = (flat + strength * (moved - flat)).reshape(x.shape)
        if self.toning is not None:
            y = np.tensordot(_LUMA, x, 1).clip(0, 1)  # (...)
            shadows, highlights = (1 - y) ** 2 * np.minimum(4 * y, 1), y**2
            for c in range(3):
                x[c] += shadows * self.toning[0, c] + highlights * self.toning[1, c]
        if self.saturation != 1.0:
            y = np.tensordot(_LUMA, x, 1)
            x = y + np.float32(self.saturation) * (x - y)
        return x


class Pair(NamedTuple):
    """A batch of training pairs; the crop is the mask's box, the rest the photo."""

    composite: Tensor
    """(B, 3, h, w) float in [0, 1], sRGB-encoded."""
    real: Tensor
    mask: Tensor
    """(B, 1, h, w)"""
    foreground: Tensor
    """(B, 3, h, w): the composite's crop."""
    foreground_real: Tensor
    foreground_mask: Tensor
    semantic_label: Tensor
    """(B,) long; −1 where unknown."""


def _to_linear(x: FloatArray) -> FloatArray:
    """Decode sRGB (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_srgb(x: FloatArray) -> FloatArray:
    """Encode sRGB (IEC 61966-2-1)."""
    x = np.maximum(x, 0.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)


_LEVELS = np.linspace(0.0, 1.0, 256)
_UNTOUCHED = Look(np.tile(_LEVELS.astype(np.float32), (3, 1)))


def _retouch_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw an expert's retouch; each control is used about two times in three."""

    def amount(deviation: float, size: int | None = None) -> FloatArray:
        used = rng.random() < 0.65
        return np.asarray(rng.normal(0.0, deviation * strength, size) * used)

    exposure_ev = amount(0.85).clip(-3, 3)
    warm, tint = amount(0.20), amount(0.08)
    gains = 2.0**exposure_ev * np.exp([warm, tint, -warm])
    x = _to_srgb(_to_linear(_LEVELS) * gains[:, None])  # (3, 256), may exceed 1
    roll = rng.uniform(0.0, 1.0)  # highlights clip, or bend as film does
    x = roll * np.minimum(x, 1.0) + (1 - roll) * x / np.maximum(1.0, x[:, -1:])
    x = x ** np.exp(amount(0.20) + amount(0.05, 3)[:, None])  # gamma, color gamma
    pivot, contrast = rng.uniform(0.3, 0.65), np.exp(amount(0.25))
    low = pivot * (np.minimum(x, pivot) / pivot) ** contrast
    high = 1 - (1 - pivot) * ((1 - np.maximum(x, pivot)) / (1 - pivot)) ** contrast
    x = np.where(x < pivot, low, high)
    bends = amount(0.35, 3)
    bends *= min(1.0, 0.85 / max(1e-9, float(np.abs(bends).sum())))
    for k, bend in enumerate(bends, 1):  # slope 1 + Σ bend·cos, so never negative
        x = x + bend * np.sin(np.pi * k * x) / (np.pi * k)
    black, white = amount(0.05), 1.0 + amount(0.07)
    x = black + (white - black) * x
    saturation = float(np.exp(amount(0.35).clip(-1.5, 0.7)))
    toning = np.stack([amount(0.03, 3), amount(0.03, 3)]).astype(np.float32)
    return Look(x.astype(np.float32), saturation, toning if toning.any() else None)


def _transfer_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Move means and deviations to another object's, within a factor of 2.5."""
    mean, deviation = lab_statistics(own.T / 255, np.ones(own.shape[1]))
    mean_other, deviation_other = lab_statistics(other.T / 255, np.ones(other.shape[1]))
    scale = (deviation_other / np.maximum(deviation, 1e-3)).clip(0.4, 2.5)
    offset = mean_other - scale * mean
    transfer = np.stack([np.full(3, strength), scale, offset]).astype(np.float32)
    return _UNTOUCHED._replace(transfer=transfer)


def _histogram_look(own: UInt8Array, other: UInt8Array, strength: float) -> Look:
    """Match 33 quantiles of each channel: few enough to stay smooth."""
    ranks = np.linspace(0, 1, 33)
    rising = np.arange(35) * 1e-9  # np.interp wants knots that rise
    table = np.empty((3, 256))
    for c in range(3):
        own_c, other_c = (np.quantile(p[c] / 255, ranks) for p in (own, other))
        knots_x = np.concatenate([[0.0], own_c, [1.0]]) + rising
        knots_y = np.concatenate([[0.0], other_c, [1.0]])
        table[c] = np.interp(_LEVELS, knots_x, knots_y)
    table = _LEVELS + strength * (table - _LEVELS)
    return Look(table.astype(np.float32))


class Synthesis:
    """Draws pairs from a pool; the same seed and index give the same pair.

    Parameters
    ----------
    pool : Pool
        Photographs to change, and to take other objects' colors from.
    settings : LookSettings
    seed : int
    """

    def __init__(self, pool: Pool, settings: LookSettings, *, seed: int) -> None:
        self.pool, self.settings, self.seed = pool, settings, seed
        labels = np.array([example.semantic_label for example in pool])
        has_mask = np.array([example.mask is not None for example in pool])
        self._masked = np.flatnonzero(has_mask)
        self._maskless = np.flatnonzero(~has_mask)
        if not len(self._masked):
            raise UsageError("no photograph has a mask; pairs need some objects' masks")
        self._peers = {
            int(n): np.flatnonzero(has_mask & (labels == n)) for n in set(labels)
        }

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        """Randomness of one pair; streams keep example, geometry and looks apart."""
        return np.random.default_rng([self.seed, index, stream])

    def draw_example(self, index: int) -> int:
        """Which example of the pool pair `index` is made from."""
        rng = self._rng(index, 0)
        if len(self._maskless) and rng.random() < self.settings.maskless:
            return int(rng.choice(self._maskless))
        return int(self._masked[rng.integers(len(self._masked))])

    def draw_pixels(self, index: int, example: int) -> tuple[UInt8Array, UInt8Array]:
        """Photo (H, W, 3) and mask (H, W) of pair `index`, uint8."""
        photo, mask = self.pool.pixels(example)
        if not mask.size:
            other = int(self._rng(index, 3).choice(self._masked))
            mask = _stretch(self.pool.pixels(other)[1], photo.shape[:2])
        return photo, mask

    def draw_looks(self, index: int, example: int) -> tuple[Look, Look]:
        """Draw the looks of the truth and of the composite's foreground.

        Judged on some 2,000 pixels: looks that break a bound of the settings are
        drawn again, up to ten times, weaker if they were too strong.
        """
        photo, mask = self.draw_pixels(index, example)
        whole, own = _some_pixels(photo), _some_foreground(photo, mask)  # (3, N)
        low, high = self.settings.difference
        rng = self._rng(index, 2)
        base = _base_table(self._rng(index, 4), self.settings.base)
        scale = 1.0
        for _ in range(11):
            looks = self._draw_once(rng, example, own, scale)
            if base is not None:
                looks = (_after(base, looks[0]), _after(base, looks[1]))
            real, foreground = (look.apply(own).clip(0, 1) for look in looks)
            difference = float(((real - foreground) ** 2).mean()) ** 0.5
            clipped = max(
                _share_clipped(whole, looks[0].apply(whole)),
                _share_clipped(own, foreground),
            )
            if difference > high or clipped > self.settings.max_clipped:
                scale *= 0.7
            elif difference >= low:
                break
        return looks

    def _draw_once(
        self, rng: np.random.Generator, example: int, own: UInt8Array, scale: float
    ) -> tuple[Look, Look]:
        share, low, high = np.array(list(self.settings.strengths.values())).T
        which = rng.choice(len(share), p=share / share.sum())
        changed = _choose(rng, self.settings.changed)
        looks = []
        for name in ("rest", "foreground"):
            look = _UNTOUCHED
            if changed in (name, "both"):
                strength = scale * rng.uniform(low[which], high[which])
                family = _choose(rng, self.settings.families)
                if family == "retouch" or name == "rest":
                    look = _retouch_look(rng, strength)
                else:
                    peers = self._peers[self.pool[example].semantic_label]
                    other = self.pool.pixels(int(rng.choice(peers)))
                    make = _transfer_look if family == "transfer" else _histogram_look
                    amount = min(1.0, strength * rng.uniform(0.5, 1.0))
                    look = make(own, _some_foreground(*other), amount)
            looks.append(look)
        return looks[0], looks[1]

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Make the pairs of the given indices as thumbnails of a size (height, width).

        Each from a random part of the photo that holds the whole object, perhaps
        mirrored.
        """
        B, (h, w) = len(indices), size
        thumbnails = [np.empty((B, c, h, w), np.float32) for c in (3, 3, 1)]
        crops = [np.empty((B, c, h, w), np.float32) for c in (3, 3, 1)]
        labels = np.empty(B, np.int64)
        for i, index in enumerate(indices):
            example = self.draw_example(index)
            labels[i] = self.pool[example].semantic_label
            photo, full_mask = self.draw_pixels(index, example)
            rng = self._rng(index, 1)
            inner = mask_limits(full_mask)
            outer = _random_part(rng, inner, full_mask.shape)
            step = -1 if rng.random() < 0.5 else 1
            if self.settings.parts > rng.random():
                inner = _part_of_object(rng, inner, full_mask)
            looks = self.draw_looks(index, example)
            for part, into in ((outer, thumbnails), (inner, crops)):
                composite, real, mask = (array[i] for array in into)
                levels = _resize(photo[part].copy(), size)[:, :, ::step]
                np.divide(
                    _resize(full_mask[part].copy(), size)[:, :, ::step], 255, out=mask
                )
                looks[0].apply(levels).clip(0, 1, out=real)
                looks[1].apply(levels).clip(0, 1, out=composite)
                composite -= real
                composite *= mask
                composite += real
        tensors = [torch.from_numpy(array) for array in (*thumbnails, *crops, labels)]
        return Pair(*tensors)


def _base_table(rng: np.random.Generator, strength: float) -> FloatArray | None:
    """Draw the curves, (3, 256), of a look up to a strength; None for none."""
    if strength == 0:
        return None
    return _retouch_look(rng, rng.uniform(0, strength)).table.clip(0, 1)


def _after(base: FloatArray, look: Look) -> Look:
    """Apply a look to what the base table gives."""
    rows = zip(base, look.table, strict=True)
    table = [np.interp(levels, _LEVELS, row) for levels, row in rows]
    return look._replace(table=np.array(table, np.float32))


def _stretch(mask: UInt8Array, shape: tuple[int, ...]) -> UInt8Array:
    """Nearest-neighbor resize of a mask (h, w) to a shape (H, W)."""
    rows, columns = (
        np.arange(n) * old // n for n, old in zip(shape, mask.shape, strict=True)
    )
    return np.ascontiguousarray(mask[rows[:, None], columns])


def _part_of_object(
    rng: np.random.Generator, inner: tuple[slice, slice], mask: UInt8Array
) -> tuple[slice, slice]:
    """Choose a box of 0.6 to 1 of the object's sides; the whole one if it is empty."""
    sides = []
    for part in inner:
        length = part.stop - part.start
        kept = max(1, round(length * rng.uniform(0.6, 1.0)))
        start = part.start + int(rng.integers(length - kept + 1))
        sides.append(slice(start, start + kept))
    share = (mask[sides[0], sides[1]] > 127).mean()
    return (sides[0], sides[1]) if share > 0.1 else inner


def _choose(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """Draw a name by its share."""
    values = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=values / values.sum()))


def _some_pixels(pixels: UInt8Array) -> UInt8Array:
    """Up to about 2,000 of the pixels (..., 3), evenly spread: (3, N)."""
    pixels = pixels.reshape(-1, 3)
    return np.ascontiguousarray(pixels[:: max(1, len(pixels) // 2000)].T)


def _some_foreground(photo: UInt8Array, mask: UInt8Array) -> UInt8Array:
    """Likewise of the foreground; of the whole photo if the mask is too thin."""
    pixels = photo[::2, ::2][mask[::2, ::2] > 127]
    return _some_pixels(pixels if len(pixels) else photo)


def _share_clipped(levels: UInt8Array, values: FloatArray) -> float:
    """Share of values at the rim that were not there in the photo."""
    is_inner = (levels > 2) & (levels < 253)
    return float((((values < 0.002) | (values > 0.998)) & is_inner).mean())


def mask_limits(mask: UInt8Array) -> tuple[slice, slice]:
    """Rows and columns of the smallest box that holds the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _random_part(
    rng: np.random.Generator, inner: tuple[slice, slice], shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Choose a random box between the object's and the photo's."""
    amount = rng.uniform(0, 0.8) if rng.random() < 0.6 else 0.0
    sides = []
    for part, length in zip(inner, shape, strict=True):
        start = int(part.start * amount * rng.random())
        stop = length - int((length - part.stop) * amount * rng.random())
        sides.append(slice(start, stop))
    return sides[0], sides[1]


def _resize(pixels: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Resize (H, W, C) or (H, W) to (C, h, w) uint8, antialiased bilinear."""
    tensor = torch.from_numpy(pixels)  # slow where not contiguous
    tensor = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
    small = F.interpolate(tensor[None], size, mode="bilinear", antialias=True)
    return small[0].contiguous().numpy()
