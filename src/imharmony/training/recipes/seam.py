"""How the network that looks at the seam is trained and exported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.inference.choices import AUTO
from imharmony.inference.contract import Contract
from imharmony.inference.crossings import GAPS, NUM_PAIRS
from imharmony.labels import LABELS
from imharmony.training.checkpoints import load_base, load_trunk
from imharmony.training.data.misleading import displace, mislead, vary_looks
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.losses import relative_l1
from imharmony.training.networks.heights import render_heights
from imharmony.training.networks.seam import (
    Prediction,
    SeamNet,
    Swatches,
    build_seam_net,
)
from imharmony.training.networks.seam_use import (
    SeamNetInUse,
    combine,
    has_seam,
)
from imharmony.training.recipes.labels import network_inputs, show_labels
from imharmony.training.recipes.recipe import (
    Graph,
    Group,
    Harmonized,
    Losses,
    Recipe,
)
from imharmony.training.settings import TrainSettings

__all__ = ["SeamNetRecipe"]

_STAGE_WEIGHT = 0.3
"""Of the stages before the last one."""
_DOUBT_WEIGHT = 0.1
_SOME = (..., slice(None, None, 4), slice(None, None, 4))
"""Pixels of the thumbnails that the cascade with the seam learns from."""
_TIMES_SHOWN = 4
"""How often each edge of `data.pastes` is shown: once as it is, then under other
looks."""
_CROSSED_WEIGHT = 0.25
"""Of seams of training pairs, and of seams crossed between two pairs, beside the edges
that are made as pastes are."""


class SeamNetRecipe(Recipe[SeamNet]):
    """Learns two cascades of curves, their doubts, and to guess scene and label."""

    surroundings = ("same scene", "paste", "no seam")

    def build(self, settings: TrainSettings) -> SeamNet:
        """Make a network; its base from a checkpoint, or its trunk, if told."""
        network = build_seam_net(settings.variant, **settings.dimensions)
        if settings.trunk:
            load_trunk(network.base, Path(settings.trunk))
        if settings.base_weights:
            load_base(network, Path(settings.base_weights))
        return network

    def parameters(self, network: SeamNet, settings: TrainSettings) -> list[Group]:
        """Let what predicts without the seam learn at rates of its own."""
        base = list(network.base.parameters())
        plain = [
            parameter
            for part in (
                network.foreground,
                network.background,
                network.statistics,
                network.plain,
                network.plain_doubt,
            )
            for parameter in part.parameters()
        ]
        slow = {id(p) for p in (*base, *plain)}
        rest = [p for p in network.parameters() if id(p) not in slow]
        learning = [p for p in base if p.requires_grad]
        return [
            Group(rest),
            Group(plain, settings.plain_rate),
            Group(learning, settings.base_rate, settings.base_held_steps),
        ]

    def losses(
        self,
        model: Callable[..., Any],
        network: SeamNet,
        pair: Pair,
        *,
        step: int,
        feed: Feed,
    ) -> Losses:
        """Sum the errors of all stages, the roughness, the doubts and the guesses."""
        settings = feed.settings
        labels = show_labels(pair, step, feed, network.dimensions.num_labels)
        rng = np.random.default_rng([settings.seed, step, feed.rank, 1])
        edges = _edges(np.random.default_rng([settings.seed, step, feed.rank, 2]), pair)
        swatches, swatch_real = _swatches(pair)
        misled = mislead(rng, *swatches[4:], settings.seam)
        swatches = swatches._replace(seam=misled[0], seam_weight=misled[1])
        prediction: Prediction = model(
            *network_inputs(pair),
            labels,
            pair.seam,
            pair.seam_weight,
            edges.seam[len(labels) :],
            edges.weight[len(labels) :],
            swatches,
        )
        prediction = Prediction(*(x.float() for x in prediction))
        crop = (pair.foreground, pair.foreground_real, pair.foreground_mask)
        shown = tuple(x[:, :, ::2, ::2] for x in crop)
        pixels, real, mask = shown
        plain, harmonized = _measure_cascade(
            prediction.plain,
            prediction.plain_doubt,
            pixels,
            real,
            mask,
            settings,
        )
        seamed, _ = _measure_cascade(
            prediction.seamed,
            prediction.seamed_doubt,
            swatches.pixels,
            swatch_real,
            swatches.mask,
            settings,
        )
        scene = F.binary_cross_entropy_with_logits(
            prediction.same_scene,
            edges.is_same_scene,
            weight=edges.importance,
            reduction="sum",
        ) / edges.importance.sum().clamp(min=1e-6)
        pixel_loss = plain.total + seamed.total
        total = settings.pixel_weight * pixel_loss + settings.scene_weight * scene
        known = pair.semantic_label >= 0  # (B,)
        if known.any():
            logits = prediction.label_logits[known]
            guess = F.cross_entropy(logits, pair.semantic_label[known])
            total = total + settings.label_weight * guess
        elif feed.world_size > 1:  # every device's step needs all gradients
            total = total + 0 * prediction.label_logits.sum()
        parts = {
            "plain_loss": plain.last,
            "seam_loss": seamed.last,
            "scene_loss": scene,
        }
        return Losses(total, pixel_loss, shown[1], harmonized, parts)

    def harmonize(
        self, network: SeamNet, pair: Pair, *, surroundings: str = "same scene"
    ) -> Harmonized:
        """Harmonize a batch as in use: mixed and held back, no label given."""
        B = len(pair.semantic_label)
        seam, weight = pair.seam, pair.seam_weight
        if surroundings == "paste":
            seam, weight = displace(seam, weight)
        elif surroundings == "no seam":
            weight = torch.zeros_like(weight)
        labels = torch.zeros(B, network.dimensions.num_labels, device=seam.device)
        auto = torch.full((B,), AUTO, device=seam.device)
        with torch.inference_mode():
            prediction = network(*network_inputs(pair), labels, seam, weight)
            used = combine(
                prediction,
                pair.foreground,
                pair.foreground_mask,
                weight,
                auto,
                network.dimensions,
            )
            pixels = pair.composite.flatten(2)
            image = render_heights(pixels, used.curve_params[:, 0])
            image = image.reshape(pair.composite.shape)
            harmonized = pair.mask * image + (1 - pair.mask) * pair.composite
        return Harmonized(harmonized, used.curve_params[:, 0])

    def graph(self, network: SeamNet) -> Graph:
        """Export what is used: both predictions mixed and held back."""
        inputs = (
            "composite",
            "mask",
            "foreground",
            "foreground_mask",
            "semantic_label",
            "seam",
            "seam_weight",
            "same_scene",
        )
        outputs = ("curve_params", "label_logits", "probability", "strength")
        return Graph(SeamNetInUse(network), inputs, outputs, views=inputs[:2])

    def contract(
        self,
        network: SeamNet,
        *,
        variant: str,
        thumbnail_size: tuple[int, int],
        checkpoint_sha256: str,
    ) -> Contract:
        """Say how its heights are to be read, and what seam it wants."""
        return Contract(
            variant=variant,
            thumbnail_size=thumbnail_size,
            num_stages=1,
            num_pieces=network.dimensions.num_pieces,
            has_semantic_label=True,
            guesses_label=True,
            foreground_input="crop",
            slopes="heights",
            labels=LABELS,
            contexts=network.dimensions.contexts,
            seam={"pairs": NUM_PAIRS, "gaps": GAPS},
            checkpoint_sha256=checkpoint_sha256,
        )


class _CascadeLoss(NamedTuple):
    """The loss of a cascade of curves."""

    total: Tensor
    """(): of all stages, the roughness and the doubt."""
    last: Tensor
    """(): the part of the last stage's pixels."""


