"""The network that looks at the seam: its curves, and what it does in use."""

import numpy as np
import pytest
import torch
from torch import Tensor

from imharmony.curves import Curves
from imharmony.errors import UsageError
from imharmony.inference.choices import AUTO
from imharmony.inference.models import find_weights
from imharmony.training.checkpoints import load_checkpoint
from imharmony.training.networks.heights import (
    compose,
    curve_heights,
    render_heights,
)
from imharmony.training.networks.pairs import fit_pairs
from imharmony.training.networks.seam import (
    Prediction,
    SeamDimensions,
    SeamNet,
    build_seam_net,
)
from imharmony.training.networks.seam_use import Used, combine

# Sums of 64 float32 slopes.
TOLERANCE = 1e-5
SIZE = (32, 40)
PAIRS = 24


def network(**changes: object) -> SeamNet:
    torch.manual_seed(0)
    return build_seam_net("s2crnet-seam", **changes).eval()


def inputs(batch: int = 2, *, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator)

    return {
        "composite": draw(3, *SIZE),
        "mask": draw(1, *SIZE).round(),
        "foreground": draw(3, *SIZE),
        "foreground_mask": draw(1, *SIZE).round(),
        "semantic_label": torch.zeros(batch, 5),
        "seam": draw(4, PAIRS, 6),
        "seam_weight": torch.ones(batch, 4, PAIRS),
    }


def predict(given: dict[str, Tensor], **changes: object) -> Prediction:
    with torch.inference_mode():
        prediction: Prediction = network(**changes)(**given)
    return prediction


def use(
    prediction: Prediction,
    given: dict[str, Tensor],
    same_scene: float = AUTO,
    **changes: float,
) -> Used:
    asked = torch.full((len(given["seam"]),), same_scene)
    foreground, mask = given["foreground"], given["foreground_mask"]
    dimensions = SeamDimensions(**changes)  # type: ignore[arg-type]
    weight = given["seam_weight"]
    return combine(prediction, foreground, mask, weight, asked, dimensions)


