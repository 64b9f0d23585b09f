"""HDNet carried up from its thumbnail, against HDNet run on the large picture itself.

Each composite of a folder of pairs is stretched to --size a side. Printed are, over the
foregrounds, in 8-bit steps: the mean and root mean square difference of the two ways,
what each changes, and, where there is a real picture, how far each is from it.

    python benchmarks/hdnet_resolution.py CHECKPOINT WEIGHTS ROOT [--size N] [--count N]

CHECKPOINT is the .safetensors file that WEIGHTS (.onnx) came from, ROOT a folder
as `imharmony evaluate` takes it.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyvips
import torch

from imharmony import Harmonizer
from imharmony.datasets.iharmony4 import find_pairs
from imharmony.evaluation.protocols.scene import load_scene
from imharmony.images import photo
from imharmony.training.checkpoints import load_checkpoint


def stretched(pixels: np.ndarray, size: int) -> np.ndarray:
    """Stretch a picture, or a mask, to a square."""
    image = pyvips.Image.new_from_array(pixels)
    image = image.thumbnail_image(size, height=size, size="force")
    return photo.to_array(image)


def rms(x: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt((x**2).mean()))


def main() -> None:
    """Measure every picture, print means over them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    network = load_checkpoint(arguments.checkpoint)[0]
    harmonizer = Harmonizer(weights=arguments.weights)
    rows, times = [], []
    for pair in find_pairs(arguments.root)[: arguments.count]:
        scene = load_scene(pair)
        composite, real, mask = (
            stretched(np.asarray(x), arguments.size)
            for x in (scene.composite, scene.real, scene.mask)
        )
        inside = mask.reshape(mask.shape[:2]) > 127
        mask = np.where(inside, np.uint8(255), np.uint8(0))
        start = time.perf_counter()
        carried = harmonizer(composite, mask).image[inside].astype(float)
        middle = time.perf_counter()
        with torch.inference_mode():
            whole = network(
                torch.tensor(composite).permute(2, 0, 1)[None] / 255,
                torch.tensor(inside)[None, None].float(),
            )[0]
        times.append((middle - start, time.perf_counter() - middle))
        direct = 255 * whole.permute(1, 2, 0).numpy()[inside]
        before, after = composite[inside].astype(float), real[inside].astype(float)
        rows.append(
            [
                float(np.abs(carried - direct).mean()),
                rms(carried - direct),
                rms(carried - before),
                rms(direct - before),
                rms(before - after),
                rms(carried - after),
                rms(direct - after),
            ]
        )
    names = (
        "carried - direct, mean",
        "carried - direct, RMS",
        "carried - composite",
        "direct - composite",
        "composite - real",
        "carried - real",
        "direct - real",
    )
    for name, value in zip(names, np.mean(rows, axis=0), strict=True):
        print(f"{name:24} {value:6.2f}")
    seconds = np.median(times, axis=0)
    print(f"seconds: carried {seconds[0]:.2f}, direct {seconds[1]:.2f}")


if __name__ == "__main__":
    main()
