"""Tells from the seam whether both of its sides belong to one scene."""

import torch
from torch import Tensor, nn

from imharmony.inference.crossings import GAPS
from imharmony.training.networks.heights import render_heights
from imharmony.training.networks.pairs import (
    NUM_PAIR_STATISTICS,
    fit_pairs,
    pair_statistics,
)

__all__ = ["SceneJudge", "fit_gaps", "render_inner"]


class SceneJudge(nn.Module):
    """Judges whether both sides of an edge belong to one scene.

    A paste's two sides come from different photographs, and no curve makes them fit. So
    a fit that needs no learning first maps the inner colors. Then each crossing is read
    as one line of colors, from the widest gap inside to the widest gap outside. It
    shows a blurred edge, a change of material beside the mask's edge, or grain.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        num_places = 2 * GAPS
        num_values = 3 * 2 * num_places  # colors, steps between them, one across
        self.layers = nn.Sequential(
            nn.Linear(num_values, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.scores = nn.Linear(width, num_heads)
        self.values = nn.Linear(width, width)
        num_described = 2 * width + GAPS * NUM_PAIR_STATISTICS
        self.decide = nn.Sequential(
            nn.Linear(num_described, 96), nn.ReLU(), nn.Linear(96, 1)
        )

    def forward(self, seam: Tensor, weight: Tensor) -> Tensor:
        """Judge seams (B, G, N, 6) of weights (B, G, N): a logit each, (B,)."""
        B, _, N, _ = seam.shape
        fits = fit_gaps(seam, weight, num_pieces=64)
        fitted = render_inner(seam, fits[:, 0])
        hidden = self.layers(_profiles(fitted, seam, weight))  # (B, N, width)
        used = weight[:, 0, :, None]  # (B, N, 1)
        share = used / used.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (hidden * share).sum(dim=1)
        scores = self.scores(hidden).clamp(max=20).exp() * used
        scores = scores / (scores.sum(dim=1, keepdim=True) + 1e-6)  # (B, N, heads)
        values = self.values(hidden).reshape(B, N, self.num_heads, -1)
        looked = (values * scores[..., None]).sum(dim=1).flatten(1)
        statistics = pair_statistics(fitted, weight).flatten(1)
        logit: Tensor = self.decide(torch.cat([mean, looked, statistics], dim=1))
        return logit[:, 0].float()


def _profiles(fitted: Tensor, seam: Tensor, weight: Tensor) -> Tensor:
    """Lay each crossing's colors out along its line: (B, N, 48), about 1 large.

    Colors from far inside to far outside, the differences of neighbors, and the
    difference across the edge before the fit; 0 where the photo ends.
    """
    line = torch.cat([fitted[..., :3].flip(1), fitted[..., 3:]], dim=1)
    known = torch.cat([weight.flip(1), weight], dim=1)[..., None]  # (B, 2G, N, 1)
    steps = (line[:, 1:] - line[:, :-1]) * known[:, 1:] * known[:, :-1]
    across = seam[:, :1, :, 3:] - seam[:, :1, :, :3]
    profile = torch.cat([(4 * line - 2) * known, 8 * steps, 8 * across], dim=1)
    return profile.transpose(1, 2).flatten(2)


def fit_gaps(seam: Tensor, weight: Tensor, *, num_pieces: int) -> Tensor:
    """Fit a curve to each gap of seams (B, G, N, 6): heights (B, G, 3, K + 1)."""
    fits = fit_pairs(seam.flatten(0, 1), weight.flatten(0, 1), num_pieces)
    return fits.reshape(*seam.shape[:2], 3, num_pieces + 1)


def render_inner(seam: Tensor, heights: Tensor) -> Tensor:
    """Map the inner sides of seams (B, G, N, 6) by curves (B, 3, K + 1)."""
    B, G, N, _ = seam.shape
    inner = seam[..., :3].reshape(B, G * N, 3).transpose(1, 2)
    inner = render_heights(inner, heights).transpose(1, 2).reshape(B, G, N, 3)
    return torch.cat([inner, seam[..., 3:]], dim=-1)
