"""Reads from the pairs along a mask's edge what each place of the object lacks.

The pairs are read at the photo's own size, where both sides of an edge that is not
exact show the same material; but many do not, and edits are blended into what is around
them. So no pair is believed by itself: each looks at the others, near ones and alike
ones more, and then each point of a lattice over the object's box looks at all of them.
Looking is attention (A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017,
arXiv:1706.03762), with a penalty for distance that each head learns for itself.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.inference.crossings import GAPS
from imharmony.training.networks.pairs import NUM_PAIR_STATISTICS, pair_statistics

__all__ = ["LATTICE", "EdgeReader", "Lattice", "Reading", "attend", "fit_lattice"]

LATTICE = 10
"""Points along each side of the object's box."""
_FAR_GAP = 2
"""The second gap whose differences are handed on as they are: what blended edges
need."""
_NUM_LINE = 3 * 2 * GAPS + 3 * (2 * GAPS - 1)
"""Colors along a crossing, and the steps between them."""
_NUM_INFO = 3 + 1 + 2 + 1
"""Color, coverage and place of a point, and the probability of a same scene."""


class Lattice(NamedTuple):
    """Points over the box of each object, from rim to rim."""

    start: Tensor
    """(B, 2): top and left of the box, from 0 to 1."""
    length: Tensor
    """(B, 2): its height and width, of the picture's."""
    down: Tensor
    """(B, h, L): share of each point in each row of the picture."""
    across: Tensor
    """(B, w, L): the same of columns."""

    def spread(self, values: Tensor) -> Tensor:
        """Spread values (B, C, L, L) over the picture, (B, C, h, w): bilinear."""
        return self.down[:, None] @ values @ self.across[:, None].transpose(2, 3)

    def gather(self, picture: Tensor) -> Tensor:
        """Sum up a picture (B, C, h, w) around each point, (B, C, L, L)."""
        return self.down[:, None].transpose(2, 3) @ picture @ self.across[:, None]


def fit_lattice(is_front: Tensor) -> Lattice:
    """Lay a lattice over the box of each mask (B, 1, h, w) of 0 and 1.

    Of an empty mask, over the whole picture. Outside of the box its rim counts.

    Examples
    --------
    >>> mask = torch.zeros(1, 1, 4, 8)
    >>> mask[..., 1:3, 2:6] = 1
    >>> lattice = fit_lattice(mask)
    >>> lattice.start.tolist(), lattice.length.tolist()
    ([[0.25, 0.25]], [[0.5, 0.5]])
    """
    starts, lengths, shares = [], [], []
    for axis in (3, 2):
        used = is_front[:, 0].amax(dim=axis - 1)  # (B, n)
        n = used.shape[1]
        index = torch.arange(n, device=used.device, dtype=torch.float32)
        first = torch.where(used > 0, index, float(n)).amin(dim=1)
        last = torch.where(used > 0, index, -1.0).amax(dim=1)
        is_none = last < 0
        start = torch.where(is_none, 0.0, first) / n
        length = (torch.where(is_none, n - 1.0, last) + 1) / n - start
        place = ((index + 0.5) / n - start[:, None]) / length[:, None]  # (B, n)
        position = place.clamp(0, 1)[..., None] * (LATTICE - 1)
        nodes = torch.arange(LATTICE, device=used.device)
        shares.append((1 - (position - nodes).abs()).clamp(min=0))  # (B, n, L)
        starts.append(start)
        lengths.append(length)
    return Lattice(torch.stack(starts, 1), torch.stack(lengths, 1), *shares)


class Reading(NamedTuple):
    """What the edge says about each object."""

    hidden: Tensor
    """(B, L, L, C): of each point of the lattice."""
    pairs: Tensor
    """(B, C): mean over all pairs."""


