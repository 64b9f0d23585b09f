"""Fit the layer of `hdnet-lite` that judges how much of its change to make.

    python benchmarks/fit_share.py CHECKPOINT OUTPUT POOL [POOL ...] [--photos FOLDER]
        [--pairs 3300] [--val-pairs 360] [--caution 0] [--least-change 0]

All other weights stay. Pairs are drawn as in training, but with nothing to do in a
fifth of them, and seams as they are in half; the layer that is best on val pairs is
kept. The two last options are written beside it and not fitted.
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imharmony.training.checkpoints import load_checkpoint, save_checkpoint
from imharmony.training.feed import PairSource, open_sources
from imharmony.training.networks.refiner import Refiner, refine
from imharmony.training.settings import read_settings

BATCH = 12
FIRST = 900_000
"""Pairs from here on, which training does not come to."""
OFFSET = 0.002
STEPS = 400


def look(network: Refiner, pairs: PairSource, count: int) -> tuple[Tensor, Tensor]:
    """Collect what the layer is told of each pair, and what its change is worth.

    Returns
    -------
    tuple of Tensor
        (N, C), and (N, 3): means over the foreground of change times what was missing,
        of the change squared and of what was missing squared.
    """
    told: list[Tensor] = []
    hook = network.share.register_forward_pre_hook(lambda _, x: told.append(x[0]))
    worth = []
    for first in range(FIRST, FIRST + count, BATCH):
        pair = pairs.batch(range(first, first + BATCH), (128, 128))
        seam = pair.seam, pair.seam_weight, pair.seam_place
        with torch.no_grad():
            made = refine(network, pair.composite, pair.mask, *seam, pair.same_scene)
        mask = (pair.mask > 0.5).float()
        share = mask / (3 * mask.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1))
        change = made.picture.clamp(0, 1) - pair.composite
        missing = pair.real - pair.composite
        products = (change * missing, change**2, missing**2)
        worth.append(torch.stack([(x * share).sum((1, 2, 3)) for x in products], 1))
    hook.remove()
    return torch.cat(told), torch.cat(worth)


def loss(share: Tensor, worth: Tensor) -> Tensor:
    """Logarithm of the error that a share of the change leaves, as in training."""
    product, change, missing = worth.unbind(dim=1)
    left = (missing - 2 * share * product + share**2 * change).clamp(min=0)
    return (4 * left + OFFSET).log().mean()


def fit(told: Tensor, worth: Tensor, val: tuple[Tensor, Tensor]) -> nn.Sequential:
    """Fit a layer; scales of what it is told are folded into its weights."""
    mean, deviation = told.mean(0), told.std(0) + 0.01
    best, least = None, float("inf")
    for seed in range(3):
        torch.manual_seed(seed)
        layer = nn.Sequential(nn.Linear(told.shape[1], 64), nn.ReLU(), nn.Linear(64, 1))
        optimizer = torch.optim.AdamW(layer.parameters(), 2e-3, weight_decay=0.1)
        for step in range(1, STEPS + 1):
            some = torch.randint(len(told), (512,))
            seen = F.dropout((told[some] - mean) / deviation, 0.15)
            hidden = F.dropout(layer[1](layer[0](seen)), 0.2)
            error = loss(torch.sigmoid(layer[2](hidden)[:, 0]), worth[some])
            optimizer.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if step % 20 == 0:
                with torch.no_grad():
                    logits = layer((val[0] - mean) / deviation)[:, 0]
                    score = float(loss(torch.sigmoid(logits), val[1]))
                if score < least:
                    best, least = copy.deepcopy(layer), score
    assert best is not None  # noqa: S101  # there are steps
    first = best[0]
    assert isinstance(first, nn.Linear)  # noqa: S101
    with torch.no_grad():
        first.bias.sub_((first.weight / deviation) @ mean)
        first.weight.div_(deviation)
    print(f"log error on val {least:.3f}")
    return best


def main() -> None:
    """Fit, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("pools", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, action="append")
    parser.add_argument("--pairs", type=int, default=3300)
    parser.add_argument("--val-pairs", type=int, default=360)
    parser.add_argument("--caution", type=float, default=0.0)
    parser.add_argument("--least-change", type=float, default=0.0)
    arguments = parser.parse_args()
    network, variant, size = load_checkpoint(arguments.checkpoint)
    if not isinstance(network, Refiner):
        parser.error(f"{arguments.checkpoint}: expected hdnet-lite-refining")
    settings = read_settings("hdnet-lite-refining")
    changed = {"foreground": 0.5, "rest": 0.15, "both": 0.15, "nothing": 0.2}
    settings = replace(
        settings,
        seam=replace(settings.seam, nearer=0.5),
        looks=replace(settings.looks, changed=changed),
    )
    sources = open_sources(settings, arguments.pools, photos=arguments.photos)
    val = look(network, sources[1], arguments.val_pairs)
    for name, share in (("all", 1.0), ("none", 0.0)):
        print(f"{name} of it {float(loss(torch.tensor(share), val[1])):.3f}")
    told, worth = look(network, sources[0], arguments.pairs)
    network.share = fit(told, worth, val)
    network.dimensions = replace(
        network.dimensions,
        caution=arguments.caution,
        least_change=arguments.least_change,
    )
    save_checkpoint(arguments.output, network, variant=variant, thumbnail_size=size)


if __name__ == "__main__":
    main()
