"""S²CRNet: sizes, parity with the released network, what each dimension does."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from imharmony.curves import Curves
from imharmony.errors import UsageError
from imharmony.training.checkpoints import load_released
from imharmony.training.networks.heights import render_curves
from imharmony.training.networks.s2crnet import (
    VARIANTS,
    Dimensions,
    S2CRNet,
    build_s2crnet,
)
from imharmony.training.networks.s2crnet_use import S2CRNetInUse, restrain
from imharmony.training.networks.squeezenet import (
    add_batch_norm,
    fold_batch_norm,
    squeezenet_trunk,
)
from imharmony.training.networks.statistics import region_statistics

FloatArray = npt.NDArray[np.floating[Any]]
Inputs = dict[str, Tensor]

DATA = Path(__file__).parents[1] / "data"

# The promise. Seen: features and slopes equal, pixels 5e-6 apart.
PARITY = 1e-4
# Single precision; the same sums in another order.
ROUNDING = 1e-5
# Double precision, gradients of either form of a curve.
DOUBLE = 1e-9

OPTIONS: dict[str, dict[str, Any]] = {
    "released": {},
    "thumbnail": {"foreground_input": "thumbnail"},
    "foreground": {"encoder_input": "foreground"},
    "whole": {"encoder_input": "whole"},
    "masked": {"pooling": "masked"},
    "positive": {"slopes": "positive"},
    "statistics": {"num_bins": 4, "guesses_label": True},
}


def num_params(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def network(seed: int = 0, variant: str = "s2crnet-cs", **changes: object) -> S2CRNet:
    """A network whose every weight is random, biases too."""
    torch.manual_seed(seed)
    built = build_s2crnet(variant, **changes).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def inputs(seed: int = 0, *, batch: int = 2, size: int = 48) -> Inputs:
    """Noise, soft masks and one-hot labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (batch,), generator=rng)
    return {
        "composite": torch.rand(batch, 3, size, size, generator=rng),
        "mask": torch.rand(batch, 1, size, size, generator=rng).round(decimals=1),
        "foreground": torch.rand(batch, 3, size, size, generator=rng),
        "foreground_mask": torch.rand(batch, 1, size, size, generator=rng),
        "semantic_label": torch.nn.functional.one_hot(labels, 5).float(),
    }


def params_of(network: S2CRNet, given: Inputs, **changes: Tensor) -> Tensor:
    """Slopes for the inputs, some replaced."""
    with torch.inference_mode():
        return network(**(given | changes)).curve_params  # type: ignore[no-any-return]


def released_curve(x: Tensor, params: Tensor) -> Tensor:
    """The released formula, one clamped step per piece; x (B, 3, N)."""
    K = params.shape[2]
    pieces = [
        params[:, :, k, None] * (x - k / K).clamp(0, 1 / K)  # (B, 3, N)
        for k in range(K)
    ]
    return torch.stack(pieces).sum(dim=0) * K / params.sum(dim=2, keepdim=True)


# Sizes


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("s2crnet", 722_304),
        ("s2crnet-s", 736_896),
        ("s2crnet-c", 919_296),
        ("s2crnet-cs", 948_480),
    ],
)
def test_a_variant_has_the_papers_number_of_parameters(
    variant: str, count: int
) -> None:
    assert num_params(build_s2crnet(variant)) == count


def test_the_trunk_has_the_twelve_entries_parameters() -> None:
    assert num_params(build_s2crnet("s2crnet").encoder) == 525_312


@pytest.mark.parametrize(("size", "map_size"), [(256, 15), (98, 6)])
def test_the_trunks_pooling_rounds_up(size: int, map_size: int) -> None:
    trunk = build_s2crnet("s2crnet").encoder
    with torch.inference_mode():
        last = trunk(torch.zeros(1, 3, size, size))
    assert last.shape == (1, 512, map_size, map_size)


def test_statistics_add_two_layers_and_one_map_per_stage() -> None:
    two_layers = 2 * (3 * 16 + 9) * 64 + 64 + 64 * 64 + 64
    maps = 2 * 64 * 192
    count = num_params(build_s2crnet("s2crnet-cs", num_bins=16))
    assert count == 948_480 + two_layers + maps


def test_the_label_guess_adds_one_layer() -> None:
    count = num_params(build_s2crnet("s2crnet-cs", guesses_label=True))
    assert count == 948_480 + 512 * 5 + 5


