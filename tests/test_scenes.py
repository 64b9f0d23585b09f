"""What counts as a new scene."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony.scenes import SceneWatch, shrink
from tests.video.clips import disc, paste, scene

Pixels = npt.NDArray[Any]
NOISE = np.random.default_rng(0)


def find_cuts(
    frames: Iterable[Pixels], masks: Iterable[Pixels] | None = None
) -> list[int]:
    watch = SceneWatch()
    every = masks or [disc()] * 1000
    return [
        number
        for number, (frame, mask) in enumerate(zip(frames, every, strict=False))
        if watch.is_new(shrink(frame), shrink(mask))
    ]


def noisy(pixels: Pixels) -> Pixels:
    return (pixels + NOISE.normal(0, 0.02, pixels.shape)).clip(0, 1)


def test_still_scene_with_noise_is_one() -> None:
    assert find_cuts(noisy(paste(scene(), disc())) for _ in range(40)) == [0]


def test_cut_is_a_new_scene() -> None:
    frames = [paste(scene(0 if i < 10 else 3), disc()) for i in range(20)]
    assert find_cuts(map(noisy, frames)) == [0, 10]


def test_switched_light_is_a_new_scene() -> None:
    frames = [paste(scene(light=0.5 if i < 10 else 0.8), disc()) for i in range(20)]
    assert find_cuts(map(noisy, frames)) == [0, 10]


def test_pan_and_slow_light_are_none() -> None:
    pan = [paste(scene(pan=3 * i), disc()) for i in range(40)]
    assert find_cuts(map(noisy, pan)) == [0]
    dusk = [paste(scene(light=1 - i / 80), disc()) for i in range(40)]
    assert find_cuts(map(noisy, dusk)) == [0]


def test_object_that_moves_is_none() -> None:
    masks = [disc(20 + 1.5 * i) for i in range(40)]
    assert find_cuts((paste(scene(), mask) for mask in masks), masks) == [0]


def test_another_object_is_a_new_scene() -> None:
    frames = [paste(scene(), disc(), gray=0.35 if i < 10 else 0.75) for i in range(20)]
    assert find_cuts(frames) == [0, 10]


def test_cut_to_the_same_colors_is_found_by_the_shapes() -> None:
    frames = [scene()] * 5 + [scene()[:, ::-1]] * 5
    assert find_cuts(frames, [np.zeros((64, 96))] * 10) == [0, 5]


@pytest.mark.parametrize("size", [(1, 1), (36, 64), (37, 2000)])
def test_small_copies_of_any_size(size: tuple[int, int]) -> None:
    assert shrink(np.full((*size, 3), 200, np.uint8)).tolist()[0][0] == [200.0] * 3
