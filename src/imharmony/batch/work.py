"""One job from its first byte to its last; what goes wrong with it stays with it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from imharmony.batch.jobs import Job, Outcome, Picture, Settings
from imharmony.batch.sheet import make_tile
from imharmony.curves import Curves
from imharmony.errors import HarmonizeError, ImageError
from imharmony.harmonizer import Harmonizer
from imharmony.images import files, photo
from imharmony.images.formats import SUFFIXES
from imharmony.inference.models import DEFAULT_MODEL
from imharmony.rendering.render import render
from imharmony.results import Predicted
from imharmony.writing import check_target

__all__ = ["BAD_PICTURE", "do_job", "failed", "is_whole", "load_harmonizer"]

BAD_PICTURE = (HarmonizeError, pyvips.Error, OSError, MemoryError)
"""What one picture may fail with. Anything else is a bug and ends the run."""


def load_harmonizer(settings: Settings) -> Harmonizer:
    """Load the network that the settings ask for.

    Raises
    ------
    UsageError, WeightsError
        As `Harmonizer`.
    """
    return Harmonizer(
        settings.model or DEFAULT_MODEL,
        weights=settings.weights,
        num_threads=settings.num_threads,
    )


def do_job(harmonizer: Harmonizer, job: Job, settings: Settings) -> Outcome:
    """Read, predict, render and write one picture.

    Parameters
    ----------
    harmonizer : Harmonizer
        Shared by all jobs.
    job : Job
    settings : Settings
        Of the run.

    Returns
    -------
    Outcome
        Also of a job that failed: nothing is raised for a picture that cannot be
        read, harmonized or written.

    Examples
    --------
    >>> settings = Settings()
    >>> job = Job(Path("absent.png"))
    >>> do_job(load_harmonizer(settings), job, settings).error
    'absent.png: no such file'
    """
    begin = time.perf_counter()
    try:
        if job.error is not None:
            raise ImageError(job.error)
        outcome = _harmonize(harmonizer, job, settings)
    except BAD_PICTURE as error:
        outcome = failed(job, _describe(error))
    return replace(outcome, milliseconds=1000 * (time.perf_counter() - begin))


def failed(job: Job, error: str) -> Outcome:
    """Say that a job failed, and why."""
    if job.source is not None:
        error = f"{job.source}: {error}"
    return Outcome(job, "failed", 0.0, error=error)


def is_whole(path: Path) -> bool:
    """Whether a file is a picture that can be decoded to its end.

    Examples
    --------
    >>> is_whole(Path("absent.png"))
    False
    """
    try:
        files.read_photo(path)
    except BAD_PICTURE:
        return False
    return True


def _harmonize(harmonizer: Harmonizer, job: Job, settings: Settings) -> Outcome:
    overwrite = settings.overwrite
    if job.output is not None and job.output.exists() and settings.resume:
        num_bytes = job.output.stat().st_size
        if num_bytes == job.num_bytes or is_whole(job.output):
            return Outcome(job, "skipped", 0.0, num_bytes=num_bytes)
        overwrite = True  # what is there is damaged
    if job.output is not None:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        check_target(job.output, tuple(SUFFIXES), overwrite=overwrite)
    image, mask = _open(job, settings)
    reference = None
    if job.reference is not None:
        reference = _read(job.reference, "reference", settings)
    predicted = harmonizer.predict(
        image, mask, label=job.label, strength=job.strength, reference=reference,
        seam=job.seam,
    )  # fmt: skip
    rendered = render(image, mask, predicted.transform, box=predicted.box)
    outcome = _describe_prediction(job, image, predicted)
    if settings.tiles:
        outcome = replace(outcome, tile=make_tile(image, rendered))
    if job.output is None:
        return replace(outcome, image=_as_array(rendered, job.composite))
    quality = settings.quality if _has_quality(job.output) else None
    files.write_photo(rendered, job.output, overwrite=overwrite, quality=quality)
    return replace(outcome, num_bytes=job.output.stat().st_size)


def _describe_prediction(
    job: Job, image: pyvips.Image, predicted: Predicted
) -> Outcome:
    warnings: tuple[str, ...] = predicted.warnings
    num_pages = image.get_n_pages()
    if num_pages > 1:
        warnings = (f"{num_pages} pages; only the first is used", *warnings)
    curves = predicted.transform.curves
    return Outcome(
        job,
        "done",
        0.0,
        label=predicted.label,
        change=None if curves is None else _mean_change(curves),
        warnings=warnings,
        curves=curves,
    )


def _mean_change(curves: Curves) -> float:
    """Measure how far curves are from the identity, in 8-bit steps."""
    values = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)
    return float(np.abs(curves(values) - values).mean() * 255)


def _open(job: Job, settings: Settings) -> tuple[pyvips.Image, pyvips.Image]:
    """Open composite and mask; without a mask, the composite's alpha is one."""
    image = _read(job.composite, "composite", settings)
    if job.mask is None:
        has_reference = job.reference is not None
        return photo.split_mask(image, name=str(job.name), may_be_full=has_reference)
    size = (image.height, image.width)
    if isinstance(job.mask, Path):
        limit = _limit(settings)
        resize = settings.resize_mask
        mask = files.read_mask(job.mask, size=size, resize=resize, max_pixels=limit)
    else:
        mask = photo.mask_from_array(job.mask, size=size)
    return image, mask


def _read(picture: Picture, name: str, settings: Settings) -> pyvips.Image:
    if isinstance(picture, Path):
        return files.read_photo(picture, max_pixels=_limit(settings))
    return photo.from_array(picture, name=name)


def _limit(settings: Settings) -> int:
    return files.MAX_PIXELS if settings.max_pixels is None else settings.max_pixels


def _as_array(rendered: pyvips.Image, composite: Picture) -> Any:
    """Compute the pixels, in the shape of the array they were made from."""
    pixels = photo.to_array(rendered)
    if isinstance(composite, np.ndarray) and composite.ndim == 2:
        return pixels[..., 0]
    return pixels


def _has_quality(output: Path) -> bool:
    """Whether a format has a quality: others ignore that of the run."""
    return output.suffix.lower() not in (".png", ".tif", ".tiff")


def _describe(error: BaseException) -> str:
    """Put what went wrong on one line."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f"{error.filename}: "
        return f"{name}{error.strerror}"
    text = "; ".join(str(error).split("\n")).strip("; ")
    return text or type(error).__name__