def test_no_other_option_changes_the_number_of_parameters() -> None:
    counts = {
        num_params(build_s2crnet("s2crnet-cs", **changes))
        for name, changes in OPTIONS.items()
        if name != "statistics"
    }
    assert counts == {948_480}


@pytest.mark.parametrize(("variant", "stages"), [("s2crnet-s", 1), ("s2crnet-c", 2)])
def test_each_stage_has_its_own_slopes(variant: str, stages: int) -> None:
    params = params_of(network(variant=variant), inputs())
    assert params.shape == (2, stages, 3, 64)
    assert len({float(stage.sum()) for stage in params.unbind(1)}) == stages


# Parity with the released network


@pytest.fixture(scope="module")
def fixture() -> dict[str, FloatArray]:
    with np.load(DATA / "parity_official.npz") as stored:
        return {key: stored[key] for key in stored if key.startswith("s2_")}


@pytest.fixture(scope="module")
def fixture_inputs() -> Inputs:
    """Inputs of the fixture, by its rule."""
    images = [
        torch.from_numpy(
            np.random.RandomState(seed).uniform(0, 1, (2, 3, 96, 96)).astype(np.float32)
        )
        for seed in (7, 8)
    ]
    mask, crop_mask = torch.zeros(2, 1, 96, 96), torch.ones(2, 1, 96, 96)
    mask[0, :, 20:70, 30:80] = 1
    mask[1, :, 40:90, 10:50] = 0.5
    crop_mask[:, :, 0:10] = 0.25
    label = torch.nn.functional.one_hot(torch.tensor([0, 3]), 5).float()
    return {
        "composite": images[0],
        "mask": mask,
        "foreground": images[1],
        "foreground_mask": crop_mask,
        "semantic_label": label,
    }


@pytest.fixture(scope="module", params=["s2crnet-cs", "s2crnet-c"])
def released(
    request: pytest.FixtureRequest, released_file: Path
) -> tuple[S2CRNet, str]:
    """A variant read from a file in the released format, and its fixture's name."""
    dimensions = VARIANTS[request.param]
    kind = "label" if dimensions.has_semantic_label else "nolabel"
    return load_released(released_file, dimensions), kind


def test_pooled_features_are_the_released_networks(
    released: tuple[S2CRNet, str],
    fixture: dict[str, FloatArray],
    fixture_inputs: Inputs,
) -> None:
    regions = [tensor for key, tensor in fixture_inputs.items() if "label" not in key]
    with torch.inference_mode():
        features = torch.cat(released[0].encode(*regions))
    expected = fixture["s2_pooled_feats"]
    np.testing.assert_allclose(features.numpy(), expected, rtol=0, atol=PARITY)


def test_slopes_are_the_released_networks(
    released: tuple[S2CRNet, str],
    fixture: dict[str, FloatArray],
    fixture_inputs: Inputs,
) -> None:
    network, kind = released
    params = params_of(network, fixture_inputs).reshape(2, 2, 192).numpy()
    expected = np.stack([fixture[f"s2_{kind}_p{n}"] for n in (1, 2)], axis=1)
    np.testing.assert_allclose(params, expected, rtol=0, atol=PARITY)


def test_rendered_pixels_are_the_released_networks(
    released: tuple[S2CRNet, str],
    fixture: dict[str, FloatArray],
    fixture_inputs: Inputs,
) -> None:
    network, kind = released
    image = fixture_inputs["composite"]
    crops = []
    for params in params_of(network, fixture_inputs).unbind(dim=1):
        image = render_curves(image, params)
        crops.append(image[:, :, 30:46, 30:46].numpy())
    expected = [fixture[f"s2_{kind}_o{n}_crop"] for n in (1, 2)]
    np.testing.assert_allclose(crops, expected, rtol=0, atol=PARITY)


def test_pixels_rendered_by_curves_are_the_released_networks(
    released: tuple[S2CRNet, str],
    fixture: dict[str, FloatArray],
    fixture_inputs: Inputs,
) -> None:
    network, kind = released
    crop = fixture_inputs["composite"][:, :, 30:46, 30:46].permute(0, 2, 3, 1).numpy()
    params = params_of(network, fixture_inputs).numpy()
    for i in range(2):
        first, second = map(Curves.from_params, params[i])
        for curves, n in ((first, 1), (first.then(second), 2)):
            rendered = curves(crop[i]).transpose(2, 0, 1)
            expected = fixture[f"s2_{kind}_o{n}_crop"][i]
            np.testing.assert_allclose(rendered, expected, rtol=0, atol=PARITY)


