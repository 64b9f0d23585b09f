"""S²CRNet-CS that also sees the seam: thumbnails and facing pixels in, curves out.

The paper's network pools each region by itself, so it does not see which colors meet at
the mask's edge. This one holds it whole, as its base, and adds:

- A second cascade that reads the seam: pairs of pixels that face each other across the
  mask's edge (`imharmony.inference.seam`). It begins with a fit that needs no learning;
  later stages see foreground and seam as the earlier ones left them, and share weights.
- A stage after the base's two that sees what they made of the foreground.
- Free ends: what lies below black and above white are two more numbers a channel.
- A probability that the foreground is of the same scene, read from the seam. It mixes
  the prediction with the seam, for edited regions, and the one without, for pastes.
- Doubt: each prediction's error is predicted, and a change that is small against it is
  held back, without any threshold (`seam_use`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from imharmony.errors import UsageError
from imharmony.inference.crossings import GAPS
from imharmony.training.networks.heads import CurveHead, Doubt
from imharmony.training.networks.heights import (
    compose,
    heights_of_slopes,
    render_heights,
)
from imharmony.training.networks.pairs import PairReader, WideReader
from imharmony.training.networks.s2crnet import Dimensions, Features, S2CRNet
from imharmony.training.networks.scene import SceneJudge, fit_gaps, render_inner
from imharmony.training.networks.squeezenet import NUM_FEATURES
from imharmony.training.networks.statistics import region_statistics
from imharmony.training.networks.variants import change_variant

__all__ = [
    "SEAM_VARIANTS",
    "Prediction",
    "SeamDimensions",
    "SeamNet",
    "Swatches",
    "build_seam_net",
]

_NUM_HINTS = 9
"""Places at which the base's curve is shown to what follows."""
_STEP = 4
"""Of so many of the thumbnails' pixels and rows one is counted."""


@dataclass(frozen=True)
class SeamDimensions:
    """Every number that makes one network."""

    num_pieces: int = 64
    """Pieces of a curve, K."""
    num_stages: int = 3
    """Curves in a row with the seam, after the fit that needs no learning."""
    num_labels: int = 5
    num_bins: int = 16
    """Bins of the histograms of both regions."""
    features: int = 64
    """Width that the trunk's pooled features are brought to, of each region."""
    statistics: int = 128
    """Width of the layers that read both regions' colors."""
    pair_width: int = 96
    """Width of the layers that read a pair."""
    num_heads: int = 8
    head_width: int = 8
    """Attention over pairs, and values of each head."""
    wide_width: int = 32
    """Width of the layers that read pairs further from the edge."""
    scene_width: int = 64
    """Width of the layers that tell a same scene."""
    hidden: int = 224
    """Width of what brings all together."""
    seam_hidden: int = 224
    """The same of the cascade with the seam."""
    held_layers: int = 5
    """Entries of the trunk, from the first on, that are not trained."""
    feature_dropout: float = 0.1
    """In training: share of the pooled features set to zero."""
    contexts: tuple[float, ...] = (0.0, 0.8)
    """In use: one view of the surroundings each, its frame drawn in from the photo's
    rim (0) to the mask's box (1). Each is also seen mirrored."""
    caution: float = 0.42
    """In use: share of the expected error that a change has to exceed."""
    least_change: float = 0.02
    """In use: what it has to exceed besides, of [0, 1]: five 8-bit steps."""
    distrust: float = 0.0
    """In use: what is taken off the steepened logit of a same scene (`seam_use`) before
    it mixes both predictions."""
    plain_strength: float = 0.88
    """In use: share of the change without the seam that is made at most."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "contexts", tuple(map(float, self.contexts)))
        numbers = (
            self.num_pieces,
            self.num_stages,
            self.num_bins - 1,
            self.statistics,
            self.features,
            self.pair_width,
            self.num_heads,
            self.head_width,
            self.wide_width,
            self.scene_width,
            self.hidden,
            self.seam_hidden,
        )
        lowest = min(self.held_layers, self.caution, self.least_change)
        if min(numbers) < 1 or lowest < 0:
            raise UsageError(f"dimensions are positive numbers, got {self}")
        if self.scene_width % self.num_heads:
            msg = f"scene_width is a multiple of num_heads, {self.num_heads}"
            raise UsageError(f"{msg}; got {self.scene_width}")
        if not 0 <= self.plain_strength <= 1:
            msg = f"plain_strength is from 0 to 1, got {self.plain_strength}"
            raise UsageError(msg)
        if not 0 <= self.feature_dropout < 1:
            msg = f"feature_dropout is from 0 to 1, got {self.feature_dropout}"
            raise UsageError(msg)


class Prediction(NamedTuple):
    """What the network says about a batch."""

    plain: Tensor
    """(B, 3, 3, K + 1): heights of each stage's curves without the seam: the base's
    two and one that refines them."""
    seamed: Tensor
    """(B, N + 1, 3, K + 1): the same with it; the first is the fit. Of the swatches,
    and so its doubt, where some were given."""
    plain_doubt: Tensor
    """(B,): mean absolute error that is expected of the last stage, of [0, 1]."""
    seamed_doubt: Tensor
    same_scene: Tensor
    """(B,): logit that both sides of the seam belong to one scene; (B + E,) where
    further seams were given."""
    label_logits: Tensor
    """(B, num_labels): the guess before softmax."""


class Swatches(NamedTuple):
    """What the cascade with the seam reads of a batch: colors."""

    pixels: Tensor
    """(B, 3, h, w): some of the object's, RGB, sRGB-encoded, [0, 1]."""
    mask: Tensor
    """(B, 1, h, w): their weight."""
    around: Tensor
    """(B, 3, h', w'): some of the rest's."""
    around_mask: Tensor
    seam: Tensor
    """(B, G, N, 6): facing pixels, inner and outer, at each gap."""
    seam_weight: Tensor
    """(B, G, N): 1 where there is a pair, else 0."""


