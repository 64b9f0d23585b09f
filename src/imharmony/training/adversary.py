"""The opponent of adversarial training: a discriminator and its own optimizer."""

from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from imharmony.training.losses import distance_to
from imharmony.training.networks.discriminator import discriminator

__all__ = ["Adversary"]


class Adversary:
    """Judges what the network renders, and learns to tell it from real pictures.

    Like the released code it sees whole recolored pictures, not blended ones, and
    takes one step after each of the network's, by RMSprop at a held rate.

    Parameters
    ----------
    fabric : Fabric
        Launched; decides device and precision.
    learning_rate : float
    """

    def __init__(self, fabric: Fabric, *, learning_rate: float) -> None:
        self._fabric = fabric
        self._network = discriminator()
        optimizer = torch.optim.RMSprop(self._network.parameters(), learning_rate)
        self._model, self._optimizer = fabric.setup(self._network, optimizer)

    def judge(self, harmonized: Tensor) -> Tensor:
        """Loss of the network, (): how far its pictures are from looking real."""
        self._network.requires_grad_(False)  # only the pictures' gradient is wanted
        with self._fabric.autocast():
            scores = self._network(harmonized)
        return distance_to(1.0, scores.float())

    def learn(self, real: Tensor, harmonized: Tensor) -> Tensor:
        """Take one step; return the loss before it, ().

        Parameters
        ----------
        real, harmonized : Tensor, shape (B, 3, H, W)
        """
        self._network.requires_grad_(True)
        self._optimizer.zero_grad()
        total = real.new_zeros(())
        for pictures, target in ((real, 1.0), (harmonized.detach(), 0.0)):
            loss = distance_to(target, self._model(pictures).float())
            self._fabric.backward(loss)
            total = total + loss.detach()
        self._optimizer.step()
        return total

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimizer, for a checkpoint."""
        return {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
