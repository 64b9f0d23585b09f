"""Training: which losses the network learns from, and its opponent."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from imharmony.training.feed import open_sources
from imharmony.training.losses import distance_to, render_stages, stage_losses
from imharmony.training.networks.discriminator import discriminator
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet
from imharmony.training.recipes.labels import network_inputs
from imharmony.training.settings import TrainSettings
from imharmony.training.task import Devices, Progress, train

CPU = Devices(accelerator="cpu")


def run(
    settings: TrainSettings, data: Path, output: Path, **options: Any
) -> list[Progress]:
    return list(train(settings, data, output, devices=CPU, **options))


PUBLISHED = TrainSettings(
    variant="s2crnet-c",
    thumbnail_size=(80, 80),
    num_steps=1,
    batch_size=2,
    learning_rate=0.01,
    schedule="constant",
    warmup_steps=0,
    max_gradient_norm=0,
    average_decay=0,
    loss_region="thumbnail",
    roughness_weight=0,
    log_every=1,
    validation_pairs=1,
)


def first_batch(settings: TrainSettings, data: Path) -> tuple[S2CRNet, Any, Tensor]:
    """Untrained network, the run's first pairs, and its slopes for them."""
    torch.manual_seed(settings.seed)
    network = build_s2crnet(settings.variant)
    pairs, _ = open_sources(settings, data)
    pair = pairs.batch(range(settings.batch_size), settings.thumbnail_size)
    params = network(*network_inputs(pair), torch.zeros(2, 5)).curve_params
    return network, pair, params


@pytest.mark.parametrize("region", ["crop", "thumbnail"])
@pytest.mark.parametrize("pixel_loss", ["relative_l1", "l1"])
def test_the_loss_is_the_chosen_one_in_the_chosen_region(
    pool_folder: Path, tmp_path: Path, region: Any, pixel_loss: Any
) -> None:
    settings = replace(PUBLISHED, loss_region=region, pixel_loss=pixel_loss)
    settings = replace(settings, thumbnail_size=(24, 24))
    reports = run(settings, pool_folder, tmp_path)
    _, pair, params = first_batch(settings, pool_folder)
    image, real, mask = pair[3:6] if region == "crop" else pair[:3]
    rendered = render_stages(image, params)
    expected = stage_losses(rendered, real, mask, pixel_loss=pixel_loss).detach()
    assert reports[0].values["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_the_adversary_sees_the_whole_recolored_picture(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(PUBLISHED, adversarial_weight=0.5)
    reports = run(settings, pool_folder, tmp_path)
    _, pair, params = first_batch(settings, pool_folder)
    opponent = discriminator()  # drawn after the network
    with torch.no_grad():
        harmonized = render_stages(pair.composite, params)[-1]
        fooling = distance_to(1.0, opponent(harmonized))
        seen = distance_to(1.0, opponent(pair.real))
        seen += distance_to(0.0, opponent(harmonized))
    values = reports[0].values
    assert values["adversarial"] == pytest.approx(float(fooling), rel=1e-4)
    assert values["discriminator"] == pytest.approx(float(seen), rel=1e-4)


def test_weights_scale_the_losses_that_the_network_learns_from(
    pool_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The gradient of a weighted sum is the weighted sum of the gradients.
    gradients = []
    step = torch.optim.AdamW.step

    def record(self: torch.optim.AdamW, *args: Any) -> Any:
        found = [p.grad for p in self.param_groups[0]["params"]]
        gradients.append(torch.cat([g.flatten() for g in found if g is not None]))
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    for number, weights in enumerate([(1, 1e-9), (1e-9, 1), (3, 2)]):
        pixel, adversarial = weights
        settings = replace(
            PUBLISHED, pixel_weight=pixel, adversarial_weight=adversarial
        )
        run(settings, pool_folder, tmp_path / str(number))
    expected = 3 * gradients[0] + 2 * gradients[1]
    torch.testing.assert_close(gradients[2], expected, rtol=1e-3, atol=1e-4)


def test_the_adversary_learns_by_rmsprop_at_its_own_rate(
    pool_folder: Path, tmp_path: Path
) -> None:
    settings = replace(PUBLISHED, adversarial_weight=1, discriminator_learning_rate=0.5)
    run(settings, pool_folder, tmp_path)
    state = torch.load(tmp_path / "trainer.pt", weights_only=True)["adversary"]
    group = state["optimizer"]["param_groups"][0]
    assert (group["lr"], group["alpha"], "betas" in group) == (0.5, 0.99, False)
