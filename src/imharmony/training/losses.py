"""Losses of S²CRNet's training.

The relative L1 loss is that of J. Liang et al., arXiv:2109.05750, equation (2).
"""

from torch import Tensor

from imharmony.training.networks.s2crnet import render_curves

__all__ = ["relative_l1", "roughness", "stage_losses"]


def relative_l1(harmonized: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Absolute error inside the mask, per unit of mask.

    Parameters
    ----------
    harmonized, real : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded.
    mask : Tensor of float, shape (B, 1, H, W)
        Weight of each pixel, soft edges kept.

    Returns
    -------
    Tensor, shape (B,)
        Σ|M·Y − M·T| / ΣM of each picture. The numerator sums the three channels,
        the denominator counts a pixel once, as in the released code.

    Notes
    -----
    Differs from the released code: an empty mask gives 0, not 0/0.

    Examples
    --------
    >>> import torch
    >>> real, mask = torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    >>> round(float(relative_l1(real + 0.1, real, mask)), 4)
    0.3
    """
    errors = ((harmonized - real).abs() * mask).sum(dim=(1, 2, 3))  # (B,)
    return errors / mask.sum(dim=(1, 2, 3)).clamp(min=1e-6)


def stage_losses(
    composite: Tensor,
    real: Tensor,
    mask: Tensor,
    curve_params: Tensor,
    *,
    log_offset: float = 0.0,
) -> Tensor:
    """Sum over the stages of a cascade of the mean relative L1 loss.

    Parameters
    ----------
    composite, real, mask : Tensor
        As for `relative_l1`.
    curve_params : Tensor of float, shape (B, N, 3, K)
        Each stage renders what the one before it gave.
    log_offset : float
        0 is the paper's loss. Above 0, the mean of log(loss + offset) is taken
        instead, as the mean PSNR does: a picture that was almost right weighs as
        much as one that was far off, so the network learns to hold back.

    Returns
    -------
    Tensor, shape ()
    """
    loss = composite.new_zeros(())
    image = composite
    for params in curve_params.unbind(dim=1):
        image = render_curves(image, params)
        errors = relative_l1(image, real, mask)
        loss = loss + ((errors + log_offset).log() if log_offset else errors).mean()
    return loss


def roughness(curve_params: Tensor) -> Tensor:
    """Mean squared step between neighboring slopes, their mean scaled to 1.

    Tones that a training photograph does not hold leave their slopes free; this
    draws them to their neighbors'. Not in the paper.
    """
    slopes = curve_params / curve_params.mean(dim=-1, keepdim=True)
    return (slopes.diff(dim=-1) ** 2).mean()
