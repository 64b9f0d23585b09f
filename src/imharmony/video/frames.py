"""One frame, whether it comes from a clip or from a file of its own.

A clip's frame stays as the decoder gave it. Only the mask's box is converted to RGB,
recolored, and put back where the mask is not 0: what is beside it goes to the encoder
bit for bit.
"""

from dataclasses import dataclass, replace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pyvips
from av.video.reformatter import Interpolation

from imharmony.curves import Curves
from imharmony.errors import ImageError
from imharmony.images import photo
from imharmony.images.masks import mask_box
from imharmony.images.pixels import Box
from imharmony.rendering.render import render, render_into
from imharmony.scenes import SMALL, shrink

__all__ = ["ClipFrame", "Frame", "StillFrame", "from_pixels", "to_pixels"]

Pixels = npt.NDArray[Any]

_MARGIN = 4  # pixels around the box, so that chroma at its rim has its neighbors
_SWS = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_SHRINK = Interpolation.AREA
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU624", 6: "SMPTE170M", 7: "SMPTE240M"}
_MATRICES |= {9: "BT2020", 10: "BT2020"}
"""Names of the matrices of ITU-T H.273, as swscale knows them, by their number."""


@dataclass
class StillFrame:
    """A frame that was read from a file of its own."""

    image: pyvips.Image
    time_s: float

    def small(self) -> Pixels:
        """Make the small copy that scenes are told apart by."""
        return shrink(_to_three_channels(photo.to_array(self.image)))

    def as_photo(self) -> pyvips.Image:
        """Return the frame as a photo."""
        return self.image

    def recolor(self, mask: pyvips.Image, curves: Curves) -> "StillFrame":
        """Apply curves within the mask."""
        return replace(self, image=render(self.image, mask, curves))


@dataclass
class ClipFrame:
    """A frame as it was decoded."""

    native: av.VideoFrame
    time_s: float

    def small(self) -> Pixels:
        """Make the small copy that scenes are told apart by."""
        height, width = SMALL
        small = _reformat(self.native, "rgb24", width=width, height=height, how=_SHRINK)
        return small.to_ndarray().astype(np.float32)

    def as_photo(self) -> pyvips.Image:
        """Convert all of the frame to a photo."""
        return photo.from_array(to_pixels(self.native))

    def recolor(self, mask: pyvips.Image, curves: Curves) -> "ClipFrame":
        """Apply curves within the mask, in place."""
        box = mask_box(mask)
        if box is None or curves.is_identity:
            return self
        self.native.make_writable()
        weights = photo.to_array(mask)[..., 0]
        _recolor_planes(self.native, weights, _widen(box, self.native), curves)
        return self


Frame = StillFrame | ClipFrame


def to_pixels(native: av.VideoFrame) -> Pixels:
    """Convert a decoded frame to RGB or RGBA, of 8 or 16 bit or float.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (H, W, 3) or (H, W, 4)
        Full range: 0 is black and the largest value is white. Encoded as the clip is.
    """
    layout = native.format
    depth = max(part.bits for part in layout.components)
    has_alpha = _has_alpha(layout)
    if depth > 16:
        return native.to_ndarray(format="gbrapf32le" if has_alpha else "gbrpf32le")
    if depth > 8:
        name = "rgba64le" if has_alpha else "rgb48le"
    else:
        name = "rgba" if has_alpha else "rgb24"
    pixels: Pixels = _reformat(native, name).to_ndarray()
    return pixels


def from_pixels(pixels: Pixels, like: av.VideoFrame | None, name: str) -> av.VideoFrame:
    """Convert RGB or RGBA pixels to a frame of some pixel format.

    Parameters
    ----------
    pixels : ndarray
        As `to_pixels` gives them.
    like : av.VideoFrame or None
        A frame that says by which matrix and range; None takes BT.709, limited.
    name : str
        The pixel format, such as "yuv420p10le".
    """
    if pixels.dtype == np.float32:
        formats = {3: "gbrpf32le", 4: "gbrapf32le"}
    elif pixels.dtype == np.uint16:
        formats = {3: "rgb48le", 4: "rgba64le"}
    else:
        formats = {3: "rgb24", 4: "rgba"}
    wide = pixels if pixels.shape[-1] > 2 else _gray_to_rgb(pixels)
    channels = wide.shape[-1]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide), formats[channels])
    target = av.VideoFormat(name)
    if target.is_rgb:
        return frame.reformat(format=name)
    matrix = _choose_matrix(like) if like is not None else "ITU709"
    color_range = like.color_range if like is not None and like.color_range else 1
    converted = frame.reformat(
        format=name,
        dst_colorspace=matrix,
        dst_color_range=color_range,
        interpolation=_SWS,
    )
    return _tag_like(converted, like)


def _gray_to_rgb(pixels: Pixels) -> Pixels:
    color, alpha = np.split(pixels, [1], axis=-1)
    return np.concatenate([color, color, color, alpha], axis=-1)


def _has_alpha(layout: av.VideoFormat) -> bool:
    return any(part.is_alpha for part in layout.components)


def _to_three_channels(pixels: Pixels) -> Pixels:
    return pixels[..., :3] if pixels.shape[-1] > 2 else pixels[..., [0, 0, 0]]


