"""Make the two strips of docs/how-to/local.md from photographs of the repository.

    python benchmarks/local_pictures.py [--output docs/pictures]

Each shows a photograph with a changed region, what the curves and what the local model
make of it, and the photograph as it was. In the first, the change drifts from one end
of the region to the other, so no curve undoes it; in the second it is the same
everywhere and each channel's own, so a curve does. Printed is how far each is from the
photograph, PSNR over the region.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony import Harmonizer
from imharmony.images import files, mask_files, photo

Pixels = npt.NDArray[Any]

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
HEIGHT = 260
"""Of a picture in a strip, in pixels."""
GAP = 6


def read(path: Path) -> Pixels:
    """Read a photograph as an array (H, W, 3)."""
    return np.asarray(photo.to_array(files.read_photo(path)))


def read_mask(path: Path, size: tuple[int, int]) -> Pixels:
    """Read a mask as an array (H, W)."""
    return np.asarray(photo.to_array(mask_files.read_mask(path, size=size))[..., 0])


def blend(changed: Pixels, picture: Pixels, mask: Pixels) -> Pixels:
    """Put a change into a picture where the mask is; 8 bit."""
    share = mask[..., None] / 255
    mixed = picture + share * (changed - picture)
    return np.asarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def drifting(picture: Pixels, mask: Pixels) -> Pixels:
    """Light a region anew: brighter and warmer at one end, darker at the other."""
    columns = np.flatnonzero(mask.any(axis=0))
    across = np.arange(mask.shape[1]) - columns[0]
    share = (across / (columns[-1] - columns[0])).clip(0, 1)[:, None]
    gains = (1 - share) * np.array([1.7, 1.25, 0.9]) + share * np.array([0.6, 0.7, 0.9])
    return blend(picture * gains[None], picture, mask)


def graded(picture: Pixels, mask: Pixels) -> Pixels:
    """Make a region darker and bluer, by a power of each channel."""
    powers = np.array([1.5, 1.25, 0.9])
    return blend(255 * (picture / 255) ** powers, picture, mask)


def psnr(made: Pixels, picture: Pixels, mask: Pixels) -> float:
    """Peak signal-to-noise ratio over the region, in dB."""
    inside = mask > 127
    squared = (made[inside].astype(float) - picture[inside]) ** 2
    return float(10 * np.log10(255**2 / squared.mean()))


def strip(pictures: list[Pixels]) -> Pixels:
    """Lay pictures beside each other, at one height."""
    parts = []
    for picture in pictures:
        image = photo.from_array(picture)
        small = photo.to_array(image.resize(HEIGHT / image.height, kernel="lanczos3"))
        parts += [small, np.full((small.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


def main() -> None:
    """Write both strips, print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures")
    output = parser.parse_args().output
    sky = read(EXAMPLES / "launchpad.jpg")
    sky_mask = read_mask(EXAMPLES / "inpainted-mask.png", sky.shape[:2])
    for name, picture, mask, change in (
        ("local-drift", sky, sky_mask, drifting),
        ("local-graded", sky, sky_mask, graded),
    ):
        composite = change(picture, mask)
        made = [
            Harmonizer(model)(composite, mask, seam="trust").image
            for model in ("s2crnet-cs", "hdnet-lite")
        ]
        shown = [composite, *made, picture]
        image = photo.from_array(strip(shown))
        path = output / f"{name}.jpg"
        files.write_photo(image, path, overwrite=True, quality=88)
        told = ", ".join(f"{psnr(x, picture, mask):.1f}" for x in shown[:3])
        print(f"{path.name}: composite, curves, local: {told} dB")


if __name__ == "__main__":
    main()
