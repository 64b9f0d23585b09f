"""The bundled weights: their record, their size, and that they do what they are for."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony import Harmonizer
from imharmony.images import files, mask_files, photo
from imharmony.inference.models import MODELS, WEIGHTS

Pixels = npt.NDArray[Any]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer()


def example() -> tuple[Pixels, Pixels]:
    composite = photo.to_array(files.read_photo(ROOT / "examples" / "composite.png"))
    size = (composite.shape[0], composite.shape[1])
    mask = mask_files.read_mask(ROOT / "examples" / "mask.png", size=size)
    return composite, photo.to_array(mask)[..., 0]


@pytest.mark.parametrize("model", MODELS)
def test_the_record_is_that_of_the_files(model: str) -> None:
    record = json.loads((WEIGHTS / f"{model}.json").read_text(encoding="utf-8"))
    for name, expected in record["sha256"].items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == expected
    contract = Harmonizer(model).contract
    checkpoint = record["sha256"][f"{model}.safetensors"]
    assert contract.checkpoint_sha256 == checkpoint
    assert list(contract.thumbnail_size) == record["contract"]["thumbnail_size"]


@pytest.mark.parametrize(
    ("name", "limit"), [("s2crnet-cs", 7_000_000), ("hdnet-lite", 2_000_000)]
)
def test_installed_weights_stay_small(name: str, limit: int) -> None:
    assert (WEIGHTS / f"{name}.onnx").stat().st_size < limit


@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_a_foreground_far_off_in_exposure_is_drawn_back(
    harmonizer: Harmonizer, gain: float
) -> None:
    composite, mask = example()
    exposed = np.clip(gain * (composite / 255) ** 2.2, 0, 1) ** (1 / 2.2)
    is_pasted = mask[..., None] > 0
    wrong = np.where(is_pasted, np.rint(255 * exposed), composite).astype(np.uint8)
    result = harmonizer(wrong, mask, label="person")
    before, after = (x[mask > 127].mean() for x in (wrong, result.image))
    assert (after - before) * (1 - gain) > 10  # lighter if too dark, and the reverse


def test_curves_stay_monotone_on_noise(harmonizer: Harmonizer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        mask = (rng.random((32, 32)) < rng.random()).astype(np.uint8) * 255
        result = harmonizer(noise, mask)
        assert result.curves.is_monotone
        low, high = result.curves(np.array([[0.0] * 3, [1.0] * 3]))
        assert low.min() >= 0
        assert high.max() <= 1 + 1e-6  # heights are float32
