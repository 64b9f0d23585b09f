"""Counted work of the network, and the paper's rendering in torch."""

import numpy as np
import pytest

from imharmony.benchmark import torch_cost
from imharmony.benchmark.baselines import reference_loop

Rows = dict[str, dict[str, float | None]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return torch_cost.variants()


@pytest.mark.parametrize(
    "name", ["s2crnet", "s2crnet-c", "s2crnet-cs", "hdnet-lite", "hdnet"]
)
def test_parameters_are_the_papers(rows: Rows, name: str) -> None:
    row = rows[name]
    assert row["params"] is not None
    assert row["paper_params"] == pytest.approx(row["params"], abs=5000)


def test_macs_of_the_first_convolution_are_those_by_hand() -> None:
    # SqueezeNet 1.1: 3x3, stride 2, 3 to 64 channels; 63 -> 31 rows and columns. All
    # after it costs less than 20 times as much.
    first = 2 * 31 * 31 * 64 * 27  # of both regions
    assert first < torch_cost.count_macs("s2crnet", 63) < 20 * first


def test_macs_of_the_encoder_grow_with_the_area() -> None:
    small, large = (torch_cost.count_macs("s2crnet", size) for size in (512, 1024))
    assert large / small == pytest.approx(4, rel=0.02)


def test_macs_of_the_heads_are_their_weights() -> None:
    # Second stage: two linear layers of 512 x 192, no biases counted.
    difference = torch_cost.count_macs("s2crnet-c", 64) - torch_cost.count_macs(
        "s2crnet", 64
    )
    assert difference == 2 * 512 * 192


@pytest.mark.parametrize(
    ("variant", "gmacs"), [("hdnet-lite", 1.62 + 0.27), ("hdnet", 25.5 + 3.5)]
)
def test_macs_of_hdnet_are_those_counted_in_the_released_network(
    variant: str, gmacs: float
) -> None:
    # Its convolutions, then its similarities and kernels made from the picture; 0.8 %
    # are normalization by matrix products, which there is none of.
    assert torch_cost.count_macs(variant, 256) / 1e9 == pytest.approx(gmacs, rel=0.015)


def test_torch_renders_what_numpy_renders() -> None:
    rng = np.random.default_rng(0)
    composite = rng.integers(0, 65536, (12, 17, 3), dtype=np.uint16)
    mask = rng.integers(0, 256, (12, 17), dtype=np.uint8)
    params = rng.uniform(0.5, 2, (2, 3, 64)).astype(np.float32)
    expected = reference_loop(composite, mask, params)
    found = torch_cost.reference_loop(composite, mask, params, threads=1)
    assert np.abs(found.astype(int) - expected).max() <= 2  # of 65535


def test_whole_photo_is_predicted_without_thumbnails() -> None:
    assert torch_cost.whole_photo(96, threads=1)().shape == (1, 2, 3, 64)
