"""Small composites and masks for tests of many pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.images import files, photo

Pixels = npt.NDArray[Any]

H, W = 40, 56


def composite(seed: int = 0, num_channels: int = 3) -> Pixels:
    """A smooth scene with a darker, warmer object in it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    waves = [
        0.5 + 0.3 * np.sin(x / rng.uniform(5, 20) + y / rng.uniform(5, 20) + channel)
        for channel in range(num_channels)
    ]
    scene = np.stack(waves, axis=-1)
    inside = disc()[..., None] / 255
    tint = np.array([0.8, 0.6, 0.45, 1.0])[:num_channels]
    pixels: Pixels = (255 * (scene * (1 - inside) + scene * tint * inside)).astype("u1")
    return pixels


def disc() -> Pixels:
    y, x = np.mgrid[:H, :W]
    soft = (12.5 - np.hypot(y - H / 2, x - W / 2)).clip(0, 1)
    mask: Pixels = (255 * soft).astype(np.uint8)
    return mask


def save(path: Path, pixels: Pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files.encode_photo(photo.from_array(pixels), path.suffix))
    return path


def load(path: Path) -> Pixels:
    return photo.to_array(files.read_photo(path))


def fill(folder: Path, count: int, suffix: str = ".png") -> list[Path]:
    """Write composites and, beside them, their masks."""
    paths = []
    for number in range(count):
        paths.append(save(folder / f"{number:03d}{suffix}", composite(number)))
        save(folder / f"{number:03d}_mask.png", disc())
    return paths
