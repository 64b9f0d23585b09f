"""Networks that give a picture: what they saw, what they gave, and how much it says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.images.photo import Box
from imharmony.inference.network import Network
from imharmony.inference.thumbnails import make_thumbnails

__all__ = ["Repainted", "repaint", "unchanged"]

FloatArray = npt.NDArray[np.floating[Any]]

TOO_SMALL = (
    "the foreground is too small or too thin to be seen in the network's thumbnail; "
    "unchanged"
)
NOT_FINITE = "the network's picture is not finite; unchanged"


@dataclass(frozen=True)
class Repainted:
    """A composite's thumbnail and what a network made of it."""

    before: FloatArray
    """(3, h, w) float32, RGB, sRGB-encoded, [0, 1]."""
    after: FloatArray
    """Likewise."""
    weights: FloatArray
    """(h, w): how much each pixel tells about the foreground; 0 everywhere if nothing
    is to be changed."""
    notes: tuple[str, ...]
    """What may surprise."""
    box: Box | None
    """Of the mask in the photo."""


def unchanged(notes: tuple[str, ...], box: Box | None) -> Repainted:
    """Say that nothing is to be changed, and why."""
    black = np.zeros((3, 1, 1), np.float32)
    return Repainted(black, black, black[0], notes, box)


def repaint(
    network: Network,
    image: pyvips.Image,
    mask: pyvips.Image,
    *,
    notes: tuple[str, ...],
    box: Box | None,
) -> Repainted:
    """Show a composite to a network that gives a picture.

    Parameters
    ----------
    network : Network
        One whose contract says that it gives a picture.
    image, mask : pyvips.Image
        As `Harmonizer.predict` takes them; the mask not 0 everywhere.
    notes : tuple of str
        What is known already about the mask.
    box : Box or None
        What `photo.mask_box` says of the mask; None looks for it.

    Returns
    -------
    Repainted
        The picture clipped to [0, 1]. Unchanged, with a note, if the network cannot
        see the foreground or gives numbers that are not finite.
    """
    small = make_thumbnails(image, mask, size=network.contract.thumbnail_size, box=box)
    # Where the mask is below one half, the network gives the composite. At one half, a
    # pixel is as much background as foreground, and says nothing.
    weights = np.maximum(2 * small.mask[0, 0] - 1, 0)  # (h, w)
    if not weights.any():
        return unchanged((*notes, TOO_SMALL), box)
    after = network.repaint(small)
    if not np.isfinite(after).all():
        return unchanged((*notes, NOT_FINITE), box)
    return Repainted(small.composite[0], after.clip(0, 1), weights, notes, box)
