"""A pair's pixels: composite, real photo and mask, read from their files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.errors import ImageError
from imharmony.images import files, mask_files, photo

__all__ = ["MaskArray", "Scene", "UInt8Array", "load_picture", "load_scene"]

UInt8Array = npt.NDArray[np.uint8]
MaskArray = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A pair's pixels, as stored or as a protocol sees them."""

    composite: UInt8Array
    """(H, W, 3), RGB, sRGB-encoded."""
    real: UInt8Array
    """(H, W, 3), likewise."""
    mask: MaskArray
    """(H, W), 0 background, 255 foreground; floats only where a protocol's resampling
    does not round."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.composite.shape[0], self.composite.shape[1])


def load_scene(pair: PairFiles) -> Scene:
    """Read a pair's three pictures as they are stored.

    Raises
    ------
    ImageError
        If a picture cannot be read, is not of 8 bit, or composite and real photo
        differ in size.
    ShapeError
        If the mask differs in size.
    """
    composite, real = load_picture(pair.composite), load_picture(pair.real)
    if composite.shape != real.shape:
        msg = (
            f"{pair.composite}: is {composite.shape[0]}x{composite.shape[1]}, its "
            f"real photo {real.shape[0]}x{real.shape[1]} (height x width)"
        )
        raise ImageError(msg)
    size = (composite.shape[0], composite.shape[1])
    mask = photo.to_array(mask_files.read_mask(pair.mask, size=size))[..., 0]
    return Scene(composite, real, mask)


def load_picture(path: Path) -> UInt8Array:
    """Read an 8-bit picture as RGB (H, W, 3), without its alpha channel."""
    pixels = photo.to_array(photo.split_alpha(files.read_photo(path))[0])
    if pixels.dtype != np.uint8:
        msg = f"{path}: expected 8 bit, got {pixels.dtype}"
        raise ImageError(msg)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
