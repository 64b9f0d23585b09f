"""Weights that look at the seam, exported and used: arrays, command line, HTTP API."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from imharmony import Harmonizer, cli
from imharmony.errors import UsageError, WeightsError
from imharmony.images import files, photo
from imharmony.images.masks import mask_from_array
from imharmony.inference.contract import Contract
from imharmony.inference.crossings import NUM_PAIRS
from imharmony.inference.seam import Seam
from imharmony.training.checkpoints import save_checkpoint
from imharmony.training.export import export
from imharmony.training.networks.seam import SeamNet, build_seam_net

# Seen: 2e-6.
TOLERANCE = 1e-4
SIZE = (32, 32)
H, W = 90, 120

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def network() -> SeamNet:
    """Random weights whose predictions differ from the identity and from each other."""
    torch.manual_seed(3)
    network = build_seam_net("s2crnet-seam", caution=0.1, least_change=0.0).eval()
    with torch.no_grad():
        for head in (network.plain, network.seamed):
            head.curves.weight.normal_(std=0.08)
    return network


@pytest.fixture(scope="module")
def weights(network: SeamNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seam")
    checkpoint, target = folder / "weights.safetensors", folder / "seam.onnx"
    save_checkpoint(checkpoint, network, variant="s2crnet-seam", thumbnail_size=SIZE)
    assert export(checkpoint, target) < TOLERANCE
    return target


def scene() -> tuple[Pixels, Pixels]:
    y, x = np.mgrid[:H, :W]
    waves = [np.sin(x / (9 + c) + y / (14 - c)) for c in range(3)]
    pixels = np.rint(255 * (0.5 + 0.4 * np.stack(waves, axis=-1)))
    mask = np.where(np.hypot(y - 45, x - 60) < 25, 255, 0)
    return pixels.astype(np.uint8), mask.astype(np.uint8)


def test_the_contract_says_what_seam_is_wanted(weights: Path) -> None:
    contract = Harmonizer(weights=weights).contract
    assert contract.seam == {"pairs": NUM_PAIRS, "gaps": 4}
    assert contract.slopes == "heights"
    assert Contract.from_metadata(contract.to_metadata(), name="x") == contract


def test_other_gaps_are_refused(weights: Path) -> None:
    metadata = Harmonizer(weights=weights).contract.to_metadata()
    metadata["contract"] = metadata["contract"].replace('"gaps": 4', '"gaps": 3')
    with pytest.raises(WeightsError, match="expected pairs at 4 gaps"):
        Contract.from_metadata(metadata, name="x")


def test_the_result_tells_pairs_and_probability(weights: Path) -> None:
    result = Harmonizer(weights=weights)(*scene())
    assert 100 < result.seam_pairs <= NUM_PAIRS
    assert result.same_scene is not None
    assert 0 < result.same_scene < 1
    assert result.curves.is_monotone


def test_trust_and_ignore_give_different_curves(weights: Path) -> None:
    harmonizer = Harmonizer(weights=weights)
    found = {
        seam: harmonizer(*scene(), seam=seam).curves
        for seam in ("auto", "trust", "ignore")
    }
    grays = np.linspace(0, 1, 11)[:, None].repeat(3, axis=1)
    trust, ignore = found["trust"](grays), found["ignore"](grays)
    assert np.abs(trust - ignore).max() > 0.01
    assert found["auto"] not in (found["trust"], found["ignore"])


def test_without_a_seam_all_choices_are_one(weights: Path) -> None:
    pixels, mask = scene()
    mask[:] = 0
    mask[40, 50:52] = 255  # six crossings
    harmonizer = Harmonizer(weights=weights)
    found = [harmonizer(pixels, mask, seam=s) for s in ("auto", "trust", "ignore")]
    assert {result.seam_pairs for result in found} == {0}
    assert {result.same_scene for result in found} == {None}
    assert len({result.curves for result in found}) == 1


def test_a_reference_has_no_seam(weights: Path) -> None:
    pixels, mask = scene()
    result = Harmonizer(weights=weights)(pixels, mask, reference=pixels[::-1].copy())
    assert result.seam_pairs == 0


def test_given_pairs_are_looked_at(weights: Path) -> None:
    pixels, mask = scene()
    image = photo.from_array(pixels)
    opened = mask_from_array(mask, size=(H, W))
    harmonizer = Harmonizer(weights=weights)
    own = harmonizer.predict(image, opened)
    none = harmonizer.predict(image, opened, seam=Seam.none())
    ignored = harmonizer.predict(image, opened, seam="ignore")
    assert none.curves != own.curves
    grays = np.linspace(0, 1, 11)[:, None].repeat(3, axis=1)
    difference = np.abs(none.curves(grays) - ignored.curves(grays)).max()
    assert difference < TOLERANCE


def test_unknown_choices_are_refused(weights: Path) -> None:
    composite, mask = scene()
    choice: Any = "maybe"
    with pytest.raises(UsageError, match="seam is one of auto, trust, ignore"):
        Harmonizer(weights=weights)(composite, mask, seam=choice)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run a command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["imharmony", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def test_the_command_line_says_same_scene(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = tmp_path / "photo.png", tmp_path / "mask.png"
    for pixels, path in zip(scene(), paths, strict=True):
        files.write_photo(photo.from_array(pixels), path)
    common = ["harmonize", *map(str, paths), "--weights", str(weights), "--output"]
    written = {}
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for seam in ("trust", "ignore"):
        target = tmp_path / f"{seam}.png"
        assert run(monkeypatch, *common, str(target), "--seam", seam) == 0
        assert "same scene: 0." in capsys.readouterr().err
        written[seam] = target.read_bytes()
    assert written["trust"] != written["ignore"]
    absent = tmp_path / "absent.png"
    assert run(monkeypatch, *common, str(absent), "--seam", "no") == 2
    assert "seam is one of auto, trust, ignore" in capsys.readouterr().err
    assert not absent.exists()
