"""Losses of S²CRNet's and HDNet's training.

The relative L1 loss is that of J. Liang et al., arXiv:2109.05750, equation (2); the
relative L2 loss is that of HDNet's released code; the adversarial loss is the
least-squares one of X. Mao et al., "Least Squares Generative Adversarial Networks",
ICCV 2017, as S²CRNet's released code has it.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from imharmony.training.networks.heights import render_curves

__all__ = [
    "PixelLoss",
    "distance_to",
    "mean_error",
    "pixel_errors",
    "plain_l1",
    "relative_l1",
    "relative_l2",
    "render_stages",
    "roughness",
    "stage_losses",
]

PixelLoss = Literal["relative_l1", "l1", "relative_l2"]


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


def relative_l2(
    harmonized: Tensor, real: Tensor, mask: Tensor, *, min_area: float
) -> Tensor:
    """Squared error inside the mask, per unit of mask and channel.

    Parameters
    ----------
    harmonized, real : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded, [0, 1].
    mask : Tensor of float, shape (B, 1, H, W)
        Weight of each pixel.
    min_area : float
        In pixels. A smaller foreground weighs less, in proportion to its area.

    Returns
    -------
    Tensor, shape (B,)
        ΣM·(2Y − 2T)² / (3·max(ΣM, min_area)) of each picture: the values are scaled
        to [-1, 1], as in HDNet's code.

    Notes
    -----
    Differs from the released code: that sums over the whole picture, whose background
    is equal in both.

    Examples
    --------
    >>> import torch
    >>> real, mask = torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2)
    >>> round(float(relative_l2(real + 0.1, real, mask, min_area=1)), 4)
    0.04
    >>> round(float(relative_l2(real + 0.1, real, mask, min_area=8)), 4)
    0.02
    """
    errors = ((2 * harmonized - 2 * real) ** 2 * mask).sum(dim=(1, 2, 3))  # (B,)
    return errors / (3 * mask.sum(dim=(1, 2, 3)).clamp(min=max(min_area, 1e-6)))


def plain_l1(harmonized: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error of each picture, foreground and background alike, (B,).

    The loss of row A in the paper's table 3. One curve recolors the whole picture,
    so the background holds it near the identity.
    """
    return (harmonized - real).abs().mean(dim=(1, 2, 3))


def render_stages(image: Tensor, curve_params: Tensor) -> list[Tensor]:
    """Render what each stage of a cascade makes of a picture.

    Parameters
    ----------
    image : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded.
    curve_params : Tensor of float, shape (B, N, 3, K)
        Each stage renders what the one before it gave.

    Returns
    -------
    list of Tensor
        N pictures, (B, 3, H, W) each, all of it recolored: not blended by a mask.
    """
    rendered = []
    for params in curve_params.unbind(dim=1):
        image = render_curves(image, params)
        rendered.append(image)
    return rendered


def stage_losses(
    rendered: Sequence[Tensor],
    real: Tensor,
    mask: Tensor,
    *,
    pixel_loss: PixelLoss = "relative_l1",
    log_offset: float = 0.0,
    min_area: float = 100.0,
) -> Tensor:
    """Sum over the stages of a cascade of the batch's mean error.

    Parameters
    ----------
    rendered : sequence of Tensor
        What `render_stages` gives.
    real, mask : Tensor
        As for `relative_l1`.
    pixel_loss, min_area
        See `pixel_errors`.
    log_offset : float
        See `mean_error`.

    Returns
    -------
    Tensor, shape ()

    Notes
    -----
    Differs from the released code: a single stage is counted once, not twice.
    """
    loss = real.new_zeros(())
    for image in rendered:
        errors = pixel_errors(
            image, real, mask, pixel_loss=pixel_loss, min_area=min_area
        )
        loss = loss + mean_error(errors, log_offset)
    return loss


def pixel_errors(
    harmonized: Tensor,
    real: Tensor,
    mask: Tensor,
    *,
    pixel_loss: PixelLoss,
    min_area: float,
) -> Tensor:
    """Error of each picture, (B,): `relative_l1`, `relative_l2` or `plain_l1`."""
    if pixel_loss == "relative_l1":
        return relative_l1(harmonized, real, mask)
    if pixel_loss == "relative_l2":
        return relative_l2(harmonized, real, mask, min_area=min_area)
    return plain_l1(harmonized, real)


def mean_error(errors: Tensor, log_offset: float) -> Tensor:
    """Mean of a batch's errors (B,), or of their logarithms.

    Parameters
    ----------
    errors : Tensor, shape (B,)
    log_offset : float
        0 is the papers' loss. Above 0, the mean of log(error + offset) is taken
        instead, as the mean PSNR does: a picture that was almost right weighs as
        much as one that was far off, so the network learns to hold back.

    Returns
    -------
    Tensor, shape ()
    """
    return ((errors + log_offset).log() if log_offset else errors).mean()


def distance_to(target: float, scores: Tensor) -> Tensor:
    """Mean squared distance of a discriminator's scores from a target, ().

    The network draws its own to 1; the discriminator draws real pictures' to 1 and
    the network's to 0.

    Examples
    --------
    >>> import torch
    >>> float(distance_to(1.0, torch.tensor([[1.0, 3.0]])))
    2.0
    """
    return ((scores - target) ** 2).mean()


def roughness(curve_params: Tensor) -> Tensor:
    """Mean squared step between neighboring slopes, their mean scaled to 1.

    Tones that a training photograph does not hold leave their slopes free; this
    draws them to their neighbors'. Not in the paper.
    """
    slopes = curve_params / curve_params.mean(dim=-1, keepdim=True)
    return (slopes.diff(dim=-1) ** 2).mean()
