"""Measure how much curves change from frame to frame, and how fast light is followed.

    python benchmarks/flicker.py POOL

`POOL` is a folder as for training, of photographs and masks of one name. Twenty clips
of 72 frames are made of it: objects are pasted on other photographs, which are panned
over, lit more and more, lit at a switch, or crossed by the object; with noise as of a
camera. For each way of smoothing the table shows the change of a mid-gray foreground
pixel from one frame to the next, in 8-bit steps: mean and 99th percentile.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony import Harmonizer
from imharmony.curves import Curves
from imharmony.curves.smoothing import (
    Look,
    RunningMean,
    from_heights,
    smooth_looks,
    to_heights,
)
from imharmony.images import files, mask_files, photo
from imharmony.scenes import SceneWatch, shrink

Pixels = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Raw = list[tuple[npt.NDArray[np.floating[Any]] | None, bool]]

RATE = 24
FRAMES = 72
SWITCH = 36
H, W = 270, 480
KINDS = ("still", "pan", "slow light", "switched light", "moving object")


def read_scenes(folder: Path) -> Iterator[tuple[Pixels, Pixels]]:
    """Read photographs with masks, in one order that mixes the sources."""
    masks = sorted(folder.rglob("*.png"))
    for number in np.random.default_rng(0).permutation(len(masks)):
        path = masks[number]
        found = path.with_suffix(".webp")
        if not found.exists():
            continue
        image = files.read_photo(found)
        mask = mask_files.read_mask(path, size=(image.height, image.width))
        yield photo.to_array(photo.to_rgb(image))[..., :3], photo.to_array(mask)[..., 0]


def fit(image: Pixels, height: int, width: int) -> Pixels:
    """Stretch a photograph to a size, as floats."""
    stretched = photo.stretch(photo.from_array(image), (height, width))
    return photo.to_array(stretched).astype(np.float64) / 255


def make_clip(
    kind: str, scene: Pixels, other: Pixels, mask: Pixels, rng: np.random.Generator
) -> Iterator[tuple[Pixels, Pixels]]:
    """Give the frames of a clip and their masks, as 8-bit arrays."""
    wide = fit(scene, H, W + 3 * FRAMES)
    front = fit(other, H // 2, W // 2)
    inside = fit(mask, H // 2, W // 2)[..., 0]
    for number in range(FRAMES):
        left = 2 * number if kind == "pan" else 0
        behind = wide[:, left : left + W].copy()
        if kind == "slow light":
            behind *= 0.6 + 0.4 * number / FRAMES
        if kind == "switched light":
            behind *= 0.5 if number < SWITCH else 1.0
        top = H // 4
        start = W // 8 + (2 * number if kind == "moving object" else 0)
        place = np.s_[top : top + H // 2, start : start + W // 2]
        weights = np.zeros((H, W))
        weights[place] = inside
        cover = np.zeros((H, W, 3))
        cover[place] = front
        frame = behind * (1 - weights[..., None]) + cover * weights[..., None]
        frame += rng.normal(0, 0.012, frame.shape)
        yield (
            np.rint(255 * frame.clip(0, 1)).astype(np.uint8),
            np.rint(255 * weights).astype(np.uint8),
        )


def look(
    harmonizer: Harmonizer, clip: Iterator[tuple[Pixels, Pixels]]
) -> tuple[Raw, list[int]]:
    """Ask the network about each frame; also say which frames begin a scene."""
    watch = SceneWatch()
    raw: Raw = []
    for frame, mask in clip:
        is_new = watch.is_new(shrink(frame), shrink(mask))
        predicted = harmonizer.predict(photo.from_array(frame), photo.from_array(mask))
        has_curves = bool(predicted.stages)
        raw.append((to_heights(predicted.curves) if has_curves else None, is_new))
    return raw, [number for number, (_, is_new) in enumerate(raw) if is_new]


def smooth_file(raw: Raw, every: int = 3) -> list[Curves]:
    """As `imharmony video` does it."""
    scene, since = -1, every
    looks = []
    for number, (heights, is_new) in enumerate(raw):
        scene += is_new
        since = every if is_new else since
        is_asked = since >= every and heights is not None
        looks.append(Look(number / RATE, scene, heights if is_asked else None))
        since = 1 if is_asked else since + 1
    return list(smooth_looks(looks))


def smooth_stream(raw: Raw) -> list[Curves]:
    """As `Harmonizer.stream` does it."""
    mean = RunningMean()
    latest = to_heights(Curves.identity())
    smoothed = []
    for number, (heights, is_new) in enumerate(raw):
        if is_new:
            mean.forget()
        if heights is not None:
            latest = mean.add(heights, time_s=number / RATE)
        smoothed.append(from_heights(latest))
    return smoothed


def average_exponentially(raw: Raw) -> list[Curves]:
    """As Harmonizer's demo does with its arguments: 1 - 1 / rate, never begun anew."""
    latest: npt.NDArray[Any] | None = None
    smoothed = []
    for heights, _ in raw:
        if heights is not None:
            keep = 1 - 1 / RATE
            latest = heights if latest is None else keep * latest + (1 - keep) * heights
        smoothed.append(Curves.identity() if latest is None else from_heights(latest))
    return smoothed