# Curves


@pytest.mark.parametrize("num_pieces", [1, 2, 7, 64])
def test_torch_renders_what_curves_render(num_pieces: int) -> None:
    rng = np.random.default_rng(num_pieces)
    params = rng.normal(1.0, 1.0, (4, 3, num_pieces))
    params *= np.sign(params.sum(axis=2, keepdims=True))
    params[..., -1] += 0.5  # keeps the sums away from zero
    knots = np.arange(num_pieces + 1) / num_pieces
    values = np.concatenate([knots, rng.uniform(-0.2, 1.2, 200)])
    image = np.broadcast_to(values, (4, 3, 1, len(values))).astype(np.float32)
    ours = render_curves(
        torch.from_numpy(image.copy()), torch.from_numpy(params.astype(np.float32))
    )
    expected = [
        Curves.from_params(p)(x.transpose(1, 2, 0)).transpose(2, 0, 1)
        for p, x in zip(params, image, strict=True)
    ]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=ROUNDING * scale)


@pytest.mark.parametrize("wanted", ["image", "params"])
def test_a_curves_gradient_is_the_released_formulas(wanted: str) -> None:
    rng = torch.Generator().manual_seed(3)
    x = torch.rand(2, 3, 50, generator=rng, dtype=torch.float64)
    params = torch.rand(2, 3, 16, generator=rng, dtype=torch.float64) + 0.1
    variable = (x if wanted == "image" else params).requires_grad_()
    weight = torch.rand(2, 3, 50, generator=rng, dtype=torch.float64)
    rendered = render_curves(x[:, :, None], params)[:, :, 0]
    gradients = [
        torch.autograd.grad((y * weight).sum(), variable)[0]
        for y in (rendered, released_curve(x, params))
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=DOUBLE)


def test_positive_slopes_give_monotone_curves_for_any_weights() -> None:
    for seed in range(5):
        wild = network(seed, slopes="positive")
        with torch.no_grad():
            for parameter in wild.stages.parameters():
                parameter.mul_(30)
        params = params_of(wild, inputs(seed))
        assert all(
            Curves.from_params(p.numpy()).is_monotone for p in params.flatten(0, 1)
        )


def held_back(**restraint: Any) -> S2CRNet:
    """The network of seed 0 with slopes far from 1, restrained."""
    strong = network(slopes="positive", **restraint)
    with torch.no_grad():
        for parameter in strong.stages.parameters():
            parameter.mul_(3)
    return strong


def restrained(network: S2CRNet, given: dict[str, Tensor]) -> Tensor:
    params = params_of(network, given)
    return restrain(
        params, given["foreground"], given["foreground_mask"], network.dimensions
    )


def test_strength_mixes_each_stage_with_the_identity() -> None:
    full, half = (
        restrained(held_back(strength=strength), inputs()) for strength in (1.0, 0.5)
    )
    for whole, mixed in zip(full.flatten(0, 1), half.flatten(0, 1), strict=True):
        expected = Curves.from_params(whole.numpy()).blend(0.5)
        found = Curves.from_params(mixed.numpy())
        for theirs, ours in zip(expected.knots_y, found.knots_y, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=ROUNDING)


def test_a_change_below_the_least_is_not_made() -> None:
    given = inputs()
    image = given["foreground"]
    for stage in restrained(held_back(), given).unbind(dim=1):
        image = render_curves(image, stage)
    weight = given["foreground_mask"]
    change = ((image - given["foreground"]).abs() * weight).sum(dim=(1, 2, 3))
    change = change / (3 * weight.sum(dim=(1, 2, 3)))
    low, high = change.sort().values.tolist()
    assert low < high
    kept = restrained(held_back(min_change=(low + high) / 2), given)
    unchanged = (kept == 1).flatten(1).all(dim=1)
    assert unchanged.tolist() == (change == change.min()).tolist()


def test_calling_holds_nothing_back() -> None:
    free, held = held_back(), held_back(strength=0.5, min_change=1.0)
    torch.testing.assert_close(
        params_of(free, inputs()), params_of(held, inputs()), rtol=0, atol=0
    )


