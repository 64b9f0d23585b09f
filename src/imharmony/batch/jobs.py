"""A job, which is one picture to harmonize, and its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imharmony.curves import Curves
from imharmony.inference.choices import SeamUse

__all__ = ["NO_JOB", "Job", "Outcome", "Picture", "Settings", "Status"]

Pixels = npt.NDArray[np.generic]
Picture = Path | Pixels
Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, eq=False)
class Job:
    """One composite to be harmonized.

    Examples
    --------
    >>> Job(Path("chair.png"), Path("chair_mask.png"), output=Path("out/chair.png"))
    Job('chair.png' -> 'out/chair.png')
    """

    composite: Picture
    """A file, or an array as for calling a `Harmonizer`."""
    mask: Picture | Sequence[Picture] | None = None
    """A file or an array, or one for each of several objects, each of which is fitted
    to what is none of them; None takes the composite's alpha channel."""
    labels: bool = False
    """Whether the mask holds several objects: each value but 0 is one of them."""
    reference: Picture | None = None
    """Another photo to fit to; None takes the composite's own background."""
    label: str | None = None
    """What the foreground is; None lets the network guess."""
    strength: float = 1.0
    """0 leaves the composite, 1 is what the network predicts."""
    seam: SeamUse = "auto"
    """auto, trust or ignore, as for calling a `Harmonizer`."""
    output: Path | None = None
    """File to write. None gives the pixels to the caller instead."""
    source: str | None = None
    """Where the job came from, such as a line of a manifest; errors begin with it."""
    error: str | None = None
    """What is wrong with the job itself. Such a job fails without being tried."""
    num_bytes: int | None = None
    """Size that an earlier run has reported for the output; with `Settings.resume` an
    output of that size counts as whole without being decoded."""

    @property
    def masks(self) -> tuple[Picture, ...]:
        """The masks of all objects; none where alpha is the mask."""
        if self.mask is None:
            return ()
        if isinstance(self.mask, Path | np.ndarray):
            return (self.mask,)
        return tuple(self.mask)

    @property
    def name(self) -> str:
        """What messages and reports call the composite."""
        if isinstance(self.composite, Path):
            return str(self.composite)
        return "array"

    def __repr__(self) -> str:
        output = None if self.output is None else str(self.output)
        return f"Job({self.name!r} -> {output!r})"


NO_JOB = Job(Path())
"""Stands for a job where there is none."""


@dataclass(frozen=True)
class Settings:
    """What all jobs of one run have in common."""

    model: str | None = None
    """Name of a model; None takes the default one."""
    weights: Path | None = None
    """A weights file to use instead."""
    num_threads: int = 1
    """Threads that the network uses within one picture."""
    resize_mask: bool = False
    """Whether a mask of another size is stretched to the photo."""
    quality: int | None = None
    """1 to 100, for JPEG, WebP and AVIF; None as for `write_photo`."""
    max_pixels: int | None = None
    """Larger pictures are refused before they are decoded; None as for `read_photo`."""
    overwrite: bool = False
    """Whether existing outputs may be replaced."""
    resume: bool = False
    """Whether jobs are skipped whose output is there and whole."""
    tiles: bool = False
    """Whether outcomes hold small pictures, for contact sheets."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one job."""

    job: Job
    status: Status
    """`done`, `skipped` because the output was there, or `failed`."""
    milliseconds: float
    """From the first byte read to the last one written."""
    label: str | None = None
    """Semantic label used: given, guessed, or None where the network has none. Of
    several objects, each label that occurs."""
    change: float | None = None
    """Mean distance of the curves from the identity, in 8-bit steps, over all values
    and channels, and over the objects. None where the network gives no curves."""
    warnings: Sequence[str] = ()
    """What may surprise about a valid result."""
    error: str | None = None
    """Why the job failed; None unless it did."""
    curves: Curves | None = None
    """The curves that were rendered, where the network predicts curves for one
    object."""
    image: npt.NDArray[Any] | None = None
    """The harmonized pixels, where the job has no output file."""
    num_bytes: int | None = None
    """Size of the output file."""
    tile: npt.NDArray[np.uint8] | None = None
    """Composite and result, small and side by side, where tiles were asked for."""

    def to_record(self) -> dict[str, Any]:
        """Return what a report says of the job: plain values, in a fixed order."""
        output = self.job.output
        change = self.change
        return {
            "input": self.job.name,
            "output": None if output is None else str(output),
            "status": self.status,
            "label": self.label,
            "change": None if change is None else round(change, 3),
            "warnings": list(self.warnings),
            "error": self.error,
            "milliseconds": round(self.milliseconds, 1),
            "bytes": self.num_bytes,
        }
