"""What a run is fed: which pairs come at which step, and how they are cut."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from imharmony.errors import UsageError
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed, crop_and_flip, prefetch
from imharmony.training.settings import TrainSettings

SETTINGS = TrainSettings(thumbnail_size=(20, 20), num_steps=9, batch_size=3)


class Numbered:
    """Endless pairs whose values are their number."""

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        value = torch.tensor(indices, dtype=torch.float32)[:, None, None, None]
        three = value.expand(-1, 3, *size).clone()
        one = value.expand(-1, 1, *size).clone()
        labels = torch.tensor(indices)
        return Pair(three, three, one, three, three, one, labels)


class Listed(Numbered):
    """The same, of which there are ten."""

    def __len__(self) -> int:
        return 10


def numbers(feed: Feed, step: int) -> list[int]:
    found: list[int] = feed[step].semantic_label.tolist()
    return found


def test_endless_pairs_never_come_twice() -> None:
    feed = Feed(Numbered(), SETTINGS)
    assert [n for step in range(4) for n in numbers(feed, step)] == list(range(12))


def test_pairs_on_disk_come_once_per_epoch_without_the_partial_batch() -> None:
    feed = Feed(Listed(), SETTINGS)
    for epoch in range(3):  # of three batches of three
        seen = Counter(n for k in range(3) for n in numbers(feed, 3 * epoch + k))
        assert len(seen) == 9
        assert set(seen) <= set(range(10))
        assert set(seen.values()) == {1}


def test_each_epoch_has_an_order_of_its_own() -> None:
    feed = Feed(Listed(), SETTINGS)
    orders = [[n for k in range(3) for n in numbers(feed, 3 * e + k)] for e in range(2)]
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


def test_the_seed_decides_the_order() -> None:
    orders = [
        [
            numbers(Feed(Listed(), replace(SETTINGS, seed=seed)), step)
            for step in range(9)
        ]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("source", [Numbered(), Listed()])
def test_devices_share_each_batch(source: Numbered) -> None:
    settings = replace(SETTINGS, batch_size=6)
    whole = numbers(Feed(source, settings), 1)
    shares = [numbers(Feed(source, settings, rank, 3), 1) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert [n for share in shares for n in share] == whole


def test_less_pairs_than_a_batch_are_refused() -> None:
    message = "batch_size is at most the 10 pairs of the data, got 11"
    with pytest.raises(UsageError, match=message):
        Feed(Listed(), replace(SETTINGS, batch_size=11))


def test_pairs_come_in_order_of_their_step() -> None:
    feed = Feed(Numbered(), SETTINGS)
    with prefetch(feed, range(4, 9), workers=0) as batches:
        found = [pair.semantic_label.tolist() for pair in batches]
    assert found == [[3 * step, 3 * step + 1, 3 * step + 2] for step in range(4, 9)]


# Cutting


def ramps(size: tuple[int, int]) -> Pair:
    """Two pairs whose pictures hold 100·row + column, and the pair's number."""
    H, W = size
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    one = (100.0 * y + x).expand(2, 1, H, W) + torch.tensor([0, 0.5])[
        :, None, None, None
    ]
    three = one.expand(2, 3, H, W)
    return Pair(three, three + 1e4, one, three, three, one, torch.tensor([7, 8]))


def corners(picture: Tensor) -> tuple[int, int, int]:
    """Row and column of a part's first pixel, and the step to its right neighbor."""
    top = picture[0, 0, 0]
    return int(top) // 100, int(top) % 100, int(picture[0, 0, 1] - top)


def test_parts_have_the_size_and_lie_anywhere_within() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        cut = crop_and_flip(ramps((6, 5)), (4, 4), flip=False, rng=rng)
        assert cut.composite.shape == (2, 3, 4, 4)
        seen |= {corners(picture) for picture in cut.composite}
    assert seen == {(top, left, 1) for top in range(3) for left in range(2)}


def test_half_of_the_pairs_are_mirrored() -> None:
    rng = np.random.default_rng(0)
    cuts = [
        crop_and_flip(ramps((4, 4)), (4, 4), flip=True, rng=rng) for _ in range(100)
    ]
    steps = [corners(picture)[2] for cut in cuts for picture in cut.composite]
    assert 70 < steps.count(-1) < 130
    assert steps.count(1) == 200 - steps.count(-1)


def test_pictures_of_a_pair_are_cut_alike() -> None:
    cut = crop_and_flip(ramps((9, 9)), (4, 5), flip=True, rng=np.random.default_rng(3))
    assert torch.equal(cut.real, cut.composite + 1e4)
    assert torch.equal(cut.mask, cut.composite[:, :1])
    assert torch.equal(cut.foreground_mask, cut.mask)
    assert cut.semantic_label.tolist() == [7, 8]


def test_a_feed_reads_larger_pairs_and_cuts_them() -> None:
    sizes = []

    class Recorded(Listed):
        def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
            sizes.append(size)
            return super().batch(indices, size)

    feed = Feed(Recorded(), replace(SETTINGS, crop_from=(30, 25)))
    assert feed[0].composite.shape == (3, 3, 20, 20)
    assert sizes == [(30, 25)]


def test_synthesized_pairs_are_not_cut_again() -> None:
    settings = replace(SETTINGS, crop_from=(30, 30), flip=True)
    assert feed_size(Numbered(), settings) == (20, 20)


def feed_size(source: Numbered, settings: TrainSettings) -> tuple[int, ...]:
    return tuple(Feed(source, settings)[0].composite.shape[2:])


def test_cutting_depends_on_the_step_alone() -> None:
    class Ramps(Listed):
        def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
            return ramps(size)

    settings = replace(SETTINGS, crop_from=(60, 60), flip=True, batch_size=2)
    feed = Feed(Ramps(), settings)
    assert torch.equal(feed[1].composite, feed[1].composite)
    assert not torch.equal(feed[1].composite, feed[2].composite)
