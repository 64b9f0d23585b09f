"""HDNet: sizes, parity with the released network, what its modules compute."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.training.checkpoints import map_released_keys
from imharmony.training.networks import hdnet
from imharmony.training.networks.hdnet import (
    HDNET_VARIANTS,
    GlobalDynamics,
    HDNet,
    HDNetDimensions,
    LocalDynamics,
    RegionNorm,
    build_hdnet,
)

State = dict[str, Tensor]

DATA = Path(__file__).parents[1] / "data"

# The promise. Seen: 3e-6.
PARITY = 1e-4
# Of the last activation, which saturates: the promise. Seen: 1.1e-4.
SATURATED = 2e-3
# Single precision; the same sums in another order.
ROUNDING = 1e-5
# Bfloat16 through 16 convolutions, of values in [0, 1].
MIXED = 0.05

MODES: dict[str, dict[str, Any]] = {
    "official": {"mode": "official"},
    "paper-1": {"mode": "paper", "num_neighbors": 1},
    "paper-3": {"mode": "paper", "num_neighbors": 3, "temperature": 0.5},
    "paper-5": {"mode": "paper", "num_neighbors": 5, "temperature": 0.05},
}


def listed_keys(column: str) -> dict[str, list[int]]:
    """The official keys and their shapes."""
    path = DATA / "hdnet_official_keys.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["key"]: [int(length) for length in row[column].split("x")]
            for row in csv.DictReader(file)
        }


def network(seed: int = 0, **changes: object) -> HDNet:
    """HDNet-lite whose every weight is random, so that its output varies."""
    torch.manual_seed(seed)
    built = build_hdnet("hdnet-lite", **changes).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            spread = (6 * len(parameter) / parameter.numel()) ** 0.5
            parameter.uniform_(-spread, spread)
            if parameter.ndim == 1:
                parameter.mul_(0.1)
    return built


def scene(seed: int = 0, size: int = 32) -> tuple[Tensor, Tensor]:
    """Two noisy composites, and a mask of an ellipse and of a box."""
    generator = torch.Generator().manual_seed(seed)
    composite = torch.rand((2, 3, size, size), generator=generator) ** 2
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    masks = [(x**2 + 2 * y**2 < 0.5), (x > -0.7) & (x < 0.2) & (y > -0.3)]
    return composite, torch.stack(masks)[:, None].float()


# Sizes


@pytest.mark.parametrize(
    ("variant", "width", "parameters"),
    [
        ("hdnet-lite", 8, 652_893),
        ("hdnet-medium", 16, 2_606_245),
        ("hdnet", 32, 10_414_389),
    ],
)
def test_sizes_are_the_published_ones(
    variant: str, width: int, parameters: int
) -> None:
    built = build_hdnet(variant)
    assert built.dimensions.width == width
    assert sum(p.numel() for p in built.parameters()) == parameters


@pytest.mark.parametrize(
    ("variant", "column"), [("hdnet", "shape_ngf32"), ("hdnet-lite", "shape_ngf8")]
)
@pytest.mark.parametrize("mode", ["official", "paper"])
def test_the_parameters_have_the_official_keys_and_shapes(
    variant: str, column: str, mode: str
) -> None:
    built = build_hdnet(variant, mode=mode)
    keys = map_released_keys(built.dimensions)
    found = {keys[name]: list(v.shape) for name, v in built.state_dict().items()}
    assert found == listed_keys(column)
    assert len(found) == 65


# Parity with the released network


@pytest.fixture(scope="module")
def fixture() -> dict[str, np.ndarray[Any, Any]]:
    with np.load(DATA / "parity_official.npz") as stored:
        return {key: stored[key] for key in stored if key.startswith("hd_")}


@pytest.fixture(scope="module")
def official() -> HDNet:
    """HDNet-lite with the fixture's weights, by its rule."""
    state = {}
    for number, (key, shape) in enumerate(listed_keys("shape_ngf8").items()):
        value = np.random.RandomState(1000 + number).uniform(-1, 1, shape)
        scale = (6 * shape[0] / value.size) ** 0.5 if len(shape) > 1 else 0.1
        state[key] = torch.from_numpy((scale * value).astype(np.float32))
    built = build_hdnet("hdnet-lite").eval()
    keys = map_released_keys(built.dimensions)
    built.load_state_dict({name: state[key] for name, key in keys.items()})
    return built


