"""From changed pixels of a JPEG to steps that are added to its coefficients.

Only the rows and columns of units that hold a changed pixel are looked at. There, the
difference of the pixels goes through the arithmetic of an encoder, which is linear:
color to YCbCr, chroma averaged, blocks transformed, divided by the quantization tables.
Where no pixel differs, this gives zero.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imharmony.images.jpeg_file import Component, JpegFile
from imharmony.images.pixels import PixelArray

__all__ = ["BlockChange", "find_changes"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_GREATEST = 1023
"""T.81, F.1.2: the greatest coefficient that a file of 8-bit samples can hold."""
_BATCH = 64
"""Blocks that are transformed at once: 64 * 64 * 64 = 2**18 multiplications, the most
for which OpenBLAS starts no threads."""


@dataclass(frozen=True)
class BlockChange:
    """Change of a rectangle of a component's blocks."""

    component: int
    row: int
    column: int
    """Of the first block, from the component's top left."""
    steps: npt.NDArray[np.int16]
    """What to add, (rows, columns, 64)."""
    replaced: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
    """Rows and columns in the rectangle: blocks whose steps replace what was there."""

    def apply(self, coefficients: npt.NDArray[np.int16]) -> None:
        """Change a component's coefficients, (rows, columns, 64), in place."""
        num_rows, num_columns = coefficients.shape[:2]
        rows = slice(self.row, min(num_rows, self.row + len(self.steps)))
        columns = slice(
            self.column, min(num_columns, self.column + self.steps.shape[1])
        )
        changed = coefficients[rows, columns]
        steps = self.steps[: changed.shape[0], : changed.shape[1]]
        down, across = self.replaced
        is_inside = (down < changed.shape[0]) & (across < changed.shape[1])
        changed[down[is_inside], across[is_inside]] = 0
        changed += steps
        np.clip(changed, -_GREATEST, _GREATEST, out=changed)


def find_changes(
    file: JpegFile, old: PixelArray, new: PixelArray, first_row: int
) -> Iterator[BlockChange]:
    """Compute what changes between two strips of pixels make of the blocks.

    Parameters
    ----------
    file : JpegFile
    old, new : ndarray of uint8, shape (h, W, C)
        Whole rows of units; a unit is the pixels that one block of the coarsest
        component spans. Only the picture's last one may be cut off.
    first_row : int
        Row of units that the strips begin with.

    Yields
    ------
    BlockChange
        One per component, or none where nothing differs.
    """
    down, across = file.sampling
    height, width = 8 * down, 8 * across
    rectangle = _find_changed_units(old, new, (height, width))
    if rectangle is None:
        return
    top, bottom, left, right = rectangle
    box = np.s_[top * height : bottom * height, left * width : right * width]
    size = (bottom - top) * height, (right - left) * width
    old_planes, new_planes = (_split_planes(pixels[box], size) for pixels in (old, new))
    differences = [
        np.subtract(b, a, dtype=np.float32)
        for a, b in zip(old_planes, new_planes, strict=True)
    ]
    changed_planes = _to_components(file, differences)
    # What a file holds beyond black or white is cut off in its pixels: there, a block
    # is encoded anew, since the difference would be from the wrong place.
    is_cut = _is_cut(old_planes, new_planes)
    new_components: list[Floats] | None = None
    for i, component in enumerate(file.components):
        matrix = (_DCT / file.tables[component.table]).astype(np.float32)
        blocks = _blocks(file, component, changed_planes[i])
        steps = _transform(blocks, matrix)
        per_block = (
            height // component.down,
            width // component.across,
        )
        down_at, across_at = np.nonzero(_reduce_to_blocks(is_cut, per_block))
        replaced = down_at, across_at
        if len(replaced[0]):
            if new_components is None:
                new_components = _to_components(
                    file, [plane.astype(np.float32) for plane in new_planes]
                )
            plane = new_components[i]
            is_offset = file.is_rgb or i == 0  # chroma lies around 0 already
            if is_offset:
                plane = plane - np.float32(128)
            anew = _blocks(file, component, plane)[replaced]
            steps[replaced] = _transform(anew, matrix)
        yield BlockChange(
            i,
            (first_row + top) * component.down,
            left * component.across,
            steps,
            replaced,
        )


