"""Harmonize one photo, with one object or several: read, recolor, write."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imharmony.cli.arguments import (
    PIPE,
    check_outputs,
    check_quality,
    name_input,
    read_composite,
    read_mask,
    read_photo,
    say_what_was_found,
    show_progress,
    write,
)
from imharmony.errors import UsageError
from imharmony.inference.choices import SeamUse, check_seam

if TYPE_CHECKING:
    import pyvips

__all__ = ["harmonize_objects", "harmonize_one", "harmonize_opened"]


def harmonize_one(
    composite: Path,
    mask: Path | None,
    output: Path,
    *,
    strength: float,
    label: str | None,
    model: str,
    weights: Path | None,
    reference: Path | None,
    seam: str,
    resize_mask: bool,
    strip: Path | None,
    quality: int | None,
    file_format: str,
    max_pixels: int | None,
    overwrite: bool,
) -> None:
    """Harmonize one photo."""
    from imharmony.images import compositing, files

    outputs = {"output": output, "strip": strip}
    inputs = [composite, mask, reference]
    check_outputs(outputs, inputs=inputs, overwrite=overwrite)
    check_quality(output, file_format, quality)
    if inputs.count(PIPE) > 1:
        msg = "only one of composite, mask and reference can be standard input"
        raise UsageError(msg)
    image, mask_image = read_composite(
        composite,
        mask,
        resize_mask=resize_mask,
        has_reference=reference is not None,
        max_pixels=max_pixels,
    )
    other = None
    if reference is not None:
        other = read_photo(reference, max_pixels=max_pixels)[0]
    rendered = harmonize_opened(
        image, mask_image, strength, label, model, weights, seam, other
    )
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    if strip is not None:
        pictures = [image, mask_image, rendered]
        files.write_photo(
            compositing.side_by_side(pictures), strip, overwrite=overwrite
        )


def harmonize_objects(
    composite: Path,
    masks: list[Path],
    output: Path,
    *,
    labels: bool,
    strength: float,
    label: str | None,
    model: str,
    weights: Path | None,
    reference: Path | None,
    seam: SeamUse,
    resize_mask: bool,
    quality: int | None,
    file_format: str,
    max_pixels: int | None,
    overwrite: bool,
) -> None:
    """Harmonize several objects of one photo."""
    from imharmony.harmonizer import Harmonizer
    from imharmony.images.masks import split_labels
    from imharmony.rendering.objects import render_objects

    inputs = [composite, *masks, reference]
    check_outputs({"output": output}, inputs=inputs, overwrite=overwrite)
    check_quality(output, file_format, quality)
    if inputs.count(PIPE) > 1:
        msg = "only one of composite, masks and reference can be standard input"
        raise UsageError(msg)
    image = read_photo(composite, max_pixels=max_pixels)[0]
    if labels:
        values = read_photo(masks[0], max_pixels=max_pixels)[0]
        objects = split_labels(
            values, size=(image.height, image.width), name=name_input(masks[0])
        )
    else:
        objects = [
            read_mask(path, image, resize_mask=resize_mask, max_pixels=max_pixels)
            for path in masks
        ]
    other = None
    if reference is not None:
        other = read_photo(reference, max_pixels=max_pixels)[0]
    harmonizer = Harmonizer(model, weights=weights)
    with show_progress("looking", None):
        predicted = harmonizer.predict_objects(
            image,
            objects,
            labels=[label] * len(objects),
            strength=strength,
            reference=other,
            seam=seam,
        )
    for number, each in enumerate(predicted, start=1):
        if each.label is not None and label is None:
            typer.echo(f"object {number}: label {each.label} (guessed)", err=True)
    changes = [each.transform for each in predicted]
    rendered = render_objects(image, list(zip(objects, changes, strict=True)))
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)


def harmonize_opened(
    image: "pyvips.Image",
    mask: "pyvips.Image",
    strength: float,
    label: str | None,
    model: str,
    weights: Path | None,
    seam: str = "auto",
    reference: "pyvips.Image | None" = None,
) -> "pyvips.Image":
    """Predict, say what was used, render."""
    from imharmony.harmonizer import Harmonizer
    from imharmony.rendering.render import render

    harmonizer = Harmonizer(model, weights=weights)
    with show_progress("looking", None):
        predicted = harmonizer.predict(
            image,
            mask,
            label=label,
            strength=strength,
            reference=reference,
            seam=check_seam(seam),
        )
    say_what_was_found(predicted, label=label, strength=strength)
    return render(image, mask, predicted.transform, box=predicted.box)
