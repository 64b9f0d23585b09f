"""What the tests of the command line share: pictures, and commands in a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import imharmony
from imharmony.images import photo
from imharmony.images.files import encode_photo, read_photo

Pixels = npt.NDArray[Any]

H, W = 40, 60
SOURCES = str(Path(imharmony.__file__).parents[1])
PNG, JPEG = b"\x89PNG", b"\xff\xd8\xff"


def pixels(dtype: str = "uint8", num_channels: int = 3, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    ramp = np.stack([x / W, y / H, 1 - x / W, y / H], axis=-1)[..., :num_channels]
    values = (0.1 + 0.6 * ramp + 0.2 * rng.random((H, W, num_channels))).clip(0, 1)
    image: Pixels = (values * np.iinfo(dtype).max).astype(dtype)
    return image


def disc(size: tuple[int, int] = (H, W)) -> Pixels:
    """A mask with soft edges; more rows below than above."""
    y, x = np.mgrid[: size[0], : size[1]]
    soft = 12 - np.hypot(y - 0.6 * size[0], x - 0.4 * size[1])
    mask: Pixels = (255 * (soft / 3).clip(0, 1)).astype(np.uint8)
    return mask


def cutout(size: tuple[int, int] = (10, 16)) -> Pixels:
    """A red rectangle in a transparent frame one pixel wide."""
    image = np.zeros((*size, 4), np.uint8)
    image[1:-1, 1:-1] = (200, 30, 20, 255)
    return image


def save(path: Path, image: Pixels) -> Path:
    path.write_bytes(encode_photo(photo.from_array(image), path.suffix))
    return path


def load(source: Path | bytes) -> Pixels:
    return photo.to_array(read_photo(source))


@dataclass(frozen=True)
class Inputs:
    composite: Path
    mask: Path
    cutout: Path
    small: Path = Path("small.png")
    small_mask: Path = Path("small-mask.png")


@dataclass(frozen=True)
class Finished:
    code: int
    out: bytes
    err: str

    @property
    def messages(self) -> list[str]:
        """Lines on standard error, but the notes on what the network found."""
        lines = self.err.splitlines()
        found = ("label: ", "nothing changed: ")
        return [line for line in lines if not line.startswith(found)]


class Run(Protocol):
    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Finished: ...


def start(*args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own, with streams as Python has them."""
    return subprocess.Popen(
        [sys.executable, "-m", "imharmony.cli", *map(str, args)],
        env=os.environ | {"PYTHONPATH": SOURCES, "PYTHONUNBUFFERED": ""},
        stderr=subprocess.PIPE,
        **options,
    )


def run_alone(*args: str | Path, stdin: bytes = b"") -> Finished:
    process = start(*args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, err = process.communicate(stdin, timeout=60)
    return Finished(process.returncode, out, err.decode())


Refused = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
