"""HDNet on top of curves: it corrects, place by place, what the curves leave.

The network sees the picture as the curves left it, the mask, what its edge says
(`edge_reader`), and how likely it is that both sides of it belong to one scene. It
predicts for each pixel an affine map of color, at first none, and for the picture the
share of that change that is worth making. The trunk is HDNet's; what it is shown, the
affine maps in place of a picture and the reader of the edge are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.networks.edge_reader import EdgeReader, fit_lattice
from imharmony.training.networks.hdnet import HDNet, HDNetDimensions
from imharmony.training.networks.variants import change_variant

__all__ = [
    "REFINER_VARIANTS",
    "Refinement",
    "Refiner",
    "RefinerDimensions",
    "RefinerInUse",
    "build_refiner",
    "hold_back",
    "refine",
]

FOLD = 2
"""Pixels of the picture along each side of one that is convolved: the maps are smooth,
but the edge is sharp, so what is seen is folded into channels, not shrunk."""
_NUM_READ = 16
"""Channels in which the trunk is shown what the edge says."""
_NUM_INPUTS = 4 * FOLD**2 + _NUM_READ + 1
"""The picture and its mask, folded; what the edge says; the probability of a same
scene."""
_NUM_MAPS = 12
"""Of a color: a 3x3 matrix and an offset, on top of no change."""
_NUM_STATISTICS = 14
_HIDDEN = 64


@dataclass(frozen=True)
class RefinerDimensions:
    """Every number and choice that makes one network."""

    width: int = 8
    """As the further ones, see `HDNetDimensions`."""
    num_neighbors: int = 3
    temperature: float = 0.1
    reader_width: int = 64
    """Width of what reads the edge."""
    num_heads: int = 8
    """Its heads of attention, and how often pairs look at each other."""
    num_blocks: int = 2
    caution: float = 0.0
    """In use: subtracted from the logit of the share that is made."""
    least_change: float = 0.0
    """In use: a change of this size, of the range, is made by half of that share."""

    @property
    def trunk(self) -> HDNetDimensions:
        """Dimensions of the network inside."""
        return HDNetDimensions(
            width=self.width,
            mode="paper",
            num_neighbors=self.num_neighbors,
            temperature=self.temperature,
            num_inputs=_NUM_INPUTS,
            num_outputs=_NUM_MAPS,
        )


REFINER_VARIANTS = {"hdnet-lite-refining": RefinerDimensions()}


class Refinement(NamedTuple):
    """What is predicted of a batch."""

    picture: Tensor
    """(B, 3, h, w), RGB, sRGB-encoded; the background is that of what was refined."""
    logit: Tensor
    """(B,): of the share of the change that is worth making, as the network judges."""


class Refiner(nn.Module):
    """The whole network."""

    def __init__(self, dimensions: RefinerDimensions) -> None:
        super().__init__()
        d = self.dimensions = dimensions
        self.trunk = HDNet(d.trunk)
        nn.init.zeros_(self.trunk.output.weight)
        self.reader = EdgeReader(
            d.reader_width, d.num_heads, d.num_blocks, _NUM_STATISTICS
        )
        self.shown = nn.Linear(d.reader_width, _NUM_READ)
        self.maps = nn.Linear(d.reader_width, _NUM_MAPS)
        nn.init.zeros_(self.maps.weight)
        nn.init.zeros_(self.maps.bias)
        self.share = nn.Sequential(
            nn.Linear(_NUM_STATISTICS + 2 * d.reader_width + _NUM_MAPS, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, 1),
        )

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
        seam_place: Tensor,
        same_scene: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Predict what `refine` applies, parameters as there.

        Returns
        -------
        tuple of Tensor
            Maps of color, (B, 12, h/2, w/2), and the logit of the share, (B,).
        """
        folded = torch.cat([2 * composite - 1, 2 * mask - 1], dim=1)
        folded = F.pixel_unshuffle(folded, FOLD)  # (B, 16, h/2, w/2)
        small = F.avg_pool2d(composite, FOLD)
        is_front = (F.avg_pool2d(mask, FOLD) > 0.5).float()
        lattice = fit_lattice(is_front)
        statistics = _describe_regions(small, is_front, same_scene)
        with torch.autocast(composite.device.type, enabled=False):  # places are exact
            seams = seam, seam_weight, seam_place
            reading = self.reader(
                small, is_front, lattice, *seams, same_scene, statistics
            )
            hidden = reading.hidden  # (B, L, L, C)
            maps = lattice.spread(self.maps(hidden).permute(0, 3, 1, 2))
            shown = lattice.spread(self.shown(hidden).permute(0, 3, 1, 2))
            part = lattice.gather(is_front)  # (B, 1, L, L)
            part = part / part.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)
            mean = (hidden * part.permute(0, 2, 3, 1)).sum(dim=(1, 2))  # (B, C)
        same = (2 * same_scene - 1)[:, None, None, None].expand_as(is_front)
        inputs = torch.cat([folded, shown, same], dim=1)
        maps = maps + self.trunk.paint(inputs, is_front)
        area = is_front.sum(dim=(2, 3)).clamp(min=1)
        change = (maps.detach().abs() * is_front).sum(dim=(2, 3)) / area
        evidence = torch.cat([statistics, mean, reading.pairs, 4 * change], dim=1)
        logit: Tensor = self.share(evidence)[:, 0]
        return maps, logit


