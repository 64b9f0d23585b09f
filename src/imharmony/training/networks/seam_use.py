"""What is made of a `SeamNet`'s prediction in use: one curve, held back by doubt."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from imharmony.inference.crossings import MIN_PAIRS
from imharmony.training.networks.heights import compose, render_heights
from imharmony.training.networks.s2crnet import Features
from imharmony.training.networks.seam import Prediction, SeamDimensions, SeamNet

__all__ = ["SeamNetInUse", "Used", "combine", "has_seam"]

_HOLD_BACK_POWER = 8
_BELIEF_GAIN = 4

_STEP = 4
"""Of so many of the crop's pixels and rows one is counted."""


class Used(NamedTuple):
    """The curves that are rendered, and how they came about."""

    curve_params: Tensor
    """(B, 1, 3, K + 1): heights."""
    label_logits: Tensor
    probability: Tensor
    """(B,): that both sides of the seam belong to one scene; 0 without a seam."""
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
    dimensions: SeamDimensions,
) -> Used:
    """Mix both predictions by the probability of a same scene, and hold back.

    Parameters
    ----------
    prediction : Prediction
        Of B composites; further logits of `same_scene` are not read.
    foreground, foreground_mask : Tensor, shape (B, 3, h, w) and (B, 1, h, w)
        Where changes are measured.
    seam_weight : Tensor, shape (B, G, N)
    same_scene : Tensor, shape (B,)
        What probability to go by; `AUTO` for the network's own.
    dimensions : SeamDimensions
        With what is said of use: `caution` and so on.

    Returns
    -------
    Used

    Notes
    -----
    With change c, expected error e and t = caution·e + least_change, the share
    c⁸ / (c⁸ + t⁸) of the change is made: nearly all where the change is large against
    the doubt, nearly none where it is small, and nowhere does it jump: a change that
    grows by a tenth is made by a fifth more at most. Where the two predictions differ
    and it is not known which one to believe, that is doubt as well.
    """
    has = has_seam(seam_weight)
    B = has.shape[0]
    logit = prediction.same_scene[:B]
    probability = torch.sigmoid(logit) * has
    # Half believed is mostly misled: the mixture goes by a steeper probability.
    believed = torch.sigmoid(_BELIEF_GAIN * logit - dimensions.distrust)
    p = torch.where(same_scene < 0, believed, same_scene) * has
    share = p[:, None, None]  # (B, 1, 1)
    plain, seamed = compose(prediction.plain), compose(prediction.seamed)
    mixed = share * seamed + (1 - share) * plain  # (B, 3, K + 1)

    some = (..., slice(None, None, _STEP), slice(None, None, _STEP))
    pixels, weight = foreground[some].flatten(2), foreground_mask[some].flatten(2)
    weight = weight / (3 * weight.sum(dim=(1, 2), keepdim=True) + 1e-6)

    def change(one: Tensor, other: Tensor) -> Tensor:
        return ((one - other).abs() * weight).sum(dim=(1, 2))

    size = change(render_heights(pixels, mixed), pixels)
    apart = change(render_heights(pixels, plain), render_heights(pixels, seamed))
    doubt = p * prediction.seamed_doubt**2 + (1 - p) * prediction.plain_doubt**2
    doubt = doubt + p * (1 - p) * apart**2
    needed = dimensions.caution * (doubt + 1e-12).sqrt() + dimensions.least_change
    ratio = (size / (needed + 1e-6)).clamp(max=100) ** _HOLD_BACK_POWER
    strength = ratio / (1 + ratio)
    strength = strength * (p + (1 - p) * dimensions.plain_strength)
    K = mixed.shape[2] - 1
    identity = torch.arange(K + 1, device=mixed.device) / K
    heights = identity + strength[:, None, None] * (mixed - identity)
    return Used(heights[:, None], prediction.label_logits, probability, strength)


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
            self.network.dimensions,
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
        features = base.gather_features(
            views,
            _with_mirrored(mask),
            _with_mirrored(foreground),
            _with_mirrored(foreground_mask),
            semantic_label.expand(views.shape[0], -1),
        )
        slopes = torch.stack([stage(*features[:4]) for stage in base.stages], dim=1)
        slopes = slopes / slopes.mean(dim=-1, keepdim=True)
        averaged = Features(*(part.mean(dim=0, keepdim=True) for part in features))
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
