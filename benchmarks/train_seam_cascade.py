"""Train the cascade of a `s2crnet-seam` that reads the seam, and nothing else.

    python benchmarks/train_seam_cascade.py CHECKPOINT OUTPUT POOL [POOL ...]
        [--photos FOLDER] [--steps 1500] [--rate 1e-3] [--seed 7]

It learns from swatches alone, colors of both regions and the seam: 256 new ones a step.
The rate falls along a cosine; what is written is the running mean of the weights.
"""

import argparse
import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from imharmony.training.checkpoints import load_checkpoint, save_checkpoint
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed, open_sources
from imharmony.training.networks.seam import SeamNet, Swatches
from imharmony.training.recipes.seam import measure_cascade
from imharmony.training.settings import TrainSettings, read_settings

SWATCHES = 256
WARMUP = 100
DECAY = 0.998
MAX_NORM = 5.0


def parts(network: SeamNet) -> nn.ModuleList:
    """List what learns."""
    own = (network.seamed, network.pairs, network.wide)
    return nn.ModuleList([*own, network.seam_statistics, network.seamed_doubt])


def batches(data: Dataset[Pair], steps: int) -> Iterator[Pair]:
    """Draw batches in a process of its own."""
    loader = DataLoader(
        data,
        batch_size=None,
        sampler=range(steps),
        num_workers=1,
        prefetch_factor=4,
        multiprocessing_context="spawn",  # libvips does not survive a fork
    )
    yield from loader


def learn(network: SeamNet, pair: Pair, settings: TrainSettings) -> tuple[Tensor, str]:
    """Measure a batch's swatches; the loss, and what to print of it."""
    colors = pair.swatch, pair.swatch_mask, pair.around, pair.around_mask
    swatches = Swatches(*colors, pair.swatch_seam, pair.swatch_seam_weight)
    stages, doubt = network.predict_seamed(swatches)
    shown = (pair.swatch, pair.swatch_real, pair.swatch_mask)
    loss, _ = measure_cascade(stages, doubt, *shown, settings)
    return loss.total, f"{float(loss.last):.4f}"


def main() -> None:
    """Train, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("pools", type=Path, nargs="+")
    parser.add_argument("--photos", type=Path, action="append")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    network, variant, size = load_checkpoint(given.checkpoint)
    if not isinstance(network, SeamNet):
        parser.error(f"{given.checkpoint}: expected s2crnet-seam")
    settings = read_settings("s2crnet-seam")
    seam = replace(settings.seam, swatches=SWATCHES, shown=1, edges=0)
    settings = replace(settings, seam=seam, seed=given.seed, batch_size=1)
    pairs, _ = open_sources(settings, given.pools, photos=given.photos)
    learning = parts(network.train())
    mean = copy.deepcopy(learning)
    weights = list(learning.parameters())
    optimizer = torch.optim.AdamW(weights, given.rate, weight_decay=0.05)
    for step, pair in enumerate(batches(Feed(pairs, settings), given.steps)):
        fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / given.steps)))
        rise = min(1.0, (step + 1) / WARMUP)
        optimizer.param_groups[0]["lr"] = given.rate * rise * float(fall)
        loss, told = learn(network, pair, settings)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, MAX_NORM)
        optimizer.step()
        share = 1 - min(DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for old, new in zip(mean.parameters(), weights, strict=True):
                old.lerp_(new, share)
        if (step + 1) % 250 == 0 or step + 1 == given.steps:
            print(f"{step + 1} seam_loss {told}", flush=True)
    with torch.no_grad():
        for old, new in zip(mean.parameters(), weights, strict=True):
            new.copy_(old)
    save_checkpoint(given.output, network.eval(), variant=variant, thumbnail_size=size)


if __name__ == "__main__":
    main()