def _choose_matrix(native: av.VideoFrame) -> str:
    """Name the matrix of a frame; one without a tag is taken as programs do."""
    known = _MATRICES.get(int(native.colorspace))
    if known is not None:
        return known
    return "ITU709" if native.height >= 720 else "SMPTE170M"


def _reformat(
    native: av.VideoFrame,
    name: str,
    *,
    width: int | None = None,
    height: int | None = None,
    how: Interpolation = _SWS,
) -> av.VideoFrame:
    """Convert to RGB of full range."""
    if native.format.is_rgb:
        return native.reformat(
            format=name, width=width, height=height, interpolation=how
        )
    return native.reformat(
        format=name,
        width=width,
        height=height,
        src_colorspace=_choose_matrix(native),
        src_color_range=native.color_range or 1,
        interpolation=how,
    )


def _tag_like(frame: av.VideoFrame, like: av.VideoFrame | None) -> av.VideoFrame:
    if like is not None:
        for field in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(frame, field, getattr(like, field))
    return frame


def _find_steps(layout: av.VideoFormat) -> tuple[int, int]:
    """Return rows and columns of pixels that share one chroma sample."""
    return 64 // layout.chroma_height(64), 64 // layout.chroma_width(64)


def _widen(box: Box, native: av.VideoFrame) -> Box:
    """Widen a box by a margin, to whole chroma samples, within the frame."""
    down, across = _find_steps(native.format)
    top = max(0, box.top - _MARGIN) // down * down
    left = max(0, box.left - _MARGIN) // across * across
    bottom = -(-min(native.height, box.top + box.height + _MARGIN) // down) * down
    right = -(-min(native.width, box.left + box.width + _MARGIN) // across) * across
    bottom, right = min(native.height, bottom), min(native.width, right)
    return Box(top, left, bottom - top, right - left)


def _recolor_planes(
    native: av.VideoFrame, mask: Pixels, box: Box, curves: Curves
) -> None:
    """Recolor one box of a decoded frame where the mask is not 0."""
    layout = native.format
    small = av.VideoFrame(box.width, box.height, layout.name)
    _tag_like(small, native)
    steps = _find_steps(layout)
    weights = np.ascontiguousarray(box.view(mask))
    is_inside = {False: weights > 0, True: _take_largest(weights, steps) > 0}
    planes = zip(native.planes, small.planes, strict=True)
    places = []
    for number, (outer, inner) in enumerate(planes):
        is_chroma = _is_chroma(layout, number)
        down, across = steps if is_chroma else (1, 1)
        part = Box(
            box.top // down,
            box.left // across,
            -(-box.height // down),
            -(-box.width // across),
        )
        place = part.view(_view_plane(outer, layout, number))
        _view_plane(inner, layout, number)[: part.height, : part.width] = place
        places.append((place, is_inside[is_chroma]))
    pixels = to_pixels(small)
    whole = Box(0, 0, box.height, box.width)
    image = photo.from_array(pixels)
    recolored = pixels.copy()
    render_into(recolored, image, photo.from_array(weights), curves, box=whole)
    back = from_pixels(recolored, native, layout.name)
    for number, (place, where) in enumerate(places):
        if _is_alpha(layout, number):
            continue
        new = _view_plane(back.planes[number], layout, number)
        new = new[: place.shape[0], : place.shape[1]]
        if place.ndim == 3:
            where = where[..., None]
        np.copyto(place, new, where=where)


def _is_alpha(layout: av.VideoFormat, number: int) -> bool:
    parts = [part for part in layout.components if part.plane == number]
    return all(part.is_alpha for part in parts)


def _is_chroma(layout: av.VideoFormat, number: int) -> bool:
    return any(part.plane == number and part.is_chroma for part in layout.components)


def _view_plane(plane: Any, layout: av.VideoFormat, number: int) -> Pixels:
    """Look at a plane as numbers: (rows, columns), or (rows, columns, parts)."""
    parts = [part for part in layout.components if part.plane == number]
    wide = max(part.bits for part in parts) > 8
    dtype = np.dtype("<u2" if wide else "u1")
    count = len(parts)
    if count > 2:  # all in one plane, maybe with a part that is not used
        count = layout.padded_bits_per_pixel // (8 * dtype.itemsize)
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    rows = rows[: plane.height, : plane.width * count]
    if count == 1:
        return rows
    return rows.reshape(len(rows), plane.width, count)


def _take_largest(weights: Pixels, steps: tuple[int, int]) -> Pixels:
    """Take the largest weight of the pixels that share a chroma sample."""
    down, across = steps
    pad = -weights.shape[0] % down, -weights.shape[1] % across
    if any(pad):
        weights = np.pad(weights, ((0, pad[0]), (0, pad[1])))
    for axis, step in enumerate((down, across)):
        parts = [
            weights[i::step] if axis == 0 else weights[:, i::step] for i in range(step)
        ]
        for other in parts[1:]:
            parts[0] = np.maximum(parts[0], other)
        weights = parts[0]
    return weights


def check_pixel_format(name: str) -> None:
    """Refuse a pixel format whose planes cannot be worked on."""
    layout = av.VideoFormat(name)
    depths = {part.bits for part in layout.components}
    is_plain = not layout.has_palette and not layout.is_bit_stream
    if not is_plain or layout.is_big_endian or max(depths) not in range(8, 17):
        msg = f"pixel format {name}: expected planes of 8 to 16 bit; convert it first"
        raise ImageError(msg)
