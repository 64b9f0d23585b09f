"""Make the pictures of docs/recipes and of integrations/ from those in examples/.

python benchmarks/recipe_pictures.py [--output docs/pictures/recipes]

`--examples` also makes examples/inpainted.jpg and its mask anew. No diffusion model is
asked: the region shows the photograph itself, with colors as encoding and decoding may
leave them. What it should look like is therefore known.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from imharmony import Harmonizer

Pixels = npt.NDArray[Any]

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NODES = ROOT / "integrations" / "comfyui"
REGION = [(224, 96), (420, 400)]  # a rounded rectangle over the rocket: left top, right
EXPONENTS = (0.8, 0.9, 1.0)  # of red, green and blue: brighter and redder
GAP_PX = 8


def read(name: str) -> Pixels:
    """Read an example as RGB of 8 bit, a mask as gray."""
    with Image.open(EXAMPLES / name) as file:
        return np.asarray(file.convert("L" if "mask" in name else "RGB"))


def make_inpainted() -> None:
    """Write the photograph with a region whose colors are off, and its mask."""
    photograph = read("launchpad.jpg")
    height, width = photograph.shape[:2]
    drawn = Image.new("L", (width, height))
    ImageDraw.Draw(drawn).rounded_rectangle(REGION, radius=60, fill=255)
    mask = drawn.filter(ImageFilter.GaussianBlur(2))
    colors = 255 * (photograph / 255) ** np.array(EXPONENTS)
    weight = np.asarray(mask)[..., np.newaxis] / 255
    inpainted = np.rint(photograph + weight * (colors - photograph)).astype(np.uint8)
    Image.fromarray(inpainted).save(EXAMPLES / "inpainted.jpg", quality=90)
    mask.save(EXAMPLES / "inpainted-mask.png", optimize=True)


def side_by_side(*pictures: Pixels) -> Image.Image:
    """Join pictures of one size from left to right, with white between."""
    height, width = pictures[0].shape[:2]
    step = width + GAP_PX
    joined = Image.new("RGB", (step * len(pictures) - GAP_PX, height), "white")
    for index, picture in enumerate(pictures):
        joined.paste(Image.fromarray(picture), (index * step, 0))
    return joined


def save_thumbnail(picture: Image.Image, path: Path) -> None:
    """Write a picture small."""
    small = picture.copy()
    small.thumbnail((480, 480))
    small.save(path, quality=80)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/pictures/recipes")
    parser.add_argument("--examples", action="store_true")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.examples:
        make_inpainted()
    harmonizer = Harmonizer()
    inpainted, composite = read("inpainted.jpg"), read("composite.png")
    matched = harmonizer(inpainted, read("inpainted-mask.png")).image
    harmonized = harmonizer(composite, read("mask.png")).image
    pasted = side_by_side(composite, harmonized)
    region = side_by_side(inpainted, matched)
    region.save(arguments.output / "inpainted.jpg", quality=80)
    # Of the nodes: the picture of their README, and what the template browser shows.
    pasted.save(NODES / "before-after.jpg", quality=80)
    for name, picture in (("harmonize", pasted), ("paste", pasted)):
        save_thumbnail(picture, NODES / "example_workflows" / f"{name}.jpg")
    save_thumbnail(region, NODES / "example_workflows" / "match_inpainted.jpg")


if __name__ == "__main__":
    main()
