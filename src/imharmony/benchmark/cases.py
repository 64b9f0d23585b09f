"""The cases that are measured: synthetic composites by size, depth and mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError

__all__ = [
    "BOXES",
    "DEPTHS",
    "MASKS",
    "SIZES",
    "Case",
    "list_cases",
    "make_inputs",
    "write_inputs",
]

SIZES = (256, 512, 1024, 2048, 4096, 8192)
DEPTHS = (8, 16)
BOXES = (5, 25, 100)
MASKS = ("soft", "hard")
SUFFIXES = {8: ".jpg", 16: ".tif"}
"""Of files: what photos of these depths are usually kept in."""

_RIM = 0.02  # of a soft ellipse's radius, over which its mask falls to 0
_ROWS = 256  # made at once, so that making inputs takes little memory


@dataclass(frozen=True)
class Case:
    """One kind of composite, square."""

    size: int
    """Height and width in pixels."""
    depth: int
    """Bits per channel, 8 or 16."""
    box_percent: float
    """Area of the mask's box, of the frame."""
    mask: str
    """"soft", an ellipse that fades at its rim, or "hard", the same of 0 and 255."""

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Of the composite."""
        return np.dtype(f"uint{self.depth}")


def list_cases(
    sizes: Sequence[int],
    depths: Sequence[int],
    boxes: Sequence[float],
    masks: Sequence[str],
) -> list[Case]:
    """Combine everything with everything, small ones first.

    Raises
    ------
    UsageError
        If a size is below 16, a depth not 8 or 16, a box not above 0 and up to 100, or
        a mask unknown.

    Examples
    --------
    >>> [case.size for case in list_cases([512, 256], [8], [25], ["soft"])]
    [256, 512]
    """
    checks = (
        ("sizes", sizes, lambda n: n >= 16, "16 or more"),
        ("depths", depths, lambda n: n in DEPTHS, "8 and 16"),
        ("boxes", boxes, lambda n: 0 < n <= 100, "percents above 0, up to 100"),
        ("masks", masks, lambda name: name in MASKS, "soft and hard"),
    )
    for name, values, is_known, known in checks:
        wrong = [value for value in values if not is_known(value)]
        if wrong or not values:
            raise UsageError(f"{name} are {known}, got {wrong or 'none'}")
    return [Case(*fields) for fields in product(sorted(sizes), depths, boxes, masks)]


def make_inputs(
    case: Case,
) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.uint8]]:
    """Make a composite of noisy waves with a bluish dark ellipse, and its mask.

    Returns
    -------
    composite : ndarray of uint8 or uint16, shape (H, W, 3)
    mask : ndarray of uint8, shape (H, W)
        An ellipse in the middle, or where that is the box, up to the rim.

    Examples
    --------
    >>> composite, mask = make_inputs(Case(64, 8, 25, "hard"))
    >>> composite.shape, int(mask.any(axis=0).sum()), int(mask.any(axis=1).sum())
    ((64, 64, 3), 32, 32)
    """
    rng = np.random.default_rng(0)
    n = case.size
    composite = np.empty((n, n, 3), case.dtype)
    mask = np.empty((n, n), np.uint8)
    radius = (case.box_percent / 100) ** 0.5 * n / 2  # pixels
    at = np.arange(n, dtype=np.float32) + np.float32(0.5)
    tint = np.array([0.35, 0.4, 0.6], np.float32)
    for top in range(0, n, _ROWS):
        y, x = at[top : top + _ROWS, None], at[None, :]
        inside = 1 - np.hypot(y - n / 2, x - n / 2) / radius
        soft = (inside / _RIM).clip(0, 1) if case.mask == "soft" else inside > 0
        mask[top : top + _ROWS] = np.ceil(soft * np.float32(255))
        waves = [np.sin(3 * x / n + (4 + c) * y / n + c) for c in range(3)]
        values = 0.6 + 0.3 * np.stack(waves, axis=-1)
        values += rng.normal(0, 0.02, values.shape).astype(np.float32)
        values *= 1 - soft[..., None] * (1 - tint)
        full = np.iinfo(case.dtype).max
        composite[top : top + _ROWS] = values.clip(0, 1) * full
    return composite, mask


def write_inputs(case: Case, folder: Path) -> tuple[Path, Path, Path]:
    """Write a composite and its mask to files, and name a third for the result.

    JPEG at quality 95 for 8 bit, TIFF with lossless compression for 16 bit; the mask
    is a PNG.
    """
    from imharmony.images import files, photo

    suffix = SUFFIXES[case.depth]
    composite, mask = folder / f"composite{suffix}", folder / "mask.png"
    for pixels, path in zip(make_inputs(case), (composite, mask), strict=True):
        files.write_photo(photo.from_array(pixels), path, overwrite=True)
    return composite, mask, folder / f"harmonized{suffix}"
