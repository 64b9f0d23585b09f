"""What is made of a `SeamNet`'s prediction in use: one curve, held back by doubt."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from imharmony.inference.crossings import MIN_PAIRS
from imharmony.training.networks.heads import Gate
from imharmony.training.networks.heights import compose, render_heights
from imharmony.training.networks.s2crnet import Seen
from imharmony.training.networks.seam import Prediction, SeamNet

__all__ = ["SeamNetInUse", "Used", "combine", "has_seam", "sample_foreground"]

_STEP = 4
"""Of so many of the crop's pixels and rows one is counted."""


class Used(NamedTuple):
    """The curves that are rendered, and how they came about."""

    curve_params: Tensor
    """(B, 1, 3, K + 1): heights."""
    label_logits: Tensor
    probability: Tensor
    """(B,): that both sides of the seam belong to one scene, as the network judges; 0
    without a seam."""
    strength: Tensor
    """(B,): share of the predicted change that is made."""


def has_seam(seam_weight: Tensor) -> Tensor:
    """Whether there are enough pairs to go by, (B,), 1 or 0."""
    return (seam_weight[:, 0].sum(dim=1) >= MIN_PAIRS).float()


def combine(
    prediction: Prediction,
    foreground: Tensor,
    foreground_mask: Tensor,
    seam_weight: Tensor,
    same_scene: Tensor,
    gate: Gate,
) -> Used:
    """Mix both predictions, and hold back, as the gate says.

    Parameters
    ----------
    prediction : Prediction
        Of B composites; further logits of `same_scene` are not read.
    foreground, foreground_mask : Tensor, shape (B, 3, h, w) and (B, 1, h, w)
        Where changes are measured.
    seam_weight : Tensor, shape (B, G, N)
    same_scene : Tensor, shape (B,)
        What probability to go by; `AUTO` for the network's own.
    gate : Gate

    Returns
    -------
    Used
    """
    has = has_seam(seam_weight)
    B = has.shape[0]
    judged = prediction.same_scene[:B]
    told = torch.logit(same_scene.clamp(0, 1), eps=1e-4)
    logit = torch.where(same_scene < 0, judged, told)
    plain, seamed = compose(prediction.plain), compose(prediction.seamed)
    pixels, weight = sample_foreground(foreground, foreground_mask)
    moved = [render_heights(pixels, heights) for heights in (plain, seamed)]

    def change(one: Tensor, other: Tensor) -> Tensor:
        return ((one - other).abs() * weight).sum(dim=(1, 2))

    share, strength = gate(
        logit,
        has,
        prediction.plain_doubt,
        prediction.seamed_doubt,
        change(moved[0], pixels),
        change(moved[1], pixels),
        change(*moved),
    )
    p, s = share[:, None, None], strength[:, None, None]
    mixed = p * seamed + (1 - p) * plain  # (B, 3, K + 1)
    K = mixed.shape[2] - 1
    identity = torch.arange(K + 1, device=mixed.device) / K
    heights = identity + s * (mixed - identity)
    probability = torch.sigmoid(judged) * has
    return Used(heights[:, None], prediction.label_logits, probability, strength)


def sample_foreground(
    foreground: Tensor, foreground_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Take one in so many of the object's pixels, (B, 3, N), and weights, (B, 1, N).

    The weights sum up to one over pixels and channels.
    """
    some = (..., slice(None, None, _STEP), slice(None, None, _STEP))
    pixels, weight = foreground[some].flatten(2), foreground_mask[some].flatten(2)
    return pixels, weight / (3 * weight.sum(dim=(1, 2), keepdim=True) + 1e-6)


class SeamNetInUse(nn.Module):
    """A network from its inputs to the curves that are rendered."""

    def __init__(self, network: SeamNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
        same_scene: Tensor,
    ) -> Used:
        """Predict for one composite from all its views.

        Parameters
        ----------
        composite, mask : Tensor of float, (V, 3, h, w) and (V, 1, h, w)
            One of each view, the whole photo first. Each is also seen mirrored; what
            the base sees and predicts is averaged.
        foreground, foreground_mask : Tensor of float, (1, 3, h, w) and (1, 1, h, w)
        semantic_label : Tensor of float, shape (1, num_labels)
        seam, seam_weight : Tensor of float, shape (1, G, N, 6) and (1, G, N)
        same_scene : Tensor of float, shape (1,)
            Probability to go by, or below 0 for the network's own.
        """
        # A probability of none is not to look across the edge.
        seam_weight = seam_weight * (same_scene != 0).float()[:, None, None]
        prediction = self.predict(
            composite,
            mask,
            foreground,
            foreground_mask,
            semantic_label,
            seam,
            seam_weight,
        )
        return combine(
            prediction,
            foreground,
            foreground_mask,
            seam_weight,
            same_scene,
            self.network.gate,
        )

    def predict(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
    ) -> Prediction:
        """Predict from all views; parameters as for calling."""
        base = self.network.base
        views = _with_mirrored(composite)
        seen = base.see(
            views,
            _with_mirrored(mask),
            _with_mirrored(foreground),
            _with_mirrored(foreground_mask),
            semantic_label.expand(views.shape[0], -1),
        )
        slopes = torch.stack([stage(*seen[:4]) for stage in base.stages], dim=1)
        slopes = slopes / slopes.mean(dim=-1, keepdim=True)
        averaged = Seen(*(part.mean(dim=0, keepdim=True) for part in seen))
        # Half of the pairs say nearly as much, in half the time.
        seam, seam_weight = seam[:, :, ::2], seam_weight[:, :, ::2]
        return self.network.predict(
            averaged,
            slopes.mean(dim=0, keepdim=True),
            composite[:1],
            mask[:1],
            foreground,
            foreground_mask,
            seam,
            seam_weight,
        )


def _with_mirrored(pictures: Tensor) -> Tensor:
    return torch.cat([pictures, pictures.flip(-1)])
