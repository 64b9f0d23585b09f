"""A worker's job for a request: pictures and options in, one file out."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyvips

from imharmony import curve_files
from imharmony.errors import (
    HarmonizeWarning,
    ImageError,
    UsageError,
    WeightsError,
)
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, formats, mask_files, photo
from imharmony.images.masks import mask_from_array, split_mask
from imharmony.inference.models import MODELS
from imharmony.rendering.objects import render_objects
from imharmony.rendering.render import render
from imharmony.rendering.transform import Transform, as_transform
from imharmony.results import Predicted
from imharmony.web.grids import read_grid, write_grid
from imharmony.web.messages import Answer, Job

__all__ = ["check_has_curves", "load", "models", "place", "run"]

_SUFFIXES = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tif",
    "gif": ".png",
    "bmp": ".png",
    "heic": ".png",
}
_CURVE_SUFFIXES = {"json": ".json", "cube": ".cube", "acv": ".acv", "hald": ".png"}


def models(weights: str | None) -> dict[str, Path]:
    """List the networks that can be asked for."""
    return dict(MODELS) if weights is None else {Path(weights).stem: Path(weights)}


@cache
def load(model: str, weights: str | None) -> Harmonizer:
    """Load a network, once for each.

    Raises
    ------
    UsageError
        If there is none of that name.
    WeightsError
        If the weights file cannot be used.
    """
    known = models(weights)
    if model not in known:
        raise UsageError(f"model is one of {', '.join(known)}, got another")
    return Harmonizer(weights=known[model], num_threads=1)


def check_has_curves(harmonizer: Harmonizer, name: str) -> None:
    """Refuse a network without curves as the only one: the page draws and edits them.

    Raises
    ------
    WeightsError
        If it gives a picture.
    """
    if not harmonizer.has_curves:
        msg = f"{name}: expected weights that predict curves, which the page and the"
        raise WeightsError(f"{msg} API are made of, got some that give a picture")


def run(job: Job) -> Answer:
    """Do a job.

    Raises
    ------
    HarmonizeError
        If something is wrong with the request.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HarmonizeWarning)
        made = _ACTIONS[job.action](job)
    notes = [str(w.message) for w in caught if w.category is HarmonizeWarning]
    first, *others = made.objects
    return Answer(
        file=str(made.path),
        **first._asdict(),
        others=[one._asdict() for one in others],
        warnings=notes,
    )


class _Known(NamedTuple):
    """What is known of one object."""

    label: str | None = None
    same_scene: float | None = None
    seam_pairs: int = 0


class _Made(NamedTuple):
    """A file, and what is known of the objects in it."""

    path: Path
    objects: list[_Known]


def place(
    cutout: pyvips.Image,
    background: pyvips.Image,
    *,
    at: str,
    scale: str,
    rotation: float,
    flip: bool,
) -> compositing.Pasted:
    """Put a cut-out on a background, mirrored and turned about its center.

    Without rotation and flip the same as `compositing.paste`, bit for bit.

    Parameters
    ----------
    cutout, background, at, scale
        As for `compositing.paste`, `at` and `scale` as text; where the cut-out's
        corner is, and its size, before it is turned.
    rotation : float
        Degrees clockwise.
    flip : bool
        Whether to mirror it left to right first.

    Examples
    --------
    >>> from imharmony.images.photo import from_array, to_array
    >>> halves = np.zeros((2, 4, 4), np.uint8)
    >>> halves[:, 2:] = 255
    >>> black = from_array(np.zeros((4, 4, 3), np.uint8))
    >>> pasted = place(
    ...     from_array(halves), black, at="0,1", scale="100%", rotation=90, flip=False
    ... )
    >>> to_array(pasted.mask)[..., 0].tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 255, 255, 0], [0, 255, 255, 0]]
    """
    x, y = compositing.parse_point(at)
    length = compositing.parse_length(scale)
    if flip:
        cutout = cutout.fliphor()
    if rotation % 360 == 0:
        return compositing.paste(cutout, background, at=(x, y), scale=length)
    if not cutout.hasalpha():
        raise ImageError("cutout: expected a picture with an alpha channel")
    turned = _turn(photo.straighten(cutout), rotation)
    factor = length.pixels(cutout.width) / cutout.width
    corner = []
    for axis, (position, whole) in enumerate(
        zip((x, y), (background.width, background.height), strict=True)
    ):
        before = (cutout.width, cutout.height)[axis] * factor
        after = (turned.width, turned.height)[axis] * factor
        corner.append(position.pixels(whole) + (before - after) / 2)
    percent = compositing.Length(100 * factor, is_percent=True)
    return compositing.paste(
        turned, background, at=(corner[0], corner[1]), scale=percent
    )