def views_of_one(num_views: int) -> dict[str, Tensor]:
    """Several surroundings, one foreground, no label."""
    given = inputs()
    wider = [key for key in given if key in ("composite", "mask")]
    given = {key: value[:1] for key, value in given.items()}
    for key in wider:
        given[key] = torch.cat(
            [given[key] * (k + 1) / num_views for k in range(num_views)]
        )
    return given | {"semantic_label": torch.zeros(1, 5)}


def relative(params: Tensor) -> Tensor:
    return params / params.mean(dim=-1, keepdim=True)


@pytest.mark.parametrize("mirrors", [False, True])
def test_in_use_slopes_are_the_mean_over_the_views(mirrors: bool) -> None:
    contexts = (0.0, 0.3, 0.6)
    used = network(slopes="positive", contexts=contexts, mirrors=mirrors)
    given = views_of_one(3)
    with torch.no_grad():
        found = S2CRNetInUse(used)(**given).curve_params
    each = []
    for k in range(3):
        alone = given | {key: given[key][k : k + 1] for key in ("composite", "mask")}
        each.append(relative(params_of(used, alone)))
        if mirrors:
            images = {k: v.flip(-1) for k, v in alone.items() if v.ndim == 4}
            each.append(relative(params_of(used, alone | images)))
    expected = relative(torch.stack(each).mean(dim=0))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder_input", ["regions", "foreground", "whole"])
def test_one_foreground_may_serve_several_composites(encoder_input: str) -> None:
    network = build_s2crnet(
        "s2crnet-cs", encoder_input=encoder_input, num_bins=4, guesses_label=True
    ).eval()
    given = inputs(batch=4)
    shared = {key: given[key][[0, 2]] for key in ("foreground", "foreground_mask")}
    repeated = {key: given[key][[0, 0, 2, 2]] for key in shared}
    unknown = torch.zeros(4, 5)
    found, expected = (
        params_of(network, given, semantic_label=unknown, **each)
        for each in (shared, repeated)
    )
    torch.testing.assert_close(found, expected)


def test_in_use_free_slopes_are_those_of_the_call() -> None:
    released, given = network(), views_of_one(1)
    with torch.no_grad():
        found = S2CRNetInUse(released)(**given).curve_params
    torch.testing.assert_close(found, params_of(released, given), rtol=0, atol=0)


def test_in_use_the_mean_is_held_back() -> None:
    used = held_back(min_change=1.0, contexts=(0.0, 0.5))
    with torch.no_grad():
        assert (S2CRNetInUse(used)(**views_of_one(2)).curve_params == 1).all()


@pytest.mark.parametrize("contexts", [(), (-0.1,), (0.0, 1.5)])
def test_views_that_do_not_exist(contexts: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="contexts are numbers from 0 to 1, got"):
        Dimensions(contexts=contexts, slopes="positive")


def test_free_slopes_may_turn_back() -> None:
    wild = network()
    with torch.no_grad():
        for parameter in wild.stages.parameters():
            parameter.mul_(30)
    assert params_of(wild, inputs()).min() < 0


def test_a_fresh_networks_slopes_do_not_cancel_out() -> None:
    for seed in range(10):
        torch.manual_seed(seed)
        sums = params_of(build_s2crnet("s2crnet-cs"), inputs(seed)).sum(dim=3)
        assert sums.min() > 0


# What each option means


def test_foreground_input_thumbnail_does_not_read_the_crop() -> None:
    paper, given = network(foreground_input="thumbnail"), inputs()
    other = inputs(1)
    crop = {key: other[key] for key in ("foreground", "foreground_mask")}
    assert torch.equal(params_of(paper, given), params_of(paper, given, **crop))


def test_foreground_input_thumbnail_masks_the_thumbnail_instead() -> None:
    paper, released, given = network(foreground_input="thumbnail"), network(), inputs()
    crop = {"foreground": given["composite"], "foreground_mask": given["mask"]}
    assert torch.equal(params_of(paper, given), params_of(released, given, **crop))


@pytest.mark.parametrize("key", ["foreground", "foreground_mask"])
def test_foreground_input_crop_reads_the_crop(key: str) -> None:
    released, given = network(), inputs()
    changed = params_of(released, given, **{key: inputs(1)[key]})
    assert not torch.equal(params_of(released, given), changed)