class EdgeReader(nn.Module):
    """Pairs along an edge to a description of each point of a lattice."""

    def __init__(
        self, width: int, num_heads: int, num_blocks: int, num_statistics: int
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        num_described = num_statistics + GAPS * NUM_PAIR_STATISTICS
        self.whole = nn.Sequential(
            nn.Linear(num_described, width), nn.ReLU(), nn.Linear(width, 2 * width)
        )
        self.first = nn.Sequential(
            nn.Linear(_NUM_LINE + 3, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(_Block(width, num_heads) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Sequential(
            nn.Linear(_NUM_INFO, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.keys = nn.Linear(width, width)
        self.values = nn.Linear(width, width)
        self.nearness = _draw_nearness(num_heads)
        self.last = nn.Sequential(
            nn.Linear(width + 6 * num_heads + _NUM_INFO, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def forward(
        self,
        composite: Tensor,
        is_front: Tensor,
        lattice: Lattice,
        seam: Tensor,
        weight: Tensor,
        place: Tensor,
        same_scene: Tensor,
        statistics: Tensor,
    ) -> Reading:
        """Read the edges; where the scene is another one (0), nothing is read.

        Parameters
        ----------
        composite : Tensor of float, shape (B, 3, h, w)
        is_front : Tensor of float, shape (B, 1, h, w)
            0 and 1.
        lattice : Lattice
        seam, weight, place, same_scene : Tensor of float
            As of `refine`.
        statistics : Tensor of float, shape (B, C)
            Of both regions as a whole.
        """
        B, _, N, _ = seam.shape
        H = self.num_heads
        place = (place - lattice.start[:, None]) / lattice.length[:, None]
        same = (2 * same_scene - 1)[:, None, None]  # (B, 1, 1)
        line = _lay_out(seam, weight)
        x = self.first(torch.cat([line, 2 * place - 1, same.expand(B, N, 1)], dim=2))
        described = pair_statistics(seam, weight).flatten(1) * same_scene[:, None]
        whole = self.whole(torch.cat([statistics, described], dim=1))[:, None]
        to_pairs, to_points = whole.chunk(2, dim=2)
        x = x + to_pairs
        absence = 1e4 * (weight[:, 0] - 1)  # (B, N)
        for block in self.blocks:
            x = block(x, place, absence)
        x = self.norm(x)
        points, info = _describe_points(composite, is_front, lattice, same)
        queries = (self.queries(info) + to_points).relu()
        queries = queries.reshape(B, LATTICE**2, H, -1).transpose(1, 2)
        keys = self.keys(x).reshape(B, N, H, -1).transpose(1, 2)
        across = (seam[..., 3:] - seam[..., :3]) * weight[..., None]
        across = torch.cat([across[:, 0], across[:, _FAR_GAP]], dim=2)  # (B, N, 6)
        values = self.values(x).reshape(B, N, H, -1)
        values = torch.cat([values, 4 * across[:, :, None].expand(-1, -1, H, -1)], 3)
        values = values.transpose(1, 2)
        evidence = attend(queries, keys, values, self.nearness, points, place, absence)
        evidence = evidence.transpose(1, 2).flatten(2) * same_scene[:, None, None]
        hidden = self.last(torch.cat([evidence, info], dim=2))  # (B, L², C)
        share = weight[:, 0, :, None]
        mean = (x * share).sum(dim=1) / share.sum(dim=1).clamp(min=1)
        pairs = mean * same_scene[:, None]
        return Reading(hidden.reshape(B, LATTICE, LATTICE, -1), pairs)


class _Block(nn.Module):
    """Each pair looks at all pairs of its edge; then layers of its own."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.nearness = _draw_nearness(num_heads)
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor, place: Tensor, absence: Tensor) -> Tensor:
        """Change tokens (B, N, C) at their places (B, N, 2)."""
        B, N, C = x.shape
        projected = self.projections(self.norm(x)).reshape(B, N, 3, self.num_heads, -1)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)  # (B, H, N, C/H) each
        heads = attend(queries, keys, values, self.nearness, place, place, absence)
        x = x + self.output(heads.transpose(1, 2).reshape(B, N, C))
        changed: Tensor = x + self.layers(x)
        return changed


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    nearness: Tensor,
    at: Tensor,
    place: Tensor,
    absence: Tensor,
) -> Tensor:
    """Attend to keys that are alike and near.

    Parameters
    ----------
    queries : Tensor of float, shape (B, H, Q, D)
    keys, values : Tensor of float, shape (B, H, N, D) and (B, H, N, V)
    nearness : Tensor of float, shape (H,)
        Logarithm of what the squared distance is multiplied by.
    at, place : Tensor of float, shape (B, Q, 2) and (B, N, 2)
        Where queries and keys lie.
    absence : Tensor of float, shape (B, N)
        Added to the logits: 0, or far below where there is nothing.

    Returns
    -------
    Tensor, shape (B, H, Q, V)

    Notes
    -----
    Of the squared distance, |at|² is the same for all keys, and what is left of it is a
    product: it is three more entries of both sides, and no (B, H, Q, N) of its own.
    """
    B, H, Q, D = queries.shape
    N = keys.shape[2]
    steep = nearness.exp()[None, :, None, None]
    at, place = at - 0.5, place - 0.5
    ones = torch.ones_like(at[..., :1])
    here = steep * torch.cat([2 * at, -ones], dim=2)[:, None]  # (B, H, Q, 3)
    ones = ones[:, None].expand(B, H, Q, 1)
    there = [place, place.square().sum(dim=2, keepdim=True), absence[..., None]]
    beside = torch.cat(there, dim=2)[:, None].expand(B, H, N, 4)
    left = torch.cat([queries * D**-0.5, here, ones], dim=3)
    right = torch.cat([keys, beside], dim=3)
    return F.scaled_dot_product_attention(left, right, values, scale=1.0)


def _draw_nearness(num_heads: int) -> nn.Parameter:
    """From the pairs at hand (0.05 of the box) to all of them (0.7)."""
    return nn.Parameter(torch.linspace(5.5, 0.0, num_heads))


def _lay_out(seam: Tensor, weight: Tensor) -> Tensor:
    """Lay each crossing's colors out along its line, and the steps between them.

    From far inside to far outside: (B, N, 45), about 1 large; 0 where the photo ends.
    """
    line = torch.cat([seam[..., :3].flip(1), seam[..., 3:]], dim=1)
    known = torch.cat([weight.flip(1), weight], dim=1)[..., None]  # (B, 2G, N, 1)
    steps = (line[:, 1:] - line[:, :-1]) * known[:, 1:] * known[:, :-1]
    laid_out = torch.cat([(4 * line - 2) * known, 8 * steps], dim=1)
    return laid_out.transpose(1, 2).flatten(2)


def _describe_points(
    composite: Tensor, is_front: Tensor, lattice: Lattice, same: Tensor
) -> tuple[Tensor, Tensor]:
    """Where the points lie, (B, L², 2), and what is there, (B, L², 7)."""
    B = len(composite)
    area = lattice.gather(torch.ones_like(is_front))
    count = lattice.gather(is_front)
    coverage = count / area.clamp(min=1e-3)
    color = lattice.gather(composite * is_front) / (count + 1e-3)
    is_known = (coverage > 0).float()
    seen = torch.cat([(4 * color - 2) * is_known, 2 * coverage - 1], dim=1)
    axis = torch.arange(LATTICE, device=composite.device) / (LATTICE - 1)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=2)
    points = points.reshape(1, -1, 2).expand(B, -1, -1)
    parts = [seen.flatten(2).transpose(1, 2), 2 * points - 1]
    return points, torch.cat([*parts, same.expand(B, LATTICE**2, 1)], dim=2)
