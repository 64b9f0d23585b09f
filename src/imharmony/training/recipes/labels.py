"""The inputs of S²CRNet and its kin from a batch: thumbnails, one-hot labels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed

__all__ = ["network_inputs", "one_hot", "show_labels"]


def network_inputs(pair: Pair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the network sees of a batch, but for the label."""
    return pair.composite, pair.mask, pair.foreground, pair.foreground_mask


def one_hot(semantic_label: Tensor, num_labels: int) -> Tensor:
    """Encode labels (B,) as (B, num_labels); rows of zeros for -1, unknown."""
    encoded = F.one_hot(semantic_label.clamp(min=0), num_labels)
    return (encoded * (semantic_label >= 0)[:, None]).float()


def show_labels(pair: Pair, step: int, feed: Feed, num_labels: int) -> Tensor:
    """One-hot labels, (B, num_labels), some of them hidden."""
    B = len(pair.semantic_label)
    generator = torch.Generator().manual_seed(step)
    draws = torch.rand(B * feed.world_size, generator=generator)
    draws = draws[feed.rank * B : (feed.rank + 1) * B].to(pair.semantic_label.device)
    is_hidden = draws < feed.settings.label_dropout
    return one_hot(pair.semantic_label.masked_fill(is_hidden, -1), num_labels)
