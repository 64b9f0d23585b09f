"""What is done to photographs that need nothing: objects under their own masks.

The best a network can do with them is nothing. Printed are, for kinds of photographs,
how many are changed at all and by how much on average, in 8-bit steps over the object;
then what that does to colors people are sensitive to: how far gray drifts from gray
(largest less smallest channel), and by how much and to which side skin turns on the
color wheel and changes its lightness.

    python benchmarks/drift.py POOL [--split val] [--sources NAMES] [--model NAME]
        [--weights FILE]

POOL is a folder as `imharmony synthesize` takes it. Skin is what the rule of J. Kovac,
P. Peer, F. Solina, "Human Skin Color Clustering for Face Detection", EUROCON 2003,
takes for it (uniform daylight) on objects labeled person; the rule also takes some wood
and cloth, and misses much dark skin.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np

from imharmony import Harmonizer
from imharmony.labels import LABELS
from imharmony.training.data.pool import read_pool

GRAY = 8
"""Steps between the channels of what counts as gray."""
FEW = 200
"""Pixels of a kind that a photograph must have to be counted."""
LUMA = np.array([0.2126, 0.7152, 0.0722])


def is_skin(rgb: np.ndarray) -> np.ndarray:
    """Whether 8-bit colors (N, 3) are those of skin in daylight."""
    r, g, b = rgb.T.astype(int)
    spread = rgb.max(axis=1).astype(int) - rgb.min(axis=1)
    bright = (r > 95) & (g > 40) & (b > 20)
    colored = (spread > 15) & (abs(r - g) > 15) & (r > g) & (r > b)
    return np.asarray(bright & colored, np.bool_)


def hue(rgb: np.ndarray) -> float:
    """Angle of the mean color on the plane across the gray axis, in degrees."""
    r, g, b = rgb.mean(axis=0)
    return float(np.angle((r - (g + b) / 2) + 0.75**0.5 * 1j * (g - b), deg=True))


def spread(rgb: np.ndarray) -> float:
    """Mean distance of the largest from the smallest channel."""
    return float(np.ptp(rgb.astype(float), axis=1).mean())


def kinds_of(rgb: np.ndarray, inside: np.ndarray, label: int) -> list[str]:
    """Say what a photograph is an example of."""
    kinds = ["all", LABELS[label] if label >= 0 else "unknown"]
    rest = rgb[~inside].astype(float)
    if len(rest) and np.median(rest @ LUMA) < 60:
        kinds.append("dark surroundings")
    if len(rest) and spread(rest) > 80:
        kinds.append("strongly colored surroundings")
    white = (rgb[inside].min(axis=1) > 170) & (np.ptp(rgb[inside], axis=1) < 25)
    if white.mean() > 0.3:
        kinds.append("white objects")
    return kinds


def main() -> None:
    """Harmonize every photograph, print means by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--sources", type=lambda text: text.split(","))
    parser.add_argument("--model", default="s2crnet-cs")
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    harmonizer = Harmonizer(arguments.model, weights=arguments.weights)
    pool = read_pool(arguments.pool, split=arguments.split, sources=arguments.sources)
    changes: dict[str, list[float]] = {}
    grays, skins = [], []
    for index, example in enumerate(pool):
        if example.mask is None:
            continue
        rgb, mask = pool.pixels(index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = harmonizer(rgb, mask).image
        inside = mask > 127
        before, after = rgb[inside], np.asarray(found[inside], np.uint8)
        if not len(before):
            continue
        change = float(np.abs(after.astype(float) - before).mean())
        for kind in kinds_of(rgb, inside, example.semantic_label):
            changes.setdefault(kind, []).append(change)
        gray = np.ptp(before, axis=1) <= GRAY
        if gray.sum() > FEW:
            grays.append((spread(before[gray]), spread(after[gray])))
        skin = is_skin(before)
        if example.semantic_label == LABELS.index("person") and skin.sum() > FEW:
            turn = (hue(after[skin]) - hue(before[skin]) + 180) % 360 - 180
            lighter = ((after[skin] - before[skin].astype(float)) @ LUMA).mean()
            skins.append((turn, lighter, (before[skin] @ LUMA).mean()))
    for kind, of_kind in sorted(changes.items(), key=lambda item: -len(item[1])):
        steps = np.array(of_kind)
        print(
            f"{kind:30} {len(steps):5} photographs, {100 * (steps > 0).mean():5.1f} % "
            f"changed, by {steps[steps > 0].mean() if steps.any() else 0:5.1f} steps"
        )
    was, became = np.array(grays).T
    print(
        f"gray in {len(was)} photographs: {was.mean():.1f} steps from gray before, "
        f"{became.mean():.1f} after; over 20 in {(became > 20).sum()}"
    )
    turns, lighter, luma = np.array(skins).T
    dark = luma <= np.quantile(luma, 0.25)
    print(
        f"skin in {len(turns)}: turned by {np.abs(turns).mean():.1f} degrees, on the "
        f"whole {turns.mean():+.1f} (to yellow if above 0); lightness by "
        f"{lighter.mean():+.1f} steps, of the darkest quarter by "
        f"{lighter[dark].mean():+.1f}, of the others by {lighter[~dark].mean():+.1f}"
    )


if __name__ == "__main__":
    main()
