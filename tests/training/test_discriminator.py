"""The discriminator is the released one, layer by layer."""

import pytest
import torch
from torch import nn

from imharmony.training.networks.discriminator import MIN_SIZE, discriminator


def test_layers() -> None:
    shown = []
    for layer in discriminator():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            shown.append(
                (layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
            )
    assert shown == [
        (64, (5, 5), (2, 2), (1, 1)),
        (128, (5, 5), (2, 2), (1, 1)),
        (256, (5, 5), (2, 2), (1, 1)),
        (512, (5, 5), (2, 2), (1, 1)),
        (1, (4, 4), (1, 1), (0, 0)),
    ]


def test_the_first_layer_is_not_normalized_nor_the_last() -> None:
    names = [type(layer).__name__ for layer in discriminator()]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert names == ["Conv2d", "LeakyReLU", *block, *block, *block, "Conv2d"]


def test_slope_of_the_leaky_units() -> None:
    slopes = [m.negative_slope for m in discriminator() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


@pytest.mark.parametrize(("size", "map_size"), [(256, 12), (MIN_SIZE, 1)])
def test_scores_are_a_map(size: int, map_size: int) -> None:
    with torch.inference_mode():
        scores = discriminator()(torch.zeros(1, 3, size, size))
    assert scores.shape == (1, 1, map_size, map_size)


def test_a_smaller_picture_leaves_the_last_layer_nothing() -> None:
    small = torch.zeros(1, 3, MIN_SIZE, MIN_SIZE - 1)
    with pytest.raises(RuntimeError, match=r"[Kk]ernel size can't be greater"):
        discriminator().eval()(small)


def test_number_of_parameters() -> None:
    assert sum(p.numel() for p in discriminator().parameters()) == 4_316_545
