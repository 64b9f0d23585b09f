"""Pasting a cut-out on a background: the composite and its mask."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pyvips

from imharmony.errors import ImageError, UsageError
from imharmony.images import profiles
from imharmony.images.decoding import MAX_SIDE
from imharmony.images.photo import (
    FULL_SCALE,
    Box,
    PixelArray,
    from_array,
    split_alpha,
    straighten,
    stretch,
    to_array,
    to_rgb,
)

__all__ = ["Length", "Pasted", "parse_length", "parse_point", "paste", "side_by_side"]


@dataclass(frozen=True)
class Length:
    """A length in pixels, or in percent of something whose length is known later."""

    value: float
    is_percent: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise UsageError(f"expected a finite length, got {self.value}")

    def pixels(self, whole: int) -> float:
        """Return the length in pixels; `whole` is 100 percent."""
        return self.value * whole / 100 if self.is_percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' if self.is_percent else 'px'}"


def parse_length(text: str) -> Length:
    """Read a length as a person writes it.

    Parameters
    ----------
    text : str
        "120" or "120px" for pixels, "30%" for percent; may be negative and may have
        decimals.

    Raises
    ------
    UsageError
        If `text` is something else.

    Examples
    --------
    >>> parse_length("30%"), parse_length("-12.5px")
    (Length(value=30.0, is_percent=True), Length(value=-12.5, is_percent=False))
    """
    match = re.fullmatch(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)) *(px|%)?", text.strip())
    if match is None:
        raise UsageError(
            "expected a length in pixels, such as 120 or 120px, or in percent, such as "
            f"30%, got {text!r}"
        )
    return Length(float(match[1]), is_percent=match[2] == "%")


def parse_point(text: str) -> tuple[Length, Length]:
    """Read a position "X,Y" of two lengths.

    Raises
    ------
    UsageError
        If `text` is not two lengths with a comma between them.

    Examples
    --------
    >>> [str(length) for length in parse_point("120,30%")]
    ['120px', '30%']
    """
    parts = text.split(",")
    if len(parts) != 2:
        raise UsageError(
            f"expected a position X,Y, such as 120,80 or 30%,50%, got {text!r}"
        )
    return parse_length(parts[0]), parse_length(parts[1])


@dataclass(frozen=True)
class Pasted:
    """A composite and where its foreground is."""

    composite: pyvips.Image
    """The background with the cut-out on it."""
    mask: pyvips.Image
    """One channel of 8 bit, of the background's size: the cut-out's alpha."""


def paste(
    cutout: pyvips.Image,
    background: pyvips.Image,
    *,
    at: tuple[Length | float, Length | float],
    scale: Length = Length(100, is_percent=True),
) -> Pasted:
    """Put a cut-out on a background.

    Parameters
    ----------
    cutout : pyvips.Image
        Gray or RGB with straight alpha, 8 or 16 bit or float; sRGB-encoded or with a
        profile. Converted to the background's where the two differ.
    background : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float; sRGB-encoded or with a profile.
    at : (x, y)
        Where the cut-out's top left corner goes, from the background's. Numbers are
        pixels, percent is of the background's width and height. Rounded to whole
        pixels. What reaches outside the background is cut off.
    scale : Length
        Width of the cut-out in the result; percent of its own width. The aspect
        ratio is kept.

    Returns
    -------
    Pasted
        The composite has the background's size, depth and metadata and is
        bit-identical to it where the mask is 0. A gray background becomes RGB under
        a cut-out in color. Where the background is transparent, the composite
        becomes as opaque as the cut-out.

    Raises
    ------
    ImageError
        If the cut-out has no alpha channel.
    UsageError
        If the cut-out lies wholly outside the background, or `scale` makes it
        narrower than a pixel or larger than libvips can count.

    Warns
    -----
    HarmonizeWarning
        If the profile of a gray background is dropped because it does not fit RGB.

    Notes
    -----
    Scaling and blending use colors multiplied by alpha, the "over" operator of [1]_:
    colors hidden under alpha 0 do not bleed into the edge.

    References
    ----------
    .. [1] T. Porter, T. Duff, "Compositing Digital Images", SIGGRAPH 1984.

    Examples
    --------
    >>> white = from_array(np.full((4, 6, 4), 255, dtype=np.uint8))
    >>> black = from_array(np.zeros((8, 8, 3), dtype=np.uint8))
    >>> half = parse_length("50%")
    >>> pasted = paste(white, black, at=(half, half), scale=half)
    >>> to_array(pasted.mask)[4, :, 0].tolist()
    [0, 0, 0, 0, 255, 255, 255, 0]
    """
    if not cutout.hasalpha():
        raise ImageError(
            "expected a cut-out with an alpha channel, such as an RGBA PNG, got "
            f"{cutout.bands} channels without alpha"
        )
    cutout, background = straighten(cutout), straighten(background)
    if cutout.bands == 4:
        background = to_rgb(background)
    scaled = _scale(profiles.convert(cutout, background), scale)
    x, y = (a if isinstance(a, Length) else Length(a) for a in at)
    left = round(x.pixels(background.width))
    top = round(y.pixels(background.height))
    visible = _find_visible_box(scaled, background, left=left, top=top)
    place = replace(visible, top=top + visible.top, left=left + visible.left)
    color, alpha = np.split(to_array(visible.crop(scaled)), [-1], axis=-1)
    color /= np.maximum(alpha, 1)  # the cubic filter overshoots
    alpha = np.clip(alpha, 0, 1)
    mask = np.rint(alpha * 255).astype(np.uint8)  # (h, w, 1)
    under = to_array(place.crop(background))
    full = FULL_SCALE[background.format]
    over = _blend_over(
        color, alpha, under.astype(np.float32) / full, background.hasalpha()
    )
    if background.format != "float":
        over = np.rint(np.clip(over, 0, 1) * full)
    patch = np.where(mask > 0, over.astype(under.dtype), under)
    return Pasted(
        composite=background.insert(from_array(patch), place.left, place.top),
        mask=from_array(mask).embed(
            place.left, place.top, background.width, background.height
        ),
    )


def side_by_side(pictures: list[pyvips.Image]) -> pyvips.Image:
    """Join photos and masks from left to right, to compare them.

    Parameters
    ----------
    pictures : list of pyvips.Image
        At least one; 1 to 4 channels, 8 or 16 bit or float.

    Returns
    -------
    pyvips.Image
        RGB of 8 bit with the metadata of the first picture; alpha is dropped.

    Examples
    --------
    >>> photo = from_array(np.zeros((2, 3, 3), dtype=np.uint16))
    >>> to_array(side_by_side([photo, photo])).shape
    (2, 6, 3)
    """
    return pyvips.Image.arrayjoin(
        [_to_rgb_8_bit(picture) for picture in pictures], across=len(pictures)
    )


def _to_rgb_8_bit(picture: pyvips.Image) -> pyvips.Image:
    color, _ = split_alpha(to_rgb(picture))
    whole = (color * (255 / FULL_SCALE[color.format])).rint().cast("uchar")
    return whole.copy(interpretation="srgb")


def _blend_over(
    color: PixelArray, alpha: PixelArray, under: PixelArray, has_alpha: bool
) -> PixelArray:
    """Blend premultiplied color (h, w, 1 or 3) over straight pixels (h, w, C)."""
    if not has_alpha:
        opaque: PixelArray = color + (1 - alpha) * under
        return opaque
    below = (1 - alpha) * under[..., -1:]  # how much of the background is seen
    opacity = alpha + below
    mixed = color + below * under[..., :-1]
    # Where nothing is opaque there is no color; the caller keeps the background's.
    straight = mixed / np.where(opacity > 0, opacity, 1)
    return np.concatenate([straight, opacity], axis=-1)


def _scale(cutout: pyvips.Image, scale: Length) -> pyvips.Image:
    """Scale to premultiplied floats in [0, 1]; put off until a part is asked for."""
    width = round(scale.pixels(cutout.width))
    height = max(1, round(cutout.height * width / cutout.width))
    if not (1 <= width <= MAX_SIDE and height <= MAX_SIDE):
        raise UsageError(
            f"scale {scale}: expected a cut-out from 1 pixel wide to {MAX_SIDE} wide "
            f"and high, got {width} wide and {height} high; 50% halves it"
        )
    full = FULL_SCALE[cutout.format]
    premultiplied = cutout.premultiply(max_alpha=full) / full
    return stretch(premultiplied, (height, width), kernel="cubic")


def _find_visible_box(
    scaled: pyvips.Image, background: pyvips.Image, *, left: int, top: int
) -> Box:
    """Find the part of the cut-out that lies on the background, in its own pixels."""
    first_row, first_column = max(0, -top), max(0, -left)
    height = min(scaled.height, background.height - top) - first_row
    width = min(scaled.width, background.width - left) - first_column
    if height < 1 or width < 1:
        raise UsageError(
            f"expected a position that puts some of the cut-out ({scaled.width} wide, "
            f"{scaled.height} high) on the background ({background.width} wide, "
            f"{background.height} high), got x {left}, y {top}"
        )
    return Box(first_row, first_column, height, width)
