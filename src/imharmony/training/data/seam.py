"""Seams of training pairs: facing pixels of a photograph, under a pair's two looks.

Looks are functions of a pixel's color, so pairs of pixels are enough. What is done to
them stands for what photographs and masks of users are like: see `SeamSettings`.
"""

from dataclasses import dataclass, replace

import numpy as np

from imharmony.errors import UsageError
from imharmony.inference.crossings import (
    GAPS,
    MIN_PAIRS,
    Crossings,
    find_crossings,
    gap_lengths,
)
from imharmony.training.data.looks import Look, UInt8Array
from imharmony.training.data.pairs import Box, SeamSamples, corners, mask_limits

__all__ = ["SeamSettings", "draw_seam", "exact", "sample_seam", "scaled_gaps"]


@dataclass(frozen=True)
class SeamSettings:
    """How seams of training pairs are drawn."""

    num_pairs: int = 0
    """Crossings of each pair; 0 trains without a seam."""
    nearer: float = 0.8
    """Share of pairs whose outer pixels are drawn nearer to the inner ones, as in
    larger photographs; less so at wider gaps."""
    nearest: float = 0.1
    """Smallest share of their difference at the first gap that is left then."""
    displaced: tuple[float, ...] = (0.1, 0.2, 0.4, 0.2, 0.1)
    """Shares of displacements of the mask against the object, in pixels; the middle
    one is none."""
    noise: float = 1.5
    """Deviation, in 8-bit steps."""
    blended: float = 0.33
    """Share of pairs whose looks are blended across the edge."""
    blend_px: float = 4.0
    """Largest width of the blend, in pixels of the training photographs."""
    offset_px: float = 1.0
    """Largest distance of the blend's middle from the mask's edge."""
    displaced_along: float = 0.0
    """Share of swatches whose outer pixels are from elsewhere along the edge."""
    crossed: float = 0.0
    """Share of swatches whose outer pixels are another pair's, as in a paste."""
    absent: float = 0.0
    """Share of swatches without a seam."""
    edges: int = 0
    """Edges a batch for telling a same scene from a paste, half of them of each."""
    swatches: int = 0
    """For each pair of a batch so many further ones of which only colors are drawn, in
    a fraction of the time: they teach what the seam says."""
    scales: tuple[int, ...] = (1, 2, 3)
    """Their gaps are 1, a, 2a and 4a pixels, with one of these for a: how far a blend
    reaches is seen at several gaps only, which are one in small photographs."""
    shown: int = 1
    """How often each of these is shown, `SHOWN_AGAIN` pairs of a batch apart."""
    scaled: float = 0.0
    """Share of the pairs with pictures whose gaps are drawn from `scales`, too; the
    others have those that their small photographs have in use."""

    def __post_init__(self) -> None:
        misled = (self.displaced_along, self.crossed, self.absent)
        if min(misled) < 0 or sum(misled) > 1:
            msg = "displaced_along, crossed and absent are shares of at most 1 together"
            raise UsageError(f"{msg}, got {misled}")
        shares = (self.nearer, self.nearest, self.blended, self.scaled)
        if not 0 <= min(shares) <= max(shares) <= 1:
            msg = "nearer, nearest, blended and scaled are shares from 0 to 1"
            msg = f"{msg}, got {shares}"
            raise UsageError(msg)
        if len(self.displaced) % 2 == 0 or not sum(self.displaced) > 0:
            msg = f"displaced gives shares to an odd number, got {self.displaced}"
            raise UsageError(msg)
        numbers = (self.num_pairs, self.edges, self.swatches)
        if min(numbers) < 0 or self.edges % 2:
            msg = "num_pairs, edges and swatches are at least 0, edges even"
            raise UsageError(f"{msg}; got {numbers}")
        if not self.scales or min(self.scales) < 1:
            raise UsageError(f"scales are at least 1, got {self.scales}")
        if self.shown < 1 or self.swatches % self.shown:
            msg = f"shown divides swatches, {self.swatches}"
            raise UsageError(f"{msg}; got {self.shown}")


def scaled_gaps(scale: int) -> tuple[int, int, int, int]:
    """Give the gaps of a larger photograph, in pixels; of `SeamSettings.scales`.

    Examples
    --------
    >>> scaled_gaps(3)
    (1, 3, 6, 12)
    """
    return 1, scale, 2 * scale, 4 * scale


def exact(settings: SeamSettings) -> SeamSettings:
    """Give the settings of seams as they are, for validation."""
    return replace(
        settings,
        nearer=0.0,
        displaced=(1.0,),
        noise=0.0,
        blended=0.0,
        scaled=0.0,
        edges=0,
        swatches=0,
    )