def _measure_cascade(
    stages: Tensor,
    doubt: Tensor,
    pixels: Tensor,
    real: Tensor,
    mask: Tensor,
    settings: TrainSettings,
) -> tuple[_CascadeLoss, Tensor]:
    """Measure a cascade; also return its picture."""
    image = pixels.flatten(2)
    bends = stages.shape[-1] * stages.diff(n=2)
    total = settings.roughness_weight * bends.square().mean()
    for number, heights in enumerate(stages.unbind(dim=1), 1):
        image = render_heights(image, heights)
        errors = relative_l1(
            image[..., None], real.flatten(2)[..., None], mask.flatten(2)[..., None]
        )
        last = (errors + settings.log_offset).log().mean()
        total = total + (last if number == stages.shape[1] else _STAGE_WEIGHT * last)
    missed = (errors / 3).detach()  # a channel's mean
    # Likelihood of the error under a Laplace distribution of that mean.
    unsure = (doubt.log() + missed / doubt).mean()
    total = total + _DOUBT_WEIGHT * unsure
    return _CascadeLoss(total, last.detach()), image.reshape(pixels.shape)


def _swatches(pair: Pair) -> tuple[Swatches, Tensor]:
    """Return what the cascade with the seam learns from, and its true colors.

    The batch's swatches; where it has none, its pairs.
    """
    if len(pair.swatch):
        colors = pair.swatch, pair.swatch_mask, pair.around, pair.around_mask
        swatches = Swatches(*colors, pair.swatch_seam, pair.swatch_seam_weight)
        return swatches, pair.swatch_real
    return _as_swatches(pair), pair.foreground_real[_SOME]


def _as_swatches(pair: Pair) -> Swatches:
    return Swatches(
        pair.foreground[_SOME],
        pair.foreground_mask[_SOME],
        pair.composite[_SOME],
        1 - pair.mask[_SOME],
        pair.seam,
        pair.seam_weight,
    )


class _Edges(NamedTuple):
    """Seams whose scene is known."""

    seam: Tensor
    """(B + E + B / 2, G, N, 6): of the pairs, edges made as pastes are, under several
    looks, and of half of the pairs the inner sides beside the outer ones of the pair
    before.
    """
    weight: Tensor
    is_same_scene: Tensor
    """(B + E + B / 2,): 1 or 0."""
    importance: Tensor


def _edges(rng: np.random.Generator, pair: Pair) -> _Edges:
    B, E = len(pair.seam), _TIMES_SHOWN * pair.is_same_scene.numel()
    seam, weight = pair.seam, pair.seam_weight
    half = max(1, B // 2)
    crossed = torch.cat([seam[..., :3], seam.roll(1, 0)[..., 3:]], dim=-1)[:half]
    crossed_weight = (weight * weight.roll(1, 0))[:half]
    seams, weights = [seam], [weight]
    if E:
        for time in range(_TIMES_SHOWN):
            edge = pair.edge, pair.edge_weight
            shown = vary_looks(rng, *edge) if time else edge
            seams.append(shown[0])
            weights.append(shown[1])
    seams.append(crossed)
    weights.append(crossed_weight)
    all_weights = torch.cat(weights)
    one = seam.new_ones(B)
    judged = pair.is_same_scene.repeat(_TIMES_SHOWN)
    is_same = torch.cat([one, judged, 0 * one[:half]])
    importance = torch.cat(
        [
            _CROSSED_WEIGHT * one,
            one.new_full((E,), B / max(E, 1)),
            _CROSSED_WEIGHT * B / half * one[:half],
        ]
    )
    return _Edges(
        torch.cat(seams), all_weights, is_same, importance * has_seam(all_weights)
    )
