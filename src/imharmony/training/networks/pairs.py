"""Layers that read the seam: any number of facing pixels to one description."""

import torch
from torch import Tensor, nn

__all__ = [
    "NUM_PAIR_STATISTICS",
    "PairReader",
    "WideReader",
    "fit_pairs",
    "pair_statistics",
]

NUM_PAIR_STATISTICS = 21


def _pair_values(pairs: Tensor) -> Tensor:
    """Colors of both sides (B, …, 6) and their difference: (B, …, 9), about 1 large."""
    difference = pairs[..., 3:] - pairs[..., :3]
    return torch.cat([4 * pairs - 2, 8 * difference], dim=-1)


def pair_statistics(pairs: Tensor, weight: Tensor) -> Tensor:
    """Means, deviations, correlations and differences of facing pixels.

    Parameters
    ----------
    pairs : Tensor, shape (B, ..., N, 6)
    weight : Tensor, shape (B, ..., N)
        0 where there is no pair.

    Returns
    -------
    Tensor, shape (B, ..., 21)
        Means and deviations of the six values, correlation of each channel's two,
        mean and deviation of their difference; scaled to be about 1 large.
    """
    share = weight / weight.sum(dim=-1, keepdim=True).clamp(min=1)
    share = share[..., None]  # (B, …, N, 1)
    mean = (pairs * share).sum(dim=-2)  # (B, …, 6)
    centered = (pairs - mean[..., None, :]) * (share > 0)
    variance = (centered**2 * share).sum(dim=-2)
    deviation = (variance + 1e-5).sqrt()
    inner, outer = centered[..., :3], centered[..., 3:]
    covariance = (inner * outer * share).sum(dim=-2)  # (B, …, 3)
    correlation = covariance / (deviation[..., :3] * deviation[..., 3:])
    apart = ((outer - inner) ** 2 * share).sum(dim=-2)
    difference = mean[..., 3:] - mean[..., :3]
    parts = [
        4 * mean - 2,
        6 * deviation - 1,
        2 * correlation,
        10 * difference,
        6 * (apart + 1e-5).sqrt() - 1,
    ]
    return torch.cat(parts, dim=-1)  # each about 1 large


def fit_pairs(pairs: Tensor, weight: Tensor, num_pieces: int) -> Tensor:
    """Fit gain and offset of each channel to facing pixels: heights (B, 3, K + 1).

    The ratio of deviations, pairs that fit badly weigh less.

    Parameters
    ----------
    pairs : Tensor, shape (B, N, 6)
    weight : Tensor, shape (B, N)
    """
    inner, outer = pairs[..., :3], pairs[..., 3:]  # (B, N, 3)
    share = weight[..., None].expand_as(inner)
    for _ in range(5):
        total = share.sum(dim=1, keepdim=True).clamp(min=1e-3)
        mean_in = (share * inner).sum(dim=1, keepdim=True) / total
        mean_out = (share * outer).sum(dim=1, keepdim=True) / total
        variance_in = (share * (inner - mean_in) ** 2).sum(dim=1, keepdim=True) / total
        variance_out = (share * (outer - mean_out) ** 2).sum(
            dim=1, keepdim=True
        ) / total
        gain = ((variance_out + 4e-4) / (variance_in + 4e-4)).sqrt().clamp(0.3, 3)
        missed = outer - mean_out - gain * (inner - mean_in)
        spread = (share * missed.abs()).sum(dim=1, keepdim=True) / total
        share = weight[..., None] / (1 + (missed / (spread + 0.01)) ** 2)
    x = torch.arange(num_pieces + 1, device=pairs.device) / num_pieces
    gain, offset = gain[:, 0, :, None], (mean_out - gain * mean_in)[:, 0, :, None]
    # Never flat: no two tones become one.
    return 0.95 * (gain * x + offset).clamp(0, 1) + 0.05 * x  # (B, 3, K + 1)


class PairReader(nn.Module):
    """Facing pixels to one description: means and attention over all pairs."""

    def __init__(self, width: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.num_heads, self.head_width = num_heads, head_width
        self.layers = nn.Sequential(
            nn.Linear(9, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.scores = nn.Linear(width, num_heads)
        self.values = nn.Linear(width, num_heads * head_width)
        self.num_outputs = width + num_heads * head_width + NUM_PAIR_STATISTICS

    def forward(self, pairs: Tensor, weight: Tensor) -> Tensor:
        """Describe pairs (B, N, 6) of weights (B, N): (B, num_outputs)."""
        B, N, _ = pairs.shape
        hidden = self.layers(_pair_values(pairs))  # (B, N, width)
        share = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (hidden * share[..., None]).sum(dim=1)  # (B, width)
        scores = self.scores(hidden).clamp(max=20).exp() * weight[..., None]
        scores = scores / (scores.sum(dim=1, keepdim=True) + 1e-6)  # (B, N, heads)
        values = self.values(hidden).reshape(B, N, self.num_heads, self.head_width)
        looked = (values * scores[..., None]).sum(dim=1).flatten(1)
        return torch.cat([mean, looked, pair_statistics(pairs, weight)], dim=1)


class WideReader(nn.Module):
    """Pairs at several gaps, each gap by itself: (B, G, N, 6) to (B, G·(width+21))."""

    def __init__(self, num_gaps: int, width: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(num_gaps, 9, width) / 3)
        self.first_bias = nn.Parameter(torch.zeros(num_gaps, 1, width))
        self.second = nn.Parameter(torch.randn(num_gaps, width, width) / width**0.5)
        self.second_bias = nn.Parameter(torch.zeros(num_gaps, 1, width))
        self.num_outputs = num_gaps * (width + NUM_PAIR_STATISTICS)

    def forward(self, pairs: Tensor, weight: Tensor) -> Tensor:
        """Describe pairs (B, G, N, 6) of weights (B, G, N)."""
        hidden = (
            torch.matmul(_pair_values(pairs), self.first) + self.first_bias
        ).relu()
        hidden = (torch.matmul(hidden, self.second) + self.second_bias).relu()
        share = weight / weight.sum(dim=2, keepdim=True).clamp(min=1)
        mean = (hidden * share[..., None]).sum(dim=2)  # (B, G, width)
        both = torch.cat([mean, pair_statistics(pairs, weight)], dim=2)
        return both.flatten(1)