def _turn(cutout: pyvips.Image, rotation: float) -> pyvips.Image:
    quarters, rest = divmod(rotation % 360, 90)
    if rest == 0:
        return cutout.rot(f"d{90 * int(quarters)}").copy_memory()
    bicubic = pyvips.Interpolate.new("bicubic")
    # libvips multiplies colors by alpha before it interpolates, and divides after.
    return cutout.similarity(angle=rotation, interpolate=bicubic).copy_memory()


def _read(job: Job, name: str) -> pyvips.Image:
    path = Path(job.files[name])
    return files.read_photo(path, name=name, max_pixels=job.max_pixels)


def _open(job: Job, *, is_mask_needed: bool) -> tuple[pyvips.Image, pyvips.Image, str]:
    """Open the photo and its mask; also say which part the photo came from."""
    options = job.options
    if "cutout" in job.files:
        how = {key: options[key] for key in ("at", "scale", "rotation", "flip")}
        pasted = place(_read(job, "cutout"), _read(job, "background"), **how)
        return pasted.composite, pasted.mask, "background"
    image = _read(job, "composite")
    size = (image.height, image.width)
    if "mask" in job.files:
        mask = mask_files.read_mask(
            Path(job.files["mask"]),
            size=size,
            resize=options["resize_mask"],
            name="mask",
            max_pixels=job.max_pixels,
        )
    elif is_mask_needed:
        image, mask = split_mask(
            image, name="composite", may_be_full="reference" in job.files
        )
    else:
        mask = mask_from_array(np.ones(size, np.bool_), size=size)
    return image, mask, "composite"


def _read_reference(job: Job) -> pyvips.Image | None:
    return _read(job, "reference") if "reference" in job.files else None


def _predict(job: Job, image: pyvips.Image, mask: pyvips.Image) -> Predicted:
    return load(job.options["model"], job.weights).predict(
        image,
        mask,
        label=job.options["label"],
        strength=job.options["strength"],
        reference=_read_reference(job),
        seam=job.options["seam"],
    )


def _split(job: Job) -> list[Job]:
    """Make a job for each object."""
    return [job, *(replace(job, **other, others=[]) for other in job.others)]


def _lay(
    job: Job, mask: pyvips.Image, below: pyvips.Image
) -> tuple[pyvips.Image, pyvips.Image]:
    """Lay an object on what the objects before it left; give that and the mask."""
    if "cutout" not in job.files:
        return below, mask
    how = {key: job.options[key] for key in ("at", "scale", "rotation", "flip")}
    pasted = place(_read(job, "cutout"), below, **how)
    return pasted.composite, pasted.mask


def _tell(predicted: Predicted) -> _Known:
    return _Known(predicted.label, predicted.same_scene, predicted.seam_pairs)


def _harmonize(job: Job) -> _Made:
    """Harmonize one object, the masks' objects together, or cut-outs in turn."""
    objects = _split(job)
    if len(objects) > 1 and "cutout" not in job.files:
        return _harmonize_together(objects)
    known: list[_Known] = []
    below: pyvips.Image | None = None
    for one in objects:
        image, mask, name = _open(one, is_mask_needed=True)
        predicted = _predict(one, image, mask)
        known.append(_tell(predicted))
        if below is not None:
            image, mask = _lay(one, mask, below)
        below = render(image, mask, predicted.transform, box=predicted.box)
    return _Made(_write(job, below, name), known)


