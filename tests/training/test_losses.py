"""Losses, against values worked out by hand and loops written out."""

import math

import pytest
import torch
from torch import Tensor

from imharmony.training.losses import (
    distance_to,
    plain_l1,
    relative_l1,
    relative_l2,
    render_stages,
    roughness,
    stage_losses,
)
from imharmony.training.networks.heights import render_curves

# Single precision, sums of a few hundred numbers.
ROUNDING = 1e-5


def pictures(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two noise pictures and a soft mask, a batch of 3."""
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 3, 3, 6, 5, generator=rng)
    return first, second, torch.rand(3, 1, 6, 5, generator=rng)


def slopes(seed: int, stages: int = 2) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(3, stages, 3, 8, generator=rng) + 0.1


def test_relative_l1_counts_channels_thrice_and_the_mask_once() -> None:
    real = torch.zeros(1, 3, 2, 2)
    harmonized = torch.full_like(real, 0.5)  # wrong by 0.5 in 3 channels everywhere
    mask = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    loss = relative_l1(harmonized, real, mask)
    assert loss.tolist() == pytest.approx([3 * 0.5 * 1.5 / 1.5])


def test_relative_l1_is_the_released_formula() -> None:
    harmonized, real, mask = pictures(0)
    expected = [
        float((m * y - m * t).abs().sum() / m.sum())
        for y, t, m in zip(harmonized, real, mask, strict=True)
    ]
    assert relative_l1(harmonized, real, mask).tolist() == pytest.approx(expected)


def test_relative_l1_does_not_see_outside_the_mask() -> None:
    harmonized, real, _ = pictures(0)
    mask = torch.zeros(3, 1, 6, 5)
    mask[:, :, 2:4, 2:4] = 1
    changed = torch.where(mask > 0, harmonized, 0.0)
    losses = [relative_l1(picture, real, mask) for picture in (harmonized, changed)]
    assert torch.equal(*losses)


def test_relative_l1_of_an_empty_mask_is_zero() -> None:
    harmonized, real, mask = pictures(0)
    mask[1] = 0
    assert relative_l1(harmonized, real, mask)[1] == 0


@pytest.mark.parametrize(("min_area", "divisor"), [(1.0, 2), (100.0, 100)])
def test_relative_l2_is_of_values_from_minus_1_to_1_per_pixel_and_channel(
    min_area: float, divisor: int
) -> None:
    real = torch.zeros(1, 3, 2, 2)
    harmonized = torch.full_like(real, 0.5)  # wrong by 1 of [-1, 1] everywhere
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    loss = relative_l2(harmonized, real, mask, min_area=min_area)
    assert loss.tolist() == pytest.approx([2 / divisor])


def test_relative_l2_of_an_empty_mask_is_zero() -> None:
    image, other, mask = pictures(3)
    assert not relative_l2(image, other, 0 * mask, min_area=0).any()


def test_the_squared_loss_is_chosen_by_name() -> None:
    image, real, mask = pictures(4)
    found = stage_losses([image], real, mask, pixel_loss="relative_l2", min_area=3)
    expected = relative_l2(image, real, mask, min_area=3).mean()
    assert float(found) == pytest.approx(float(expected))


def test_plain_l1_is_the_mean_over_pixels_and_channels() -> None:
    harmonized, real, _ = pictures(0)
    expected = [
        float((y - t).abs().sum() / y.numel())
        for y, t in zip(harmonized, real, strict=True)
    ]
    assert plain_l1(harmonized, real).tolist() == pytest.approx(expected)


def test_stages_are_rendered_in_a_row() -> None:
    composite, _, _ = pictures(1)
    params = slopes(1)
    first, second = render_stages(composite, params)
    assert torch.equal(first, render_curves(composite, params[:, 0]))
    assert torch.equal(second, render_curves(first, params[:, 1]))


def test_losses_of_stages_are_added() -> None:
    composite, real, mask = pictures(1)
    rendered = render_stages(composite, slopes(1))
    expected = sum(float(relative_l1(image, real, mask).mean()) for image in rendered)
    loss = stage_losses(rendered, real, mask)
    assert float(loss) == pytest.approx(expected, abs=ROUNDING)


def test_the_plain_loss_is_chosen_by_name() -> None:
    composite, real, mask = pictures(1)
    expected = float(plain_l1(composite, real).mean())
    loss = stage_losses([composite], real, mask, pixel_loss="l1")
    assert float(loss) == pytest.approx(expected, abs=ROUNDING)


def test_a_single_stage_is_counted_once() -> None:
    # Differs from the released code, which lists the same picture twice.
    composite, real, mask = pictures(2)
    expected = float(relative_l1(composite, real, mask).mean())
    loss = stage_losses([composite], real, mask)
    assert float(loss) == pytest.approx(expected, abs=ROUNDING)


def test_a_log_offset_averages_logarithms() -> None:
    composite, real, mask = pictures(3)
    errors = relative_l1(composite, real, mask).tolist()
    expected = sum(math.log(error + 0.1) for error in errors) / 3
    loss = stage_losses([composite], real, mask, log_offset=0.1)
    assert float(loss) == pytest.approx(expected, abs=ROUNDING)


def test_stage_losses_reach_the_slopes_of_every_stage() -> None:
    composite, real, mask = pictures(4)
    params = slopes(4).requires_grad_()
    loss = stage_losses(render_stages(composite, params), real, mask)
    (gradient,) = torch.autograd.grad(loss, params)
    assert gradient.abs().sum(dim=(0, 2, 3)).min() > 0


def test_distance_to_a_target_is_the_mean_square() -> None:
    scores = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert float(distance_to(1.0, scores)) == (1 + 0 + 1 + 4) / 4
    assert float(distance_to(0.0, scores)) == (0 + 1 + 4 + 9) / 4


def test_roughness_of_equal_slopes_is_zero() -> None:
    assert roughness(torch.full((2, 2, 3, 8), 0.3)) == 0


def test_roughness_is_the_mean_squared_step_of_slopes_whose_mean_is_1() -> None:
    params = torch.tensor([[[[1.0, 3.0, 2.0]]]])  # mean 2: 0.5, 1.5, 1
    assert float(roughness(params)) == pytest.approx((1 + 0.25) / 2)


def test_only_the_ratios_of_slopes_are_rough() -> None:
    params = slopes(5)
    assert float(roughness(7 * params)) == pytest.approx(float(roughness(params)))