def rising(batch: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return curve_heights(3 * torch.randn(batch, 3, 66, generator=generator))


def test_heights_rise_within_the_range() -> None:
    heights = rising(50)
    assert (heights.diff(dim=-1) > 0).all()
    assert heights.min() >= 0
    assert heights.max() <= 1 + TOLERANCE


def test_heights_of_nothing_are_nearly_the_identity() -> None:
    heights = curve_heights(torch.zeros(1, 3, 66))
    assert (heights - torch.linspace(0, 1, 65)).abs().max() < 0.5 / 255


def test_ends_are_free() -> None:
    params = torch.zeros(1, 3, 66)
    params[..., 0], params[..., -1] = 10.0, 12.0
    heights = curve_heights(params)[0, 0]
    assert heights[0] > 0.2
    assert heights[-1] < 0.7
    assert Curves.from_heights(curve_heights(params)[0].numpy()).is_monotone


def test_rendering_is_that_of_the_curves() -> None:
    heights = rising(1)
    values = torch.rand(1, 3, 200, generator=torch.Generator().manual_seed(1))
    rendered = render_heights(values, heights)[0].T.numpy()
    expected = Curves.from_heights(heights[0].numpy())(values[0].T.numpy())
    np.testing.assert_allclose(rendered, expected, rtol=0, atol=TOLERANCE)


def test_composing_is_rendering_one_after_another_at_the_knots() -> None:
    stages = torch.stack([rising(2, seed=k) for k in range(3)], dim=1)
    at_knots = torch.linspace(0, 1, 65).expand(2, 3, 65)
    for stage in stages.unbind(dim=1):
        at_knots = render_heights(at_knots, stage)
    torch.testing.assert_close(compose(stages), at_knots, rtol=0, atol=TOLERANCE)


def test_the_fit_finds_a_gain_and_an_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    inner = torch.rand(1, 300, 3, generator=generator) * 0.6
    outer = 1.2 * inner + 0.05
    outer[:, ::5] = torch.rand(1, 60, 3, generator=generator)  # a fifth is unrelated
    heights = fit_pairs(torch.cat([inner, outer], dim=2), torch.ones(1, 300), 64)
    x = torch.arange(65) / 64
    wanted = 0.95 * (1.2 * x + 0.05).clamp(0, 1) + 0.05 * x
    assert (heights - wanted).abs().max() < 4 / 255


def test_it_is_small_enough() -> None:
    assert sum(p.numel() for p in network().parameters()) < 1_600_000


def test_the_bundled_weights_are_used_as_the_code_says() -> None:
    bundled, _, _ = load_checkpoint(
        find_weights("s2crnet-cs").with_suffix(".safetensors")
    )
    assert isinstance(bundled, SeamNet)
    assert bundled.dimensions == SeamDimensions()


@pytest.mark.parametrize(
    "changes", [{"scene_width": 60}, {"plain_strength": -0.1}, {"caution": -1.0}]
)
def test_dimensions_that_cannot_work_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SeamDimensions(**changes)  # type: ignore[arg-type]


def test_the_first_layers_of_the_trunk_stay() -> None:
    trained = network(held_layers=5).base.encoder
    learns = [
        any(p.requires_grad for p in entry.parameters())
        for entry in trained.children()
        if list(entry.parameters())
    ]
    assert learns == [False, False, False, True, True, True, True, True]


def test_without_a_seam_its_colors_change_nothing() -> None:
    given = inputs()
    given["seam_weight"][:] = 0
    other = given | {"seam": torch.rand_like(given["seam"])}
    other["seam"][:] = 0
    first, second = (use(predict(x), x).curve_params for x in (given, other))
    torch.testing.assert_close(first, second, rtol=0, atol=TOLERANCE)
    assert use(predict(given), given).probability.tolist() == [0.0, 0.0]
    trusted = use(predict(given), given, 1.0).curve_params
    torch.testing.assert_close(first, trusted, rtol=0, atol=TOLERANCE)


def test_each_extreme_takes_one_prediction() -> None:
    given = inputs()
    prediction = predict(given)
    for same_scene, stages in ((0.0, prediction.plain), (1.0, prediction.seamed)):
        used = use(
            prediction,
            given,
            same_scene,
            caution=0.0,
            least_change=0.0,
            plain_strength=1.0,
        )
        torch.testing.assert_close(
            used.curve_params[:, 0], compose(stages), rtol=0, atol=1e-3
        )


def test_curves_in_use_are_monotone_and_in_range() -> None:
    given = inputs(8)
    used = use(predict(given), given)
    for heights in used.curve_params[:, 0]:
        curves = Curves.from_heights(heights.numpy())
        assert curves.is_monotone
        assert min(y.min() for y in curves.knots_y) >= 0
        assert max(y.max() for y in curves.knots_y) <= 1 + TOLERANCE
    assert ((used.strength >= 0) & (used.strength <= 1)).all()


def test_more_doubt_holds_more_back() -> None:
    given = inputs(1)
    prediction = predict(given)
    strengths = [
        float(
            use(
                prediction._replace(
                    plain_doubt=prediction.plain_doubt * k,
                    seamed_doubt=prediction.seamed_doubt * k,
                ),
                given,
                0.0,
                least_change=0.0,
                plain_strength=1.0,
            ).strength
        )
        for k in (0.0, 0.5, 1.0, 2.0, 8.0)
    ]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] > 0.99
    assert strengths[-1] < strengths[0] / 2


def test_holding_back_is_continuous() -> None:
    """A video whose object slowly starts to differ does not blink."""
    given = inputs(1)
    prediction = predict(given)
    identity = torch.linspace(0, 1, 65)
    strong = rising(1)[:, None] * 0.3 + 0.7 * identity
    strengths = []
    for amount in np.linspace(0, 1, 201):
        stages = identity + float(amount) * (strong - identity)
        calm = prediction._replace(
            plain=stages, seamed=stages, plain_doubt=torch.tensor([0.02])
        )
        strengths.append(float(use(calm, given, 0.0).strength))
    assert np.abs(np.diff(strengths)).max() < 0.05
    assert strengths[0] < 0.01
    assert strengths[-1] > 5 * strengths[20]


def test_doubt_about_the_scene_counts_where_predictions_differ() -> None:
    given = inputs(1)
    prediction = predict(given)
    apart = prediction._replace(plain=rising(1, seed=1)[:, None].repeat(1, 2, 1, 1))
    changes = {"least_change": 0.0, "plain_strength": 1.0, "caution": 1.0}
    known, unknown = (
        float(use(apart, given, share, **changes).strength) for share in (0.0, 0.5)
    )
    assert unknown < known


def test_unknown_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match="got depth"):
        build_seam_net("s2crnet-seam", depth=3)
    with pytest.raises(UsageError, match="feature_dropout is from 0 to 1"):
        build_seam_net("s2crnet-seam", feature_dropout=1.5)


def test_gradients_reach_everything_that_learns() -> None:
    torch.manual_seed(0)
    net = build_seam_net("s2crnet-seam")
    given = inputs(4)
    prediction = net(**given, edges=given["seam"], edge_weight=given["seam_weight"])
    assert prediction.same_scene.shape == (8,)
    sum(part.float().square().mean() for part in prediction).backward()
    without = [
        name
        for name, parameter in net.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert without == []
