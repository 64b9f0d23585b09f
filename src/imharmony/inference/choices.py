"""What a user may choose about the seam: auto, trust or ignore."""

from typing import Literal, get_args

from imharmony.errors import UsageError

__all__ = ["AUTO", "SEAM_USES", "SeamUse", "check_seam"]

SeamUse = Literal["auto", "trust", "ignore"]
SEAM_USES = get_args(SeamUse)
"""auto goes by the network's own same-scene probability; trust takes the foreground for
a part of the scene that was edited; ignore does not look across the mask's edge."""

AUTO = -1.0
"""Same-scene probability that asks a network for its own."""


def check_seam(seam: str) -> SeamUse:
    """Return one of `SEAM_USES`, or refuse it.

    Examples
    --------
    >>> check_seam("trust")
    'trust'
    """
    for use in SEAM_USES:
        if seam == use:
            known: SeamUse = use
            return known
    raise UsageError(f"seam is one of {', '.join(SEAM_USES)}, got {seam!r}")
