"""S²CRNet: two thumbnails in, the slopes of one curve per color channel out.

Implements J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
Rendering Network for Efficient and High-Resolution Image Harmonization", ECCV
2022, arXiv:2109.05750.

Where the paper and the released code differ, the released code is followed and
the paper's form is a field of `Dimensions`:

- The curve clamps each piece at 1/K and multiplies by K; equation (1) of the
  paper clamps at 1 and has no factor (see `imharmony.curves`).
- The foreground the encoder sees is the box of the mask, cropped at full size
  (`foreground_input="crop"`), not the masked thumbnail (`"thumbnail"`).
- Semantic labels count person 0, animal 1, food 2, vehicle 3, others 4.
- Nothing keeps the slopes positive (`slopes="free"`).

Additions of ours, all off in the paper's variants: `slopes="positive"`,
`pooling="masked"`, `num_bins` (color statistics of both regions beside the
features), `guesses_label`, `feature_dropout`, `contexts`, `mirrors`, `strength` and
`min_change`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.training.networks.squeezenet import NUM_FEATURES, squeezenet_trunk
from imharmony.training.networks.statistics import region_statistics
from imharmony.training.networks.variants import change_variant

__all__ = [
    "VARIANTS",
    "CurveRenderingModule",
    "Dimensions",
    "Features",
    "Prediction",
    "S2CRNet",
    "build_s2crnet",
]


@dataclass(frozen=True)
class Dimensions:
    """Every number and choice that makes one S²CRNet.

    The defaults are the plain S²CRNet as released.
    """

    num_pieces: int = 64
    """Pieces of a curve, K."""
    num_stages: int = 1
    """Curve rendering modules in a row; all read the same features."""
    has_semantic_label: bool = False
    """Whether each stage also reads the class of the foreground (SCRM)."""
    num_labels: int = 5
    label_hidden: int = 32
    label_features: int = 64
    """Sizes of the label's two-layer embedding."""
    foreground_input: Literal["crop", "thumbnail"] = "crop"
    """The mask's box cropped at full size (released), or the masked thumbnail."""
    encoder_input: Literal["regions", "foreground", "whole"] = "regions"
    """What is encoded: both regions, or for the ablation one of the two others."""
    pooling: Literal["plain", "masked"] = "plain"
    """Mean over the whole map (released), or over the region's own area."""
    slopes: Literal["free", "positive"] = "free"
    """Unconstrained (released), or positive so that curves are monotone."""
    num_bins: int = 0
    """Bins of the soft histograms given beside the features; 0 for none."""
    statistics_features: int = 64
    """Width of the two layers that read the statistics."""
    guesses_label: bool = False
    """Whether a linear head guesses the label where none is given."""
    feature_dropout: float = 0.0
    """In training: share of the pooled features, and half that share of the embedded
    statistics, set to zero at random."""
    contexts: tuple[float, ...] = (0.0,)
    """In use: one view of the surroundings each, its frame drawn in from the photo's
    rim (0) to the mask's box (1); the slopes are averaged."""
    mirrors: bool = False
    """In use: whether each view is also seen mirrored."""
    strength: float = 1.0
    """In evaluation: share of the predicted change that is made."""
    min_change: float = 0.0
    """In evaluation: mean change of the foreground's values, of [0, 1], below which
    nothing is changed."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("foreground_input", "encoder_input", "pooling", "slopes"):
            known = get_args(hints[name])
            if getattr(self, name) not in known:
                msg = f"{name} is one of {', '.join(known)}, got {getattr(self, name)}"
                raise UsageError(msg)
        if self.num_bins == 1 or self.num_bins < 0:
            msg = f"num_bins is 0 or at least 2, got {self.num_bins}"
            raise UsageError(msg)
        if self.guesses_label and not self.has_semantic_label:
            raise UsageError("guesses_label needs has_semantic_label")
        object.__setattr__(self, "contexts", tuple(map(float, self.contexts)))
        if not self.contexts or not 0 <= min(self.contexts) <= max(self.contexts) <= 1:
            raise UsageError(f"contexts are numbers from 0 to 1, got {self.contexts}")
        is_plain = self.contexts == (0.0,) and not self.mirrors
        if self.slopes == "free" and not (
            is_plain and self.strength == 1 and self.min_change == 0
        ):
            msg = "contexts, mirrors, strength and min_change need positive slopes"
            raise UsageError(msg)


VARIANTS = {
    "s2crnet": Dimensions(),
    "s2crnet-s": Dimensions(has_semantic_label=True),
    "s2crnet-c": Dimensions(num_stages=2),
    "s2crnet-cs": Dimensions(num_stages=2, has_semantic_label=True),
}


class Features(NamedTuple):
    """What the stages read of one batch."""

    foreground: Tensor
    """(B, 512): pooled features."""
    background: Tensor
    label: Tensor
    """(B, num_labels): given or guessed."""
    stats: Tensor
    """(B, statistics_features): embedded color statistics."""
    label_logits: Tensor


class Prediction(NamedTuple):
    """What the network says about one batch."""

    curve_params: Tensor
    """(B, N, 3, K): slopes of each stage's curves, in R, G, B order."""
    label_logits: Tensor
    """(B, num_labels): the guess before softmax; zeros without a guessing head."""