@pytest.fixture(scope="module")
def fixture_inputs() -> tuple[Tensor, Tensor]:
    """Pictures in [-1, 1] and their masks, by the fixture's rule."""
    pictures = np.random.RandomState(9).uniform(-1, 1, (2, 3, 64, 64))
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, 16:44, 12:40] = 1
    mask[1, :, 5:60, 30:50] = 1
    return torch.from_numpy(pictures.astype(np.float32)), mask


def test_the_raw_output_is_the_released_networks(
    official: HDNet, fixture: dict[str, Any], fixture_inputs: tuple[Tensor, Tensor]
) -> None:
    with torch.inference_mode():
        found = official.recolor(*fixture_inputs)
    np.testing.assert_allclose(found, fixture["hd_out"], rtol=0, atol=SATURATED)


def test_the_blended_output_is_the_released_networks(
    official: HDNet, fixture: dict[str, Any], fixture_inputs: tuple[Tensor, Tensor]
) -> None:
    pictures, mask = fixture_inputs
    with torch.inference_mode():
        found = 2 * official((pictures + 1) / 2, mask) - 1
    expected = fixture["hd_comp"]
    np.testing.assert_allclose(found[..., ::4, ::4], expected, rtol=0, atol=SATURATED)


@pytest.mark.parametrize(
    ("module", "stored"),
    [
        ("encoder.0", "layer0"),
        ("encoder.7", "layer71"),
        ("local_dynamics", "LD"),
        ("decoder.0.norm", "layer72norm"),
        ("global_dynamics.0", "layer11att"),
        ("global_dynamics.2", "layer13att"),
    ],
)
def test_features_are_the_released_networks(
    official: HDNet,
    fixture: dict[str, Any],
    fixture_inputs: tuple[Tensor, Tensor],
    module: str,
    stored: str,
) -> None:
    seen: list[Tensor] = []
    handle = official.get_submodule(module).register_forward_hook(
        lambda _, __, output: seen.append(output[:, 0].clone())
    )
    with torch.inference_mode():
        official.recolor(*fixture_inputs)
    handle.remove()
    key = "hd_LD_ch0" if stored == "LD" else f"hd_model_{stored}_ch0"
    np.testing.assert_allclose(seen[0], fixture[key], rtol=0, atol=PARITY)


def test_the_last_normalized_features_are_the_released_networks(
    official: HDNet, fixture: dict[str, Any], fixture_inputs: tuple[Tensor, Tensor]
) -> None:
    seen: list[Tensor] = []
    handle = official.get_submodule("encoder.7").register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0][:, 0].clone())
    )
    with torch.inference_mode():
        official.recolor(*fixture_inputs)
    handle.remove()
    stored = torch.from_numpy(fixture["hd_model_layer6norm_ch0"])
    # What enters the next convolution is activated.
    expected = F.leaky_relu(stored, 0.2)
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=PARITY)


# Local dynamics


def look(**changes: Any) -> LocalDynamics:
    """Local dynamics of two channels whose output is what was looked up."""
    dynamics = LocalDynamics(2, HDNetDimensions(**changes))
    with torch.no_grad():
        dynamics.linear.weight.copy_(torch.eye(2, 4)[..., None])
        dynamics.linear.bias.zero_()  # type: ignore[union-attr]
    return dynamics


def row(*positions: tuple[float, float]) -> Tensor:
    """Features of positions in one row, (1, 2, 1, P)."""
    return torch.tensor(positions).T.reshape(1, 2, 1, -1)


