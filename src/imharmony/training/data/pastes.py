"""Edges as cut-and-paste makes them, and edges of edited regions made the same way.

For telling a paste from a region of the same scene no true colors are needed. An object
is cut out of its photograph and laid on another, or on its own under other colors; in
both cases the edge is antialiased or feathered, the result may be resized and stored as
JPEG, and the mask that is given is a little wider or narrower than what was cut; or the
mask that is given is the one it was cut by, and the edge is hard or softened by one
pixel. Without that, a network tells them apart by the blur of the edge, which real
pastes have too.
"""

import numpy as np
import pyvips
import torch
from torch.nn import functional as F

from imharmony.training.data.looks import FloatArray, UInt8Array, base_table
from imharmony.training.data.pairs import SeamSamples, mask_limits, resize
from imharmony.training.data.seam import sample_seam

__all__ = ["draw_edge", "paste"]

_MARGIN = 12  # pixels around the object
_MAX_SIDE = 224  # pixels of what is cut out: the edge of a part will do
_LARGEST_ZOOM = 4.0
_EXACT = 0.4  # share of edges cut by the very mask that is given


def draw_edge(
    rng: np.random.Generator,
    photo: UInt8Array,
    mask: UInt8Array,
    other: UInt8Array | None,
    num_pairs: int,
) -> SeamSamples:
    """Cut an object out, lay it down, and look at the seam.

    Parameters
    ----------
    rng : numpy.random.Generator
    photo, mask : ndarray of uint8, shape (H, W, 3) and (H, W)
    other : ndarray of uint8, shape (H, W, 3), or None
        The photograph it is laid on; None for its own.
    num_pairs : int
    """
    # A large photograph's edge is wide in pixels; training photographs are small.
    zoom = float(_LARGEST_ZOOM ** rng.random())
    rows, columns = (
        _part(rng, side, length, zoom)
        for side, length in zip(mask_limits(mask), mask.shape, strict=True)
    )
    own, cut = photo[rows, columns], mask[rows, columns]
    ground = own if other is None else _somewhere(rng, other, cut.shape)
    size = (round(cut.shape[0] * zoom), round(cut.shape[1] * zoom))
    layers = resize(np.dstack([own, ground, cut]), size)  # (7, h, w)
    inside, around = (
        _recolor(rng, layers[part]) for part in (slice(0, 3), slice(3, 6))
    )
    cover = torch.from_numpy(layers[6:]).float()[None] / 255  # (1, 1, h, w)
    is_exact = rng.random() < _EXACT
    if is_exact:
        given_mask = (cover > 0.5).float()[0].numpy()
        edge = _blur(cover) if rng.random() < 0.5 else given_mask
    else:
        edge = _feather(rng, cover, zoom)
        # The mask that comes with a paste is not quite the one it was pasted with.
        given_mask = _feather(rng, cover, zoom, is_hard=True)
    mixed = around + edge * (inside - around)
    shorter = min(mask.shape) * zoom
    if not is_exact and rng.random() < 0.5:
        shrink = float(rng.uniform(0.6, 1.0))
        size = (max(8, round(size[0] * shrink)), max(8, round(size[1] * shrink)))
        both = np.concatenate([np.rint(255 * mixed), np.rint(255 * given_mask)])
        both = resize(both.clip(0, 255).astype(np.uint8).transpose(1, 2, 0), size)
        pixels, given_u8 = both[:3], both[3]
        shorter *= shrink
    else:
        pixels = np.rint(255 * mixed).clip(0, 255).astype(np.uint8)
        given_u8 = np.rint(255 * given_mask[0]).astype(np.uint8)
    pixels = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if rng.random() < 0.7:
        pixels = _as_jpeg(pixels, int(rng.integers(72, 98)))
    return sample_seam(
        pixels, np.ascontiguousarray(given_u8), num_pairs, shorter=round(shorter)
    )


