"""Curves as a picture: one panel per channel, both regions' histograms behind.

The only module that needs matplotlib, the extra `plot`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.curves import CHANNELS, Curves
from imharmony.errors import ShapeError, UsageError
from imharmony.images import photo, profiles
from imharmony.images.masks import mask_from_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Histograms", "check_matplotlib", "draw", "encode", "measure", "plot_curves"]

FloatArray = npt.NDArray[np.floating[Any]]

COLORS = ("#c8321e", "#2e8540", "#2457c5")  # red, green and blue, of similar lightness
BACKGROUND, FOREGROUND = "#c4c4c4", "#e8a33d"
BIN_LEVELS = 4  # 8-bit levels in a bar
PANEL_SIZE = 2.6  # inches
DPI = 150


@dataclass(frozen=True)
class Histograms:
    """How often each of 256 levels occurs in the two regions; float, (3, 256)."""

    foreground: FloatArray
    background: FloatArray


def measure(
    image: pyvips.Image, mask: pyvips.Image, *, reference: pyvips.Image | None = None
) -> Histograms:
    """Count the levels of a photo's two regions, in sRGB at 8 bit.

    Parameters
    ----------
    image : pyvips.Image
        1 to 4 channels; gray counts for all three colors.
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size; soft pixels count in part for both.
    reference : pyvips.Image, optional
        Another photo, counted whole, instead of the background that the mask leaves.

    Raises
    ------
    ShapeError
        If photo and mask differ in size.

    Examples
    --------
    >>> image = photo.from_array(np.array([[10, 20]], dtype=np.uint8))
    >>> mask = mask_from_array(np.array([[1.0, 0.2]]), size=(1, 2))
    >>> histograms = measure(image, mask)
    >>> histograms.foreground[0, [10, 20]].round(2).tolist()
    [1.0, 0.2]
    """
    if (mask.height, mask.width) != (image.height, image.width):
        raise ShapeError(
            f"expected a mask of the photo's size, {image.height}x{image.width} "
            f"(height x width), got {mask.height}x{mask.width}"
        )
    foreground = _count(image, mask)
    if reference is None:
        return Histograms(foreground, _count(image, mask.invert()))
    everything = pyvips.Image.black(reference.width, reference.height).invert()
    return Histograms(foreground, _count(reference, everything))


def plot_curves(
    curves: Curves,
    composite: npt.NDArray[Any] | None = None,
    mask: npt.NDArray[Any] | None = None,
    *,
    stages: Sequence[Curves] = (),
) -> "Figure":
    """Draw the curves, one panel per channel; needs the extra `plot`.

    Parameters
    ----------
    curves : Curves
    composite, mask : ndarrays, optional
        As for calling a `Harmonizer`. With both, the histograms of the two regions
        are drawn behind the curves.
    stages : sequence of Curves
        One more row of panels each, such as `Result.stages`.

    Returns
    -------
    matplotlib.figure.Figure
        `savefig` writes it; a notebook shows it.

    Raises
    ------
    UsageError
        If matplotlib is not installed, or only one of composite and mask given.
    ImageError, ShapeError
        If an array is not as described.
    """
    if (composite is None) != (mask is None):
        raise UsageError("histograms need both composite and mask, got one of them")
    histograms = None
    if composite is not None and mask is not None:
        image = photo.from_array(composite, name="composite")
        mask_image = mask_from_array(mask, size=(image.height, image.width))
        histograms = measure(image, mask_image)
    return draw(curves, histograms=histograms, stages=stages)


def draw(
    curves: Curves,
    *,
    histograms: Histograms | None = None,
    stages: Sequence[Curves] = (),
) -> "Figure":
    """Draw curves, one panel per channel, over the identity.

    Parameters
    ----------
    curves : Curves
        What is rendered.
    histograms : Histograms, optional
        Drawn behind the curves, each to the same height: gray the background,
        filled the foreground as it goes in, outlined as it comes out.
    stages : sequence of Curves
        One row each above `curves`; figure 10 of [1]_. Their foreground goes from
        one to the next.

    Returns
    -------
    matplotlib.figure.Figure
        Belongs to no window; `savefig` writes it, a notebook shows it.

    Raises
    ------
    UsageError
        If matplotlib is not installed.

    References
    ----------
    .. [1] J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
       Rendering Network for Efficient and High-Resolution Image
       Harmonization", ECCV 2022, arXiv:2109.05750.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    rows = [(f"stage {number}", stage) for number, stage in enumerate(stages, start=1)]
    rows.append(("rendered" if stages else "curves", curves))
    width, height = 3 * PANEL_SIZE + 0.8, len(rows) * PANEL_SIZE + 0.9
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(len(rows), 3, sharex=True, sharey=True, squeeze=False)
    arriving = None if histograms is None else histograms.foreground
    for (name, row_curves), row in zip(rows, panels, strict=True):
        if histograms is not None and row_curves is curves:
            arriving = histograms.foreground
        leaving = None if arriving is None else _move_histogram(arriving, row_curves)
        for channel, axes in enumerate(row):
            if histograms is not None and arriving is not None and leaving is not None:
                _draw_histograms(
                    axes,
                    histograms.background[channel],
                    arriving[channel],
                    leaving[channel],
                )
            _draw_curve(axes, row_curves, channel)
        row[0].set_ylabel(f"{name}: out")
        arriving = leaving
    for color, axes in zip(CHANNELS, panels[-1], strict=True):
        axes.set_xlabel(f"{color}: in")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    return figure


