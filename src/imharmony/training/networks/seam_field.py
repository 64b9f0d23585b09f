"""A map of the picture that tells, at each place, what facing pixels nearby say.

The pairs are read at the photo's own size, where both sides of an edge that is not
exact show the same material. Each point of a coarse lattice gets the mean of the pairs
around it, near ones more: so it is known where along the edge which change is missing.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["NUM_CHANNELS", "seam_field"]

LATTICE = 16
"""Points along each side of the picture."""
NEAR = 0.06
WIDE = 0.25
"""Distances at which a pair counts for 0.6 of one that is at hand, as shares of the
picture's sides."""
_ALIKE = 0.08
"""Difference of two facing pixels at which a pair counts for a half: sides that differ
by much are different materials, whatever the light."""
_FAR_GAP = 2
"""The second gap that is looked at: what blended edges need."""
NUM_CHANNELS = 17


def seam_field(
    seam: Tensor, weight: Tensor, place: Tensor, size: tuple[int, int]
) -> Tensor:
    """Spread what the pairs say over the picture.

    Parameters
    ----------
    seam : Tensor of float, shape (B, G, N, 6)
        Facing pixels, inner and outer, at each gap.
    weight : Tensor of float, shape (B, G, N)
        1 where there is a pair, else 0.
    place : Tensor of float, shape (B, N, 2)
        Where in the picture they are, down and across, from 0 to 1.
    size : tuple of int
        Height and width of the map.

    Returns
    -------
    Tensor, shape (B, NUM_CHANNELS, h, w)
        Outer less inner color: at the first gap, of the pairs nearby that are alike
        (3), of all of them (3), of those in a wide circle that are alike (3); at the
        second gap of the pairs nearby that are alike (3). Mean inner color nearby,
        about the middle of the range (3); how far they differ, and how many there are
        (2).
    """
    near, wide = _kernel(place, NEAR), _kernel(place, WIDE)  # (B, P, N)
    inner, outer = seam[..., :3], seam[..., 3:]
    difference = outer - inner  # (B, G, N, 3)
    apart = difference.square().sum(dim=3)  # (B, G, N)
    alike = weight / (1 + apart / _ALIKE**2)
    first, second = difference[:, 0], difference[:, _FAR_GAP]
    size_of_first = (apart[:, 0] + 1e-8).sqrt()[..., None]
    values = torch.cat([first, inner[:, 0] - 0.5, size_of_first], dim=2)  # (B, N, 7)
    averages = _mean(near, weight[:, 0], values)
    maps = torch.cat(
        [
            _mean(near, alike[:, 0], first),
            averages[..., :3],
            _mean(wide, alike[:, 0], first),
            _mean(near, alike[:, _FAR_GAP], second),
            averages[..., 3:],
            _density(near, weight[:, 0]),
        ],
        dim=2,
    )  # (B, P, 17)
    lattice = maps.transpose(1, 2).reshape(-1, NUM_CHANNELS, LATTICE, LATTICE)
    return F.interpolate(lattice, size=size, mode="bilinear", align_corners=False)


def _kernel(place: Tensor, distance: float) -> Tensor:
    """How much each pair counts at each point of the lattice, (B, P, N)."""
    points = (torch.arange(LATTICE, device=place.device) + 0.5) / LATTICE
    along = ((points[:, None] - place[:, None, :, 0]) / distance).square()
    across = ((points[:, None] - place[:, None, :, 1]) / distance).square()
    down, beside = torch.exp(-along / 2), torch.exp(-across / 2)  # (B, L, N)
    kernel = (down[:, :, None] * beside[:, None]).flatten(1, 2)
    return kernel + 1e-6  # far from all pairs, all count alike


def _mean(kernel: Tensor, weight: Tensor, values: Tensor) -> Tensor:
    """Weighted mean of values (B, N, C) at each point, (B, P, C); 0 of none."""
    counted = torch.cat([values * weight[..., None], weight[..., None]], dim=2)
    sums = kernel @ counted
    return sums[..., :-1] / (sums[..., -1:] + 1e-9)


def _density(kernel: Tensor, weight: Tensor) -> Tensor:
    """Share of all pairs that is near each point, (B, P, 1)."""
    share = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    return kernel @ share[..., None]
