"""What reads the pairs along an edge: its lattice, its attention, what it ignores."""

import pytest
import torch
from torch import Tensor

from imharmony.training.networks.edge_reader import (
    LATTICE,
    EdgeReader,
    Lattice,
    Reading,
    attend,
    fit_lattice,
)


def box_mask(top: int, left: int, height: int, width: int, side: int = 32) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., top : top + height, left : left + width] = 1
    return mask


# The lattice


def test_it_lies_over_the_box_of_the_object() -> None:
    mask = torch.cat([box_mask(4, 8, 16, 8), box_mask(0, 0, 32, 32)])
    lattice = fit_lattice(mask)
    assert lattice.start.tolist() == [[4 / 32, 8 / 32], [0, 0]]
    assert lattice.length.tolist() == [[16 / 32, 8 / 32], [1, 1]]


def test_of_an_empty_mask_it_lies_over_the_whole_picture() -> None:
    lattice = fit_lattice(torch.zeros(1, 1, 16, 24))
    assert (lattice.start.tolist(), lattice.length.tolist()) == ([[0, 0]], [[1, 1]])
    assert torch.isfinite(lattice.down).all()


def test_values_are_spread_between_its_points_and_held_outside() -> None:
    """A ramp from 0 to 1 over the points is one over the box, and flat beyond."""
    lattice = fit_lattice(box_mask(8, 8, 16, 16))
    ramp = torch.linspace(0, 1, LATTICE)[:, None].expand(1, 1, LATTICE, LATTICE)
    rows = lattice.spread(ramp)[0, 0]  # (32, 32)
    expected = ((torch.arange(32) + 0.5 - 8) / 16).clamp(0, 1)
    for column in (0, 15, 31):
        assert rows[:, column] == pytest.approx(expected, abs=1e-6)


def test_gathered_and_divided_by_the_area_a_picture_keeps_its_color() -> None:
    mask = box_mask(3, 5, 20, 9)
    lattice = fit_lattice(mask)
    mean = lattice.gather(0.3 * mask) / lattice.gather(mask).clamp(min=1e-6)
    assert mean == pytest.approx(torch.full((1, 1, LATTICE, LATTICE), 0.3), abs=1e-5)
    assert float(lattice.gather(mask).sum()) == pytest.approx(20 * 9, rel=1e-5)


# Attention


def test_attention_is_a_softmax_of_likeness_less_distance() -> None:
    torch.manual_seed(0)
    B, H, Q, N, D = 2, 3, 4, 5, 8
    queries, keys = torch.randn(B, H, Q, D), torch.randn(B, H, N, D)
    values, nearness = torch.randn(B, H, N, 6), torch.tensor([4.0, 1.0, -2.0])
    at, place = torch.rand(B, Q, 2), torch.rand(B, N, 2)
    absence = torch.zeros(B, N)
    absence[0, 2] = -1e4
    found = attend(queries, keys, values, nearness, at, place, absence)
    for b in range(B):
        for h in range(H):
            logits = queries[b, h] @ keys[b, h].T / D**0.5
            logits -= nearness[h].exp() * torch.cdist(at[b], place[b]) ** 2
            if b == 0:
                logits[:, 2] = -torch.inf
            expected = logits.softmax(dim=1) @ values[b, h]
            assert found[b, h] == pytest.approx(expected, abs=1e-4)


# The reader


def reader() -> EdgeReader:
    torch.manual_seed(0)
    return EdgeReader(16, 4, 2, 5).eval()


def read(
    network: EdgeReader,
    seam: Tensor,
    weight: Tensor,
    place: Tensor,
    *,
    mask: Tensor | None = None,
    same_scene: float = 0.9,
) -> Reading:
    mask = box_mask(8, 8, 16, 16) if mask is None else mask
    lattice: Lattice = fit_lattice(mask)
    edge = seam, weight, place, torch.tensor([same_scene]), torch.zeros(1, 5)
    with torch.inference_mode():
        picture = 0.4 * mask.expand(1, 3, -1, -1)
        reading: Reading = network(picture, mask, lattice, *edge)
    return reading


def edge(num_pairs: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    shape = (1, 4, num_pairs)
    return torch.rand(*shape, 6), torch.ones(shape), torch.rand(1, num_pairs, 2)


def assert_equal(some: Reading, others: Reading) -> None:
    assert some.hidden == pytest.approx(others.hidden, abs=1e-4)
    assert some.pairs == pytest.approx(others.pairs, abs=1e-4)


def test_the_order_of_pairs_is_not_read() -> None:
    seam, weight, place = edge()
    order = torch.randperm(12)
    network = reader()
    turned = read(network, seam[:, :, order], weight[:, :, order], place[:, order])
    assert_equal(read(network, seam, weight, place), turned)


def test_what_is_not_there_is_not_read() -> None:
    seam, weight, place = edge()
    more, _, more_places = edge(20)
    absent = torch.zeros(1, 4, 20)
    network = reader()
    padded = read(
        network,
        torch.cat([seam, more * 0], dim=2),
        torch.cat([weight, absent], dim=2),
        torch.cat([place, more_places], dim=1),
    )
    assert_equal(read(network, seam, weight, place), padded)


def test_of_no_pairs_at_all_it_reads_numbers() -> None:
    seam, weight, place = edge()
    reading = read(reader(), 0 * seam, 0 * weight, place)
    assert torch.isfinite(reading.hidden).all()
    assert not reading.pairs.any()


def test_where_the_object_lies_and_how_large_it_is_shown_is_not_read() -> None:
    seam, weight, place = edge()
    network = reader()
    here = read(network, seam, weight, 0.25 + 0.5 * place)
    small = read(network, seam, weight, 0.25 * place, mask=box_mask(0, 0, 8, 8))
    assert here.pairs == pytest.approx(small.pairs, abs=1e-4)


def test_each_point_heeds_the_pairs_near_it() -> None:
    """Only nearness counts: what differs at the left rim is found there, not right."""
    seam, weight, _ = edge()
    rows = torch.linspace(0.25, 0.75, 12)
    place = torch.stack([rows, torch.where(rows < 0.5, 0.25, 0.75)], dim=1)[None]
    network = reader()
    with torch.no_grad():
        network.keys.weight.zero_()
        network.nearness.fill_(5.0)
    other = seam.clone()
    other[:, :, rows < 0.5, 3:] += 0.2
    some, others = (read(network, x, weight, place).hidden[0] for x in (seam, other))
    change = (others - some).abs().mean(dim=2)  # (L, L)
    assert change[0, 0] > 3 * change[-1, -1]
