"""A request to a network about one composite."""

from dataclasses import dataclass
from functools import cached_property

import pyvips

from imharmony.errors import WarningCode
from imharmony.images.mask_check import judge_mask
from imharmony.images.masks import mask_box
from imharmony.images.photo import Box
from imharmony.inference.choices import AUTO, SeamUse, check_seam
from imharmony.inference.seam import Seam, sample_seam

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """An opened composite whose foreground is to be changed."""

    image: pyvips.Image
    """As `files.read_photo` gives it."""
    mask: pyvips.Image
    """As `mask_files.read_mask` gives it, of the same size."""
    label: str | None = None
    """What the foreground is; None lets the network guess."""
    reference: pyvips.Image | None = None
    """Another photo to fit the foreground to; None takes the photo's own background."""
    covered: pyvips.Image | None = None
    """Mask of all objects, this one too: what does not count as background. None says
    that there is no other."""
    seam: SeamUse | Seam = "auto"
    """Whether the seam is believed; or pairs to look at in place of the photo's own,
    as in "auto"."""

    def __post_init__(self) -> None:
        if not isinstance(self.seam, Seam):
            check_seam(self.seam)

    @property
    def same_scene(self) -> float:
        """Probability of a same scene to go by; below 0 for the network's own."""
        if self.seam == "trust":
            return 1.0
        return 0.0 if self.seam == "ignore" else AUTO

    def sample_seam(self, num_pairs: int) -> Seam:
        """Read the pairs of pixels that face each other across the mask's edge.

        None with a reference: the photo's own background is not what to fit to.
        """
        if isinstance(self.seam, Seam):
            return self.seam
        if self.box is None or self.reference is not None:
            return Seam.none(num_pairs)
        return sample_seam(
            self.image, self.mask, self.box, num_pairs=num_pairs, covered=self.covered
        )

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
