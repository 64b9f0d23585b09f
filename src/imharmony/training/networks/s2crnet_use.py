"""An `S2CRNet` in use: the mean of its views, with small changes left out."""

import torch
from torch import Tensor, nn

from imharmony.training.networks.heights import render_curves
from imharmony.training.networks.s2crnet import (
    Dimensions,
    Prediction,
    S2CRNet,
)

__all__ = ["S2CRNetInUse", "restrain"]


class S2CRNetInUse(nn.Module):
    """A network from all views of one composite to the slopes that are rendered."""

    def __init__(self, network: S2CRNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
    ) -> Prediction:
        """Predict for one composite from all its views, and hold back.

        Parameters
        ----------
        composite, mask : Tensor of float, (B, 3, h, w) and (B, 1, h, w)
            As for calling the network, one of each view.
        foreground, foreground_mask : Tensor of float, (1, 3, h, w) and (1, 1, h, w)
        semantic_label : Tensor of float, shape (1, num_labels)

        Returns
        -------
        Prediction
            Of a batch of one.
        """
        if self.network.dimensions.slopes == "free":
            inputs = (composite, mask, foreground, foreground_mask, semantic_label)
            plain: Prediction = self.network(*inputs)
            return plain
        views = [composite, mask, foreground, foreground_mask]
        if self.network.dimensions.mirrors:
            views = [torch.cat([x, x.flip(-1)]) for x in views]  # (2B, …), (2, …)
        labels = semantic_label.expand(views[0].shape[0], -1)
        curve_params, label_logits = self.network(*views, labels)
        slopes = curve_params / curve_params.mean(dim=-1, keepdim=True)
        slopes = slopes.mean(dim=0, keepdim=True)  # (1, N, 3, K)
        slopes = restrain(slopes, foreground, foreground_mask, self.network.dimensions)
        label_logits = label_logits.mean(dim=0).reshape(
            1, self.network.dimensions.num_labels
        )
        return Prediction(slopes, label_logits)


def restrain(
    curve_params: Tensor,
    foreground: Tensor,
    foreground_mask: Tensor,
    dimensions: Dimensions,
) -> Tensor:
    """Hold back, in use: small evidence should not spoil what was right.

    Parameters
    ----------
    curve_params : Tensor, shape (B, N, 3, K)
        Positive slopes.
    foreground, foreground_mask : Tensor, (B, 3, h, w) and (B, 1, h, w)
        Where the change is measured.
    dimensions : Dimensions
        With `strength` and `min_change`.

    Returns
    -------
    Tensor, shape (B, N, 3, K)
        Slopes with mean 1, drawn to 1 by `dimensions.strength`, which mixes the
        curve with the identity; all 1 where the change is below `min_change`.
    """
    strength = dimensions.strength
    slopes = curve_params / curve_params.mean(dim=-1, keepdim=True)
    slopes = 1 + strength * (slopes - 1)
    image = foreground
    for stage in slopes.unbind(dim=1):
        image = render_curves(image, stage)
    change = ((image - foreground).abs() * foreground_mask).mean(dim=(1, 2, 3))
    change = change / foreground_mask.mean(dim=(1, 2, 3)).clamp(min=1e-6)  # (B,)
    is_kept = (change >= dimensions.min_change).float()[:, None, None, None]
    return 1 + is_kept * (slopes - 1)
