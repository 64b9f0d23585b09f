"""The batches of a run: made of pairs from a folder, ahead of their use.

A batch depends on the settings and its step alone, however many processes make it,
so a run that was stopped goes on with the pairs it would have seen.
"""

from collections.abc import Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from imharmony.errors import UsageError
from imharmony.training.architectures import find_architecture
from imharmony.training.data.iharmony4 import IHarmony4
from imharmony.training.data.pairs import Pair
from imharmony.training.data.pool import Example, Pool, read_pool
from imharmony.training.data.seam import exact
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.refining import RefinedPairs, load_curves
from imharmony.training.settings import TrainSettings

__all__ = ["Feed", "PairSource", "open_sources", "prefetch"]


class PairSource(Protocol):
    """Where pairs come from: a `Synthesis`, or a data set on disk."""

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Make the pairs of the given indices as thumbnails (height, width)."""
        ...


def open_sources(
    settings: TrainSettings,
    data: Path | Sequence[Path],
    *,
    photos: Path | Sequence[Path] | None = None,
) -> tuple[PairSource, PairSource]:
    """Open the pairs to train on and those to validate with.

    Parameters
    ----------
    settings : TrainSettings
    data, photos
        See `train`.

    Raises
    ------
    UsageError
        If a folder cannot be used, or photos come with pairs that need none.
    """
    folders, more_folders = _list_paths(data), _list_paths(photos)
    if any((folder / "IHD_train.txt").is_file() for folder in folders):
        return _open_pairs(settings, folders, more_folders)
    held_out = settings.held_out_sources

    def read(split: str) -> list[Example]:
        return [
            example
            for folder in folders
            for example in read_pool(
                folder, split=split, unlabeled_sources=settings.unlabeled_sources
            )
            if example.source not in held_out
        ]

    kept_apart = [
        example
        for folder in folders
        for example in read_pool(folder)
        if example.source in held_out
    ]
    absent = set(held_out) - {example.source for example in kept_apart}
    if absent:
        known = {example.source for folder in folders for example in read_pool(folder)}
        msg = f"held_out_sources are some of {', '.join(sorted(known))}"
        raise UsageError(f"{msg}; got {', '.join(sorted(absent))}")
    examples, val_examples = read("train"), read("val")
    for name, some in (("train", examples), ("val", val_examples)):
        if not some:
            raise UsageError(f"{data}: no photograph of split {name!r} is left")
    for folder in more_folders:
        more = _drop_masks(read_pool(folder), kept_apart=[*kept_apart, *val_examples])
        examples += [example for example in more if example.source not in held_out]
    # Where nothing changes, a composite has no error, and PSNR no mean.
    changed = {n: x for n, x in settings.looks.changed.items() if n != "nothing"}
    plain = replace(
        settings.looks,
        base=0.0,
        parts=0.0,
        pastes=0.0,
        changed=changed or settings.looks.changed,
    )
    pairs = Synthesis(
        Pool(examples), settings.looks, seed=settings.seed, seam=settings.seam
    )
    val_pairs = Synthesis(
        Pool(val_examples),
        plain,
        seed=settings.seed + 1_000_003,
        seam=exact(settings.seam),
    )
    if find_architecture(settings.variant) != "refiner":
        return pairs, val_pairs
    network, size = load_curves(settings.refines)
    shares = {"left_out": settings.curves_left_out, "ignored": settings.scene_unknown}
    alone = float(settings.curves_left_out == 1)
    return (
        RefinedPairs(pairs, network, size, **shares),
        RefinedPairs(val_pairs, network, size, left_out=alone),
    )


def _list_paths(folders: Path | Sequence[Path] | None) -> list[Path]:
    if folders is None:
        return []
    return [folders] if isinstance(folders, Path) else list(folders)


def _open_pairs(
    settings: TrainSettings, folders: Sequence[Path], photos: Sequence[Path]
) -> tuple[PairSource, PairSource]:
    """Open one data set in iHarmony4 layout."""
    if len(folders) > 1:
        msg = "one data set in iHarmony4 layout, or folders of photographs"
        raise UsageError(f"expected {msg}, got {', '.join(map(str, folders))}")
    if photos:
        msg = f"{photos[0]}: photographs are for synthesized pairs, {folders[0]} holds"
        raise UsageError(f"{msg} pairs")
    train, test = (
        IHarmony4(folders[0], split=split, num_pairs=settings.seam.num_pairs)
        for split in ("train", "test")
    )
    return train, test


def _drop_masks(pool: Pool, *, kept_apart: Sequence[Example]) -> Iterator[Example]:
    """Drop masks, and photos whose file is named like one kept apart for scores."""
    names = {example.photo.stem for example in kept_apart}
    for example in pool:
        if example.photo.stem not in names:
            yield replace(example, mask=None)


@dataclass(frozen=True)
class Feed(Dataset[Pair]):
    """The batch of each step: `feed[step]`, or one device's share of it.

    Synthesized pairs never come twice. Pairs on disk come once per epoch, in an
    order of its own, without the last partial batch, as in the released code.
    """

    source: PairSource
    settings: TrainSettings
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        batch_size = self.settings.batch_size
        if isinstance(self.source, Sized) and len(self.source) < batch_size:
            msg = f"batch_size is at most the {len(self.source)} pairs of the data"
            raise UsageError(f"{msg}, got {batch_size}")
        if batch_size % self.world_size:
            msg = f"batch_size is a multiple of the {self.world_size} devices"
            raise UsageError(f"{msg}, got {batch_size}")

    def __getitem__(self, step: int) -> Pair:
        settings = self.settings
        share = settings.batch_size // self.world_size
        first = self.rank * share
        size = settings.thumbnail_size
        if not isinstance(self.source, Sized):
            first += step * settings.batch_size
            return self.source.batch(range(first, first + share), size)
        epoch, place = divmod(step, len(self.source) // settings.batch_size)
        order = np.random.default_rng([settings.seed, epoch])
        first += place * settings.batch_size
        indices = order.permutation(len(self.source))[first : first + share].tolist()
        pair = self.source.batch(indices, settings.crop_from or size)
        if not settings.crop_from and not settings.flip:
            return pair
        rng = np.random.default_rng([settings.seed, step, self.rank])
        return crop_and_flip(pair, size, flip=settings.flip, rng=rng)


def crop_and_flip(
    pair: Pair, size: tuple[int, int], *, flip: bool, rng: np.random.Generator
) -> Pair:
    """Take a random part of each pair, and mirror half of them.

    Parameters
    ----------
    pair : Pair
        Pictures of one size, at least `size`. The crop of the foreground loses the
        same margins, so it shows a part of the object.
    size : tuple of int
        Height and width of the part.
    flip : bool
    rng : numpy.random.Generator

    Returns
    -------
    Pair
    """
    pictures = pair[:6]
    B, _, H, W = pair.composite.shape
    h, w = size
    parts = [picture.new_empty(*picture.shape[:2], h, w) for picture in pictures]
    for i in range(B):
        top, left = rng.integers(H - h + 1), rng.integers(W - w + 1)
        is_mirrored = flip and rng.random() < 0.5
        for picture, part in zip(pictures, parts, strict=True):
            window = picture[i, :, top : top + h, left : left + w]
            part[i] = window.flip(-1) if is_mirrored else window
    return Pair._make([*parts, *pair[6:]])


@contextmanager
def prefetch(feed: Feed, steps: range, *, workers: int) -> Iterator[Iterator[Pair]]:
    """Batches in order of their step, each made while the one before is used.

    Parameters
    ----------
    feed : Feed
    steps : range
    workers : int
        Processes that make them, each two batches ahead; 0 for one thread of this
        process. Each process holds the photographs it has decoded.
    """
    if workers and steps:
        loader = DataLoader(
            feed,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            generator=torch.Generator(),  # not the one that dropout draws from
            multiprocessing_context="spawn",  # libvips does not survive a fork
        )
        yield iter(loader)
        return

    def batches() -> Iterator[Pair]:
        ahead = thread.submit(feed.__getitem__, steps.start)
        for step in steps:
            pair = ahead.result()
            ahead = thread.submit(feed.__getitem__, step + 1)
            yield pair

    with ThreadPoolExecutor(1) as thread:
        yield batches()
