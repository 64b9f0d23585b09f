"""Do one job from reading to writing. Its errors become its outcome."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from imharmony.batch.jobs import Job, Outcome, Picture, Settings
from imharmony.batch.sheet import make_tile
from imharmony.curves import Curves
from imharmony.errors import HarmonizeError, ImageError, UsageError
from imharmony.harmonizer import Harmonizer
from imharmony.images import files, mask_files, photo
from imharmony.images.formats import SUFFIXES
from imharmony.images.masks import mask_from_array, split_labels, split_mask
from imharmony.inference.models import DEFAULT_MODEL
from imharmony.rendering.objects import render_objects
from imharmony.rendering.render import render
from imharmony.results import Predicted
from imharmony.writing import check_target

__all__ = ["BAD_PICTURE", "do_job", "is_whole", "load_harmonizer", "report_failure"]

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
        outcome = report_failure(job, _describe(error))
    return replace(outcome, milliseconds=1000 * (time.perf_counter() - begin))


def report_failure(job: Job, error: str) -> Outcome:
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
    image, masks = _open(job, settings)
    reference = None
    if job.reference is not None:
        reference = _read(job.reference, "reference", settings)
    objects: tuple[Predicted, ...]
    if len(masks) == 1:
        predicted = harmonizer.predict(
            image,
            masks[0],
            label=job.label,
            strength=job.strength,
            reference=reference,
            seam=job.seam,
        )
        rendered = render(image, masks[0], predicted.transform, box=predicted.box)
        objects = (predicted,)
    else:
        objects = harmonizer.predict_objects(
            image,
            masks,
            labels=[job.label] * len(masks),
            strength=job.strength,
            reference=reference,
            seam=job.seam,
        )
        changes = [each.transform for each in objects]
        rendered = render_objects(image, list(zip(masks, changes, strict=True)))
    outcome = _describe_predictions(job, image, objects)
    if settings.tiles:
        outcome = replace(outcome, tile=make_tile(image, rendered))
    if job.output is None:
        return replace(outcome, image=_compute_array(rendered, job.composite))
    quality = settings.quality if _has_quality(job.output) else None
    files.write_photo(rendered, job.output, overwrite=overwrite, quality=quality)
    return replace(outcome, num_bytes=job.output.stat().st_size)


def _describe_predictions(
    job: Job, image: pyvips.Image, objects: Sequence[Predicted]
) -> Outcome:
    notices = [notice for predicted in objects for notice in predicted.warnings]
    warnings: tuple[str, ...] = tuple(dict.fromkeys(notices))
    num_pages = image.get_n_pages()
    if num_pages > 1:
        warnings = (f"{num_pages} pages; only the first is used", *warnings)
    curves = [predicted.transform.curves for predicted in objects]
    changes = [_mean_change(each) for each in curves if each is not None]
    labels = [predicted.label for predicted in objects if predicted.label is not None]
    return Outcome(
        job,
        "done",
        0.0,
        label=", ".join(dict.fromkeys(labels)) or None,
        change=sum(changes) / len(changes) if changes else None,
        warnings=warnings,
        curves=curves[0] if len(curves) == 1 else None,
    )


def _mean_change(curves: Curves) -> float:
    """Measure how far curves are from the identity, in 8-bit steps."""
    values = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)
    return float(np.abs(curves(values) - values).mean() * 255)


def _open(job: Job, settings: Settings) -> tuple[pyvips.Image, list[pyvips.Image]]:
    """Open composite and masks; without a mask, the composite's alpha is one."""
    image = _read(job.composite, "composite", settings)
    if job.mask is None:
        has_reference = job.reference is not None
        image, mask = split_mask(image, name=str(job.name), may_be_full=has_reference)
        return image, [mask]
    size = (image.height, image.width)
    if not job.labels:
        return image, [_open_mask(mask, size, settings) for mask in job.masks]
    if len(job.masks) != 1:
        msg = "labels: expected one mask that holds all objects"
        raise UsageError(f"{msg}, got {len(job.masks)} masks")
    values = _read(job.masks[0], "mask", settings)
    name = str(job.masks[0]) if isinstance(job.masks[0], Path) else "mask"
    return image, split_labels(values, size=size, name=name)


def _open_mask(
    mask: Picture, size: tuple[int, int], settings: Settings
) -> pyvips.Image:
    if not isinstance(mask, Path):
        return mask_from_array(mask, size=size)
    limit, resize = _limit(settings), settings.resize_mask
    return mask_files.read_mask(mask, size=size, resize=resize, max_pixels=limit)


def _read(picture: Picture, name: str, settings: Settings) -> pyvips.Image:
    if isinstance(picture, Path):
        return files.read_photo(picture, max_pixels=_limit(settings))
    return photo.from_array(picture, name=name)


def _limit(settings: Settings) -> int:
    return files.MAX_PIXELS if settings.max_pixels is None else settings.max_pixels


def _compute_array(rendered: pyvips.Image, composite: Picture) -> Any:
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
