"""Commands that write predicted curves and apply written ones: curves and apply."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.cli.arguments import (
    PIPE,
    Format,
    Label,
    MaxPixels,
    Model,
    Output,
    Overwrite,
    Quality,
    Reference,
    ResizeMask,
    SeamOption,
    Strength,
    Weights,
    check_outputs,
    check_quality,
    name_input,
    read_composite,
    read_mask,
    read_photo,
    say_what_was_found,
    show_progress,
    write,
    write_to_pipe,
)
from imharmony.errors import UsageError
from imharmony.inference.choices import check_seam
from imharmony.inference.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from imharmony.results import FittedCurves

__all__ = ["apply", "curves"]


def curves(
    composite: Annotated[
        Path, typer.Argument(help="The composite photo. - is standard input.")
    ],
    mask: Annotated[
        Path | None,
        typer.Argument(
            help="White where the pasted foreground is. Left out, the composite's "
            "alpha is the mask.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
    kind: Annotated[
        str | None,
        typer.Option(
            help="json, cube, acv, hald or plot. Default: as the extension says, a "
            ".png being a plot.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Samples per channel: makes a .cube 3D, 2 to 65 (default: 1D, 4096 "
            "rows); of a HaldCLUT, a square from 4 to 256 (default: 64).",
            show_default=False,
        ),
    ] = None,
    stages: Annotated[
        bool,
        typer.Option("--stages", help="Plot each stage of the network, then all."),
    ] = False,
    best_fit: Annotated[
        bool,
        typer.Option(
            "--best-fit",
            help="For a model that predicts no curves: write those that come nearest "
            "to what it does.",
        ),
    ] = False,
    strength: Strength = 1.0,
    label: Label = None,
    reference: Reference = None,
    seam: SeamOption = "auto",
    model: Model = DEFAULT_MODEL,
    weights: Weights = None,
    resize_mask: ResizeMask = False,
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the predicted color curves for other programs, or as a plot."""
    from imharmony import curve_files, writing
    from imharmony.curve_files import plots, tables
    from imharmony.harmonizer import Harmonizer
    from imharmony.results import FittedCurves, Predicted

    kind = _choose_kind(output, kind)
    inputs = [composite, mask, reference]
    check_outputs(
        {"output": output},
        inputs=inputs,
        overwrite=overwrite,
        suffixes=None if output == PIPE else curve_files.SUFFIXES[kind],
    )
    tables.check_size(kind, size)
    if kind == "plot":
        plots.check_matplotlib()
    elif stages:
        raise UsageError("--stages is for plots; a .json holds all stages anyway")
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
        other, _ = read_photo(reference, max_pixels=max_pixels)
    harmonizer = Harmonizer(model, weights=weights)
    name = model if weights is None else weights.name
    has_curves = harmonizer.has_curves
    if best_fit and has_curves:
        raise UsageError(f"{name} predicts curves; --best-fit is for models without")
    find: Callable[..., Predicted] = (
        harmonizer.predict if has_curves else harmonizer.fit_curves
    )
    find = partial(find, seam=check_seam(seam))
    with show_progress("looking", None):
        predicted = find(
            image, mask_image, label=label, strength=strength, reference=other
        )
    if isinstance(predicted, FittedCurves):
        _say_what_is_lost(predicted, name, best_fit=best_fit)
    say_what_was_found(predicted, label=label, strength=strength)
    if kind == "plot":
        with show_progress("counting", None):
            histograms = plots.measure(image, mask_image, reference=other)
        figure = plots.draw(
            predicted.curves,
            histograms=histograms,
            stages=predicted.stages if stages else (),
        )
        data = plots.encode(figure, output.suffix or ".png")
    else:
        record = curve_files.Record(
            predicted.curves,
            stages=predicted.stages,
            label=predicted.label,
            strength=strength,
            model=name,
            checkpoint_sha256=harmonizer.contract.checkpoint_sha256,
        )
        data = curve_files.encode(record, kind, size=size)
        target = "standard output" if output == PIPE else str(output)
        curve_files.warn_of_cost(predicted.curves, data, name=target)
    if output == PIPE:
        write_to_pipe(data)
        return
    with writing.replace_whole(output, overwrite=overwrite) as file:
        file.write(data)
    typer.echo(output)


def apply(
    curves: Annotated[
        Path,
        typer.Argument(
            help="Curves: a .json, .cube, .acv or HaldCLUT .png file. - is standard "
            "input."
        ),
    ],
    photo: Annotated[Path, typer.Argument(help="The photo. - is standard input.")],
    mask: Annotated[
        Path | None,
        typer.Argument(
            help="White where the curves apply; soft edges blend. Left out, they apply "
            "to all of the photo.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
    strength: Strength = 1.0,
    resize_mask: ResizeMask = False,
    quality: Quality = None,
    file_format: Format = "png",
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
) -> None:
    """Recolor a photo by curves from a file; no network is run."""
    import pyvips

    from imharmony import curve_files
    from imharmony.rendering.render import render

    inputs = [curves, photo, mask]
    check_outputs({"output": output}, inputs=inputs, overwrite=overwrite)
    check_quality(output, file_format, quality)
    if inputs.count(PIPE) > 1:
        raise UsageError("only one of curves, photo and mask can be standard input")
    source = curve_files.read_bytes(sys.stdin.buffer) if curves == PIPE else curves
    record = curve_files.read_record(source, name=name_input(curves))
    image, _ = read_photo(photo, max_pixels=max_pixels)
    if mask is None:
        mask_image = pyvips.Image.black(image.width, image.height).invert()
    else:
        mask_image = read_mask(
            mask, image, resize_mask=resize_mask, max_pixels=max_pixels
        )
    rendered = render(image, mask_image, record.curves.blend(strength))
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)


def _say_what_is_lost(fitted: "FittedCurves", name: str, *, best_fit: bool) -> None:
    """Tell how far the nearest curves are off, and refuse them unless asked for."""
    nearest = (
        f"{name} predicts no curves, since it changes colors by place; those that come "
        f"nearest are {fitted.rms:.1f} 8-bit steps off (RMS), {fitted.largest:.0f} at "
        "most"
    )
    if not best_fit:
        raise UsageError(f"{nearest}; --best-fit writes them")
    typer.echo(f"{nearest} (--best-fit)", err=True)


def _choose_kind(output: Path, kind: str | None) -> str:
    """Say what to write; on standard output, no extension does."""
    from imharmony import curve_files

    if output != PIPE:
        return curve_files.choose_kind(output, kind=kind)
    if kind is None:
        known = ", ".join(curve_files.SUFFIXES)
        raise UsageError(f"standard output needs a --kind, one of {known}")
    suffix = curve_files.SUFFIXES.get(kind, ("",))[0]
    return curve_files.choose_kind(Path(f"standard output{suffix}"), kind=kind)
