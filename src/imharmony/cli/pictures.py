"""Commands that make pictures: harmonize and paste."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.cli.arguments import (
    PIPE,
    Format,
    Label,
    Model,
    Output,
    Overwrite,
    Quality,
    Strength,
    Weights,
    check_outputs,
    name_of,
    read_photo,
    source_of,
    write,
)
from imharmony.errors import UsageError

if TYPE_CHECKING:
    import pyvips

    from imharmony.harmonizer import Predicted

__all__ = ["harmonize", "paste"]


def harmonize(
    composite: Annotated[
        Path, typer.Argument(help="The composite photo. - is standard input.")
    ],
    mask: Annotated[
        Path | None,
        typer.Argument(
            help="White where the pasted foreground is; soft edges welcome. Left out, "
            "the composite's alpha is the mask.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Output,
    strength: Strength = 1.0,
    label: Label = None,
    model: Model = "s2crnet-cs",
    weights: Weights = None,
    resize_mask: Annotated[
        bool,
        typer.Option("--resize-mask", help="Fit a mask of another size to the photo."),
    ] = False,
    strip: Annotated[
        Path | None,
        typer.Option(
            help="Also write composite, mask and result side by side.",
            show_default=False,
        ),
    ] = None,
    quality: Quality = None,
    file_format: Format = "png",
    overwrite: Overwrite = False,
) -> None:
    """Recolor the foreground of a composite so that it fits its background."""
    from imharmony import compositing, files, photo
    from imharmony.errors import ImageError

    outputs = {"output": output, "strip": strip}
    check_outputs(outputs, inputs=[composite, mask], overwrite=overwrite)
    if mask == composite == PIPE:
        raise UsageError("composite and mask cannot both be standard input")
    image, name = read_photo(composite)
    if mask is None:
        image, alpha = photo.split_alpha(image)
        if alpha is None:
            msg = f"{name}: no mask given and no alpha channel to use as one"
            raise ImageError(msg)
        mask_image = photo.alpha_mask(alpha)
    else:
        size = (image.height, image.width)
        mask_image = files.read_mask(
            source_of(mask), size=size, resize=resize_mask, name=name_of(mask)
        )
    rendered = _harmonize_opened(image, mask_image, strength, label, model, weights)
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    if strip is not None:
        pictures = [image, mask_image, rendered]
        files.write_photo(
            compositing.side_by_side(pictures), strip, overwrite=overwrite
        )


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
    model: Model = "s2crnet-cs",
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
    overwrite: Overwrite = False,
) -> None:
    """Place a cut-out on a background and harmonize it with the scene."""
    from imharmony import compositing, files

    outputs = {"output": output, "composite": composite, "mask": mask}
    check_outputs(outputs, inputs=[cutout, background], overwrite=overwrite)
    if cutout == background == PIPE:
        raise UsageError("cutout and background cannot both be standard input")
    corner = compositing.parse_point(at)
    length = compositing.parse_length(scale)
    pasted = compositing.paste(
        read_photo(cutout)[0], read_photo(background)[0], at=corner, scale=length
    )
    rendered = _harmonize_opened(
        pasted.composite, pasted.mask, strength, label, model, weights
    )
    write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    for extra, target in ((pasted.composite, composite), (pasted.mask, mask)):
        if target is not None:
            files.write_photo(extra, target, overwrite=overwrite)


def _harmonize_opened(
    image: "pyvips.Image",
    mask: "pyvips.Image",
    strength: float,
    label: str | None,
    model: str,
    weights: Path | None,
) -> "pyvips.Image":
    """Predict, say what was used, render."""
    from imharmony import photo
    from imharmony.harmonizer import Harmonizer

    harmonizer = Harmonizer(model, weights=weights)
    predicted: Predicted = harmonizer.predict(
        image, mask, label=label, strength=strength
    )
    if predicted.label is not None and label is None:
        typer.echo(f"label: {predicted.label} (guessed; --label changes it)", err=True)
    if predicted.stages and strength > 0 and predicted.curves.is_identity:
        typer.echo("nothing changed: the foreground seems to fit already", err=True)
    return photo.render(image, mask, predicted.curves)