FIRST = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
"""A mask of the first of four positions."""


def found_by(dynamics: LocalDynamics, features: Tensor, mask: Tensor) -> list[float]:
    """What the first position looked up."""
    with torch.inference_mode():
        found: list[float] = dynamics(features, mask)[0, :, 0, 0].tolist()
    return found


def test_the_paper_looks_for_the_same_direction() -> None:
    features = row((2.0, 0.0), (10.0, 9.0), (0.1, 0.0), (0.0, 5.0))
    found = found_by(look(mode="paper"), features, FIRST)
    assert found == pytest.approx([0.1, 0.0])


def test_the_released_code_looks_for_the_largest_product() -> None:
    # Products with the first: 6, 0.2, 0; of the background's own with anything 0.
    features = row((2.0, 0.0), (3.0, 1.0), (0.1, 0.0), (0.0, 5.0))
    weight = math.exp(6) / (math.exp(6) + 3)
    found = found_by(look(mode="official"), features, FIRST)
    assert found == pytest.approx([3 * weight, weight])


def test_the_released_code_finds_nothing_where_all_products_are_negative() -> None:
    features = row((2.0, 0.0), (-3.0, 1.0), (-0.1, 0.0), (-1.0, 5.0))
    assert found_by(look(mode="official"), features, FIRST) == [0.0, 0.0]


def test_the_paper_finds_the_least_unlike_then() -> None:
    features = row((2.0, 0.0), (-3.0, 1.0), (-0.1, 0.0), (-1.0, 5.0))
    found = found_by(look(mode="paper"), features, FIRST)
    assert found == pytest.approx([-1.0, 5.0])


def test_neighbors_weigh_by_similarity_and_temperature() -> None:
    # Cosines 1, 0 and -1: the last is not among two.
    features = row((2.0, 0.0), (4.0, 0.0), (0.0, 6.0), (-1.0, 0.0))
    paper = look(mode="paper", num_neighbors=2, temperature=0.5)
    weight = math.exp(2) / (math.exp(2) + 1)
    expected = [4 * weight, 6 * (1 - weight)]
    assert found_by(paper, features, FIRST) == pytest.approx(expected)


def test_the_foreground_is_never_a_neighbor() -> None:
    features = row((2.0, 0.0), (2.0, 0.0), (2.0, 0.0), (0.0, 5.0))
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0]).reshape(1, 1, 1, 4)
    paper = look(mode="paper", num_neighbors=3)
    assert found_by(paper, features, mask) == pytest.approx([0.0, 5.0])


@pytest.mark.parametrize("mode", MODES)
def test_without_background_nothing_is_found(mode: str) -> None:
    features = row((2.0, 0.0), (4.0, 0.0), (0.0, 6.0), (-1.0, 0.0))
    assert found_by(look(**MODES[mode]), features, torch.ones(1, 1, 1, 4)) == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_the_background_passes_unchanged(mode: str) -> None:
    features = torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = (features[:, :1] > 0).float()
    with torch.inference_mode():
        found = look(**MODES[mode])(features, mask)
    is_back = (mask == 0).expand_as(features)
    assert torch.equal(found[is_back], features[is_back])


@pytest.mark.parametrize("mode", MODES)
def test_local_dynamics_are_those_of_plain_loops(mode: str) -> None:
    dimensions = HDNetDimensions(**MODES[mode])
    torch.manual_seed(1)
    dynamics = LocalDynamics(3, dimensions)
    x, mask = torch.randn(2, 3, 4, 5), (torch.rand(2, 1, 4, 5) > 0.6).float()
    with torch.inference_mode():
        found = dynamics(x, mask)
    expected = plain_loops(dynamics, x, mask)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)


