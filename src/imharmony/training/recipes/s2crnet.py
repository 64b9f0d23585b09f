"""How S²CRNet is trained and exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from imharmony.inference.contract import Contract
from imharmony.labels import LABELS
from imharmony.training.checkpoints import load_trunk
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.losses import render_stages, roughness, stage_losses
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet
from imharmony.training.networks.s2crnet_use import S2CRNetInUse
from imharmony.training.networks.squeezenet import add_batch_norm, fold_batch_norm
from imharmony.training.recipes.labels import (
    network_inputs,
    one_hot,
    show_labels,
)
from imharmony.training.recipes.recipe import Graph, Harmonized, Losses, Recipe
from imharmony.training.settings import TrainSettings

__all__ = ["S2CRNetRecipe"]

_PLOTTED = 129
"""Values of a curve that are plotted."""


class S2CRNetRecipe(Recipe[S2CRNet]):
    """Learns curves for the foreground's crop or thumbnail, and the label's guess."""

    def build(self, settings: TrainSettings) -> S2CRNet:
        """Make a network; settings may give its encoder a trunk or normalization."""
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
        labels = show_labels(pair, step, feed, network.dimensions.num_labels)
        prediction = model(*network_inputs(pair), labels)
        curve_params = prediction.curve_params.float()
        if settings.loss_region == "crop":
            scene = pair.foreground, pair.foreground_real, pair.foreground_mask
        else:
            scene = pair.composite, pair.real, pair.mask
        rendered = render_stages(scene[0], curve_params)
        loss = stage_losses(
            rendered,
            scene[1],
            scene[2],
            pixel_loss=settings.pixel_loss,
            log_offset=settings.log_offset,
            min_area=settings.min_area,
        )
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
        return Losses(total, loss, scene[1], rendered[-1])

    def harmonize(
        self, network: S2CRNet, pair: Pair, *, surroundings: str = "same scene"
    ) -> Harmonized:
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
            ramp = torch.linspace(0, 1, _PLOTTED, device=image.device)
            ramp = ramp.expand(len(labels), 3, 1, _PLOTTED)
            heights = render_stages(ramp, curve_params)[-1][:, :, 0]
        return Harmonized(harmonized, heights)

    def finish(self, network: S2CRNet) -> S2CRNet:
        """Fold batch normalization into the encoder."""
        network.encoder = fold_batch_norm(network.encoder)
        return network

    def graph(self, network: S2CRNet) -> Graph:
        """Export what is used: all views in one, held back."""
        inputs = (
            "composite",
            "mask",
            "foreground",
            "foreground_mask",
            "semantic_label",
        )
        outputs = ("curve_params", "label_logits")
        return Graph(S2CRNetInUse(network), inputs, outputs, views=inputs[:2])

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