def _harmonize_together(objects: Sequence[Job]) -> _Made:
    """Fit each object to what is none of them, as the command and Python do."""
    opened = [_open(one, is_mask_needed=True) for one in objects]
    image, _, name = opened[0]
    masks = [mask for _, mask, _ in opened]
    first = objects[0]
    harmonizer = load(first.options["model"], first.weights)
    labels = [one.options["label"] for one in objects]
    by_seam = {
        seam: harmonizer.predict_objects(
            image, masks, labels=labels, reference=_read_reference(first), seam=seam
        )
        for seam in dict.fromkeys(one.options["seam"] for one in objects)
    }
    predicted = [
        by_seam[one.options["seam"]][k].at_strength(one.options["strength"])
        for k, one in enumerate(objects)
    ]
    changes = [one.transform for one in predicted]
    rendered = render_objects(image, list(zip(masks, changes, strict=True)))
    return _Made(_write(first, rendered, name), [_tell(one) for one in predicted])


def _render(job: Job) -> _Made:
    below: pyvips.Image | None = None
    for one in _split(job):
        change = _read_change(one).blend(one.options["strength"])
        image, mask, name = _open(one, is_mask_needed=one.options["alpha_mask"])
        if below is not None:
            image, mask = _lay(one, mask, below)
        below = render(image, mask, change)
    return _Made(_write(job, below, name), [_Known()])


def _read_change(job: Job) -> Transform:
    if "grid" in job.files:
        return read_grid(Path(job.files["grid"]), name="grid")
    record = curve_files.read_record(Path(job.files["curves"]), name="curves")
    return as_transform(record.curves)


def _make_grid(job: Job) -> _Made:
    model = job.options["model"]
    if load(model, job.weights).has_curves:
        msg = f"model: {model} predicts curves, the same change everywhere; ask curves"
        raise UsageError(f"{msg}, or for the grid of another model")
    image, mask, _ = _open(job, is_mask_needed=True)
    predicted = _predict(job, image, mask)
    path = Path(job.folder) / "grid.json"
    path.write_text(write_grid(predicted, model=model), encoding="utf-8")
    return _Made(path, [_tell(predicted)])


def _make_curves(job: Job) -> _Made:
    file_format = job.options["format"]
    known = _Known()
    if "curves" in job.files:
        record = curve_files.read_record(Path(job.files["curves"]), name="curves")
        strength = job.options["strength"]
        record = curve_files.Record(record.curves.blend(strength), strength=strength)
        known = _Known(record.label)
    else:
        model = job.options["model"]
        harmonizer = load(model, job.weights)
        if not harmonizer.has_curves:
            msg = f"model: {model} changes colors by place, which no curves say; ask"
            raise UsageError(f"{msg} harmonize, or for the curves of another model")
        image, mask, _ = _open(job, is_mask_needed=True)
        predicted = _predict(job, image, mask)
        known = _tell(predicted)
        contract = harmonizer.contract
        record = curve_files.Record(
            predicted.curves,
            stages=predicted.stages,
            label=predicted.label,
            strength=job.options["strength"],
            model=model,
            checkpoint_sha256=contract.checkpoint_sha256,
        )
    data = curve_files.encode(record, file_format, size=job.options["size"])
    path = Path(job.folder) / f"curves{_CURVE_SUFFIXES[file_format]}"
    path.write_bytes(data)
    if file_format != "json":
        curve_files.warn_of_cost(record.curves, data, name=path.name)
    return _Made(path, [known])


def _write(job: Job, image: pyvips.Image, name: str) -> Path:
    suffix = job.options["format"]
    if suffix is None:
        with Path(job.files[name]).open("rb") as file:
            file_format = formats.sniff(file.read(formats.HEAD_BYTES))
        suffix = _SUFFIXES.get(str(file_format), ".avif")
    path = Path(job.folder) / f"harmonized.{suffix.removeprefix('.')}"
    try:
        files.write_photo(image, path, quality=job.options["quality"])
    except (UsageError, ImageError) as error:
        # The path of a temporary file means nothing to the client.
        msg = str(error).replace(f"{path}: ", "")
        raise type(error)(msg, hint=error.hint) from error
    return path


_ACTIONS: dict[str, Callable[[Job], _Made]] = {
    "harmonize": _harmonize,
    "curves": _make_curves,
    "grid": _make_grid,
    "render": _render,
}