def refine(
    network: Callable[..., tuple[Tensor, Tensor]],
    composite: Tensor,
    mask: Tensor,
    seam: Tensor,
    seam_weight: Tensor,
    seam_place: Tensor,
    same_scene: Tensor,
) -> Refinement:
    """Refine the foreground of each picture, not held back.

    Parameters
    ----------
    network : callable
        A `Refiner`, or what runs it in another precision.
    composite : Tensor of float, shape (B, 3, h, w)
        As the curves left it, RGB, sRGB-encoded, [0, 1]; h and w are multiples of 16.
    mask : Tensor of float, shape (B, 1, h, w)
        Above 0.5 is foreground.
    seam : Tensor of float, shape (B, G, N, 6)
        Facing pixels, inner and outer, at each gap; inner ones as the curves left them.
    seam_weight : Tensor of float, shape (B, G, N)
        1 where there is a pair, else 0.
    seam_place : Tensor of float, shape (B, N, 2)
        Where in the picture they are, down and across, from 0 to 1.
    same_scene : Tensor of float, shape (B,)
        Probability that foreground and surroundings are of one scene; 0 for unknown.
    """
    inputs = (composite, mask, seam, seam_weight, seam_place, same_scene)
    maps, logit = network(*inputs)
    maps = F.interpolate(
        maps.float(), size=mask.shape[2:], mode="bilinear", align_corners=False
    )
    rows = maps.reshape(-1, 3, 4, *maps.shape[2:])  # (B, 3, 4, h, w)
    # About the middle of the range: what turns a color leaves gray where it is.
    change = (rows[:, :, :3] * (composite[:, None] - 0.5)).sum(dim=2) + rows[:, :, 3]
    return Refinement(composite + change * (mask > 0.5).float(), logit.float())


def _describe_regions(picture: Tensor, is_front: Tensor, same_scene: Tensor) -> Tensor:
    """Describe both regions as a whole, (B, C), each value about 1 large."""
    described = [(2 * same_scene - 1)[:, None]]
    area = is_front.mean(dim=(2, 3))  # (B, 1)
    described.append(2 * area - 1)
    for region in (is_front, 1 - is_front):
        share = region / region.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        mean = (picture * share).sum(dim=(2, 3), keepdim=True)
        variance = ((picture - mean) ** 2 * share).sum(dim=(2, 3))
        described += [4 * mean.flatten(1) - 2, 6 * (variance + 1e-5).sqrt() - 1]
    return torch.cat(described, dim=1)


def hold_back(
    refinement: Refinement,
    composite: Tensor,
    mask: Tensor,
    same_scene: Tensor,
    dimensions: RefinerDimensions,
) -> tuple[Tensor, Tensor]:
    """Make a change by the share that it is worth, and less where it is small.

    Returns
    -------
    tuple of Tensor
        The picture, (B, 3, h, w), clipped to [0, 1], and the share, (B,).

    Notes
    -----
    The share is a product of three, none of which jumps: sigmoid(logit - caution);
    p² / (p² + (1 - p)²) of the probability p of a same scene, since what surrounds a
    paste says nothing of how its light should vary; and of a change of size c,
    c² / (c² + l²), with l the least change.
    """
    change = refinement.picture - composite
    weight = (mask > 0.5).float()
    area = 3 * weight.sum(dim=(1, 2, 3)) + 1e-6
    size = (change.abs() * weight).sum(dim=(1, 2, 3)) / area
    is_large = size**2 / (size**2 + dimensions.least_change**2 + 1e-12)
    belief = same_scene**2 / (same_scene**2 + (1 - same_scene) ** 2)
    share = torch.sigmoid(refinement.logit - dimensions.caution) * belief * is_large
    refined = composite + share[:, None, None, None] * change
    return refined.clamp(0, 1), share


class RefinerInUse(nn.Module):
    """A network from its inputs to the picture that a change is fitted to."""

    def __init__(self, network: Refiner) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
        seam_place: Tensor,
        same_scene: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Refine one picture, parameters as of the network, and hold back."""
        inputs = (composite, mask, seam, seam_weight, seam_place, same_scene)
        refinement = refine(self.network, *inputs)
        return hold_back(
            refinement, composite, mask, same_scene, self.network.dimensions
        )


def build_refiner(variant: str, **changes: object) -> Refiner:
    """Build a variant, or one with some dimensions changed.

    Raises
    ------
    UsageError
        If the variant or a field does not exist; it lists the known ones.

    Examples
    --------
    >>> network = build_refiner("hdnet-lite-refining")
    >>> sum(p.numel() for p in network.parameters())
    782043
    """
    return Refiner(change_variant(REFINER_VARIANTS, variant, changes))
