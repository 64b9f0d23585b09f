"""`imharmony paste`: a cut-out placed and harmonized."""

from pathlib import Path

import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from tests.cli.commands import H, Inputs, Refused, Run, W, load, pixels


@pytest.mark.parametrize(
    ("at", "scale", "box"),
    [
        ("5,7", "100%", (7, 5, 10, 16)),
        ("50%,25%", "100%", (10, 30, 10, 16)),
        ("5px,25%", "200%", (10, 5, 20, 32)),
        ("5,7", "8", (7, 5, 5, 8)),
        ("-4,-2", "100%", (0, 0, 8, 12)),
    ],
)
def test_paste_places_the_cutout(
    at: str, scale: str, box: tuple[int, int, int, int], run: Run, inputs: Inputs
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png")
    finished = run(*args, "--at", at, "--scale", scale, "--mask", "placed.png")
    assert finished.code == 0
    top, left, height, width = box
    inside = np.zeros((H, W), bool)
    inside[top : top + height, left : left + width] = True
    mask = load(Path("placed.png"))[..., 0]
    assert not mask[~inside].any()
    assert (mask[inside] > 0).mean() > 0.5
    untouched = load(Path("out.png"))[mask == 0]
    np.testing.assert_array_equal(untouched, pixels()[mask == 0])


def test_paste_is_harmonizing_its_composite(
    run: Run, inputs: Inputs, harmonizer: Harmonizer
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png", "--at", "9,9")
    finished = run(*args, "--composite", "pasted.png", "--mask", "placed.png")
    assert (finished.code, finished.out) == (0, b"out.png\n")
    placed = load(Path("placed.png"))[..., 0]
    expected = harmonizer(load(Path("pasted.png")), placed).image
    np.testing.assert_array_equal(load(Path("out.png")), expected)


def test_cutout_without_alpha(inputs: Inputs, refused: Refused) -> None:
    message = refused(1, "paste", inputs.composite, inputs.composite, "-o", "out.png")
    assert message.startswith("expected a cut-out with an alpha channel")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", "60,0"), "expected a position that puts some of the cut-out"),
        (("--at", "7"), "expected a position X,Y, such as 120,80 or 30%,50%, got '7'"),
        (("--at", "left,top"), "expected a length in pixels"),
        (("--scale", "0"), "scale 0px: expected a cut-out from 1 pixel wide"),
        (("--scale", "big"), "expected a length in pixels"),
    ],
)
def test_place_that_does_not_exist(
    options: tuple[str, str], message: str, inputs: Inputs, refused: Refused
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png", *options)
    assert refused(2, *args).startswith(message)