def leave(raw: Raw) -> list[Curves]:
    """Each frame's own curves."""
    return [
        Curves.identity() if heights is None else from_heights(heights)
        for heights, _ in raw
    ]


def mid_grays(curves: list[Curves]) -> FloatArray:
    """Tell what a mid-gray pixel becomes, (frames, 3), in 8-bit steps."""
    return 255 * np.array([each(np.full(3, 0.5)) for each in curves])


WAYS: dict[str, Callable[[Raw], list[Curves]]] = {
    "each frame by itself": leave,
    "exponential average": average_exponentially,
    "`imharmony video`": smooth_file,
    "`Harmonizer.stream`": smooth_stream,
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--clips", type=int, default=20)
    pool = parser.parse_args()
    rng = np.random.default_rng(0)
    scenes = []
    for scene in read_scenes(pool.pool):
        share = (scene[1] > 127).mean()
        if 0.08 < share < 0.6:
            scenes.append(scene)
        if len(scenes) == 2 * pool.clips:
            break
    harmonizer = Harmonizer()
    steps: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    late: dict[str, list[float]] = {way: [] for way in WAYS}
    num_scenes = 0
    for number in range(pool.clips):
        kind = KINDS[number % len(KINDS)]
        (other, mask), (scene_photo, _) = scenes[2 * number], scenes[2 * number + 1]
        clip = make_clip(kind, scene_photo, other, mask, rng)
        raw, begins = look(harmonizer, clip)
        num_scenes += len(begins)
        for way, smooth in WAYS.items():
            grays = mid_grays(smooth(raw))
            change = np.abs(np.diff(grays, axis=0)).mean(axis=1)
            if kind == "switched light":
                whole = np.abs(grays[-1] - grays[SWITCH - 1]).mean()
                left = np.abs(grays[-1] - grays[SWITCH + 1]).mean()
                late[way].append(left / whole if whole > 1 else 0.0)
                change = np.delete(change, SWITCH - 1)
            steps[way].setdefault(kind, []).extend(change)
    print(f"{pool.clips} clips of {FRAMES} frames, {num_scenes} scenes found")
    print("| way | " + " | ".join(KINDS) + " | share under half a step | left over |")
    print("| --- |" + " --- |" * (len(KINDS) + 2))
    for way in WAYS:
        cells = [
            f"{np.mean(values):.2f} / {np.percentile(values, 99):.2f}"
            for values in (steps[way][kind] for kind in KINDS)
        ]
        calm = np.concatenate([steps[way]["still"], steps[way]["switched light"]])
        share = f"{100 * (calm < 0.5).mean():.1f} %"
        after = f"{100 * np.mean(late[way]):.0f} %"
        print(f"| {way} | " + " | ".join(cells) + f" | {share} | {after} |")


if __name__ == "__main__":
    main()
