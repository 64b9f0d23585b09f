"""Scores and samples of a network in training, on pairs that it does not learn from."""

from collections.abc import Sequence, Sized

import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.training.architectures import AnyNetwork
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import PairSource
from imharmony.training.log import plot_curves, side_by_side
from imharmony.training.recipes import recipe_for
from imharmony.training.settings import TrainSettings

__all__ = ["samples", "validate"]

NUM_SAMPLES = 8
"""Pairs shown at each validation."""
PLOT_SIZE = 128
"""Side of a plot of curves, in pixels."""


def validate(
    network: AnyNetwork, pairs: PairSource, settings: TrainSettings
) -> dict[str, float]:
    """Score a network on fixed pairs that it was not trained on.

    Returns
    -------
    dict
        `psnr` and `composite_psnr` in dB (mean over images, whole thumbnail, peak
        1), `mse` and `composite_mse` in squared 8-bit steps, not rounded to such,
        `harm_rate` (share whose squared error grew); for a network that looks at the
        seam also `paste_psnr`, `no_seam_psnr` and so on, see `Recipe.surroundings`.
    """
    recipe = recipe_for(settings.variant)
    indices = _choose_indices(pairs, settings.validation_pairs)
    before: list[Tensor] = []
    after: dict[str, list[Tensor]] = {name: [] for name in recipe.surroundings}
    for start in range(0, len(indices), settings.batch_size):
        batch_indices = indices[start : start + settings.batch_size]
        pair = _make(network, pairs, batch_indices, settings)
        before.append(((pair.composite - pair.real) ** 2).mean(dim=(1, 2, 3)))
        for name, errors in after.items():
            answer = recipe.harmonize(network, pair, surroundings=name)
            errors.append(((answer.picture - pair.real) ** 2).mean(dim=(1, 2, 3)))
    mse_before = torch.cat(before)
    first, *others = (torch.cat(errors) for errors in after.values())
    scores = {
        "psnr": _mean_psnr(first),
        "composite_psnr": _mean_psnr(mse_before),
        "mse": float(255**2 * first.mean()),
        "composite_mse": float(255**2 * mse_before.mean()),
        "harm_rate": float((first > mse_before).float().mean()),
    }
    for name, squared in zip(recipe.surroundings[1:], others, strict=True):
        key = name.replace(" ", "_")
        scores[f"{key}_psnr"] = _mean_psnr(squared)
        scores[f"{key}_harm_rate"] = float((squared > mse_before).float().mean())
    return scores


def _mean_psnr(mse: Tensor) -> float:
    return float(-10 * mse.clamp(min=1e-8).log10().mean())


def samples(
    network: AnyNetwork, pairs: PairSource, settings: TrainSettings
) -> dict[str, Tensor]:
    """Show what a network does to the first few validation pairs.

    Returns
    -------
    dict
        Pictures, (3, H, W) uint8, by what their columns show, one row per pair;
        and, of a network that predicts them, the curves, all stages in one, of these
        pairs beside each other.
    """
    chosen = _choose_indices(pairs, min(NUM_SAMPLES, settings.validation_pairs))
    pair = _make(network, pairs, chosen, settings)
    harmonized, heights = recipe_for(settings.variant).harmonize(network, pair)
    columns = side_by_side(pair.composite, harmonized, pair.real)
    pictures = {"composite, harmonized, real": columns.cpu()}
    if heights is None:
        return pictures
    curves = F.interpolate(heights, PLOT_SIZE + 1, mode="linear", align_corners=True)
    plots = plot_curves(curves)  # (B, 3, N, N)
    return pictures | {"curves": side_by_side(*plots[:, None]).cpu()}


def _choose_indices(pairs: PairSource, count: int) -> Sequence[int]:
    """Choose indices of validation pairs, evenly out of what there is."""
    if not isinstance(pairs, Sized):
        return range(count)
    count = min(count, len(pairs))
    return [k * len(pairs) // count for k in range(count)]


def _make(
    network: AnyNetwork,
    pairs: PairSource,
    indices: Sequence[int],
    settings: TrainSettings,
) -> Pair:
    """Make pairs, on the network's device."""
    device = next(network.parameters()).device
    pair = pairs.batch(indices, settings.thumbnail_size)
    return Pair(*(tensor.to(device) for tensor in pair))
