"""Plots of curves: what is drawn, and which levels the histograms count."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from imharmony.curve_files import plots
from imharmony.curve_files.plots import BIN_LEVELS, Histograms, measure, plot_curves
from imharmony.curves import Curves
from imharmony.errors import ShapeError, UsageError
from imharmony.images import photo
from imharmony.images.masks import mask_from_array

Pixels = npt.NDArray[Any]
Array = npt.NDArray[np.float64]


def hand_made(*knots: tuple[float, float]) -> Curves:
    x, y = np.array(knots).T
    return Curves((x, x, x), (y, y, y))


BRIGHTER = hand_made((0, 0), (0.5, 0.8), (1, 1))
DARKER = hand_made((0, 0), (0.5, 0.3), (1, 1))


def counted(pixels: Pixels, mask: Pixels, **options: Any) -> Histograms:
    mask_image = mask_from_array(mask, size=pixels.shape[:2])
    return measure(photo.from_array(pixels), mask_image, **options)


def panels(figure: Figure) -> list[list[Axes]]:
    axes = figure.get_axes()
    return [axes[start : start + 3] for start in range(0, len(axes), 3)]


def curve_in(axes: Axes) -> Array:
    """The (x, y) points of the curve; the first line is the identity."""
    _, line = axes.get_lines()
    return np.array(line.get_xydata())


def bars_in(axes: Axes) -> dict[str, Array]:
    """The heights of the histograms by their names in the legend."""
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    return {str(patch.get_label()): np.array(patch.get_data()[0]) for patch in steps}


# Histograms


def test_soft_pixels_count_for_both_regions_in_part() -> None:
    pixels = np.array([[[10, 20, 30], [10, 21, 31]]], np.uint8)
    histograms = counted(pixels, np.array([[1.0, 0.2]]))
    inside, outside = histograms.foreground, histograms.background
    np.testing.assert_allclose(inside[0, 10], 1.2)
    np.testing.assert_allclose(inside[1, [20, 21]], [1, 0.2])
    np.testing.assert_allclose(outside[2, [30, 31]], [0, 0.8], atol=1e-12)
    np.testing.assert_allclose(inside.sum(axis=1) + outside.sum(axis=1), 2)


@pytest.mark.parametrize(
    ("dtype", "full"), [("uint8", 255), ("uint16", 65535), ("float32", 1)]
)
def test_levels_are_those_of_8_bit(dtype: str, full: float) -> None:
    pixels = (np.array([[[0, 0.4, 1]]]) * full).astype(dtype)
    histograms = counted(pixels, np.array([[True]]))
    assert histograms.foreground.argmax(axis=1).tolist() == [0, 102, 255]


def test_floats_beyond_white_are_white() -> None:
    histograms = counted(np.full((1, 1, 3), 3, np.float32), np.array([[True]]))
    assert histograms.foreground[:, 255].tolist() == [1, 1, 1]


def test_gray_counts_for_all_channels_and_alpha_for_none() -> None:
    histograms = counted(np.array([[[7, 200]]], np.uint8), np.array([[True]]))
    assert histograms.foreground[:, 7].tolist() == [1, 1, 1]
    assert histograms.foreground.sum() == 3


def test_levels_are_those_of_srgb() -> None:
    srgb = photo.from_array(np.full((1, 1, 3), (200, 80, 40), np.uint8))
    wide = srgb.icc_transform("p3", depth=16)
    mask = mask_from_array(np.array([[True]]), size=(1, 1))
    levels = measure(wide, mask).foreground.argmax(axis=1)
    assert np.abs(levels - [200, 80, 40]).max() <= 1


def test_other_background_counts_as_a_whole() -> None:
    other = photo.from_array(np.full((4, 5, 3), 99, np.uint8))
    histograms = counted(
        np.zeros((1, 2, 3), np.uint8), np.array([[True, False]]), reference=other
    )
    assert histograms.background[:, 99].tolist() == [20, 20, 20]
    assert histograms.foreground[:, 0].tolist() == [1, 1, 1]


def test_mask_of_another_size() -> None:
    mask = pyvips.Image.black(3, 2)
    with pytest.raises(ShapeError, match=r"size, 1x2 \(height x width\), got 2x3$"):
        measure(photo.from_array(np.zeros((1, 2, 3), np.uint8)), mask)


# Drawing


def test_each_channel_has_its_curve() -> None:
    x = np.array([0.0, 1.0])
    curves = Curves((x, x, x), (x, x * 0.5, x * 0.25))
    (row,) = panels(plots.draw(curves))
    assert [curve_in(axes)[-1].tolist() for axes in row] == [
        [1, 1],
        [1, 0.5],
        [1, 0.25],
    ]


def test_curve_is_drawn_as_it_is_rendered() -> None:
    (row,) = panels(plots.draw(hand_made((0, -1), (0.5, 0.5), (1, 2))))
    assert curve_in(row[0]).tolist() == [[0, 0], [0.5, 0.5], [1, 1]]


def test_stages_are_rows_above_what_is_rendered() -> None:
    both = BRIGHTER.then(DARKER)
    rows = panels(plots.draw(both, stages=[BRIGHTER, DARKER]))
    for row, curves in zip(rows, [BRIGHTER, DARKER, both], strict=True):
        np.testing.assert_array_equal(curve_in(row[0])[:, 1], curves.knots_y[0])
    names = [row[0].get_ylabel() for row in rows]
    assert names == ["stage 1: out", "stage 2: out", "rendered: out"]


def test_foreground_goes_from_one_stage_to_the_next() -> None:
    level = np.zeros((3, 256))
    level[:, 51] = 1  # 0.2; out of the first stage at 0.32, of the second at 0.192
    figure = plots.draw(
        BRIGHTER.then(DARKER),
        histograms=Histograms(level, level),
        stages=[BRIGHTER, DARKER],
    )
    found = [bars_in(row[0]) for row in panels(figure)]
    peaks = [
        (int(b["foreground in"].argmax()), int(b["foreground out"].argmax()))
        for b in found
    ]
    first, second = round(0.32 * 255) // BIN_LEVELS, round(0.192 * 255) // BIN_LEVELS
    start = 51 // BIN_LEVELS
    assert peaks == [(start, first), (first, second), (start, second)]
    assert {int(b["background"].argmax()) for b in found} == {start}


def test_empty_region_is_drawn_flat() -> None:
    nothing = np.zeros((3, 256))
    figure = plots.draw(BRIGHTER, histograms=Histograms(nothing, nothing))
    bars = bars_in(panels(figure)[0][0])
    assert [heights.max() for heights in bars.values()] == [0, 0, 0]


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".SVG", b"<?xml")])
def test_same_plot_is_the_same_bytes(suffix: str, head: bytes) -> None:
    once, again = (plots.encode(plots.draw(BRIGHTER), suffix) for _ in range(2))
    assert once.startswith(head)
    assert once == again


# From Python


def test_method_draws_both_regions() -> None:
    composite = np.full((2, 2, 3), 30, np.uint8)
    composite[0] = 200
    mask = np.array([[True, True], [False, False]])
    bars = bars_in(panels(plot_curves(BRIGHTER, composite, mask))[0][1])
    assert int(bars["foreground in"].argmax()) == 200 // BIN_LEVELS
    assert int(bars["background"].argmax()) == 30 // BIN_LEVELS


def test_method_draws_stages() -> None:
    assert len(panels(plot_curves(BRIGHTER, stages=[DARKER]))) == 2


def test_method_needs_both_pictures() -> None:
    with pytest.raises(UsageError, match="need both composite and mask, got one"):
        plot_curves(BRIGHTER, np.zeros((2, 2, 3), np.uint8))


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"^matplotlib is not installed; pip install 'imharmony\[plot\]'$"
    with pytest.raises(UsageError, match=message):
        plot_curves(BRIGHTER)