def test_encoder_input_regions_does_not_see_the_background_under_the_mask() -> None:
    released, given = network(), inputs()
    is_foreground = torch.rand(2, 1, 48, 48) < 0.5
    mask = is_foreground.float()
    changed = torch.where(is_foreground, inputs(1)["composite"], given["composite"])
    before = params_of(released, given, mask=mask)
    assert torch.equal(before, params_of(released, given, mask=mask, composite=changed))


@pytest.mark.parametrize("key", ["composite", "mask", "foreground", "foreground_mask"])
@pytest.mark.parametrize(
    ("encoder_input", "read"),
    [
        ("regions", {"composite", "mask", "foreground", "foreground_mask"}),
        ("foreground", {"foreground", "foreground_mask"}),
        ("whole", {"composite"}),
    ],
)
def test_encoder_input_says_what_is_read(
    encoder_input: str, read: set[str], key: str
) -> None:
    ablated, given = network(encoder_input=encoder_input), inputs()
    changed = params_of(ablated, given, **{key: inputs(1)[key]})
    assert torch.equal(params_of(ablated, given), changed) == (key not in read)


def response_to_square(side: int, pooling: str) -> float:
    """Size of the features of a square of one color in the middle of a thumbnail."""
    start = (128 - side) // 2
    mask = torch.zeros(1, 1, 128, 128)
    mask[:, :, start : start + side, start : start + side] = 1
    color = torch.tensor([0.8, 0.5, 0.3])[None, :, None, None].expand(1, 3, 128, 128)
    torch.manual_seed(0)
    fresh = build_s2crnet("s2crnet", pooling=pooling)  # zeros give zeros: no biases
    with torch.inference_mode():
        return float(fresh.encode(color, mask, color, mask)[0].norm())


def test_masked_pooling_ignores_the_area_of_a_region() -> None:
    # Not wholly: rims differ from insides.
    small, large = (response_to_square(side, "masked") for side in (32, 96))
    assert small == pytest.approx(large, rel=0.1)


def test_plain_pooling_counts_the_area_of_a_region() -> None:
    small, large = (response_to_square(side, "plain") for side in (32, 96))
    assert small < 0.7 * large


def test_masked_pooling_of_an_empty_region_is_the_plain_mean() -> None:
    empty, color = torch.zeros(1, 1, 64, 64), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        masked, plain = (
            network(pooling=pooling).encode(color, empty, color, empty)[0]
            for pooling in ("masked", "plain")
        )
    torch.testing.assert_close(masked, plain, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("variant", "reads_label"),
    [
        ("s2crnet", False),
        ("s2crnet-s", True),
        ("s2crnet-c", False),
        ("s2crnet-cs", True),
    ],
)
def test_only_semantic_variants_read_the_label(variant: str, reads_label: bool) -> None:
    built, given = network(variant=variant), inputs()
    other = given["semantic_label"].roll(1, dims=1)
    before, after = (
        params_of(built, given),
        params_of(built, given, semantic_label=other),
    )
    assert torch.equal(before, after) != reads_label


def test_an_unknown_label_is_the_networks_own_guess() -> None:
    guessing, given = network(guesses_label=True), inputs()
    given["semantic_label"] = torch.zeros(2, 5)
    with torch.inference_mode():
        unknown = guessing(**given)
        given["semantic_label"] = unknown.label_logits.softmax(dim=1)
        by_hand = guessing(**given)
    torch.testing.assert_close(*(p.curve_params for p in (unknown, by_hand)))


def test_a_known_label_overrules_the_guess() -> None:
    guessing, given = network(guesses_label=True), inputs()
    before = params_of(guessing, given)
    torch.nn.init.normal_(guessing.label_guess.weight)
    assert torch.equal(before, params_of(guessing, given))


def test_without_a_guess_the_logits_are_zero() -> None:
    assert not network()(**inputs()).label_logits.any()


def test_statistics_reach_the_slopes() -> None:
    counting, given = network(num_bins=4, encoder_input="foreground"), inputs()
    changed = params_of(counting, given, composite=inputs(1)["composite"])
    assert not torch.equal(params_of(counting, given), changed)


