"""Judge whether a mask looks wrong: empty, full or inverted."""

from dataclasses import replace

import pyvips

from imharmony.errors import WarningCode
from imharmony.images.photo import Box

__all__ = ["judge_mask"]

_BRIGHT = 242
"""A rim whose mean level is above is foreground, but for some noise: 0.95."""


def judge_mask(
    mask: pyvips.Image, box: Box | None, *, has_reference: bool = False
) -> WarningCode | None:
    """Say what looks wrong; reads a mask again only if all of its rim is bright.

    Parameters
    ----------
    mask : pyvips.Image
        One channel of 8 bit.
    box : Box or None
        What `masks.mask_box` says of the mask.
    has_reference : bool
        Whether the foreground is to fit another photo. Then it may be everything.

    Returns
    -------
    WarningCode or None
        `MASK_EMPTY`, `MASK_FULL`, `MASK_INVERTED`, or None if nothing looks wrong.

    Examples
    --------
    >>> from imharmony.images.masks import mask_box, mask_from_array
    >>> import numpy as np
    >>> mask = mask_from_array(np.ones((4, 4)), size=(4, 4))
    >>> judge_mask(mask, mask_box(mask))
    <WarningCode.MASK_FULL: 'mask_full'>
    """
    if box is None:
        return WarningCode.MASK_EMPTY
    frame = Box(0, 0, mask.height, mask.width)
    if has_reference or box != frame:
        return None
    # An object rarely fills most of the photo and all of its rim.
    last_row, last_column = mask.height - 1, mask.width - 1
    rim = (
        replace(frame, height=1),
        replace(frame, height=1, top=last_row),
        replace(frame, width=1),
        replace(frame, width=1, left=last_column),
    )
    if min(side.crop(mask).avg() for side in rim) <= _BRIGHT:
        return None
    if mask.min() == 255:
        return WarningCode.MASK_FULL
    return WarningCode.MASK_INVERTED if mask.avg() > 127 else None
