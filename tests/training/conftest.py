"""A small folder of photographs, and weights in the released format."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from imharmony.images import files, photo

COLUMNS = ["photo", "mask", "source", "semantic_label", "split", "foreground_ratio"]
ROWS = [
    ["web/a.png", "web/a-mask.png", "web", "person", "train", "0.12"],
    ["web/b.png", "web/b-mask.png", "web", "person", "train", "0.10"],
    ["web/c.png", "web/c-mask.png", "web", "other", "train", "0.14"],
    ["farm/d.png", "farm/d-mask.png", "farm", "animal", "train", ""],
    ["farm/e.png", "farm/e-mask.png", "farm", "animal", "val", "0.2"],
    ["farm/f.png", "farm/f-mask.png", "farm", "", "val", "0.2"],
]


@pytest.fixture(scope="session", autouse=True)
def cores_are_shared() -> None:
    """Let the processes of pytest-xdist not wait for each other's threads."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))


@pytest.fixture(scope="session")
def pool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs, 60x80 and 80x60, four to train with and two to validate."""
    root = tmp_path_factory.mktemp("pool")
    for number, row in enumerate(ROWS):
        (root / row[0]).parent.mkdir(exist_ok=True)
        pixels, mask = photograph(number)
        files.write_photo(photo.from_array(pixels), root / row[0])
        files.write_photo(photo.from_array(mask), root / row[1])
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *ROWS])
    return root


def photograph(number: int) -> tuple[photo.PixelArray, photo.PixelArray]:
    """A soft-edged ellipse of its own color before a background of slow waves."""
    rng = np.random.default_rng(number)
    size = (60, 80) if number % 2 else (80, 60)
    y, x = np.mgrid[: size[0], : size[1]] / 60
    center, radius = rng.uniform(0.4, 0.6, 2), rng.uniform(0.2, 0.3)
    distance = np.hypot((y - center[0]) * 1.2, x - center[1])
    mask = ((radius - distance) * 30 + 0.5).clip(0, 1)[..., None]
    waves = [np.sin(rng.uniform(2, 9) * (x + y) + rng.uniform(0, 6)) for _ in range(6)]
    background, foreground = np.stack(waves[:3], -1), np.stack(waves[3:], -1)
    scene = background * (1 - mask) + (0.6 * foreground + rng.uniform(-0.4, 0.4)) * mask
    scene = 0.5 + 0.35 * scene + rng.normal(0, 0.02, scene.shape)
    pixels = np.rint(scene.clip(0.02, 0.98) * 255).astype(np.uint8)
    return pixels, np.rint(mask[..., 0] * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def released_state() -> dict[str, Tensor]:
    """Weights under the released checkpoint's keys, by the parity fixture's rule."""
    listed = Path(__file__).parents[1] / "data" / "s2crnet_official_keys.csv"
    state = {}
    with listed.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            shape = [int(length) for length in row["shape"].split("x")]
            random = np.random.RandomState(1000 + number)
            value = random.uniform(-1, 1, shape)
            if row["key"].endswith("fc_b_1.fc1.bias"):
                value = 1 + 0.1 * value
            elif len(shape) == 1:
                value = 0.1 * value
            else:
                value = (6 * shape[0] / value.size) ** 0.5 * value
            state[row["key"]] = torch.from_numpy(value.astype(np.float32))
    return state


@pytest.fixture(scope="session")
def released_file(
    released_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A file as the authors' training code writes it."""
    path = tmp_path_factory.mktemp("released") / "released.pth"
    stored = {
        "epoch": 50,
        "arch": "s2crnet",
        "state_dict": released_state,
        "best_acc": np.float64(36.45),
        "optimizer": torch.optim.AdamW([torch.zeros(1)]).state_dict(),
    }
    torch.save(stored, path)
    return path
