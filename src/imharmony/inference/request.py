"""What a network is asked about one composite."""

from dataclasses import dataclass
from functools import cached_property

import pyvips

from imharmony.errors import WarningCode
from imharmony.images.mask_check import judge_mask
from imharmony.images.photo import Box, mask_box

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """An opened composite whose foreground is to be changed."""

    image: pyvips.Image
    """As `files.read_photo` gives it."""
    mask: pyvips.Image
    """As `files.read_mask` gives it, of the same size."""
    label: str | None = None
    """What the foreground is; None lets the network guess."""
    reference: pyvips.Image | None = None
    """Another photo to fit the foreground to; None takes the photo's own background."""
    covered: pyvips.Image | None = None
    """Mask of all objects, this one too: what does not count as background. None says
    that there is no other."""

    @cached_property
    def box(self) -> Box | None:
        """The smallest rectangle that holds the mask; None if the mask is empty."""
        return mask_box(self.mask)

    @cached_property
    def mask_problem(self) -> WarningCode | None:
        """What looks wrong about the mask."""
        has_reference = self.reference is not None
        return judge_mask(self.mask, self.box, has_reference=has_reference)

    @property
    def has_regions(self) -> bool:
        """Whether there is a foreground, and something to fit it to."""
        problems = WarningCode.MASK_EMPTY, WarningCode.MASK_FULL
        return self.mask_problem not in problems