def _find_changed_units(
    old: PixelArray, new: PixelArray, size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Find the rectangle of changed units: top, bottom, left, right."""
    height, width = size
    differs = (old != new).reshape(len(old), -1)  # (h, W * C)
    starts = np.arange(0, len(old), height)
    by_row = np.logical_or.reduceat(differs, starts, axis=0)
    columns = np.flatnonzero(by_row.any(axis=0)) // old.shape[2]
    if not len(columns):
        return None
    rows = np.flatnonzero(by_row.any(axis=1))
    return (
        int(rows[0]),
        int(rows[-1]) + 1,
        int(columns[0]) // width,
        int(columns[-1]) // width + 1,
    )


def _split_planes(
    pixels: PixelArray, size: tuple[int, int]
) -> list[npt.NDArray[np.uint8]]:
    """Take channels apart; repeat the last row and column up to whole units."""
    height, width, C = pixels.shape
    pad = ((0, size[0] - height), (0, size[1] - width))
    planes = [np.ascontiguousarray(pixels[..., i]) for i in range(C)]
    if pad == ((0, 0), (0, 0)):
        return planes
    return [np.pad(plane, pad, mode="edge") for plane in planes]


def _to_components(file: JpegFile, planes: list[Floats]) -> list[Floats]:
    """Turn R, G, B to Y, Cb, Cr, without the offset of 128; ITU-T T.871 (JFIF), 7."""
    if file.is_rgb or len(planes) == 1:
        return planes
    red, green, blue = planes
    luma = red * np.float32(0.299)
    luma += green * np.float32(0.587)
    luma += blue * np.float32(0.114)
    blueness = blue - luma
    blueness *= np.float32(0.5 / (1 - 0.114))
    redness = red - luma
    redness *= np.float32(0.5 / (1 - 0.299))
    return [luma, blueness, redness]


def _is_cut(
    old: list[npt.NDArray[np.uint8]], new: list[npt.NDArray[np.uint8]]
) -> Bools:
    """Find pixels that were black or white in a channel that has changed."""
    has_changed = np.zeros(old[0].shape, bool)
    for before, after in zip(old, new, strict=True):
        # 255 + 1 is 0 in 8 bit.
        has_changed |= (np.add(before, 1, dtype=np.uint8) <= 1) & (before != after)
    return has_changed


def _reduce_to_blocks(mask: Bools, size: tuple[int, int]) -> Bools:
    """Reduce a mask to blocks of a size: whether any pixel is in it."""
    height, width = size
    parts = mask.reshape(-1, height, mask.shape[1] // width, width)
    is_any: Bools = np.logical_or.reduce(np.logical_or.reduce(parts, axis=1), axis=2)
    return is_any


def _blocks(file: JpegFile, component: Component, plane: Floats) -> Floats:
    """Average a plane to a component's resolution, and cut it in blocks of 64."""
    down = file.sampling[0] // component.down
    across = file.sampling[1] // component.across
    if (down, across) != (1, 1):
        parts = [plane[i::down, j::across] for i in range(down) for j in range(across)]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        total *= np.float32(1 / (down * across))
        plane = total
    height, width = plane.shape
    blocks = plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
    return blocks.reshape(height // 8, width // 8, 64)


def _transform(blocks: Floats, matrix: Floats) -> npt.NDArray[np.int16]:
    """Transform blocks, (..., 64), to rounded steps of the quantization table."""
    flat = blocks.reshape(-1, 64)
    steps = np.empty(flat.shape, np.int16)
    for start in range(0, len(flat), _BATCH):
        product = flat[start : start + _BATCH] @ matrix
        np.rint(product, out=product)
        steps[start : start + _BATCH] = product
    return steps.reshape(blocks.shape)


def _dct() -> Floats:
    """Make the matrix from a block's 64 samples to its frequencies; T.81, A.3.3."""
    frequency, sample = np.mgrid[:8, :8]
    basis = np.cos((2 * sample + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return np.kron(basis, basis).T.astype(np.float32)  # (samples, frequencies)


_DCT = _dct()