class SeamNet(nn.Module):
    """The whole network."""

    def __init__(self, dimensions: SeamDimensions) -> None:
        super().__init__()
        d = self.dimensions = dimensions
        base = Dimensions(
            num_pieces=d.num_pieces,
            num_stages=2,
            has_semantic_label=True,
            num_labels=d.num_labels,
            slopes="positive",
            num_bins=d.num_bins,
            guesses_label=True,
            feature_dropout=d.feature_dropout,
        )
        self.base = S2CRNet(base)
        for entry in self.base.encoder[: d.held_layers]:  # type: ignore[index]
            entry.requires_grad_(False)
        self.foreground = nn.Linear(NUM_FEATURES, d.features)
        self.background = nn.Linear(NUM_FEATURES, d.features)
        num_statistics = 3 * d.num_bins + 9
        self.statistics = nn.Sequential(
            nn.Linear(2 * num_statistics, d.statistics),
            nn.ReLU(),
            nn.Linear(d.statistics, d.statistics),
            nn.ReLU(),
        )
        common = 2 * d.features + d.num_labels + d.statistics + 3 * _NUM_HINTS
        self.plain = CurveHead(common, d.hidden, d.num_pieces)
        self.pairs = PairReader(d.pair_width, d.num_heads, d.head_width)
        self.wide = WideReader(GAPS - 1, d.wide_width)
        self.seam_statistics = nn.Sequential(
            nn.Linear(2 * num_statistics, d.statistics),
            nn.ReLU(),
            nn.Linear(d.statistics, d.statistics),
            nn.ReLU(),
        )
        num_fits = 3 * _NUM_HINTS * GAPS
        readers = self.pairs.num_outputs + self.wide.num_outputs
        num_inputs = d.statistics + readers + num_fits
        self.seamed = CurveHead(num_inputs, d.seam_hidden, d.num_pieces)
        self.judge_scene = SceneJudge(d.scene_width, d.num_heads)
        self.plain_doubt, self.seamed_doubt = Doubt(d.hidden), Doubt(d.seam_hidden)
        for part in (
            self.statistics,
            self.plain.layers,
            self.seam_statistics,
            self.pairs,
            self.seamed.layers,
        ):
            for layer in part.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
        edges: Tensor | None = None,
        edge_weight: Tensor | None = None,
        swatches: Swatches | None = None,
    ) -> Prediction:
        """Predict both cascades, their doubts, and whether the seam is to be believed.

        Parameters
        ----------
        composite, foreground : Tensor of float, shape (B, 3, h, w)
            Thumbnails of the photo and of the mask's box, RGB, sRGB-encoded, [0, 1].
        mask, foreground_mask : Tensor of float, shape (B, 1, h, w)
        semantic_label : Tensor of float, shape (B, num_labels)
            One-hot; a row of zeros means unknown.
        seam : Tensor of float, shape (B, G, N, 6)
            Facing pixels, inner and outer, at each gap.
        seam_weight : Tensor of float, shape (B, G, N)
            1 where there is a pair, else 0.
        edges, edge_weight : Tensor, shape (E, G, N, 6) and (E, G, N)
            Further seams, of other pictures, to judge the scene of.
        swatches : Swatches or None
            Pairs to predict with the seam in place of these.

        Returns
        -------
        Prediction
        """
        thumbnails = (composite, mask, foreground, foreground_mask)
        features = self.base.gather_features(*thumbnails, semantic_label)
        slopes = torch.stack(
            [stage(*features[:4]) for stage in self.base.stages], dim=1
        )
        prediction = self.predict(
            features, slopes, *thumbnails, seam, seam_weight, swatches=swatches
        )
        if edges is None or edge_weight is None:
            return prediction
        further = self.judge_scene(edges, edge_weight)
        both = torch.cat([prediction.same_scene, further])
        return prediction._replace(same_scene=both)

    def predict(
        self,
        features: Features,
        slopes: Tensor,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        seam: Tensor,
        seam_weight: Tensor,
        *,
        swatches: Swatches | None = None,
    ) -> Prediction:
        """Predict from what the base sees and its stages' slopes, (B, 2, 3, K)."""
        d = self.dimensions
        base = heights_of_slopes(slopes.float())  # (B, 2, 3, K + 1)
        # What the base proposes, at few places, so that others can go by it.
        proposed = compose(base).detach()[..., :: d.num_pieces // (_NUM_HINTS - 1)]
        x = torch.linspace(0, 1, _NUM_HINTS, device=proposed.device)
        common = [
            self.foreground(features.foreground),
            self.background(features.background),
            features.label,
            6 * (proposed - x).flatten(1),
        ]
        around = region_statistics(composite, 1 - mask, d.num_bins, step=_STEP)
        crop = foreground[..., ::_STEP, ::_STEP], foreground_mask[..., ::_STEP, ::_STEP]

        # No gradients through what the next stage sees: half the time, and the stages
        # with the seam share their weights.
        refined = _render_picture(crop[0], compose(base).detach())
        own = region_statistics(refined, crop[1], d.num_bins, step=1)
        colors = self.statistics(torch.cat([own, around], dim=1))
        last, hidden = self.plain(torch.cat([*common, colors], dim=1))
        plain = torch.cat([base, last[:, None]], dim=1)
        if swatches is None:
            some = (..., slice(None, None, _STEP), slice(None, None, _STEP))
            swatches = Swatches(
                *crop, composite[some], 1 - mask[some], seam, seam_weight
            )
        seamed, seamed_doubt = self.predict_seamed(swatches)
        return Prediction(
            plain,
            seamed,
            self.plain_doubt(hidden, compose(plain)),
            seamed_doubt,
            self.judge_scene(seam, seam_weight),
            features.label_logits,
        )

    def predict_seamed(self, swatches: Swatches) -> tuple[Tensor, Tensor]:
        """Predict with the seam, from colors alone.

        Returns
        -------
        tuple of Tensor
            Heights, (B, N + 1, 3, K + 1), and the error that is expected, (B,).
        """
        pixels, mask, _, _, seam, seam_weight = swatches
        d = self.dimensions
        fits = fit_gaps(seam, seam_weight, num_pieces=d.num_pieces)
        x = torch.arange(_NUM_HINTS, device=seam.device) / (_NUM_HINTS - 1)
        shown = fits[..., :: d.num_pieces // (_NUM_HINTS - 1)]
        # What other gaps say besides: of a blended edge the nearest says little.
        hints = torch.cat([shown[:, :1] - x, shown[:, 1:] - shown[:, :1]], dim=1)
        hints = 6 * hints.flatten(1)
        around = region_statistics(
            swatches.around, swatches.around_mask, d.num_bins, step=1
        )
        seamed = [fits[:, 0]]
        for stage in range(d.num_stages + 1):
            if stage:
                own = region_statistics(pixels, mask, d.num_bins, step=1)
                colors = self.seam_statistics(torch.cat([own, around], dim=1))
                near = self.pairs(seam[:, 0], seam_weight[:, 0])
                far = self.wide(seam[:, 1:, ::2], seam_weight[:, 1:, ::2])
                described = torch.cat([colors, hints, near, far], dim=1)
                heights, hidden = self.seamed(described)
                seamed.append(heights)
            pixels = _render_picture(pixels, seamed[-1].detach())
            seam = render_inner(seam, seamed[-1].detach())
        stacked = torch.stack(seamed, dim=1)
        return stacked, self.seamed_doubt(hidden, compose(stacked))


def _render_picture(picture: Tensor, heights: Tensor) -> Tensor:
    return render_heights(picture.flatten(2), heights).reshape(picture.shape)


SEAM_VARIANTS = {"s2crnet-seam": SeamDimensions()}


def build_seam_net(variant: str, **changes: object) -> SeamNet:
    """Build a variant, or one with some dimensions changed.

    Raises
    ------
    UsageError
        If the variant or a dimension does not exist; it lists the known ones.

    Examples
    --------
    >>> sum(p.numel() for p in build_seam_net("s2crnet-seam").parameters())
    1582756
    """
    return SeamNet(change_variant(SEAM_VARIANTS, variant, changes))
