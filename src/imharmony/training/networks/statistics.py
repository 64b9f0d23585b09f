"""Statistics of the colors of a region: histogram, mean and covariance."""

import torch
from torch import Tensor

__all__ = ["region_statistics"]


def region_statistics(
    image: Tensor, mask: Tensor, num_bins: int, *, step: int = 2
) -> Tensor:
    """Describe the colors of a region: soft histograms, means and covariances.

    Parameters
    ----------
    image : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded, [0, 1].
    mask : Tensor of float, shape (B, 1, H, W)
        Weight of each pixel, [0, 1].
    num_bins : int
        Bins per channel, centered on 0, 1/(num_bins−1), …, 1; a value between two
        centers is shared out linearly.
    step : int
        Of every so many pixels and rows one is read.

    Returns
    -------
    Tensor of float, shape (B, 3·num_bins + 9)
        Per channel the histogram (sums to 1) scaled by num_bins; then the means;
        then the six entries of the covariance as signed square roots. All zero
        for an empty region.
    """
    pixels = image[:, :, ::step, ::step].flatten(2)  # (B, 3, N)
    weight = mask[:, :, ::step, ::step].flatten(2)  # (B, 1, N)
    weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1e-6)
    centers = torch.arange(num_bins, device=pixels.device)[:, None, None]
    near = 1 - (pixels[:, None] * (num_bins - 1) - centers).abs()  # (B, bins, 3, N)
    histogram = (near.relu() * weight[:, None]).sum(dim=3) * num_bins  # (B, bins, 3)
    mean = (pixels * weight).sum(dim=2)  # (B, 3)
    centered = (pixels - mean[:, :, None]) * (weight > 0)
    first, second = centered[:, [0, 1, 2, 0, 0, 1]], centered[:, [0, 1, 2, 1, 2, 2]]
    moments = (first * second * weight).sum(dim=2)  # (B, 6)
    roots = moments.sign() * (moments.abs() + 1e-8).sqrt()
    return torch.cat([histogram.flatten(1), roots, mean], dim=1)  # (B, 3·num_bins + 9)
