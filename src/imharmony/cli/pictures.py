"""Commands that make pictures: harmonize and paste."""

import os
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import (
    PIPE,
    Format,
    Label,
    Manifest,
    Masks,
    MaxPixels,
    Model,
    Name,
    Output,
    Overwrite,
    Quality,
    Recursive,
    Reference,
    ReportFile,
    ResizeMask,
    Resume,
    SeamOption,
    Sheet,
    Strength,
    Watch,
    Weights,
    Workers,
    check_outputs,
    check_quality,
    read_photo,
    write,
)
from imharmony.cli.photos import harmonize_objects, harmonize_one, harmonize_opened
from imharmony.errors import UsageError
from imharmony.inference.choices import check_seam
from imharmony.inference.models import DEFAULT_MODEL

__all__ = ["harmonize", "paste"]


def harmonize(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="COMPOSITE [MASK]",
            help="The composite photo and its mask: white where the pasted "
            "foreground is; soft edges welcome. Without a mask, the composite's alpha "
            "is one. - is standard input. Or, where --output is a folder: composites, "
            "and folders of them, with masks beside them as NAME_mask.png.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
    strength: Strength = 1.0,
    label: Label = None,
    model: Model = DEFAULT_MODEL,
    weights: Weights = None,
    reference: Reference = None,
    seam: SeamOption = "auto",
    resize_mask: ResizeMask = False,
    strip: Annotated[
        Path | None,
        typer.Option(
            help="Also write composite, mask and result side by side.",
            show_default=False,
        ),
    ] = None,
    quality: Quality = None,
    file_format: Format = "png",
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            help="Mask of an object. Given twice or more, each object is fitted to "
            "what is none of them.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="The mask holds several objects: each value but 0 is one of them.",
        ),
    ] = False,
    masks: Masks = None,
    manifest: Manifest = None,
    recursive: Recursive = False,
    name: Name = None,
    resume: Resume = False,
    watch: Watch = False,
    workers: Workers = None,
    report: ReportFile = None,
    sheet: Sheet = None,
) -> None:
    """Recolor the foreground of a composite so that it fits its background."""
    paths = inputs or []
    check_seam(seam)
    for_many: dict[str, object] = {
        "--masks": masks,
        "--manifest": manifest,
        "--recursive": recursive,
        "--name": name,
        "--resume": resume,
        "--watch": watch,
        "--workers": workers,
        "--report": report,
        "--sheet": sheet,
    }
    if len(paths) > 2 or any(for_many.values()) or _is_for_folders(paths, output):
        from imharmony.batch import Job, Settings
        from imharmony.cli.batch import harmonize_folders

        if strip is not None:
            raise UsageError("--strip is for one photo; --sheet shows several")
        settings = Settings(
            model=model,
            weights=weights,
            resize_mask=resize_mask,
            quality=quality,
            max_pixels=max_pixels,
            overwrite=overwrite,
            resume=resume or watch,
            tiles=sheet is not None,
        )
        common = Job(
            Path(),
            reference=reference,
            label=label,
            strength=strength,
            seam=check_seam(seam),
        )
        harmonize_folders(
            paths,
            output,
            settings=settings,
            common=common,
            masks=masks,
            manifest=manifest,
            recursive=recursive,
            name=name,
            watch=watch,
            workers=workers,
            report=report,
            sheet=sheet,
        )
        return
    if not paths:
        raise UsageError("expected a composite, got none")
    all_masks = [*paths[1:], *(mask or [])]
    if labels and len(all_masks) != 1:
        msg = "--labels: expected one mask that holds all objects"
        raise UsageError(f"{msg}, got {len(all_masks)} masks")
    if labels or len(all_masks) > 1:
        if strip is not None:
            raise UsageError("--strip is for one object")
        harmonize_objects(
            paths[0],
            all_masks,
            output,
            labels=labels,
            strength=strength,
            label=label,
            model=model,
            weights=weights,
            reference=reference,
            seam=check_seam(seam),
            resize_mask=resize_mask,
            quality=quality,
            file_format=file_format,
            max_pixels=max_pixels,
            overwrite=overwrite,
        )
        return
    harmonize_one(
        paths[0],
        all_masks[0] if all_masks else None,
        output,
        strength=strength,
        label=label,
        model=model,
        weights=weights,
        reference=reference,
        seam=seam,
        resize_mask=resize_mask,
        strip=strip,
        quality=quality,
        file_format=file_format,
        max_pixels=max_pixels,
        overwrite=overwrite,
    )


def _is_for_folders(inputs: list[Path], output: Path) -> bool:
    """Whether folders are meant; the name of a picture means one photo."""
    from imharmony.images.formats import SUFFIXES

    if output.suffix.lower() in SUFFIXES or output == PIPE:
        return False
    # os.path: unlike Path's, it knows no error.
    return any(os.path.isdir(path) for path in (*inputs, output))  # noqa: PTH112


def paste(
    cutout: Annotated[
        Path, typer.Argument(help="Picture with alpha, to be pasted. - is a pipe.")
    ],
    background: Annotated[
        Path, typer.Argument(help="The photo to paste on. - is a pipe.")
    ],
    *,
    output: Output,
    at: Annotated[
        str,
        typer.Option(
            help="X,Y of the cut-out's top left corner: pixels, or percent of the "
            "background's width and height.",
        ),
    ] = "0,0",
    scale: Annotated[
        str,
        typer.Option(
            help="Size of the cut-out: percent of its own size, or its width in pixels."
        ),
    ] = "100%",
    strength: Strength = 1.0,
    label: Label = None,
    model: Model = DEFAULT_MODEL,
    weights: Weights = None,
    composite: Annotated[
        Path | None,
        typer.Option(
            help="Also write the composite before it is harmonized.",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Also write the mask.", show_default=False),
    ] = None,
    quality: Quality = None,
    file_format: Format = "png",
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
) -> None:
    """Place a cut-out on a background and harmonize it with the scene."""
    from imharmony.images import compositing, files

    outputs = {"output": output, "composite": composite, "mask": mask}
    check_outputs(outputs, inputs=[cutout, background], overwrite=overwrite)
    check_quality(output, file_format, quality)
    if cutout == background == PIPE:
        raise UsageError("cutout and background cannot both be standard input")
    corner = compositing.parse_point(at)
    length = compositing.parse_length(scale)
    pasted = compositing.paste(
        read_photo(cutout, max_pixels=max_pixels)[0],
        read_photo(background, max_pixels=max_pixels)[0],
        at=corner,
        scale=length,
    )
    rendered = harmonize_opened(
        pasted.composite, pasted.mask, strength, label, model, weights
    )
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    for extra, target in ((pasted.composite, composite), (pasted.mask, mask)):
        if target is not None:
            files.write_photo(extra, target, overwrite=overwrite)
