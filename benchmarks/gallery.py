"""Make the pictures of the docs from the photographs in examples/.

python benchmarks/gallery.py [--output docs/pictures]

The failures are the worst of some pairs synthesized from the portrait, by numbers.
"""

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imharmony import Curves, Harmonizer, Result
from imharmony.curve_files import plots
from imharmony.curve_files.plots import plot_curves
from imharmony.images import files, photo
from imharmony.labels import LABELS
from imharmony.training.data.written import write_pairs

Pixels = npt.NDArray[Any]

EXAMPLES = Path(__file__).parents[1] / "examples"
LOG = Path(__file__).parents[1] / "docs" / "training" / "s2crnet-cs.csv"
NUM_PAIRS = 200
CROP = (slice(87, 427), slice(30, 370))  # rows and columns of the astronaut


def read(name: str) -> Pixels:
    """Read an example as an array (H, W, 3), or (H, W, 1) for the mask."""
    return photo.to_array(files.read_photo(EXAMPLES / name))


def graded(picture: Pixels, *, exponents: tuple[float, float, float]) -> Pixels:
    """Give a photograph another light: raise each channel to a power."""
    x = np.linspace(0, 1, 257)
    red, green, blue = (x**exponent for exponent in exponents)
    table = Curves((x, x, x), (red, green, blue)).table(np.uint8)
    channels = [table[channel][picture[..., channel]] for channel in range(3)]
    return np.stack(channels, axis=-1)


def show(axes: Axes, picture: Pixels, title: str = "") -> None:
    """Fill a panel with a picture."""
    axes.imshow(picture, interpolation="antialiased")
    axes.set_title(title, fontsize=8, pad=3)
    axes.set_axis_off()


def show_curves(axes: Axes, curves: Curves) -> None:
    """Draw three curves in one small panel."""
    axes.plot([0, 1], [0, 1], color="#555555", linewidth=0.6, linestyle=":")
    channels = zip(curves.knots_x, curves.knots_y, plots.COLORS, strict=True)
    for x, y, color in channels:
        axes.plot(x, y, color=color, linewidth=1.3)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=[], yticks=[])


def backgrounds(harmonizer: Harmonizer, composite: Pixels, mask: Pixels) -> Figure:
    """Fit one foreground to its own background and to the same place in other light."""
    launchpad = read("launchpad.jpg")
    others: list[tuple[str, Pixels | None]] = [
        ("its own background", None),
        ("at sunset", graded(launchpad, exponents=(0.45, 0.8, 1.5))),
        ("by day", graded(launchpad, exponents=(0.4, 0.4, 0.45))),
    ]
    figure = Figure(figsize=(8, 3.85), layout="constrained")
    top, bottom = figure.subplots(2, 4, height_ratios=(0.67, 1))
    show(top[0], composite, "composite")
    show(bottom[0], composite[CROP], "foreground as pasted")
    for column, (name, other) in enumerate(others, start=1):
        result = harmonizer(composite, mask, label="person", reference=other)
        show(top[column], launchpad if other is None else other, name)
        show(bottom[column], result.image[CROP], "fitted to it")
    return figure


def labels(harmonizer: Harmonizer, composite: Pixels, mask: Pixels) -> Figure:
    """Harmonize one composite under each of the labels; curves below."""
    figure = Figure(figsize=(8, 3.1), layout="constrained")
    top, bottom = figure.subplots(2, len(LABELS), height_ratios=(1, 0.8))
    for column, label in enumerate(LABELS):
        result = harmonizer(composite, mask, label=label)
        show(top[column], result.image[CROP], label)
        show_curves(bottom[column], result.curves)
    return figure


def stages(result: Result[Any], composite: Pixels, mask: Pixels) -> Figure:
    """Draw what `imharmony curves --stages` draws."""
    return plot_curves(result.curves, composite, mask, stages=result.stages)