def plain_loops(
    dynamics: LocalDynamics, x: Tensor, mask: Tensor
) -> np.ndarray[Any, Any]:
    """Local dynamics, position by position, in double precision."""
    dimensions = dynamics.dimensions
    weight = dynamics.linear.weight[..., 0].detach().double().numpy()
    bias = dynamics.linear.bias.detach().double().numpy()  # type: ignore[union-attr]
    out = x.double().numpy().copy()
    for picture, region in zip(out, mask.numpy(), strict=True):
        places = list(np.ndindex(*region.shape[1:]))
        features = {place: picture[(slice(None), *place)].copy() for place in places}
        front = [place for place in places if region[(0, *place)]]
        rest = [place for place in places if not region[(0, *place)]]
        neighbor, strength = {}, {}
        for place in front:
            own = features[place]
            if dimensions.mode == "official":
                others = [features[p] if p in rest else 0 * own for p in places]
                products = [float(own @ other) for other in others]
                strength[place] = max(products)
                neighbor[place] = others[int(np.argmax(products))]
                continue
            cosine = {
                p: own @ features[p] / np.linalg.norm(own) / np.linalg.norm(features[p])
                for p in rest
            }
            nearest = sorted(rest, key=lambda p: -cosine[p])[: dimensions.num_neighbors]
            shares = np.exp([cosine[p] / dimensions.temperature for p in nearest])
            shares /= shares.sum()
            chosen = [
                share * features[p] for share, p in zip(shares, nearest, strict=True)
            ]
            neighbor[place] = np.sum(chosen, axis=0)
        if dimensions.mode == "official":
            total = sum(map(math.exp, strength.values())) + len(rest)
            for place in front:
                neighbor[place] = neighbor[place] * math.exp(strength[place]) / total
        for place in front:
            both = np.concatenate([neighbor[place], features[place]])
            picture[(slice(None), *place)] = weight @ both + bias
    return out


@pytest.mark.parametrize("mode", MODES)
def test_chunks_of_the_foreground_find_what_all_at_once_finds(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    dynamics = LocalDynamics(4, HDNetDimensions(**MODES[mode]))
    x, mask = torch.randn(2, 4, 6, 6), (torch.rand(2, 1, 6, 6) > 0.4).float()
    mask[1] = 0
    mask[1, 0, 2, 3] = 1  # one position
    results = []
    for dense_positions, entries in ((36, 1), (0, 5 * 36), (0, 1)):
        monkeypatch.setattr(hdnet, "DENSE_POSITIONS", dense_positions)
        monkeypatch.setattr(hdnet, "CHUNK_ENTRIES", entries)
        source = x.clone().requires_grad_()
        found = dynamics(source, mask)
        (gradient,) = torch.autograd.grad(found.square().sum(), source)
        results.append((found.detach(), gradient))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=ROUNDING)


def test_a_large_picture_needs_memory_for_a_chunk_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    largest = 0
    look_up = LocalDynamics.look_up

    def record(self: LocalDynamics, queries: Tensor, *others: Tensor) -> Any:
        nonlocal largest
        largest = max(largest, queries.shape[1] * others[0].shape[1])
        return look_up(self, queries, *others)

    monkeypatch.setattr(LocalDynamics, "look_up", record)
    monkeypatch.setattr(hdnet, "CHUNK_ENTRIES", 2**16)
    mask = torch.zeros(1, 1, 40, 40)  # a picture of 320x320
    mask[..., 10:30, 10:30] = 1
    with torch.inference_mode():
        look(mode="paper")(torch.randn(1, 2, 40, 40), mask)
    assert 2**15 < largest <= 2**16  # all at once: 1600 x 1600


def test_similarities_are_of_single_precision_in_mixed_precision() -> None:
    # Cosines 0.9995 and 0.9999, which bfloat16 rounds to 1.
    features = row((1.0, 0.0), (1.0, 2**-5), (1.0, 2**-6), (0.0, 5.0))
    with torch.autocast("cpu", torch.bfloat16):
        found = found_by(look(mode="paper"), features, FIRST)
    assert found == [1.0, 2**-6]