def encode(figure: "Figure", suffix: str = ".png") -> bytes:
    """Encode a figure as a .png or .svg, the same bytes for the same figure."""
    from matplotlib import rc_context

    stored = io.BytesIO()
    if suffix.lower() == ".svg":
        with rc_context({"svg.hashsalt": "imharmony"}):
            figure.savefig(stored, format="svg", metadata={"Date": None})
    else:
        figure.savefig(stored, format="png", dpi=DPI)
    return stored.getvalue()


def check_matplotlib() -> None:
    """Raise a `UsageError` that says what to install if matplotlib is absent."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        msg = f"{name} is not installed; pip install 'imharmony[plot]'"
        raise UsageError(msg) from error


def _count(image: pyvips.Image, weights: pyvips.Image) -> FloatArray:
    """Sum 8-bit weights over the pixels of each level: (3, 256), 255 = one pixel."""
    color, _ = photo.split_alpha(photo.straighten(image))
    if not profiles.is_srgb(color):
        color = profiles.to_srgb(color)
    full = photo.FULL_SCALE[color.format]
    levels = (color * (255 / full)).rint().cast("uchar")  # clips floats
    rows = []
    for channel in range(3):
        band = levels.extract_band(min(channel, levels.bands - 1))
        sums = weights.hist_find_indexed(band, combine="sum").numpy().ravel()
        rows.append(np.pad(sums, (0, 256 - len(sums))))
    return np.array(rows, np.float64) / 255


def _move_histogram(histogram: FloatArray, curves: Curves) -> FloatArray:
    """Histogram of what comes out of curves that get this one."""
    table = curves.table(np.uint8)
    rows = zip(table, histogram, strict=True)
    return np.array([np.bincount(row, counts, 256) for row, counts in rows])


def _draw_histograms(
    axes: "Axes", background: FloatArray, arriving: FloatArray, leaving: FloatArray
) -> None:
    edges = np.arange(0, 257, BIN_LEVELS) / 256

    def bars(histogram: FloatArray) -> FloatArray:
        counts: FloatArray = histogram.reshape(-1, BIN_LEVELS).sum(axis=1)
        return 0.9 * counts / (counts.max() or 1.0)

    axes.stairs(
        bars(background), edges, fill=True, color=BACKGROUND, label="background"
    )
    axes.stairs(
        bars(arriving),
        edges,
        fill=True,
        color=FOREGROUND,
        alpha=0.6,
        label="foreground in",
    )
    axes.stairs(
        bars(leaving), edges, color=FOREGROUND, linewidth=1.2, label="foreground out"
    )


def _draw_curve(axes: "Axes", curves: Curves, channel: int) -> None:
    x, y = curves.knots_x[channel], curves.knots_y[channel]
    axes.plot([0, 1], [0, 1], color="#555555", linewidth=0.8, linestyle=":")
    axes.plot(x, np.clip(y, 0, 1), color=COLORS[channel], linewidth=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
