"""Fit the gate of a trained `s2crnet-seam` anew, with another weight of harm.

    python benchmarks/fit_gate.py CHECKPOINT OUTPUT POOL [POOL ...] [--photos FOLDER]
        [--harm-weight 0.3] [--pairs 9600]

All other weights stay. The pairs are drawn as in training, from numbers on that it does
not come to, and predicted once as in use but for the views.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from imharmony.training.checkpoints import load_checkpoint, save_checkpoint
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import PairSource, open_sources
from imharmony.training.networks.heads import Gate
from imharmony.training.networks.seam import Prediction, SeamNet
from imharmony.training.recipes.labels import network_inputs
from imharmony.training.recipes.seam import gate_loss, see_both
from imharmony.training.settings import TrainSettings, read_settings

BATCH = 32
FIRST = 900_000
ROUNDS = 30
RATE = 3e-3

Seen = tuple[Prediction, Pair, torch.Tensor]


def look(
    network: SeamNet, pairs: PairSource, settings: TrainSettings, count: int
) -> list[Seen]:
    """Predict pairs, with seams that say something and seams that do not."""
    rng = np.random.default_rng(settings.seed)
    labels = torch.zeros(BATCH, network.dimensions.num_labels)
    batches = []
    for first in range(FIRST, FIRST + count, BATCH):
        pair = pairs.batch(range(first, first + BATCH), settings.thumbnail_size)
        with torch.no_grad():
            prediction = network(
                *network_inputs(pair), labels, pair.seam, pair.seam_weight
            )
            both, weight = see_both(rng, network, pair, prediction, settings)
        kept = (pair.foreground, pair.foreground_real, pair.foreground_mask)
        nothing = torch.zeros(0)
        batches.append((both, Pair(nothing, nothing, nothing, *kept, nothing), weight))
    return batches


def fit(batches: list[Seen], harm_weight: float) -> Gate:
    """Fit a gate, from random weights."""
    torch.manual_seed(0)
    gate = Gate()
    optimizer = torch.optim.Adam(gate.parameters(), RATE)
    for made in range(ROUNDS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - made / ROUNDS)
        order = torch.randperm(len(batches)).tolist()
        total = 0.0
        for number in order:
            both, pair, weight = batches[number]
            loss = gate_loss(gate, both, pair, weight, harm_weight=harm_weight)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss)
    print(f"gate_loss {total / len(batches):.3f}")
    return gate.eval()


def main() -> None:
    """Fit, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("pools", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, action="append")
    parser.add_argument("--harm-weight", type=float, default=0.3)
    parser.add_argument("--pairs", type=int, default=9600)
    arguments = parser.parse_args()
    network, variant, size = load_checkpoint(arguments.checkpoint)
    if not isinstance(network, SeamNet):
        parser.error(f"{arguments.checkpoint}: expected s2crnet-seam")
    settings = read_settings("s2crnet-seam")
    seam = replace(settings.seam, swatches=0, edges=0)
    settings = replace(settings, seam=seam, thumbnail_size=size)
    pairs, _ = open_sources(settings, arguments.pools, photos=arguments.photos)
    batches = look(network.eval(), pairs, settings, arguments.pairs)
    network.gate = fit(batches, arguments.harm_weight)
    save_checkpoint(arguments.output, network, variant=variant, thumbnail_size=size)


if __name__ == "__main__":
    main()