# Region-aware normalization


def norm_of(channels: int) -> RegionNorm:
    torch.manual_seed(3)
    norm = RegionNorm(channels)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.normal_(0, 0.3)
    return norm


def test_the_foreground_takes_the_backgrounds_statistics() -> None:
    # Foreground 1 and 3: mean 2, spread 1. Background 10 and 16: mean 13, spread 3.
    x = torch.tensor([1.0, 3.0, 10.0, 16.0]).reshape(1, 1, 2, 2)
    mask = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    with torch.inference_mode():
        found = RegionNorm(1)(x, mask).flatten()
    expected = torch.tensor([10.0, 16.0, -1.0, 1.0])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)  # of epsilon


def test_region_norm_is_its_formula() -> None:
    norm = norm_of(3)
    x = 4 + 3 * torch.randn(2, 3, 5, 6)
    mask = (torch.rand(2, 1, 5, 6) > 0.6).float()
    with torch.inference_mode():
        found = norm(x, mask)
    gamma_f, beta_f, gamma_b, beta_b = (
        v.detach().double()[:, None, None]
        for v in (
            norm.foreground_gamma,
            norm.foreground_beta,
            norm.background_gamma,
            norm.background_beta,
        )
    )
    m, x = mask.double(), x.double()
    statistics = []
    for r in (m, 1 - m):
        area = r.sum((2, 3), keepdim=True) + 1e-5
        mean = (x * r).sum((2, 3), keepdim=True) / area
        spread = ((r * (x - mean) ** 2).sum((2, 3), keepdim=True) / area + 1e-5).sqrt()
        statistics.append((mean, spread))
    (mean_f, std_f), (mean_b, std_b) = statistics
    front = ((x - mean_f) / std_f * std_b + mean_b) * (1 + gamma_f) + beta_f
    back = (x - mean_b) / std_b * (1 + gamma_b) + beta_b
    expected = (m * front + (1 - m) * back).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


# Global dynamics


def test_global_dynamics_are_their_formula() -> None:
    torch.manual_seed(4)
    C = 3
    dynamics = GlobalDynamics(C)
    x, mask = torch.randn(2, C, 4, 5), (torch.rand(2, 1, 4, 5) > 0.5).float()
    with torch.inference_mode():
        found = dynamics(x, mask)
    squeeze = dynamics.squeeze.weight.detach()[:, :, 0, 0]
    kernels = dynamics.kernels.weight.detach()[:, :, 0, 0]
    for picture, region, result in zip(x, mask, found, strict=True):
        pooled = picture.mean(dim=(1, 2))
        h = torch.sigmoid(squeeze @ pooled + dynamics.squeeze.bias)
        for g, of_region in ((0, region[0] == 1), (1, region[0] == 0)):
            rows = slice(g * C * C, (g + 1) * C * C)
            entries = kernels[rows] @ h[2 * g : 2 * g + 2]
            entries = entries + dynamics.kernels.bias[rows]  # type: ignore[index]
            expected = entries.reshape(C, C) @ picture[:, of_region]
            torch.testing.assert_close(
                result[:, of_region], expected.detach(), rtol=0, atol=ROUNDING
            )


def test_the_guide_is_kept_and_never_used() -> None:
    built = network()
    before = built(*scene())
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "guide" in name:
                assert not parameter.requires_grad
                parameter.add_(7)
    assert torch.equal(built(*scene()), before)


# The network


@pytest.mark.parametrize("mode", MODES)
def test_the_background_comes_back_bit_for_bit(mode: str) -> None:
    composite, mask = scene()
    with torch.inference_mode():
        found = network(**MODES[mode])(composite, mask)
    is_back = (mask == 0).expand_as(composite)
    assert torch.equal(found[is_back], composite[is_back])
    assert (found[~is_back] - composite[~is_back]).abs().mean() > 0.05


