"""Scores and samples of a network in training, on pairs that it does not learn from."""

from collections.abc import Sequence, Sized

import torch
from torch import Tensor

from imharmony.training.data.synthesis import Pair
from imharmony.training.feed import PairSource
from imharmony.training.kinds import AnyNetwork
from imharmony.training.log import plot_curves, side_by_side
from imharmony.training.losses import render_stages
from imharmony.training.recipes import recipe_for
from imharmony.training.recipes.recipe import Harmonized
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
        `harm_rate` (share whose squared error grew).
    """
    indices = _chosen(pairs, settings.validation_pairs)
    before, after = [], []
    for start in range(0, len(indices), settings.batch_size):
        some = indices[start : start + settings.batch_size]
        pair, (harmonized, _) = _harmonize(network, pairs, some, settings)
        before.append(((pair.composite - pair.real) ** 2).mean(dim=(1, 2, 3)))
        after.append(((harmonized - pair.real) ** 2).mean(dim=(1, 2, 3)))
    mse_before, mse_after = torch.cat(before), torch.cat(after)
    return {
        "psnr": float(-10 * mse_after.clamp(min=1e-8).log10().mean()),
        "composite_psnr": float(-10 * mse_before.clamp(min=1e-8).log10().mean()),
        "mse": float(255**2 * mse_after.mean()),
        "composite_mse": float(255**2 * mse_before.mean()),
        "harm_rate": float((mse_after > mse_before).float().mean()),
    }


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
    chosen = _chosen(pairs, min(NUM_SAMPLES, settings.validation_pairs))
    pair, (harmonized, curve_params) = _harmonize(network, pairs, chosen, settings)
    columns = side_by_side(pair.composite, harmonized, pair.real)
    shown = {"composite, harmonized, real": columns.cpu()}
    if curve_params is None:
        return shown
    ramp = torch.linspace(0, 1, PLOT_SIZE + 1, device=pair.real.device)
    ramp = ramp.expand(len(chosen), 3, 1, PLOT_SIZE + 1)
    curves = render_stages(ramp, curve_params)[-1][:, :, 0]  # (B, 3, N + 1)
    plots = plot_curves(curves)  # (B, 3, N, N)
    return shown | {"curves": side_by_side(*plots[:, None]).cpu()}


def _chosen(pairs: PairSource, count: int) -> Sequence[int]:
    """Choose indices of validation pairs, evenly out of what there is."""
    if not isinstance(pairs, Sized):
        return range(count)
    count = min(count, len(pairs))
    return [k * len(pairs) // count for k in range(count)]


def _harmonize(
    network: AnyNetwork,
    pairs: PairSource,
    indices: Sequence[int],
    settings: TrainSettings,
) -> tuple[Pair, Harmonized]:
    """Make pairs, on the network's device, and harmonize them."""
    device = next(network.parameters()).device
    made = pairs.batch(indices, settings.thumbnail_size)
    pair = Pair(*(tensor.to(device) for tensor in made))
    return pair, recipe_for(settings.variant).harmonize(network, pair)
