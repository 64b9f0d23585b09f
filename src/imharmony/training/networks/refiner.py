"""HDNet on top of curves: it corrects, place by place, what the curves leave.

The network sees the picture as the curves left it, the mask, how both sides of its
edge differ, and how likely it is that they belong to one scene. It predicts for each
pixel an affine map of color, at first none, and for the picture the share of that
change that is worth making. The trunk is HDNet's; what is convolved, the affine maps in
place of a picture and the layers that look at the whole picture are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.networks.hdnet import HDNet, HDNetDimensions
from imharmony.training.networks.seam_field import NUM_CHANNELS, seam_field
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
_NUM_INPUTS = 4 * FOLD**2 + NUM_CHANNELS + 1
"""The picture and its mask, folded; what is read across the edge; and the probability
of a same scene."""
_NUM_MAPS = 18
"""Of a color: a 3x3 matrix and an offset, on top of no change; and by how much each
channel follows what differs across the edge nearby, as a sum and as a factor."""
_NUM_STATISTICS = 14 + NUM_CHANNELS
_HIDDEN = 64


@dataclass(frozen=True)
class RefinerDimensions:
    """Every number and choice that makes one network."""

    width: int = 8
    """As the further ones, see `HDNetDimensions`."""
    num_neighbors: int = 3
    temperature: float = 0.1
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
        self.dimensions = dimensions
        self.trunk = HDNet(dimensions.trunk)
        nn.init.zeros_(self.trunk.output.weight)
        self.whole = nn.Sequential(
            nn.Linear(_NUM_STATISTICS, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
        )
        self.maps = nn.Linear(_HIDDEN, 2 * _NUM_MAPS)
        self.share = nn.Sequential(
            nn.Linear(_NUM_STATISTICS + _NUM_MAPS + NUM_CHANNELS, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, 1),
        )
        nn.init.zeros_(self.maps.weight)
        nn.init.zeros_(self.maps.bias)

    def forward(
        self, composite: Tensor, mask: Tensor, field: Tensor, same_scene: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predict what `refine` applies; in low precision, if asked to.

        Parameters
        ----------
        composite, mask, same_scene
            As for `refine`.
        field : Tensor of float, shape (B, NUM_CHANNELS, h/2, w/2)
            What `seam_field` gives, times the probability.

        Returns
        -------
        tuple of Tensor
            Maps of color, (B, 18, h/2, w/2), and the logit of the share, (B,).
        """
        is_front = (mask > 0.5).float()
        folded = torch.cat([2 * composite - 1, 2 * mask - 1], dim=1)
        folded = F.pixel_unshuffle(folded, FOLD)  # (B, 16, h/2, w/2)
        same = (2 * same_scene - 1)[:, None, None, None].expand_as(folded[:, :1])
        trunk_input = torch.cat([folded, 4 * field, same], dim=1)
        is_mostly_front = (F.avg_pool2d(mask, FOLD) > 0.5).float()
        painted = self.trunk.paint(trunk_input, is_mostly_front)  # (B, 18, h/2, w/2)
        statistics = _describe_regions(composite, is_front, field, same_scene)
        gains, common = self.maps(self.whole(statistics)).float().chunk(2, dim=1)
        maps = painted * (1 + gains[:, :, None, None]) + common[:, :, None, None]
        part = is_mostly_front / is_mostly_front.sum(dim=(2, 3), keepdim=True).clamp(1)
        size = (maps.detach().abs() * part).sum(dim=(2, 3))  # (B, 18)
        inside = (field * part).sum(dim=(2, 3))  # (B, NUM_CHANNELS)
        evidence = torch.cat([statistics, 4 * size, 8 * inside], dim=1)
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
    seam, seam_weight, seam_place : Tensor of float
        As `seam_field` takes them; the inner pixels as the curves left them.
    same_scene : Tensor of float, shape (B,)
        Probability that foreground and surroundings are of one scene; 0 for unknown.
    """
    B, _, h, w = composite.shape
    field = seam_field(seam, seam_weight, seam_place, (h // FOLD, w // FOLD))
    field = field * same_scene[:, None, None, None]  # a paste's edge says nothing
    maps, logit = network(composite, mask, field, same_scene)
    both = torch.cat([maps.float(), field[:, :3]], dim=1)
    both = F.interpolate(both, size=(h, w), mode="bilinear", align_corners=False)
    rows, nearby = both[:, :_NUM_MAPS].reshape(B, 3, 6, h, w), both[:, _NUM_MAPS:]
    matrix, (offset, sums, factors) = rows[:, :, :3], rows[:, :, 3:].unbind(dim=2)
    # About the middle of the range: what turns a color leaves gray where it is.
    change = (matrix * (composite[:, None] - 0.5)).sum(dim=2) + offset
    change = change + nearby * (sums + factors * (2 * composite))
    return Refinement(composite + change * (mask > 0.5).float(), logit.float())


def _describe_regions(
    picture: Tensor, is_front: Tensor, field: Tensor, same_scene: Tensor
) -> Tensor:
    """Describe both regions as a whole, (B, C), each value about 1 large."""
    described = [(2 * same_scene - 1)[:, None], 8 * field.mean(dim=(2, 3))]
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
    dimensions: RefinerDimensions,
) -> tuple[Tensor, Tensor]:
    """Make a change by the share that it is worth, and less where it is small.

    Returns
    -------
    tuple of Tensor
        The picture, (B, 3, h, w), clipped to [0, 1], and the share, (B,).

    Notes
    -----
    Of a change of size c the share is sigmoid(logit - caution) * c² / (c² + l²), with
    l the least change: nowhere does it jump.
    """
    change = refinement.picture - composite
    weight = (mask > 0.5).float()
    area = 3 * weight.sum(dim=(1, 2, 3)) + 1e-6
    size = (change.abs() * weight).sum(dim=(1, 2, 3)) / area
    is_large = size**2 / (size**2 + dimensions.least_change**2 + 1e-12)
    share = torch.sigmoid(refinement.logit - dimensions.caution) * is_large
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
        return hold_back(refinement, composite, mask, self.network.dimensions)


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
    670201
    """
    return Refiner(change_variant(REFINER_VARIANTS, variant, changes))
