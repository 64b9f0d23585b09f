"""HDNet: a small picture and its mask in, the picture with a recolored foreground out.

Implements H. Chen et al., "Hierarchical Dynamic Image Harmonization", ACM Multimedia
2023, arXiv:2211.08639: a U-Net whose decoder gives the foreground the background's
statistics (RAIN of J. Ling et al., CVPR 2021, arXiv:2106.02853), where each foreground
position looks up background positions that resemble it (local dynamics), and where
both regions have 1x1 convolutions of their own, made from the picture (mask-aware
global dynamics).

`mode="official"` computes what the released code computes, `mode="paper"` what is known
of the paper's own form; the parameters are the same. The differences:

- Similarity is a raw dot product in the code, of normalized features in the paper.
- In the code foreground positions stay among the candidates, as zero vectors.
- The code weighs the one neighbor by a softmax over all positions, so it is nearly
  absent; the paper weighs K neighbors by a softmax over these K.

Both modes follow the code in this: only the composite is convolved, three blocks have
global dynamics (the paper's figure shows four), the skips are activated, and the
convolutions that would guide global dynamics exist and are never used.
"""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.training.networks.variants import change_variant

__all__ = [
    "HDNET_VARIANTS",
    "STRIDE",
    "GlobalDynamics",
    "HDNet",
    "HDNetDimensions",
    "LocalDynamics",
    "RegionNorm",
    "build_hdnet",
]

STRIDE = 8
"""Height and width of a picture are multiples of this, in pixels."""
EPSILON = 1e-5
"""Added to variances and to areas, as in the released code."""
DENSE_POSITIONS = 1024
"""Positions up to which similarities are computed all at once: a 256x256 picture."""
CHUNK_ENTRIES = 2**22
"""Similarities computed at once above that: 16 MB."""
UNWANTED = -1e4
"""Similarity that stands for a candidate in the foreground; cosines are -1 to 1."""