@pytest.mark.parametrize("name", OPTIONS)
def test_composites_of_a_batch_do_not_mix(name: str) -> None:
    built, given = network(**OPTIONS[name]), inputs()
    given["semantic_label"][1] = 0
    alone = [
        params_of(built, {key: tensor[i : i + 1] for key, tensor in given.items()})
        for i in range(2)
    ]
    together = params_of(built, given)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=ROUNDING)


# Normalization, for training only


def normalized_trunk() -> torch.nn.Module:
    """A trunk in evaluation mode after a few batches, its normalization random."""
    torch.manual_seed(4)
    trunk = squeezenet_trunk()
    add_batch_norm(trunk)
    for _ in range(3):
        trunk(torch.rand(4, 3, 32, 32))
    with torch.no_grad():
        for module in trunk.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return trunk.eval()


def test_every_convolution_gets_a_normalization() -> None:
    kinds = [type(module) for module in normalized_trunk().modules()]
    assert kinds.count(torch.nn.BatchNorm2d) == kinds.count(torch.nn.Conv2d) == 22


def test_a_folded_trunk_gives_what_the_normalized_one_gives() -> None:
    trunk, images = normalized_trunk(), torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before, after = trunk(images), fold_batch_norm(trunk)(images)
    torch.testing.assert_close(after, before, rtol=0, atol=10 * ROUNDING)


def test_a_folded_trunk_is_a_plain_one_again() -> None:
    folded, plain = fold_batch_norm(normalized_trunk()), squeezenet_trunk()
    shapes = [
        {key: value.shape for key, value in trunk.state_dict().items()}
        for trunk in (folded, plain)
    ]
    assert shapes[0] == shapes[1]


def test_folding_leaves_the_trunk_that_goes_on_training() -> None:
    trunk = normalized_trunk().train()
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    fold_batch_norm(trunk)
    after = trunk.state_dict()
    assert trunk.training
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_folding_a_plain_trunk_copies_it() -> None:
    plain = squeezenet_trunk()
    folded = fold_batch_norm(plain).state_dict()
    assert all(torch.equal(folded[k], v) for k, v in plain.state_dict().items())


# Statistics of a region


def test_region_statistics_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.uniform(0, 1, (3, 10, 12)), rng.uniform(0, 1, (10, 12))
    num_bins = 5
    histogram = np.zeros((num_bins, 3))
    colors, weights = [], []
    for i in range(0, 10, 2):
        for j in range(0, 12, 2):
            colors.append(image[:, i, j])
            weights.append(mask[i, j])
            for c in range(3):
                lower = min(int(image[c, i, j] * (num_bins - 1)), num_bins - 2)
                upper_share = image[c, i, j] * (num_bins - 1) - lower
                histogram[lower, c] += mask[i, j] * (1 - upper_share)
                histogram[lower + 1, c] += mask[i, j] * upper_share
    covariance = np.cov(np.array(colors).T, aweights=weights, ddof=0)
    moments = covariance[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    expected = np.concatenate(
        [
            (histogram / sum(weights) * num_bins).ravel(),
            np.sign(moments) * np.sqrt(np.abs(moments)),
            np.average(colors, axis=0, weights=weights),
        ]
    )
    tensors = [torch.from_numpy(array)[None] for array in (image, mask[None])]
    found = region_statistics(tensors[0], tensors[1], num_bins)[0].numpy()
    # 1e-8 inside the square root keeps its gradient finite.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_region_statistics_of_nothing_are_zero() -> None:
    image, nothing = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    assert not region_statistics(image, nothing, 4).any()


# Wrong dimensions


@pytest.mark.parametrize(
    ("variant", "changes", "message"),
    [
        ("s3crnet", {}, "variant is one of s2crnet, .*, got 's3crnet'"),
        ("s2crnet", {"stages": 3}, "dimensions are num_pieces, .*; got stages"),
        ("s2crnet", {"pooling": "max"}, "pooling is one of plain, masked, got max"),
        ("s2crnet", {"num_bins": 1}, "num_bins is 0 or at least 2, got 1"),
        ("s2crnet", {"strength": 0.5}, "strength and min_change need positive"),
        ("s2crnet", {"min_change": 0.1}, "strength and min_change need positive"),
        (
            "s2crnet-c",
            {"guesses_label": True},
            "guesses_label needs has_semantic_label",
        ),
    ],
)
def test_wrong_dimensions_are_refused(
    variant: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_s2crnet(variant, **changes)
