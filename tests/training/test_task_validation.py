"""Scores and samples of a network in training."""

from pathlib import Path

import pytest
import torch

from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.feed import open_sources
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet
from imharmony.training.settings import TrainSettings
from imharmony.training.validation import samples, validate

# Decibels; sums of single precision in another order.
DECIBELS = 1e-3

SETTINGS = TrainSettings(
    unlabeled_sources=("web",),
    thumbnail_size=(24, 24),
    num_steps=1,
    batch_size=2,
    validation_pairs=3,
)


def identity_network() -> S2CRNet:
    network = build_s2crnet("s2crnet-cs").eval()
    for name, parameter in network.stages.named_parameters():
        is_bias = name.endswith("background.bias")
        torch.nn.init.constant_(parameter, 1.0 if is_bias else 0.0)
    return network


@pytest.fixture(scope="module")
def val_pairs(pool_folder: Path) -> Synthesis:
    _, pairs = open_sources(SETTINGS, pool_folder)
    assert isinstance(pairs, Synthesis)
    return pairs


def test_validation_of_the_identity_scores_the_composite(val_pairs: Synthesis) -> None:
    scores = validate(identity_network(), val_pairs, SETTINGS)
    assert scores["psnr"] == pytest.approx(scores["composite_psnr"], abs=DECIBELS)


def test_validation_scores_fixed_pairs_of_their_own(
    pool_folder: Path, val_pairs: Synthesis
) -> None:
    pool = read_pool(pool_folder, split="val")
    drawn = Synthesis(pool, SETTINGS.looks, seed=SETTINGS.seed + 1_000_003)
    pair = drawn.batch(range(3), (24, 24))
    errors = ((pair.composite - pair.real) ** 2).mean(dim=(1, 2, 3))
    scores = validate(identity_network(), val_pairs, SETTINGS)
    decibels = float((-10 * errors.log10()).mean())
    assert scores["composite_psnr"] == pytest.approx(decibels, abs=DECIBELS)
    steps = float((errors * 255**2).mean())  # squared steps of 8 bit
    assert scores["composite_mse"] == pytest.approx(steps, rel=1e-4)


def test_curves_that_darken_everything_are_harm(val_pairs: Synthesis) -> None:
    network = identity_network()
    with torch.no_grad():
        bias = network.get_parameter("stages.0.background.bias")
        bias.zero_()[63::64] = 1.0  # all of the rise in the last piece
    scores = validate(network, val_pairs, SETTINGS)
    assert scores["harm_rate"] == 1.0
    assert scores["psnr"] < scores["composite_psnr"]
    assert scores["mse"] > scores["composite_mse"]


@pytest.mark.parametrize("guesses", [False, True])
def test_labels_are_given_to_networks_that_cannot_guess_them(
    val_pairs: Synthesis, guesses: bool
) -> None:
    network = build_s2crnet("s2crnet-cs", guesses_label=guesses).eval()
    shown = []
    network.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[4]))
    validate(network, val_pairs, SETTINGS)
    labels = torch.cat(
        [val_pairs.batch([n], (24, 24)).semantic_label for n in range(3)]
    )
    expected = torch.zeros(3) if guesses else (labels >= 0).float()
    assert torch.equal(torch.cat(shown).sum(dim=1), expected)


def test_samples_show_what_the_network_does(val_pairs: Synthesis) -> None:
    pictures = samples(identity_network(), val_pairs, SETTINGS)
    triples = pictures["composite, harmonized, real"]  # 3 pairs, 3 columns of 24×24
    assert triples.shape == (3, 72, 72)
    composite, harmonized, real = torch.split(triples, 24, dim=2)
    assert torch.equal(composite, harmonized)
    assert not torch.equal(composite, real)
    assert pictures["curves"].shape == (3, 128, 3 * 128)
