"""The five-layer discriminator of S²CRNet's adversarial loss.

After J. Liang et al., arXiv:2109.05750, whose "standard 5 layers CONV-BN-RELU" is
in the released code as here: kernels of 5×5 where CycleGAN's are 4×4, leaky ReLU,
no normalization of the first layer.
"""

from torch import nn

__all__ = ["MIN_SIZE", "discriminator"]

MIN_SIZE = 79
"""Smallest side of a picture, in pixels, that leaves the last layer its 4×4."""


def discriminator() -> nn.Sequential:
    """Build the discriminator: (B, 3, H, W) in, a map of scores out.

    Returns
    -------
    nn.Sequential
        4,316,545 parameters. Takes RGB, sRGB-encoded, nominally [0, 1], at least
        `MIN_SIZE` a side; 256×256 gives (B, 1, 12, 12). A score is near 1 where
        the picture looks real and near 0 where it looks made.

    Examples
    --------
    >>> import torch
    >>> sum(p.numel() for p in discriminator().parameters())
    4316545
    >>> tuple(discriminator()(torch.zeros(1, 3, 256, 256)).shape)
    (1, 1, 12, 12)
    """
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, stride=2, padding=1),  # (B, 64, 127, 127) at 256×256
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 5, stride=2, padding=1),  # (B, 128, 63, 63)
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 5, stride=2, padding=1),  # (B, 256, 31, 31)
        nn.BatchNorm2d(256),
        nn.LeakyReLU(0.2),
        nn.Conv2d(256, 512, 5, stride=2, padding=1),  # (B, 512, 15, 15)
        nn.BatchNorm2d(512),
        nn.LeakyReLU(0.2),
        nn.Conv2d(512, 1, 4),  # (B, 1, 12, 12)
    )