def paste(
    rng: np.random.Generator, photo: UInt8Array, mask: UInt8Array, other: UInt8Array
) -> UInt8Array:
    """Lay an object on a part of another photograph, where it was in its own.

    Parameters
    ----------
    rng : numpy.random.Generator
    photo, mask : ndarray of uint8, shape (H, W, 3) and (H, W)
    other : ndarray of uint8, shape (H', W', 3)

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        The edge is as wide as the mask says; half of the edges are feathered besides.
    """
    ground = _somewhere(rng, other, mask.shape)
    cover = mask.astype(np.float32) / 255
    if rng.random() < 0.5:
        cover = _blur(torch.from_numpy(cover)[None, None])[0]
    mixed = ground + cover[..., None] * (photo.astype(np.float32) - ground)
    return np.rint(mixed).clip(0, 255).astype(np.uint8)


def _part(rng: np.random.Generator, side: slice, length: int, zoom: float) -> slice:
    """Choose what is cut out of one axis: the object and a margin, not too much."""
    start, stop = max(0, side.start - _MARGIN), min(length, side.stop + _MARGIN)
    longest = int(_MAX_SIDE / zoom)
    if stop - start > longest:
        start += int(rng.integers(stop - start - longest + 1))
        stop = start + longest
    return slice(start, stop)


def _somewhere(
    rng: np.random.Generator, photo: UInt8Array, shape: tuple[int, ...]
) -> UInt8Array:
    """Take a part of a photograph of some shape, enlarged if that is too small."""
    scale = max(1.0, *(n / m for n, m in zip(shape, photo.shape[:2], strict=True)))
    places = []
    for length, full in zip(shape, photo.shape[:2], strict=True):
        taken = min(full, int(np.ceil(length / scale)))
        start = int(rng.integers(full - taken + 1))
        places.append(start + np.arange(length) * taken // length)
    part: UInt8Array = photo[places[0][:, None], places[1]]
    return part[:, ::-1] if rng.random() < 0.5 else part


def _recolor(rng: np.random.Generator, levels: UInt8Array) -> FloatArray:
    """Put curves of some strength on a picture (3, h, w); floats of [0, 1]."""
    table = base_table(rng, 2.5) if rng.random() < 0.7 else None
    if table is None:
        return levels / np.float32(255)
    rows = (np.rint(255 * table) / 255).astype(np.float32)
    return np.stack([row[x] for row, x in zip(rows, levels, strict=True)])


def _feather(
    rng: np.random.Generator, cover: torch.Tensor, zoom: float, *, is_hard: bool = False
) -> FloatArray:
    """Widen or narrow a mask (1, 1, h, w) by some pixels, and soften its edge.

    Returns
    -------
    ndarray of float32, shape (1, h, w)
    """
    radius = 2 if zoom < 1.5 else 3
    width = 2 * radius + 1
    blurred = F.avg_pool2d(
        cover, width, stride=1, padding=radius, count_include_pad=False
    )
    # Across a straight edge the mean falls from 1 to 0 over `width` pixels.
    offset = float(rng.normal(0.0, 0.5 if not is_hard else 1.2)) / width
    offset = min(max(offset, -0.4), 0.4)
    softness = 1.0 if is_hard else float(rng.choice([1.0, 1.0, 2.0, 3.0]))
    sharp = (blurred - 0.5 + offset) * width / softness + 0.5
    return sharp.clamp(0, 1)[0].numpy()


def _blur(cover: torch.Tensor) -> FloatArray:
    """Soften a mask (1, 1, h, w) by a pixel: (1, h, w)."""
    blurred = F.avg_pool2d(cover, 3, 1, 1, count_include_pad=False)
    return blurred[0].numpy()


def _as_jpeg(pixels: UInt8Array, quality: int) -> UInt8Array:
    """Store (H, W, 3) as JPEG with halved chroma and read it again."""
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    data = image.jpegsave_buffer(Q=quality, subsample_mode="on")
    decoded: UInt8Array = pyvips.Image.new_from_buffer(data, "").numpy()
    return decoded
