"""How S²CRNet is trained and exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.inference.contract import Contract
from imharmony.labels import LABELS
from imharmony.training.checkpoints import load_trunk
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.losses import render_stages, roughness, stage_losses
from imharmony.training.networks.s2crnet import Prediction, S2CRNet, build_s2crnet
from imharmony.training.networks.squeezenet import add_batch_norm, fold_batch_norm
from imharmony.training.recipes.recipe import Graph, Harmonized, Losses, Recipe
from imharmony.training.settings import TrainSettings

__all__ = ["InUse", "S2CRNetRecipe", "network_inputs", "one_hot"]


class S2CRNetRecipe(Recipe[S2CRNet]):
    """Learns curves for the foreground's crop or thumbnail, and the label's guess."""

    def build(self, settings: TrainSettings) -> S2CRNet:
        """Make a network; its encoder from a trunk, or with normalization, if told."""
        network = build_s2crnet(settings.variant, **settings.dimensions)
        if settings.trunk:
            load_trunk(network, Path(settings.trunk))
        if settings.batch_norm:
            add_batch_norm(network.encoder)
        return network

    def losses(
        self,
        model: Callable[..., Any],
        network: S2CRNet,
        pair: Pair,
        *,
        step: int,
        feed: Feed,
    ) -> Losses:
        """Sum the errors of each stage, the roughness and the label's error."""
        settings = feed.settings
        labels = _shown_labels(pair, step, feed, network.dimensions.num_labels)
        prediction = model(*network_inputs(pair), labels)
        curve_params = prediction.curve_params.float()
        if settings.loss_region == "crop":
            seen = pair.foreground, pair.foreground_real, pair.foreground_mask
        else:
            seen = pair.composite, pair.real, pair.mask
        rendered = render_stages(seen[0], curve_params)
        loss = stage_losses(
            rendered, seen[1], seen[2],
            pixel_loss=settings.pixel_loss, log_offset=settings.log_offset,
            min_area=settings.min_area,
        )  # fmt: skip
        total = settings.pixel_weight * loss
        if settings.roughness_weight:
            total = total + settings.roughness_weight * roughness(curve_params)
        known = pair.semantic_label >= 0  # (B,)
        if network.dimensions.guesses_label and known.any():
            logits = prediction.label_logits.float()[known]
            guess = F.cross_entropy(logits, pair.semantic_label[known])
            total = total + settings.label_weight * guess
        elif feed.world_size > 1:  # every device's step needs all gradients
            total = total + 0 * prediction.label_logits.float().sum()
        return Losses(total, loss, seen[1], rendered[-1])

    def harmonize(self, network: S2CRNet, pair: Pair) -> Harmonized:
        """Harmonize a batch.

        Labels are given to a network that needs them and cannot guess them.
        """
        labels = pair.semantic_label
        if network.dimensions.guesses_label:
            labels = torch.full_like(labels, -1)
        labels = one_hot(labels, network.dimensions.num_labels)
        with torch.inference_mode():
            curve_params = network(*network_inputs(pair), labels).curve_params
            image = render_stages(pair.composite, curve_params)[-1]
            harmonized = pair.mask * image + (1 - pair.mask) * pair.composite
        return Harmonized(harmonized, curve_params)

    def finish(self, network: S2CRNet) -> S2CRNet:
        """Fold batch normalization into the encoder."""
        network.encoder = fold_batch_norm(network.encoder)
        return network

    def graph(self, network: S2CRNet) -> Graph:
        """Export `S2CRNet.in_use`."""
        inputs = (
            "composite", "mask", "foreground", "foreground_mask", "semantic_label"
        )  # fmt: skip
        outputs = ("curve_params", "label_logits")
        return Graph(InUse(network), inputs, outputs, views=inputs[:2])

    def contract(
        self,
        network: S2CRNet,
        *,
        variant: str,
        thumbnail_size: tuple[int, int],
        checkpoint_sha256: str,
    ) -> Contract:
        """Say how its slopes are to be read."""
        dimensions = network.dimensions
        return Contract(
            variant=variant,
            thumbnail_size=thumbnail_size,
            num_stages=dimensions.num_stages,
            num_pieces=dimensions.num_pieces,
            has_semantic_label=dimensions.has_semantic_label,
            guesses_label=dimensions.guesses_label,
            foreground_input=dimensions.foreground_input,
            slopes=dimensions.slopes,
            labels=LABELS,
            contexts=dimensions.contexts,
            checkpoint_sha256=checkpoint_sha256,
        )


class InUse(nn.Module):
    """A network whose call is `S2CRNet.in_use`."""

    def __init__(self, network: S2CRNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Prediction:
        """Predict for one composite."""
        return self.network.in_use(*inputs)


def network_inputs(pair: Pair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the network sees of a batch, but for the label."""
    return pair.composite, pair.mask, pair.foreground, pair.foreground_mask


def one_hot(semantic_label: Tensor, num_labels: int) -> Tensor:
    """Encode labels (B,) as (B, num_labels); rows of zeros for -1, unknown."""
    encoded = F.one_hot(semantic_label.clamp(min=0), num_labels)
    return (encoded * (semantic_label >= 0)[:, None]).float()


def _shown_labels(pair: Pair, step: int, feed: Feed, num_labels: int) -> Tensor:
    """One-hot labels, (B, num_labels), some of them hidden."""
    B = len(pair.semantic_label)
    generator = torch.Generator().manual_seed(step)
    drawn = torch.rand(B * feed.world_size, generator=generator)
    drawn = drawn[feed.rank * B : (feed.rank + 1) * B].to(pair.semantic_label.device)
    is_hidden = drawn < feed.settings.label_dropout
    return one_hot(pair.semantic_label.masked_fill(is_hidden, -1), num_labels)
