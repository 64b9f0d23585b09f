"""Make the pictures of docs/recipes and of integrations/ from those in examples/.

python benchmarks/recipe_pictures.py [--output docs/pictures/recipes]

The recipes' own commands are run, so it needs ffmpeg. `--examples` also makes
examples/inpainted.jpg and its mask anew. No diffusion model is asked: the region shows
the photograph itself, with colors as encoding and decoding may leave them. What it
should look like is therefore known.
"""

import argparse
import io
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[Any]

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NODES = ROOT / "integrations" / "comfyui"
REGION = [(224, 96), (420, 400)]  # a rounded rectangle over the rocket: left top, right
EXPONENTS = (0.8, 0.9, 1.0)  # of red, green and blue: brighter and redder
GAP_PX = 8
CLIPS = ("shot.mp4", "harmonized.mp4")


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


def run_page(name: str, folder: Path) -> None:
    """Run the commands of a recipe in a folder that looks like a clone."""
    text = (ROOT / "docs" / "recipes" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    for line in "".join(blocks).replace("\\\n", "").splitlines():
        words = shlex.split(line.removeprefix("$ "))
        if words[0] == "imharmony":
            words[:1] = [sys.executable, "-m", "imharmony.cli"]
        subprocess.run(words, check=True, cwd=folder, capture_output=True)


def read_frame(clip: Path, number: int) -> Pixels:
    """Read one frame of a clip."""
    words = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(clip),
        "-vf",
        f"select=eq(n\\,{number})",
    ]
    words += ["-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]
    png = subprocess.run(words, check=True, capture_output=True).stdout
    with Image.open(io.BytesIO(png)) as frame:
        return np.asarray(frame.convert("RGB"))


def stack(*rows: Image.Image) -> Image.Image:
    """Join pictures of one size from top to bottom, with white between."""
    width, height = rows[0].size
    step = height + GAP_PX
    joined = Image.new("RGB", (width, step * len(rows) - GAP_PX), "white")
    for index, row in enumerate(rows):
        joined.paste(row, (0, index * step))
    return joined


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/pictures/recipes")
    parser.add_argument("--examples", action="store_true")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    if arguments.examples:
        make_inpainted()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(EXAMPLES, folder / "examples")
        for page in ("inpainted.md", "products.md", "photoshop.md", "shot.md"):
            run_page(page, folder)
        with Image.open(folder / "matched.png") as file:
            matched = np.asarray(file.convert("RGB"))
        region = side_by_side(read("inpainted.jpg"), matched)
        region.save(output / "inpainted.jpg", quality=80)
        with Image.open(folder / "sheet.jpg") as file:
            file.save(output / "products.jpg", quality=80)
        shutil.copy(folder / "look.png", output / "look.png")
        frames = [
            side_by_side(*(read_frame(folder / clip, number) for clip in CLIPS))
            for number in (0, 239)
        ]
        stack(*frames).save(output / "shot.jpg", quality=75)
        with Image.open(folder / "harmonized.png") as file:
            pasted = side_by_side(
                read("composite.png"), np.asarray(file.convert("RGB"))
            )
    # Of the nodes: the picture of their README, and what the template browser shows.
    pasted.save(NODES / "before-after.jpg", quality=80)
    for name, picture in (
        ("harmonize", pasted),
        ("paste", pasted),
        ("match_inpainted", region),
    ):
        save_thumbnail(picture, NODES / "example_workflows" / f"{name}.jpg")


if __name__ == "__main__":
    main()
