"""The SqueezeNet 1.1 trunk that S²CRNet uses as its encoder.

Implements the first twelve entries of the SqueezeNet 1.1 feature stack [1]_: a
convolution, pooling, and seven of its eight Fire blocks. Entries are numbered as
in torchvision (convolutions, activations and pooling each count), so that
checkpoints of either keep their keys.

References
----------
.. [1] F. N. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer
   parameters and <0.5MB model size", 2016, arXiv:1602.07360; version 1.1.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = [
    "NUM_FEATURES",
    "Fire",
    "add_batch_norm",
    "fold_batch_norm",
    "squeezenet_trunk",
]

NUM_FEATURES = 512  # channels of the trunk's last map


class Fire(nn.Module):
    """Squeeze to few channels, then expand by a 1×1 and a 3×3 branch.

    Parameters
    ----------
    in_channels, squeeze : int
        Channels that come in, and between the two layers.
    expand : int
        Channels of each branch; twice as many come out.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, 2·expand, H, W)."""
        x = self.squeeze(x).relu()  # (B, squeeze, H, W)
        # Each by itself: from a part of a concatenation, whose channels lie apart in
        # memory, the gradient of batch normalization takes ten times as long.
        both = [self.expand1x1(x).relu(), self.expand3x3(x).relu()]
        return torch.cat(both, dim=1)  # (B, 2·expand, H, W)


def squeezenet_trunk() -> nn.Sequential:
    """Build the trunk: (B, 3, H, W) in, (B, 512, H/16, W/16) out, about.

    Returns
    -------
    nn.Sequential
        Twelve entries, 525,312 parameters, He-initialized. At 256×256 the last
        map is 15×15, at 128×128 it is 7×7.

    Examples
    --------
    >>> trunk = squeezenet_trunk()
    >>> sum(p.numel() for p in trunk.parameters())
    525312
    >>> tuple(trunk(torch.zeros(1, 3, 256, 256)).shape)
    (1, 512, 15, 15)
    """
    trunk = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),  # (B, 64, 127, 127) at 256×256
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 64, 63, 63)
        Fire(64, 16, 64),
        Fire(128, 16, 64),  # (B, 128, 63, 63)
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 128, 31, 31)
        Fire(128, 32, 128),
        Fire(256, 32, 128),  # (B, 256, 31, 31)
        nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (B, 256, 15, 15)
        Fire(256, 48, 192),
        Fire(384, 48, 192),  # (B, 384, 15, 15)
        Fire(384, 64, 256),  # (B, 512, 15, 15)
    )
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return trunk


class NormalizedConv(nn.Sequential):
    """A convolution and the batch normalization of its output."""


def add_batch_norm(trunk: nn.Module) -> None:
    """Normalize the output of every convolution, in place, for training.

    SqueezeNet has no normalization and learns slowly from scratch. What is added
    here for training is folded into the convolutions by `fold_batch_norm`, so the
    trained network is a plain SqueezeNet again.
    """
    for name, child in list(trunk.named_children()):
        if isinstance(child, nn.Conv2d):
            norm = nn.BatchNorm2d(child.out_channels)
            setattr(trunk, name, NormalizedConv(child, norm))
        else:
            add_batch_norm(child)


def fold_batch_norm(trunk: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose convolutions hold their normalization.

    A trunk without any comes back as a plain copy.
    """
    folded = deepcopy(trunk).eval()
    modules = list(folded.modules())  # before any is replaced
    for module in modules:
        for name, child in list(module.named_children()):
            if isinstance(child, NormalizedConv):
                conv, norm = child
                fused = fuse_conv_bn_eval(conv, norm)  # type: ignore[type-var, arg-type]
                setattr(module, name, fused)
    return folded
