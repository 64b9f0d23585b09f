"""Seams that say nothing, and seams under other looks.

From the first a network learns when not to follow a seam; from the second, that looks
say nothing of the scene.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imharmony.inference.crossings import GAPS
from imharmony.training.data.seam import SeamSettings

__all__ = ["displace", "mislead", "vary_looks"]

_WIDTH = 4.0  # pixels: largest width of the mixed edge
_OFFSET = 1.0  # pixels between the mask's edge and the cut

_POWER = 0.35
"""Deviation of the logarithm of a power that colors are raised to."""


def displace(seam: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Move outer sides half the way along the edge.

    Parameters
    ----------
    seam, weight : Tensor, shape (B, G, N, 6) and (B, G, N)

    Returns
    -------
    tuple of Tensor
    """
    half = seam.shape[2] // 2
    outer = seam.roll(half, 2)[..., 3:]
    moved = torch.cat([seam[..., :3], outer], dim=-1)
    return moved, weight * weight.roll(half, 2)


def mislead(
    rng: np.random.Generator, seam: Tensor, weight: Tensor, settings: SeamSettings
) -> tuple[Tensor, Tensor]:
    """Replace the seams of some pairs of a batch by ones that say nothing.

    Parameters
    ----------
    rng : numpy.random.Generator
    seam, weight : Tensor, shape (B, G, N, 6) and (B, G, N)
    settings : SeamSettings
        Its shares `displaced_along`, `crossed` and `absent`.

    Returns
    -------
    tuple of Tensor
        Where nothing was drawn, as they were.
    """
    B = len(seam)
    limits = np.cumsum([settings.displaced_along, settings.crossed, settings.absent])
    drawn = np.searchsorted(limits, rng.random(B), side="right")
    choice = torch.from_numpy(drawn).to(seam.device)[:, None, None]
    moved, moved_weight = displace(seam, weight)
    crossed, crossed_weight = _cross(rng, seam, weight)
    nothing = torch.zeros_like(weight)
    weights = torch.where(
        choice == 0,
        moved_weight,
        torch.where(
            choice == 1, crossed_weight, torch.where(choice == 2, nothing, weight)
        ),
    )
    choice = choice[..., None]
    seams = torch.where(choice == 0, moved, torch.where(choice == 1, crossed, seam))
    return seams * (weights[..., None] > 0), weights


def _cross(
    rng: np.random.Generator, seam: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Lay each pair's object on the surroundings of the pair before it.

    The edge is mixed of both as where it is antialiased or feathered, and the mask is
    a little wider or narrower than what was cut out.
    """
    B = len(seam)
    inner, outer = seam[..., :3], seam.roll(1, 0)[..., 3:]

    def draw(low: float, high: float) -> Tensor:
        drawn = rng.uniform(low, high, (B, 1, 1, 1)).astype(np.float32)
        return torch.from_numpy(drawn).to(seam.device)

    # Distances from the edge in the gaps' own order: between the first gap's pixels.
    depth = 0.5 * 2.0 ** torch.arange(GAPS, device=seam.device).view(1, GAPS, 1, 1)
    width, offset = draw(0.3, _WIDTH), draw(-_OFFSET, _OFFSET)
    share_out = (0.5 - (depth + offset) / width).clamp(0, 1)
    share_in = (0.5 - (depth - offset) / width).clamp(0, 1)
    mixed = [inner + share_out * (outer - inner), outer + share_in * (inner - outer)]
    return torch.cat(mixed, dim=-1), weight * weight.roll(1, 0)


def vary_looks(
    rng: np.random.Generator, seam: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Put another look on each side of seams, and exchange sides and channels.

    Whether both sides are of one scene stays as it was.

    Parameters
    ----------
    rng : numpy.random.Generator
    seam, weight : Tensor, shape (B, G, N, 6) and (B, G, N)

    Returns
    -------
    tuple of Tensor
    """
    B = len(seam)

    def send(values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(seam.device)

    sides = seam.reshape(*seam.shape[:3], 2, 3)[..., rng.permutation(3).tolist()]
    power = np.exp(rng.normal(0.0, _POWER, (B, 1, 1, 2, 3)))
    power[rng.random((B, 1, 1, 2)) < 0.5] = 1.0
    sides = sides.clamp(1e-4, 1) ** send(power)
    is_exchanged = send(rng.random((B, 1, 1, 1, 1)) < 0.5) > 0
    sides = torch.where(is_exchanged, sides.flip(3), sides)
    return sides.flatten(3) * (weight[..., None] > 0), weight