def test_the_mask_counts_from_one_half_on() -> None:
    composite, mask = scene()
    soft = 0.5 * (1 - mask) + 0.51 * mask
    built = network(mode="paper", num_neighbors=3)
    with torch.inference_mode():
        assert torch.equal(built(composite, soft), built(composite, mask))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.0, 1.0], ids=["no foreground", "no background"])
def test_an_empty_region_leaves_everything_finite(mode: str, share: float) -> None:
    built = network(**MODES[mode]).train()
    composite, _ = scene()
    harmonized = built(composite, torch.full((2, 1, 32, 32), share))
    (harmonized - 0.5).square().mean().backward()
    assert torch.isfinite(harmonized).all()
    gradients = [p.grad for p in built.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_without_foreground_the_composite_comes_back() -> None:
    composite, mask = scene()
    with torch.inference_mode():
        assert torch.equal(network()(composite, 0 * mask), composite)


def test_a_foreground_between_the_inner_positions_is_recolored() -> None:
    composite, mask = scene()
    mask = 0 * mask
    mask[..., 9:16, 9:16] = 1  # seen by none of every eighth pixel
    with torch.inference_mode():
        found = network(mode="paper", num_neighbors=3)(composite, mask)
    assert torch.isfinite(found).all()
    assert (found - composite)[..., 9:16, 9:16].abs().mean() > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_a_batch_do_not_see_each_other(mode: str) -> None:
    built, (composite, mask) = network(**MODES[mode]), scene()
    with torch.inference_mode():
        both = built(composite, mask)
        alone = torch.cat(
            [built(composite[k : k + 1], mask[k : k + 1]) for k in (0, 1)]
        )
    torch.testing.assert_close(both, alone, rtol=0, atol=PARITY)


def test_multiples_of_eight_are_sizes() -> None:
    composite, mask = torch.rand(1, 3, 72, 40), torch.ones(1, 1, 72, 40)
    with torch.inference_mode():
        assert network()(composite, mask).shape == (1, 3, 72, 40)


def channels_last(built: HDNet) -> None:
    built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def test_channels_last_is_the_same() -> None:
    built, inputs = network(mode="paper", num_neighbors=3), scene()
    with torch.inference_mode():
        expected = built(*inputs)
        channels_last(built)
        torch.testing.assert_close(built(*inputs), expected, rtol=0, atol=PARITY)


def test_mixed_precision_is_nearly_the_same_and_leaves_the_background() -> None:
    built, (composite, mask) = network(mode="paper", num_neighbors=3), scene()
    with torch.inference_mode():
        expected = built(composite, mask)
        with torch.autocast("cpu", torch.bfloat16):
            found = built(composite, mask)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().mean()) < MIXED
    is_back = (mask == 0).expand_as(composite)
    assert torch.equal(found[is_back], composite[is_back])


def test_weights_start_small_and_random() -> None:
    torch.manual_seed(0)
    for name, parameter in build_hdnet("hdnet-lite").named_parameters():
        if name.endswith("weight"):
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.3), name
        else:
            assert not parameter.any(), name


# Dimensions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "cosine"}, "mode is one of official, paper, got cosine"),
        ({"width": 0}, "width is a count of at least 1, got 0"),
        ({"num_neighbors": 0}, "num_neighbors is a count of at least 1, got 0"),
        ({"num_neighbors": 1.5}, r"num_neighbors is a count of at least 1, got 1\.5"),
        ({"num_neighbors": 3}, "mode official has num_neighbors 1, got 3"),
        ({"temperature": 0.0}, r"temperature is above 0, got 0\.0"),
        ({"depth": 8}, "dimensions are width, mode, .*; got depth"),
    ],
)
def test_dimensions_out_of_range_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_hdnet("hdnet-lite", **changes)


def test_an_unknown_variant_is_refused() -> None:
    known = ", ".join(HDNET_VARIANTS)
    with pytest.raises(UsageError, match=f"variant is one of {known}, got 's2crnet'"):
        build_hdnet("s2crnet")
