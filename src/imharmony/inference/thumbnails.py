"""What a network sees: small copies of the composite and of its foreground."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.errors import ImageError
from imharmony.images.masks import mask_box
from imharmony.images.pixels import Box
from imharmony.inference.block_means import BlockMeans, can_share_blocks
from imharmony.threads import share_out

__all__ = ["Thumbnails", "make_thumbnails"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thumbnails:
    """The inputs of a network, not yet multiplied by their masks.

    All are float32 in [0, 1], RGB, sRGB-encoded, of the same height and width; the
    masks are soft, 1 = foreground. B counts the views of the surroundings.
    """

    composite: npt.NDArray[np.float32]
    """The photo, shape (B, 3, h, w); of some views only what is nearer the object."""
    mask: npt.NDArray[np.float32]
    """The mask in the same frames, shape (B, 1, h, w)."""
    foreground: npt.NDArray[np.float32]
    """The box of the mask cut from the photo, shape (3, h, w)."""
    foreground_mask: npt.NDArray[np.float32]
    """The box of the mask cut from the mask, shape (1, h, w)."""


def make_thumbnails(
    photo: pyvips.Image,
    mask: pyvips.Image,
    *,
    size: tuple[int, int],
    reference: pyvips.Image | None = None,
    contexts: Sequence[float] = (0.0,),
    box: Box | None = None,
    covered: pyvips.Image | None = None,
) -> Thumbnails:
    """Shrink a photo, its mask, and the box of its foreground to one size.

    Nothing keeps its aspect ratio; small photos are enlarged. Alpha is dropped, gray
    becomes RGB, and floats are clipped to [0, 1].

    Parameters
    ----------
    photo : pyvips.Image
        1 to 4 channels, 8 or 16 bit or float, sRGB-encoded or with a profile.
    mask : pyvips.Image
        One channel of 8 bit, of the photo's size.
    size : (height, width)
        Of the thumbnails, in pixels.
    reference : pyvips.Image or None
        Another photo whose colors the foreground should fit, of any size; nothing of
        it is foreground. None takes the photo around the foreground. Figure 8
        of [1]_.
    contexts : sequence of float
        One view of the photo each: how far its frame is drawn in from the photo's
        rim (0) to the box of the mask (1). Not used with `reference`, which makes
        one view.
    box : Box or None
        What `masks.mask_box` says of the mask; None looks for it.
    covered : pyvips.Image or None
        Mask of all objects, of which `mask` is one: the views show it as what is not
        background. None takes `mask`.

    Returns
    -------
    Thumbnails
        Of smooth pictures within 2 / 255 of an antialiased bilinear filter, as
        Pillow's and torchvision's are: large pictures are first averaged over blocks
        of pixels, mostly three or more per pixel of the thumbnail.

    Raises
    ------
    ImageError
        If the mask is zero everywhere.

    Notes
    -----
    The foreground is cut out at full resolution and then stretched, as the data
    class of the released code of [1]_ does. Differs from the paper: its figure 2
    masks the thumbnail of the whole photo.

    The photo is read once for all views and the foreground; a box of under three
    eighths of the photo's height or width once more. Of the mask only the box is read.

    References
    ----------
    .. [1] J. Liang, X. Cun, C.-M. Pun, J. Wang, "Spatial-Separated Curve
       Rendering Network for Efficient and High-Resolution Image
       Harmonization", ECCV 2022, arXiv:2109.05750.

    Examples
    --------
    >>> from imharmony.images.masks import mask_from_array
    >>> from imharmony.images.photo import from_array
    >>> photo = from_array(np.full((40, 60), 51, dtype=np.uint8))
    >>> mask = mask_from_array(np.eye(40, 60), size=(40, 60))
    >>> thumbnails = make_thumbnails(photo, mask, size=(8, 8))
    >>> thumbnails.foreground.shape, round(float(thumbnails.foreground.mean()), 3)
    ((3, 8, 8), 0.2)
    """
    box = box or mask_box(mask)
    if box is None:
        raise ImageError("expected a mask with a foreground, got 0 everywhere")
    whole = Box(0, 0, photo.height, photo.width)
    shares_blocks = False
    if reference is None:
        frames = [_draw_in(whole, box, share) for share in contexts]
        shares_blocks = covered is None and can_share_blocks(whole, box, size)
        stretched = [*frames, box] if shares_blocks else frames
        outer = BlockMeans(photo, whole, stretched, size)
        jobs = outer.fill_colors()
        if covered is None:
            jobs += outer.fill_mask(mask, box)
        else:
            jobs += outer.fill_mask(covered, whole)
    else:
        frames = [Box(0, 0, reference.height, reference.width)]
        outer = BlockMeans(reference, frames[0], frames, size)
        jobs = outer.fill_colors()
    inner = outer
    if not shares_blocks:  # the box needs blocks of its own
        inner = BlockMeans(photo, box, [box], size)
        jobs += inner.fill_colors() + inner.fill_mask(mask, box)
    share_out(lambda job: job(), jobs)
    views = np.empty((len(frames), len(outer.means), *size), np.float32)
    crop = np.empty((len(inner.means), *size), np.float32)
    jobs = [partial(outer.stretch, *each) for each in zip(frames, views, strict=True)]
    jobs.append(partial(inner.stretch, box, crop))
    share_out(lambda job: job(), jobs)
    return Thumbnails(
        _to_rgb(views[:, :-1]), views[:, -1:], _to_rgb(crop[:-1]), crop[-1:]
    )


def _draw_in(whole: Box, box: Box, share: float) -> Box:
    """Draw a photo's frame in towards a box, to whole pixels outside."""
    top, left = int(box.top * share), int(box.left * share)
    below = whole.height - box.top - box.height
    beside = whole.width - box.left - box.width
    bottom = ceil(whole.height - below * share - 1e-6)
    right = ceil(whole.width - beside * share - 1e-6)
    return Box(top, left, bottom - top, right - left)


def _to_rgb(channels: FloatArray) -> FloatArray:
    """Repeat gray; floats (..., C, h, w) become (..., 3, h, w)."""
    shape = (*channels.shape[:-3], 3, *channels.shape[-2:])
    return np.ascontiguousarray(np.broadcast_to(channels, shape))
