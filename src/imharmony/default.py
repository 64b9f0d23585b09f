"""One call for one picture: the default model, loaded when it is first needed."""

import threading
from collections.abc import Sequence
from typing import Any, overload

import numpy.typing as npt

from imharmony.harmonizer import Harmonizer
from imharmony.images.adapters import (
    Depth,
    ForeignT,
    MaskLike,
    PictureLike,
    SupportsArray,
)
from imharmony.images.pixels import PixelArray
from imharmony.inference.choices import SeamUse
from imharmony.opening import Options
from imharmony.results import Result, announce

__all__ = ["default_harmonizer", "harmonize"]


@overload
def harmonize(
    composite: npt.NDArray[Depth],
    mask: MaskLike | None = None,
    *,
    label: str | None = None,
    strength: float = 1.0,
    reference: PictureLike | None = None,
    seam: SeamUse = "auto",
    premultiplied: bool = False,
    out: npt.NDArray[Depth] | None = None,
) -> Result[npt.NDArray[Depth]]: ...


@overload
def harmonize(
    composite: ForeignT,
    mask: MaskLike | None = None,
    *,
    label: str | None = None,
    strength: float = 1.0,
    reference: PictureLike | None = None,
    seam: SeamUse = "auto",
    premultiplied: bool = False,
) -> Result[ForeignT]: ...


@overload
def harmonize(
    composite: SupportsArray | Sequence[Any],
    mask: MaskLike | None = None,
    *,
    label: str | None = None,
    strength: float = 1.0,
    reference: PictureLike | None = None,
    seam: SeamUse = "auto",
    premultiplied: bool = False,
) -> Result[npt.NDArray[Any]]: ...


def harmonize(
    composite: Any,
    mask: Any = None,
    *,
    label: str | None = None,
    strength: float = 1.0,
    reference: Any = None,
    seam: SeamUse = "auto",
    premultiplied: bool = False,
    out: PixelArray | None = None,
) -> Result[Any]:
    """Harmonize with the default model, loaded on the first call.

    Parameters
    ----------
    composite, mask, label, strength, reference, seam, premultiplied, out
        As for calling a `Harmonizer`.

    Returns
    -------
    Result

    Examples
    --------
    >>> import numpy as np
    >>> composite = np.full((8, 8, 3), 200, dtype=np.uint8)
    >>> mask = np.eye(8, dtype=bool)
    >>> result = harmonize(composite, mask, strength=0.5)
    >>> bool((result.image == composite)[~mask].all())
    True
    """
    options = Options(label, strength, reference, premultiplied, seam)
    result = default_harmonizer()._harmonize(composite, mask, options, out)
    return announce(result)


_default: list[Harmonizer] = []
_default_lock = threading.Lock()


def default_harmonizer() -> Harmonizer:
    """Return the one harmonizer that all plain `harmonize` calls share."""
    with _default_lock:
        if not _default:
            _default.append(Harmonizer())
        return _default[0]
