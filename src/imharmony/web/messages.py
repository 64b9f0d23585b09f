"""Messages between the server and its workers: plain values, sent as JSON."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Job"]


@dataclass(frozen=True)
class Job:
    """One request: what is asked, of which files."""

    action: str
    """harmonize, curves, grid or render."""
    folder: str
    """Where the result goes."""
    files: dict[str, str]
    """Paths by the name of the part."""
    options: dict[str, Any]
    max_pixels: int
    weights: str | None = None
    others: list[dict[str, Any]] = field(default_factory=list)
    """Files and options of the second object and those after it."""


@dataclass(frozen=True)
class Answer:
    """What came of a job."""

    file: str
    """Path of the result; its extension says the kind."""
    label: str | None = None
    same_scene: float | None = None
    """Probability that foreground and surroundings are of one scene, where judged."""
    seam_pairs: int = 0
    """Pairs of pixels across the mask's edge that it was judged by."""
    others: list[dict[str, Any]] = field(default_factory=list)
    """Label, same_scene and seam_pairs of the second object and those after it."""
    warnings: list[str] = field(default_factory=list)
