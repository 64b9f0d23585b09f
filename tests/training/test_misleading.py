"""Seams that say nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor

from imharmony.errors import UsageError
from imharmony.training.data.misleading import displace, mislead, vary_looks
from imharmony.training.data.seam import SeamSettings

B, G, N = 6, 4, 40


def seams() -> tuple[Tensor, Tensor]:
    """Draw pairs whose outer pixels say which one they are, and of which picture."""
    seam = torch.rand(B, G, N, 6, generator=torch.Generator().manual_seed(0))
    seam[..., 3] = torch.arange(B).view(B, 1, 1) / 10
    seam[..., 4] = torch.arange(N) / N
    return seam, torch.ones(B, G, N)


def drawn(**shares: float) -> tuple[Tensor, Tensor]:
    settings = SeamSettings(**shares)  # type: ignore[arg-type]
    return mislead(np.random.default_rng(0), *seams(), settings)


def test_without_shares_nothing_changes() -> None:
    for one, other in zip(drawn(), seams(), strict=True):
        assert torch.equal(one, other)


def test_displaced_outer_pixels_are_from_half_the_way_along_the_edge() -> None:
    seam, _ = seams()
    for moved, weight in (drawn(displaced_along=1.0), displace(*seams())):
        assert torch.equal(moved[..., :3], seam[..., :3])
        assert torch.equal(moved[..., 20:, 3:], seam[..., :20, 3:])
        assert weight.min() == 1


def test_crossed_seams_lie_on_the_picture_before() -> None:
    seam, _ = seams()
    crossed, weight = drawn(crossed=1.0)
    assert weight.min() == 1
    # Far from the edge nothing is mixed: the object is its own, what is around is not.
    torch.testing.assert_close(crossed[:, 3, :, :3], seam[:, 3, :, :3])
    torch.testing.assert_close(crossed[1:, 3, :, 3:], seam[:-1, 3, :, 3:])
    # At the edge both sides are between the two colors.
    sides = torch.stack([seam[1:, 0, :, :3], seam[:-1, 0, :, 3:]])
    low, high = sides.amin(dim=0) - 1e-5, sides.amax(dim=0) + 1e-5
    for side in (crossed[1:, 0, :, :3], crossed[1:, 0, :, 3:]):
        assert ((side >= low) & (side <= high)).all()
    assert not torch.allclose(crossed[:, 0, :, :3], seam[:, 0, :, :3])


def test_absent_seams_have_no_pairs() -> None:
    seam, weight = drawn(absent=1.0)
    assert seam.abs().max() == 0
    assert weight.max() == 0


def test_shares_are_those_asked_for() -> None:
    settings = SeamSettings(displaced_along=0.2, crossed=0.3, absent=0.1)
    seam, _ = seams()
    many = seam.repeat(1000, 1, 1, 1)
    weight = torch.ones(many.shape[:3])
    misled, left = mislead(np.random.default_rng(0), many, weight, settings)
    absent = (left.sum(dim=(1, 2)) == 0).float().mean()
    same = (misled == many).all(dim=3).all(dim=2).all(dim=1).float().mean()
    assert float(absent) == pytest.approx(0.1, abs=0.02)
    assert float(same) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("shares", [{"crossed": -0.1}, {"absent": 0.6, "crossed": 0.5}])
def test_shares_of_more_than_all_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="shares of at most 1 together"):
        SeamSettings(**shares)  # type: ignore[arg-type]


def test_other_looks_keep_which_colors_face_each_other() -> None:
    seam = torch.rand(B, G, N, 6, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(B, G, N)
    weight[2, 1, 5] = 0
    varied, left = vary_looks(np.random.default_rng(0), seam, weight)
    assert torch.equal(left, weight)
    assert varied[2, 1, 5].abs().max() == 0

    def channels(colors: Tensor) -> set[frozenset[tuple[int, ...]]]:
        """Order of the tones of each channel on both sides, which no power changes."""
        orders = [tuple(column.tolist()) for column in colors.argsort(dim=0).T]
        return {frozenset([orders[k], orders[k + 3]]) for k in range(3)}

    for before, after in zip(seam[:, 0], varied[:, 0], strict=True):
        assert channels(after) == channels(before)
    outer = [[c.argsort().tolist() for c in one[0, :, 3:].T] for one in seam]
    is_exchanged = [
        one[0, :, 0].argsort().tolist() in orders
        for one, orders in zip(varied, outer, strict=True)
    ]
    assert 0 < sum(is_exchanged) < B