class CurveRenderingModule(nn.Module):
    """One stage: features of both regions to the slopes of three curves.

    The paper's CRM, or SCRM when `dimensions.has_semantic_label`.
    """

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        num_params = 3 * dimensions.num_pieces
        embedded = dimensions.label_features if dimensions.has_semantic_label else 0
        if dimensions.has_semantic_label:
            self.label_embedding = nn.Sequential(
                nn.Linear(dimensions.num_labels, dimensions.label_hidden),
                nn.ReLU(),
                nn.Linear(dimensions.label_hidden, dimensions.label_features),
            )
        self.foreground = nn.Linear(NUM_FEATURES + embedded, num_params)
        self.background = nn.Linear(NUM_FEATURES, num_params)
        if dimensions.num_bins:
            self.statistics = nn.Linear(
                dimensions.statistics_features, num_params, bias=False
            )
        # Differs from the released code: slopes start near 1, so training starts
        # from the identity curve instead of a sum of random sign.
        nn.init.zeros_(self.foreground.bias)
        nn.init.ones_(self.background.bias)

    def forward(
        self, foreground: Tensor, background: Tensor, label: Tensor, stats: Tensor
    ) -> Tensor:
        """Predict the slopes, (B, 3, K).

        Parameters
        ----------
        foreground, background : Tensor, shape (B, 512)
            Pooled features.
        label : Tensor, shape (B, num_labels)
            One-hot or a distribution; not read by a plain CRM.
        stats : Tensor, shape (B, statistics_features)
            Embedded color statistics; not read without `num_bins`.
        """
        if self.dimensions.has_semantic_label:
            embedded = self.label_embedding(label)  # (B, label_features)
            foreground = torch.cat([foreground, embedded], dim=1)
        params: Tensor = self.foreground(foreground) + self.background(background)
        if self.dimensions.num_bins:
            params = params + self.statistics(stats)
        params = params.reshape(-1, 3, self.dimensions.num_pieces)  # (B, 3, K)
        if self.dimensions.slopes == "positive":
            # The floor keeps a curve from merging neighboring tones altogether.
            return F.softplus(params, beta=2.0) + 0.01
        return params