def failures(harmonizer: Harmonizer) -> Figure:
    """Show what went wrong most, of pairs made from the portrait, and on itself."""
    portrait = read("astronaut.png")
    photograph, mask = portrait[..., :3], portrait[..., 3]
    inside = mask > 127
    with tempfile.TemporaryDirectory() as temporary:
        pool, pairs = Path(temporary, "pool"), Path(temporary, "pairs")
        for kind, pixels in (("photos", photograph), ("masks", mask[..., None])):
            (pool / kind).mkdir(parents=True)
            image = photo.from_array(np.ascontiguousarray(pixels))
            files.write_photo(image, pool / kind / "portrait.png")
        for _ in write_pairs(pool, pairs, split=None, num_pairs=NUM_PAIRS, seed=0):
            pass
        found = []
        for path in sorted((pairs / "synthetic" / "composite_images").iterdir()):
            stem = path.stem.split("_")[0]
            real = pairs / "synthetic" / "real_images" / f"{stem}.png"
            given, truth = (photo.to_array(files.read_photo(x)) for x in (path, real))
            result = harmonizer(given, mask).image
            before, after = (
                float(np.square(x[inside] - truth[inside].astype(float)).mean())
                for x in (given, result)
            )
            found.append((before, after, given, result, truth))
    changed = [row for row in found if row[1] != row[0]]
    worst = max(changed, key=lambda row: row[1] / row[0])
    alone = max((row for row in found if row[1] == row[0]), key=lambda row: row[0])
    itself = harmonizer(photograph, mask).image
    number = sum(row[1] > row[0] for row in found)
    cases = [
        (f"made worse, as {number} of {NUM_PAIRS}", *worst[2:]),
        (f"left alone, as {NUM_PAIRS - len(changed)}", *alone[2:]),
        ("needed nothing", photograph, itself, photograph),
    ]
    figure = Figure(figsize=(8, 8.3), layout="constrained")
    rows = figure.subplots(3, 3)
    for axes, (title, *pictures) in zip(rows, cases, strict=True):
        names = (title, "harmonized", "as it should be")
        for panel, picture, name in zip(axes, pictures, names, strict=True):
            show(panel, picture, name)
    return figure


def training(log: Path) -> Figure:
    """Draw a run's loss, each point the mean of twenty, and its scores on val."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = np.array([int(row["step"]) for row in rows])
    losses = np.array([float(row["loss"]) for row in rows])
    count = len(losses) // 20 * 20
    scored = [row for row in rows if row["psnr"]]
    at = [int(row["step"]) for row in scored]
    gains = [float(row["psnr"]) - float(row["composite_psnr"]) for row in scored]
    worse = [100 * float(row["harm_rate"]) for row in scored]
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    panels = zip(
        figure.subplots(1, 3),
        (steps[:count].reshape(-1, 20)[:, -1], at, at),
        (losses[:count].reshape(-1, 20).mean(axis=1), gains, worse),
        ("loss", "gain in PSNR, dB", "made worse, %"),
        strict=True,
    )
    for axes, x, y, title in panels:
        axes.plot(x, y, color="#333333", linewidth=1)
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("step", fontsize=7)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure small: JPEG for photographs, a PNG of few colors for plots."""
    data = plots.encode(figure)
    picture = pyvips.Image.new_from_buffer(data, "").flatten(background=255)
    if path.suffix == ".jpg":
        picture.write_to_file(path, Q=80, strip=True)
    else:
        picture.write_to_file(path, palette=True, Q=90, strip=True)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "docs" / "pictures"
    parser.add_argument("--output", type=Path, default=default)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    composite, mask = read("composite.png"), read("mask.png")
    harmonizer = Harmonizer()
    result = harmonizer(composite, mask, label="person")
    write(backgrounds(harmonizer, composite, mask), folder / "backgrounds.jpg")
    write(labels(harmonizer, composite, mask), folder / "labels.jpg")
    write(stages(result, composite, mask), folder / "stages.png")
    write(failures(harmonizer), folder / "failures.jpg")
    write(training(LOG), folder / "training.png")
    for path in sorted(folder.iterdir()):
        print(f"{path} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