@dataclass(frozen=True)
class HDNetDimensions:
    """Every number and choice that makes one HDNet. The defaults are as released."""

    width: int = 32
    """Channels of the outermost layer, n; the innermost ones have 8n."""
    mode: Literal["official", "paper"] = "official"
    """How local dynamics find and weigh neighbors: see the module."""
    num_neighbors: int = 1
    """Background positions that each foreground position sees, K; 1 if official."""
    temperature: float = 0.1
    """Of the softmax over the K similarities of mode "paper"; not read if official."""
    num_inputs: int = 3
    """Channels that are convolved: red, green and blue, and what else a network is
    shown that has this one inside."""
    num_outputs: int = 3

    def __post_init__(self) -> None:
        known = get_args(get_type_hints(type(self))["mode"])
        if self.mode not in known:
            raise UsageError(f"mode is one of {', '.join(known)}, got {self.mode}")
        for name in ("width", "num_neighbors", "num_inputs", "num_outputs"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is a count of at least 1, got {value}")
        K = self.num_neighbors
        if self.mode == "official" and K != 1:
            raise UsageError(f"mode official has num_neighbors 1, got {K}")
        if not self.temperature > 0:
            raise UsageError(f"temperature is above 0, got {self.temperature}")


HDNET_VARIANTS = {
    "hdnet-lite": HDNetDimensions(width=8),
    "hdnet-medium": HDNetDimensions(width=16),
    "hdnet": HDNetDimensions(width=32),
}

# Channels in and out as multiples of the width, kernel size, stride; padding is 1.
ENCODER = (
    (1, 2, 4, 2),
    (2, 4, 3, 1),
    (4, 8, 4, 2),
    (8, 8, 3, 1),
    (8, 8, 4, 2),
    (8, 8, 3, 1),
    (8, 8, 3, 1),
)
DECODER = (
    (8, 8, 3, 1),
    (16, 8, 3, 1),
    (16, 8, 4, 2),
    (16, 8, 3, 1),
    (16, 4, 4, 2),
    (8, 2, 3, 1),
    (4, 1, 4, 2),
)


class RegionNorm(nn.Module):
    """Region-aware adaptive instance normalization (RAIN).

    The foreground gets the background's mean and spread of each channel, the background
    is only normalized; then each region has its own scale and shift.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.foreground_gamma = nn.Parameter(torch.zeros(channels))
        self.foreground_beta = nn.Parameter(torch.zeros(channels))
        self.background_gamma = nn.Parameter(torch.zeros(channels))
        self.background_beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalize x (B, C, h, w) by its regions; mask (B, 1, h, w) holds 0 and 1."""
        B, C, h, w = x.shape
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.permute(0, 2, 3, 1).reshape(B, h * w, C)  # (B, P, C)
            front = mask.reshape(B, h * w, 1)
            regions = torch.cat([front, 1 - front], dim=2)  # (B, P, 2)
            shares = regions / (regions.sum(dim=1, keepdim=True) + EPSILON)
            mean = shares.transpose(1, 2) @ pixels.float()  # (B, 2, C)
            centered = pixels - regions @ mean  # (B, P, C)
            variance = shares.transpose(1, 2) @ centered**2  # (B, 2, C)
            std_f, std_b = (variance + EPSILON).sqrt().unbind(dim=1)  # (B, C) each
            gain_f, gain_b = 1 + self.foreground_gamma, 1 + self.background_gamma
            shift_f = mean[:, 1] * gain_f + self.foreground_beta
            scale = torch.stack([std_b / std_f * gain_f, gain_b / std_b], dim=1)
            shift = torch.stack([shift_f, self.background_beta.expand(B, C)], dim=1)
            regions = regions.to(x.dtype)
            spread = centered.to(x.dtype) * (regions @ scale.to(x.dtype))  # (B, P, C)
            out = spread + regions @ shift.to(x.dtype)
        return out.reshape(B, h, w, C).permute(0, 3, 1, 2)


class LocalDynamics(nn.Module):
    """Local dynamics (LD): foreground positions learn from similar background ones."""

    def __init__(self, channels: int, dimensions: HDNetDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.linear = nn.Conv1d(2 * channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Change the foreground of x (B, C, h, w); mask (B, 1, h, w) holds 0 and 1."""
        with torch.autocast(x.device.type, enabled=False):
            positions = x.flatten(2).transpose(1, 2)  # (B, P, C)
            is_front = mask.flatten(2).transpose(1, 2)  # (B, P, 1), float32
            own, candidates = positions * is_front, positions * (1 - is_front)
            neighbors = self.neighbors(own, candidates, is_front)  # (B, P, C)
        both = torch.cat([neighbors, own], dim=2)  # (B, P, 2C)
        changed = self.linear(both.transpose(1, 2)).reshape(x.shape)  # (B, C, h, w)
        return torch.where(mask > 0.5, changed, x)

    def neighbors(self, own: Tensor, candidates: Tensor, is_front: Tensor) -> Tensor:
        """Look up what resembles each foreground position.

        Parameters
        ----------
        own, candidates : Tensor of float32, shape (B, P, C)
            Features of the foreground, zero elsewhere; those of the background.
        is_front : Tensor of float32, shape (B, P, 1)
            1 in the foreground, 0 elsewhere.

        Returns
        -------
        Tensor, shape (B, P, C)
            Zero where there is no background. Rows of the background are not read.
        """
        B, P, _ = own.shape
        if P <= DENSE_POSITIONS or torch.onnx.is_in_onnx_export():
            best, matched = self.look_up(own, candidates, is_front)
        else:  # the foreground alone, and in bounded memory
            best, matched = own[..., :1] * 0, own * 0
            for i in range(B):
                one, rows = slice(i, i + 1), is_front[i, :, 0].nonzero()[:, 0]
                for chunk in torch.split(rows, max(1, CHUNK_ENTRIES // P)):
                    best[one, chunk], matched[one, chunk] = self.look_up(
                        own[one, chunk], candidates[one], is_front[one]
                    )
        if self.dimensions.mode == "official":
            # Over all positions: one of the background has similarity 0 to all.
            return best.softmax(dim=1) * matched
        return matched

    def look_up(
        self, queries: Tensor, candidates: Tensor, is_front: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Largest similarity (B, Q, 1) and what matches (B, Q, C), of Q queries."""
        if self.dimensions.mode == "official":
            similarity = queries @ candidates.transpose(1, 2)  # (B, Q, P)
            best, index = similarity.max(dim=2, keepdim=True)
            index = index.expand(-1, -1, candidates.shape[2])  # (B, Q, C)
            return best, candidates.gather(1, index)
        directions = F.normalize(candidates, dim=2).transpose(1, 2)  # (B, C, P)
        similarity = F.normalize(queries, dim=2) @ directions  # (B, Q, P)
        # Features of unwanted candidates are zero: where all are, so is what is found.
        is_unwanted = is_front.transpose(1, 2) > 0.5  # (B, 1, P)
        similarity = similarity.masked_fill(is_unwanted, UNWANTED)
        K = min(self.dimensions.num_neighbors, similarity.shape[2])
        best, index = similarity.topk(K, dim=2)  # (B, Q, K)
        weight = (best / self.dimensions.temperature).softmax(dim=2)
        matched = torch.zeros_like(queries)
        for k in range(K):
            picked = index[..., k, None].expand(-1, -1, candidates.shape[2])
            matched = matched + weight[..., k, None] * candidates.gather(1, picked)
        return best[..., :1], matched


class GlobalDynamics(nn.Module):
    """Mask-aware global dynamics (MGD): 1x1 kernels of each region, from the mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 4, 1)
        self.kernels = nn.Conv2d(4, 2 * channels**2, 1, groups=2)
        # Never used; the released checkpoints and parameter counts have it.
        self.guide = nn.Conv2d(channels, 2, 1).requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x (B, C, h, w) by its regions; mask (B, 1, h, w) holds 0 and 1."""
        B, C, h, w = x.shape
        pooled = x.mean(dim=(2, 3), keepdim=True, dtype=torch.float32)  # (B, C, 1, 1)
        hidden = torch.sigmoid(self.squeeze(pooled))  # (B, 4, 1, 1): two per region
        kernels = self.kernels(hidden).reshape(B, 2 * C, C)  # rows of K_f, then of K_b
        pixels = x.permute(0, 2, 3, 1).reshape(B, h * w, C)
        mapped = (pixels @ kernels.transpose(1, 2)).reshape(B, h, w, 2 * C)
        is_front = mask.permute(0, 2, 3, 1) > 0.5  # (B, h, w, 1)
        chosen = torch.where(is_front, mapped[..., :C], mapped[..., C:])
        return chosen.permute(0, 3, 1, 2)  # (B, C, h, w)


class DecoderLayer(nn.Module):
    """Activation, transposed convolution, RAIN."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel, stride, 1, bias=False)
        self.norm = RegionNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Grow x by the stride; the mask is that of the whole picture."""
        x = self.conv(F.relu(x))
        return self.norm(x, nearest(mask, x))  # type: ignore[no-any-return]


class HDNet(nn.Module):
    """The whole network: a U-Net with local dynamics within, global ones outside."""

    def __init__(self, dimensions: HDNetDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        n = dimensions.width
        first = nn.Conv2d(dimensions.num_inputs, n, 3, 1, 1, bias=False)
        convs = [
            nn.Conv2d(inputs * n, outputs * n, kernel, stride, 1, bias=False)
            for inputs, outputs, kernel, stride in ENCODER
        ]
        self.encoder = nn.ModuleList([first, *convs])
        self.local_dynamics = LocalDynamics(8 * n, dimensions)
        self.decoder = nn.ModuleList(
            DecoderLayer(inputs * n, outputs * n, kernel, stride)
            for inputs, outputs, kernel, stride in DECODER
        )
        self.global_dynamics = nn.ModuleList(
            GlobalDynamics(channels * n) for channels in (8, 4, 2)
        )
        self.output = nn.ConvTranspose2d(2 * n, dimensions.num_outputs, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Harmonize the foreground of each composite.

        Parameters
        ----------
        composite : Tensor of float, shape (B, 3, h, w)
            RGB, sRGB-encoded, [0, 1]; h and w are multiples of `STRIDE`.
        mask : Tensor of float, shape (B, 1, h, w)
            Above 0.5 is foreground.

        Returns
        -------
        Tensor of float32, shape (B, 3, h, w)
            RGB, sRGB-encoded, [0, 1]. The background is the composite's.
        """
        mask = (mask > 0.5).float()
        recolored = self.recolor(2 * composite - 1, mask)
        return torch.where(mask > 0.5, (recolored + 1) / 2, composite)

    def recolor(self, x: Tensor, mask: Tensor) -> Tensor:
        """Recolor the whole picture, (B, 3, h, w); all values from -1 to 1.

        The mask, (B, 1, h, w), holds 0 and 1.
        """
        return torch.tanh(self.paint(x, mask))

    def paint(self, x: Tensor, mask: Tensor) -> Tensor:
        """Compute the last layer's values, (B, num_outputs, h, w), not bounded.

        Parameters
        ----------
        x : Tensor of float, shape (B, num_inputs, h, w)
        mask : Tensor of float, shape (B, 1, h, w)
            Of 0 and 1.
        """
        skips = []
        for k, conv in enumerate(self.encoder):
            x = conv(x)
            if 0 < k < len(ENCODER):
                x = F.instance_norm(x, eps=EPSILON)
            if k < len(ENCODER):
                x = F.leaky_relu(x, 0.2)
                skips.append(x)  # (B, n, h, w) to (B, 8n, h/8, w/8)
        x = self.local_dynamics(x, nearest(mask, x))  # (B, 8n, h/8, w/8)
        without = len(DECODER) - len(self.global_dynamics)
        for k, layer in enumerate(self.decoder):
            x = torch.cat([skips.pop(), layer(x, mask)], dim=1)
            if k >= without:
                x = self.global_dynamics[k - without](x, nearest(mask, x))
        made: Tensor = self.output(F.relu(x)).float()
        return made


def nearest(mask: Tensor, like: Tensor) -> Tensor:
    """Resize a mask to features by taking every second, fourth or eighth pixel."""
    step = mask.shape[2] // like.shape[2]
    return mask[:, :, ::step, ::step]


def build_hdnet(variant: str, **changes: object) -> HDNet:
    """Build a variant, or one with some dimensions changed.

    Parameters
    ----------
    variant : str
        A key of `HDNET_VARIANTS`.
    **changes
        Fields of `HDNetDimensions` that differ from the variant's.

    Raises
    ------
    UsageError
        If the variant or a field does not exist; it lists the known ones.

    Examples
    --------
    >>> network = build_hdnet("hdnet-lite", mode="paper", num_neighbors=3)
    >>> sum(p.numel() for p in network.parameters())
    652893
    """
    return HDNet(change_variant(HDNET_VARIANTS, variant, changes))