class S2CRNet(nn.Module):
    """The whole network: encode both regions, pool, predict each stage's curves."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.encoder: nn.Module = squeezenet_trunk()
        if dimensions.num_bins:
            width = dimensions.statistics_features
            self.statistics = nn.Sequential(
                nn.Linear(2 * (3 * dimensions.num_bins + 9), width),
                nn.ReLU(),
                nn.Linear(width, width),
                nn.ReLU(),
            )
        if dimensions.guesses_label:
            self.label_guess = nn.Linear(NUM_FEATURES, dimensions.num_labels)
        stages = [
            CurveRenderingModule(dimensions) for _ in range(dimensions.num_stages)
        ]
        self.stages = nn.ModuleList(stages)

    def encode(
        self, composite: Tensor, mask: Tensor, foreground: Tensor, crop_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pooled features of the foregrounds (F, 512) and of the backgrounds (B, 512).

        With an `encoder_input` of one region, its features twice.
        """
        weights = [crop_mask, 1 - mask]  # (F, 1, h, w), (B, 1, h, w)
        regions = [foreground * crop_mask, composite * (1 - mask)]  # 3 channels each
        if self.dimensions.encoder_input == "foreground":
            weights, regions = weights[:1], regions[:1]
        elif self.dimensions.encoder_input == "whole":
            weights, regions = [torch.ones_like(mask)], [composite]
        maps = self.encoder(torch.cat(regions))  # (F + B, 512, h', w')
        if self.dimensions.pooling == "masked":
            weight = F.avg_pool2d(torch.cat(weights), 8, ceil_mode=True)
            weight = F.interpolate(weight, size=maps.shape[2:], mode="bilinear")
            weight = weight + 1e-4  # (F + B, 1, h', w'); empty is pooled plainly
            pooled = (maps * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
        else:
            pooled = maps.mean(dim=(2, 3))  # (F + B, 512)
        first, last = regions[0].shape[0], regions[-1].shape[0]
        return pooled[:first], pooled[-last:]

    def gather_features(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
    ) -> Features:
        """Gather what the stages read; parameters as for calling the network."""
        if self.dimensions.foreground_input == "thumbnail":
            foreground, foreground_mask = composite, mask
        features_f, features_b = self.encode(
            composite, mask, foreground, foreground_mask
        )  # (F, 512), (B, 512)
        B = composite.shape[0]
        features_f, features_b = (_repeat_rows(x, B) for x in (features_f, features_b))
        dropout = self.dimensions.feature_dropout
        features_f = F.dropout(features_f, dropout, self.training)
        features_b = F.dropout(features_b, dropout, self.training)
        label_logits = torch.zeros_like(semantic_label)  # (B, num_labels)
        if self.dimensions.guesses_label:
            label_logits = self.label_guess(features_f)
            guess = label_logits.softmax(dim=1).detach()
            is_known = semantic_label.sum(dim=1, keepdim=True)  # 1 or 0
            semantic_label = semantic_label + (1 - is_known) * guess
        stats = features_f[:, :0]
        if self.dimensions.num_bins:
            bins = self.dimensions.num_bins
            of_f = _repeat_rows(region_statistics(foreground, foreground_mask, bins), B)
            of_b = region_statistics(composite, 1 - mask, bins)
            stats = self.statistics(torch.cat([of_f, of_b], dim=1))
            stats = F.dropout(stats, dropout / 2, self.training)
        return Features(features_f, features_b, semantic_label, stats, label_logits)

    def forward(
        self,
        composite: Tensor,
        mask: Tensor,
        foreground: Tensor,
        foreground_mask: Tensor,
        semantic_label: Tensor,
    ) -> Prediction:
        """Predict the curves that harmonize each composite's foreground.

        Parameters
        ----------
        composite : Tensor of float, shape (B, 3, h, w)
            Thumbnail of the whole photo, RGB, sRGB-encoded, [0, 1].
        mask : Tensor of float, shape (B, 1, h, w)
            Thumbnail of the mask, 1 = foreground, soft edges kept.
        foreground, foreground_mask : Tensor of float, (F, 3, h, w) and (F, 1, h, w)
            The mask's box cropped from photo and mask at full size, resized. F is B,
            or each is the foreground of B / F composites in a row. Not read with
            `foreground_input="thumbnail"`.
        semantic_label : Tensor of float, shape (B, num_labels)
            One-hot; a row of zeros means unknown. Not read by variants without.

        Returns
        -------
        Prediction
        """
        *regions, label_logits = self.gather_features(
            composite, mask, foreground, foreground_mask, semantic_label
        )
        curve_params = [stage(*regions) for stage in self.stages]
        return Prediction(torch.stack(curve_params, dim=1), label_logits)


def _repeat_rows(features: Tensor, number: int) -> Tensor:
    """Repeat each row (F, N) as often as makes it so many rows."""
    times = number // features.shape[0]
    if times == 1:
        return features
    return features[:, None].expand(-1, times, -1).reshape(number, -1)


def build_s2crnet(variant: str, **changes: object) -> S2CRNet:
    """Build one of the paper's variants, or one with some dimensions changed.

    Parameters
    ----------
    variant : str
        A key of `VARIANTS`.
    **changes
        Fields of `Dimensions` that differ from the variant's.

    Raises
    ------
    UsageError
        If the variant or a field does not exist; it lists the known ones.

    Examples
    --------
    >>> network = build_s2crnet("s2crnet-cs")
    >>> sum(p.numel() for p in network.parameters())
    948480
    """
    return S2CRNet(change_variant(VARIANTS, variant, changes))
