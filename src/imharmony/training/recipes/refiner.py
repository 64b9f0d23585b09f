"""How the network that refines what curves gave is trained and exported."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from imharmony.inference.contract import Contract
from imharmony.inference.crossings import GAPS, NUM_PAIRS
from imharmony.labels import LABELS
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.losses import mean_error, pixel_errors
from imharmony.training.networks.refiner import (
    Refiner,
    RefinerInUse,
    build_refiner,
    hold_back,
    refine,
)
from imharmony.training.recipes.recipe import Graph, Harmonized, Losses, Recipe
from imharmony.training.settings import TrainSettings

__all__ = ["RefinerRecipe"]

_HELD_WEIGHT = 0.5


class RefinerRecipe(Recipe[Refiner]):
    """Learns what to change where curves were put on, and how much of it to make."""

    def build(self, settings: TrainSettings) -> Refiner:
        """Make a network that changes nothing yet."""
        return build_refiner(settings.variant, **settings.dimensions)

    def losses(
        self,
        model: Callable[..., Any],
        network: Refiner,
        pair: Pair,
        *,
        step: int,
        feed: Feed,
    ) -> Losses:
        """Measure the blended foreground, with all of the change and with its share."""
        settings = feed.settings
        refinement = refine(model, *_inputs(pair))
        mask = (pair.mask > 0.5).float()
        errors = pixel_errors(
            refinement.picture,
            pair.real,
            mask,
            pixel_loss=settings.pixel_loss,
            min_area=settings.min_area,
        )
        loss = mean_error(errors, settings.log_offset)
        # How much of the change to make is learned from the change as it is.
        change = (refinement.picture - pair.composite).detach()
        share = torch.sigmoid(refinement.logit)[:, None, None, None]
        held_errors = pixel_errors(
            pair.composite + share * change,
            pair.real,
            mask,
            pixel_loss=settings.pixel_loss,
            min_area=settings.min_area,
        )
        held_loss = mean_error(held_errors, settings.log_offset)
        total = settings.pixel_weight * loss + _HELD_WEIGHT * held_loss
        before = pixel_errors(
            pair.composite,
            pair.real,
            mask,
            pixel_loss=settings.pixel_loss,
            min_area=settings.min_area,
        )
        parts = {
            "before_loss": mean_error(before, settings.log_offset),
            "held_loss": held_loss,
        }
        return Losses(total, loss, pair.real, refinement.picture, parts)

    def harmonize(
        self, network: Refiner, pair: Pair, *, surroundings: str = "same scene"
    ) -> Harmonized:
        """Refine a batch as in use, held back; there are no curves."""
        with torch.inference_mode():
            refinement = refine(network, *_inputs(pair))
            shown = pair.composite, pair.mask, pair.same_scene
            picture, _ = hold_back(refinement, *shown, network.dimensions)
        return Harmonized(picture, None)

    def graph(self, network: Refiner) -> Graph:
        """Export what is used: held back."""
        inputs = (
            "composite",
            "mask",
            "seam",
            "seam_weight",
            "seam_place",
            "same_scene",
        )
        return Graph(RefinerInUse(network), inputs, ("harmonized", "strength"), ())

    def contract(
        self,
        network: Refiner,
        *,
        variant: str,
        thumbnail_size: tuple[int, int],
        checkpoint_sha256: str,
    ) -> Contract:
        """Say that it gives a picture, on top of curves."""
        return Contract(
            variant=variant,
            thumbnail_size=thumbnail_size,
            checkpoint_sha256=checkpoint_sha256,
            output="picture",
            has_semantic_label=True,
            guesses_label=True,
            labels=LABELS,
            seam={"pairs": NUM_PAIRS, "gaps": GAPS},
            refines="s2crnet-cs",
        )


def _inputs(pair: Pair) -> tuple[Tensor, ...]:
    return (
        pair.composite,
        pair.mask,
        pair.seam,
        pair.seam_weight,
        pair.seam_place,
        pair.same_scene,
    )
