"""Curves as networks predict them: heights of evenly spaced values, or slopes."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "compose",
    "curve_heights",
    "heights_of_slopes",
    "render_curves",
    "render_heights",
]


def curve_heights(params: Tensor) -> Tensor:
    """Turn what a layer gives into heights of monotone curves.

    Parameters
    ----------
    params : Tensor, shape (..., K + 2)
        What lies below black, K slopes, what lies above white; before they are made
        positive. Zeros give a curve near the identity.

    Returns
    -------
    Tensor, shape (..., K + 1)
        Rising, within [0, 1].
    """
    # The floor keeps a curve from merging neighboring tones altogether.
    slopes = F.softplus(params[..., 1:-1] + 0.5413) + 0.01  # near 1
    ends = 8 * F.softplus(params[..., :: params.shape[-1] - 1] - 5)  # (..., 2), near 0
    total = slopes.sum(dim=-1, keepdim=True) + ends.sum(dim=-1, keepdim=True)
    low = ends[..., :1]
    return torch.cat([low, low + slopes.cumsum(dim=-1)], dim=-1) / total


def heights_of_slopes(slopes: Tensor) -> Tensor:
    """Turn positive slopes (..., K) into heights (..., K + 1) from 0 to 1."""
    sums = slopes.cumsum(dim=-1)
    return F.pad(sums / sums[..., -1:], (1, 0))


def render_heights(values: Tensor, heights: Tensor) -> Tensor:
    """Map values (B, 3, N) of [0, 1] through curves of heights (B, 3, K + 1)."""
    K = heights.shape[2] - 1
    x = values.clamp(0, 1) * K
    piece = x.detach().floor().clamp(max=K - 1)
    index = piece.long()
    low, high = heights.gather(2, index), heights.gather(2, index + 1)
    return low + (high - low) * (x - piece)


def compose(stages: Tensor) -> Tensor:
    """Make one curve of a cascade: heights (B, N, 3, K + 1) to (B, 3, K + 1)."""
    heights = stages[:, 0]
    for stage in stages.unbind(dim=1)[1:]:
        heights = render_heights(heights, stage)
    return heights


def render_curves(image: Tensor, curve_params: Tensor) -> Tensor:
    """Map each channel of a batch through its own piecewise-linear curve.

    Parameters
    ----------
    image : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded. Values outside [0, 1] map like 0 and 1.
    curve_params : Tensor of float, shape (B, 3, K)
        Slopes; only their ratios within a channel matter. Their sum must not be
        near zero, which is not checked here (training must not stop for it).

    Returns
    -------
    Tensor of float, shape (B, 3, H, W)
        Not clamped: leaves [0, 1] where slopes have mixed signs.

    Notes
    -----
    The same function as `imharmony.Curves`, in the form that differentiates in
    one look-up instead of K clamped steps.

    Examples
    --------
    >>> gray = torch.full((1, 3, 1, 1), 0.25)
    >>> render_curves(gray, torch.ones(1, 3, 64)).flatten().tolist()
    [0.25, 0.25, 0.25]
    """
    B, C, H, W = image.shape
    K = curve_params.shape[2]
    heights = curve_params / curve_params.sum(dim=2, keepdim=True)  # (B, 3, K)
    knots_y = F.pad(heights.cumsum(dim=2), (1, 0))  # (B, 3, K+1), from 0 to 1
    x = image.reshape(B, C, H * W).clamp(0, 1) * K  # (B, 3, N), in pieces
    piece = x.detach().floor().clamp(max=K - 1)
    index = piece.long()
    out = knots_y.gather(2, index) + heights.gather(2, index) * (x - piece)
    return out.reshape(B, C, H, W)