def draw_seam(
    rng: np.random.Generator,
    photo: UInt8Array,
    crossings: Crossings,
    looks: tuple[Look, Look],
    box: Box,
    settings: SeamSettings,
) -> SeamSamples:
    """Draw the seam of a pair: facing pixels, the foreground's look on the inner ones.

    Parameters
    ----------
    rng : numpy.random.Generator
    photo : ndarray of uint8, shape (H, W, 3)
    crossings : Crossings
        All of its mask.
    looks : tuple of Look
        Of the rest and of the foreground.
    box : Box
        The mask's, for looks that depend on the place.
    settings : SeamSettings
    """
    M, N = len(crossings), settings.num_pairs
    if M < MIN_PAIRS:
        return SeamSamples.none(N)
    chosen = np.sort(rng.permutation(M)[:N])
    n = len(chosen)
    inner, outer = crossings.inner[:, chosen], crossings.outer[:, chosen]  # (G, n, 2)
    valid = crossings.is_valid[:, chosen]
    step = np.sign(outer[:1] - inner[:1])  # (1, n, 2): out of the object
    shares = np.cumsum(settings.displaced)
    shift = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
    shift -= len(settings.displaced) // 2
    points = np.stack([inner, outer]) + shift * step  # (2, G, n, 2)
    limits = np.array(photo.shape[:2])
    valid = valid & ((points >= 0) & (points < limits)).all(axis=(0, 3))
    points = points.clip(0, limits - 1)
    colors = photo[points[..., 0], points[..., 1]]  # (2, G, n, 3)
    levels = np.moveaxis(colors, 3, 0).astype(np.float32)  # (3, 2, G, n)
    if rng.random() < settings.nearer:
        share = rng.uniform(settings.nearest, 1.0)
        for gap in range(GAPS):
            inside, outside = levels[:, 0, gap], levels[:, 1, gap]
            left = share ** (1 / (1 + gap))
            levels[:, 1, gap] = inside + left * (outside - inside)
    levels += rng.normal(0.0, settings.noise, levels.shape).astype(np.float32)
    whole = np.rint(levels).clip(0, 255).astype(np.uint8)
    place = None
    if looks[1].needs_place:
        start = np.array([side.start for side in box])
        length = np.array([side.stop - side.start for side in box])
        place = np.moveaxis((points + 0.5 - start) / length, 3, 0).astype(np.float32)
    rest = looks[0].apply(whole).clip(0, 1)
    if rng.random() < settings.blended:
        width = max(0.5, rng.uniform(0, settings.blend_px))
        offset = rng.uniform(-settings.offset_px, settings.offset_px)
        # Where the pixels lie from the edge: it runs between those of the first gap.
        along = np.abs(outer - inner).sum(axis=2) / 2.0  # (G, n)
        depth = np.stack([along, -along]) + offset  # (2, G, n), positive inside
        share_in = (0.5 + depth / width).clip(0, 1).astype(np.float32)
        own = looks[1].apply(whole, place).clip(0, 1)
        both = rest + share_in * (own - rest)
    else:
        inside = None if place is None else place[:, 0]
        own = looks[1].apply(np.ascontiguousarray(whole[:, 0]), inside).clip(0, 1)
        both = rest
        both[:, 0] = own
    samples = SeamSamples.none(N)
    samples.colors[:, :n] = both.transpose(2, 3, 1, 0).reshape(GAPS, n, 6)
    samples.weight[:, :n] = valid
    samples.place[:n] = inner[0] + 0.5
    samples.colors[samples.weight == 0] = 0
    return samples


def sample_seam(
    pixels: UInt8Array, mask: UInt8Array, num_pairs: int, *, shorter: int | None = None
) -> SeamSamples:
    """Sample the seam of a composite as it is, as in use.

    Parameters
    ----------
    pixels, mask : ndarray of uint8, shape (H, W, 3) and (H, W)
    num_pairs : int
    shorter : int or None
        Shorter side of the photo that these are a part of; None for their own.
    """
    samples = SeamSamples.none(num_pairs)
    if not num_pairs or not mask.any():
        return samples
    box = corners(mask_limits(mask))
    shorter = shorter or min(mask.shape)
    crossings = find_crossings(mask, box, gaps=gap_lengths(shorter, shorter))
    if len(crossings) < MIN_PAIRS:
        return samples
    crossings = crossings.spread(num_pairs)
    n = len(crossings)
    limit = np.array(mask.shape) - 1
    points = np.stack([crossings.inner, crossings.outer]).clip(0, limit)
    colors = pixels[points[..., 0], points[..., 1]] / np.float32(255)  # (2, G, n, 3)
    samples.colors[:, :n] = colors.transpose(1, 2, 0, 3).reshape(GAPS, n, 6)
    samples.weight[:, :n] = crossings.is_valid
    samples.colors[samples.weight == 0] = 0
    return samples
