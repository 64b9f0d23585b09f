"""How HDNet is trained and exported."""

from collections.abc import Callable
from typing import Any

import torch

from imharmony.inference.contract import Contract
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.losses import mean_error, pixel_errors
from imharmony.training.networks.hdnet import HDNet, build_hdnet
from imharmony.training.recipes.recipe import Graph, Harmonized, Losses, Recipe
from imharmony.training.settings import TrainSettings

__all__ = ["HDNetRecipe"]


class HDNetRecipe(Recipe[HDNet]):
    """Learns from the thumbnail of the whole photo: composite, mask and real."""

    def build(self, settings: TrainSettings) -> HDNet:
        """Make a network of random weights."""
        return build_hdnet(settings.variant, **settings.dimensions)

    def losses(
        self,
        model: Callable[..., Any],
        network: HDNet,
        pair: Pair,
        *,
        step: int,
        feed: Feed,
    ) -> Losses:
        """Measure the blended picture by the mask that the network sees, 0 or 1."""
        settings = feed.settings
        harmonized = model(pair.composite, pair.mask).float()
        mask = (pair.mask > 0.5).float()
        errors = pixel_errors(
            harmonized,
            pair.real,
            mask,
            pixel_loss=settings.pixel_loss,
            min_area=settings.min_area,
        )
        loss = mean_error(errors, settings.log_offset)
        return Losses(settings.pixel_weight * loss, loss, pair.real, harmonized)

    def harmonize(
        self, network: HDNet, pair: Pair, *, surroundings: str = "same scene"
    ) -> Harmonized:
        """Harmonize a batch; there are no curves."""
        with torch.inference_mode():
            return Harmonized(network(pair.composite, pair.mask), None)

    def graph(self, network: HDNet) -> Graph:
        """Export the network as it is called."""
        return Graph(network, ("composite", "mask"), ("harmonized",), ())

    def contract(
        self,
        network: HDNet,
        *,
        variant: str,
        thumbnail_size: tuple[int, int],
        checkpoint_sha256: str,
    ) -> Contract:
        """Say that it gives a picture."""
        return Contract(
            variant=variant,
            thumbnail_size=thumbnail_size,
            checkpoint_sha256=checkpoint_sha256,
            output="picture",
        )
