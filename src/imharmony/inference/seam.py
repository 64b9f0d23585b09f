"""The seam: pairs of pixels that face each other across the mask's edge.

If the foreground comes from the same scene, both sides of the edge show the same
materials in the same light. Two facing pixels are then the color before and after the
curve that the network is to find. They are read at the photo's own size.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.images import profiles
from imharmony.images.photo import (
    FULL_SCALE,
    is_premultiplied,
    split_alpha,
    straighten,
)
from imharmony.images.pixels import (
    Box,
    PixelArray,
    cut_strips,
    get_pixels,
    is_streamed,
    to_array,
)
from imharmony.inference.crossings import (
    BACKGROUND,
    GAPS,
    MIN_PAIRS,
    NUM_PAIRS,
    Crossings,
    Window,
)

__all__ = ["Seam", "sample_seam"]

FloatArray = npt.NDArray[np.float32]

_BLOCK = 256
"""Height and width, in pixels, of the blocks in which a streamed photo is read."""


@dataclass(frozen=True)
class Seam:
    """Facing pixels of G gaps and N crossings; N is the same for all photos."""

    colors: FloatArray
    """(G, N, 6): red, green, blue of the foreground's pixel and of the background's,
    sRGB-encoded, [0, 1]; 0 where there is no pair."""
    weight: FloatArray
    """(G, N): 1 where there is a pair, else 0."""
    place: FloatArray
    """(N, 2): where the crossing lies, as shares of the photo's height and width."""

    @classmethod
    def none(cls, num_pairs: int = NUM_PAIRS) -> "Seam":
        """Return the seam that stands for none: all zeros."""
        colors = np.zeros((GAPS, num_pairs, 6), np.float32)
        weight = np.zeros((GAPS, num_pairs), np.float32)
        return cls(colors, weight, np.zeros((num_pairs, 2), np.float32))

    @cached_property
    def num_pairs(self) -> int:
        """Number of crossings; 0 where there is no seam."""
        return int(self.weight[0].sum())

    def displaced(self) -> "Seam":
        """Pair each inner pixel with the outer pixel of a crossing half the edge away.

        Such a seam says nothing, like that of a paste. Evaluation uses it.
        """
        half = max(1, self.num_pairs // 2)
        pairs = slice(0, self.num_pairs)
        colors, weight = self.colors.copy(), self.weight.copy()
        colors[:, pairs, 3:] = np.roll(self.colors[:, pairs, 3:], half, axis=1)
        weight[:, pairs] *= np.roll(self.weight[:, pairs], half, axis=1)
        colors[weight == 0] = 0
        return Seam(colors, weight, self.place)


def sample_seam(
    image: pyvips.Image,
    mask: pyvips.Image,
    box: Box,
    *,
    num_pairs: int = NUM_PAIRS,
    covered: pyvips.Image | None = None,
) -> Seam:
    """Sample the seam of a photo at its own size.

    Parameters
    ----------
    image : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float, sRGB-encoded or with a profile. Alpha is
        dropped, gray becomes RGB, floats are clipped to [0, 1].
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size.
    box : Box
        The box of the mask, as of `masks.mask_box`.
    num_pairs : int
        N of the result. Of more crossings, so many are evenly chosen.
    covered : pyvips.Image or None
        Mask of all objects of the photo. Crossings whose outer pixel lies on another
        object are left out, since they say nothing of the scene.

    Returns
    -------
    Seam
        `Seam.none` where fewer than `MIN_PAIRS` rows and columns cross the edge.

    Notes
    -----
    Of a streamed photo, only the blocks around the chosen pixels are read.

    Examples
    --------
    >>> from imharmony.images.photo import from_array
    >>> pixels = np.full((64, 64, 3), 51, np.uint8)
    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[16:48, 16:48], pixels[16:48, 16:48] = 255, 102
    >>> seam = sample_seam(from_array(pixels), from_array(mask), Box(16, 16, 32, 32))
    >>> seam.num_pairs, (255 * seam.colors[0, 0]).round().tolist()
    (128, [102.0, 102.0, 102.0, 51.0, 51.0, 51.0])
    """
    seam = Seam.none(num_pairs)
    crossings = _find(mask, box)
    if covered is not None:
        levels = _read_raw(covered, crossings.outer[0])[:, 0]
        crossings = crossings.keep(levels <= BACKGROUND)
    crossings = crossings.spread(num_pairs)
    M = len(crossings)
    if M < MIN_PAIRS:
        return seam
    pixels = np.stack([crossings.inner, crossings.outer], axis=2)  # (G, M, 2, 2)
    pixels = pixels[crossings.is_valid]  # (P, 2, 2): both sides' row and column
    colors = _read(image, pixels.reshape(-1, 2)).reshape(len(pixels), 6)
    seam.colors[:, :M][crossings.is_valid] = colors
    seam.weight[:, :M] = crossings.is_valid
    seam.place[:M] = (crossings.inner[0] + 0.5) / (image.height, image.width)
    return seam


def _find(mask: pyvips.Image, box: Box) -> Crossings:
    """Find all crossings; of a streamed mask only the searched lines are kept."""
    corners = (box.top, box.left, box.height, box.width)
    window = Window.around(corners, (mask.height, mask.width))
    region = Box(window.top, window.left, window.height, window.width)
    strips = cut_strips(mask, region) if is_streamed(mask) else [region]
    rows = np.empty((len(window.rows), window.width), np.uint8)
    columns = np.empty((len(window.columns), window.height), np.uint8)
    for strip in strips:
        levels = get_pixels(mask, strip)[..., 0]
        down = window.rows - strip.top
        is_here = (down >= 0) & (down < strip.height)
        rows[is_here] = levels[down[is_here]]
        some = slice(strip.top - window.top, strip.top - window.top + strip.height)
        columns[:, some] = levels[:, window.columns - window.left].T
    return window.search(rows, columns)


def _read(image: pyvips.Image, places: npt.NDArray[np.intp]) -> FloatArray:
    """Read pixels (P, 2) as sRGB, (P, 3) of [0, 1]."""
    values = _read_raw(image, places)
    if profiles.is_srgb(image) and not is_premultiplied(image):
        colors = values[:, : image.bands - image.hasalpha()].astype(np.float32)
        colors /= np.float32(FULL_SCALE[image.format])
    else:
        colors = _convert(image, values)
    return np.broadcast_to(colors.clip(0, 1), (len(places), 3))


def _read_raw(image: pyvips.Image, places: npt.NDArray[np.intp]) -> PixelArray:
    """Read pixels (P, 2) as they are, (P, C)."""
    if not len(places):
        return np.zeros((0, image.bands), np.uint8)
    if is_streamed(image):
        return _read_blocks(image, places)
    low, high = places.min(axis=0), places.max(axis=0)
    box = Box(*(int(n) for n in (*low, *(high - low + 1))))
    part = get_pixels(image, box)
    values: PixelArray = part[tuple((places - low).T)]
    return values


def _read_blocks(image: pyvips.Image, places: npt.NDArray[np.intp]) -> PixelArray:
    """Read pixels block by block; of each block only the part that holds them."""
    columns_of_blocks = image.width // _BLOCK + 1
    block = places[:, 0] // _BLOCK * columns_of_blocks + places[:, 1] // _BLOCK
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    values: PixelArray | None = None
    for some in np.split(order, starts[1:]):
        low, high = places[some].min(axis=0), places[some].max(axis=0)
        box = Box(*(int(n) for n in (*low, *(high - low + 1))))
        part = get_pixels(image, box)
        if values is None:
            values = np.empty((len(places), part.shape[2]), part.dtype)
        values[some] = part[tuple((places[some] - low).T)]
    assert values is not None  # noqa: S101  # there are places
    return values


def _convert(image: pyvips.Image, values: PixelArray) -> FloatArray:
    """Convert some of a photo's pixels to sRGB, with alpha divided out."""
    line = pyvips.Image.new_from_memory(
        np.ascontiguousarray(values).data, len(values), 1, image.bands, image.format
    )
    # The pixels get the photo's header, which holds the profile and says what alpha is.
    header = image.crop(0, 0, 1, 1).copy()
    line = header.embed(0, 0, len(values), 1).draw_image(line, 0, 0)
    color, _ = split_alpha(straighten(line))
    if color.format == "float":
        color = color.clamp()
    if not profiles.is_srgb(color):
        color = profiles.to_srgb(color)
    colors: FloatArray = to_array(color)[0].astype(np.float32)
    return colors / np.float32(FULL_SCALE[color.format])
