"""Heads of the network that looks at the seam: curves, and their doubt."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.networks.heights import curve_heights

__all__ = ["CurveHead", "Doubt"]


class CurveHead(nn.Module):
    """A description to the heights of three curves, and to the error they will have."""

    def __init__(self, num_inputs: int, hidden: int, num_pieces: int) -> None:
        super().__init__()
        self.num_pieces = num_pieces
        self.layers = nn.Sequential(
            nn.Linear(num_inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.curves = nn.Linear(hidden, 3 * (num_pieces + 2))
        nn.init.zeros_(self.curves.bias)
        nn.init.normal_(self.curves.weight, std=0.01)  # near the identity at first

    def forward(self, described: Tensor) -> tuple[Tensor, Tensor]:
        """Give heights (B, 3, K + 1), and the last hidden layer (B, hidden)."""
        hidden = self.layers(described)
        params = self.curves(hidden).float()  # whatever the precision of products
        params = params.reshape(-1, 3, self.num_pieces + 2)  # (B, 3, K + 2)
        return curve_heights(params), hidden


class Doubt(nn.Module):
    """Predicts the mean absolute error of a cascade's result."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden + 6, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def forward(self, hidden: Tensor, heights: Tensor) -> Tensor:
        """Expect an error, (B,), of [0, 1]."""
        x = torch.linspace(0, 1, heights.shape[-1], device=heights.device)
        change = heights - x
        moved = torch.cat([change.mean(dim=2), change.abs().mean(dim=2)], dim=1)
        inputs = torch.cat([hidden, 10 * moved], dim=1).detach()
        # 0.03 at first, of [0, 1]: about eight 8-bit steps.
        return 0.03 * F.softplus(self.layers(inputs)[:, 0].float() + 0.5413) + 1e-4
