"""Heads of the network that looks at the seam: curves, their doubt, and the gate."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.networks.heights import curve_heights

__all__ = ["CurveHead", "Doubt", "Gate"]

_LARGEST_LOGIT = 6.0
_SMALLEST = 1 / 255
"""Below it, sizes of changes and doubts are told apart no more."""


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


class Gate(nn.Module):
    """Weighs two predictions, and decides how much of the change is made.

    It sees what is known of both: how large the changes are and how far apart, the
    errors that are expected, and whether the scene is the same. Few numbers and few
    layers, so that what it says changes slowly from frame to frame.
    """

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        last = nn.Linear(hidden, 2)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, 2.0]))  # at first, most is made
        self.layers = nn.Sequential(nn.Linear(8, hidden), nn.Tanh(), last)

    def forward(
        self,
        same_scene: Tensor,
        has_seam: Tensor,
        plain_doubt: Tensor,
        seamed_doubt: Tensor,
        plain_change: Tensor,
        seamed_change: Tensor,
        apart: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Weigh predictions with and without the seam.

        Parameters
        ----------
        same_scene : Tensor, shape (B,)
            Logit.
        has_seam : Tensor, shape (B,)
            1 or 0.
        plain_doubt, seamed_doubt : Tensor, shape (B,)
            Mean absolute errors that are expected, of [0, 1].
        plain_change, seamed_change, apart : Tensor, shape (B,)
            Mean absolute changes of the foreground, and how far one is from the other.

        Returns
        -------
        tuple of Tensor, shape (B,)
            Share of the prediction with the seam, and share of the change that is made.
        """
        logit = same_scene.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT) / 3
        sizes = [plain_doubt, seamed_doubt, plain_change, seamed_change, apart]
        logs = [(size + _SMALLEST).log() + 3.5 for size in sizes]  # each about 1 large
        inputs = torch.stack(
            [logit * has_seam, has_seam, *logs, logs[0] - logs[1]], dim=1
        )
        share, strength = torch.sigmoid(self.layers(inputs.float())).unbind(dim=1)
        return share, strength
