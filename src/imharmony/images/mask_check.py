"""What looks wrong about a mask."""

from dataclasses import replace

import pyvips

from imharmony.images.photo import Box

__all__ = ["EMPTY", "FULL", "INVERTED", "judge_mask"]

EMPTY = "the mask is empty: nothing to harmonize"
FULL = "the mask covers everything: there is no background to fit to"
INVERTED = (
    "the mask looks inverted (it covers most of the photo and its whole rim); white is "
    "the foreground"
)


def judge_mask(
    mask: pyvips.Image, box: Box | None, *, has_background: bool
) -> tuple[str, ...]:
    """Say what looks wrong; reads a mask again only if all of its rim is bright."""
    if box is None:
        return (EMPTY,)
    frame = Box(0, 0, mask.height, mask.width)
    if has_background or box != frame:
        return ()
    # An object rarely fills most of the photo and all of its rim.
    last_row, last_column = mask.height - 1, mask.width - 1
    rim = (
        replace(frame, height=1),
        replace(frame, height=1, top=last_row),
        replace(frame, width=1),
        replace(frame, width=1, left=last_column),
    )
    if min(side.crop(mask).avg() for side in rim) <= 242:
        return ()
    if mask.min() == 255:
        return (FULL,)
    return (INVERTED,) if mask.avg() > 127 else ()
