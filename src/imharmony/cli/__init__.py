"""The command line: arguments in, exit code out.

Exit codes: 0 all done, 1 a picture failed, 2 wrong usage. Results go to standard
output, everything else to standard error; progress shows on a terminal only. Heavy
packages are imported inside the command that needs them, so `--help` is quick.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.errors import HarmonizeError, UsageError, WeightsError

if TYPE_CHECKING:
    import pyvips

    from imharmony.harmonizer import Predicted

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make a pasted object look as if it had been photographed in the scene.",
)

PIPE = Path("-")

Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="File to write; its extension sets the format. - is "
        "standard output.",
    ),
]  # fmt: skip
Strength = Annotated[
    float,
    typer.Option(
        min=0.0,
        help="How much of the change to apply: 0 none, 1 all, above 1 exaggerates.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        help="What the foreground is: person, animal, food, vehicle or others. "
        "Guessed by default.",
        show_default=False,
    ),
]
Model = Annotated[str, typer.Option(help="Bundled model to use.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Weights file (.onnx) to use instead of a bundled model.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Format = Annotated[
    str,
    typer.Option("--format", help="Format on standard output: png, jpg, webp or tif."),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1, max=100,
        help="JPEG or WebP quality, 1 to 100. Default: 95 for JPEG, lossless for WebP.",
        show_default=False,
    ),
]  # fmt: skip


@app.command()
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
    _check_outputs(outputs, inputs=[composite, mask], overwrite=overwrite)
    if mask == composite == PIPE:
        raise UsageError("composite and mask cannot both be standard input")
    image, name = _read_photo(composite)
    if mask is None:
        image, alpha = photo.split_alpha(image)
        if alpha is None:
            msg = f"{name}: no mask given and no alpha channel to use as one"
            raise ImageError(msg)
        mask_image = photo.alpha_mask(alpha)
    else:
        size = (image.height, image.width)
        mask_image = files.read_mask(
            _source(mask), size=size, resize=resize_mask, name=_name(mask)
        )
    rendered = _harmonize_opened(image, mask_image, strength, label, model, weights)
    _write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    if strip is not None:
        pictures = [image, mask_image, rendered]
        files.write_photo(
            compositing.side_by_side(pictures), strip, overwrite=overwrite
        )


@app.command()
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
    _check_outputs(outputs, inputs=[cutout, background], overwrite=overwrite)
    if cutout == background == PIPE:
        raise UsageError("cutout and background cannot both be standard input")
    corner = compositing.parse_point(at)
    length = compositing.parse_length(scale)
    pasted = compositing.paste(
        _read_photo(cutout)[0], _read_photo(background)[0], at=corner, scale=length
    )
    rendered = _harmonize_opened(
        pasted.composite, pasted.mask, strength, label, model, weights
    )
    _write(rendered, output, file_format, quality=quality, overwrite=overwrite)
    for extra, target in ((pasted.composite, composite), (pasted.mask, mask)):
        if target is not None:
            files.write_photo(extra, target, overwrite=overwrite)


@app.command()
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .safetensors file, as training writes it, or a .pth file in the "
            "format of the S²CRNet authors."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Weights file (.onnx) to write.")
    ],
    variant: Annotated[
        str | None,
        typer.Option(
            help="Network in a .pth file, which does not say: s2crnet, s2crnet-s, "
            "s2crnet-c or s2crnet-cs.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a checkpoint into the weights file that `--weights` takes.

    Needs the train extra. The file is compared with torch before it is written.
    """
    _check_outputs(
        {"output": output},
        inputs=[checkpoint],
        overwrite=overwrite,
        suffixes=[".onnx"],
    )
    with _needs_extra("train"):
        from imharmony.training import export as exporter
    difference = exporter.export(checkpoint, output, variant=variant)
    typer.echo(f"{output}: ONNX and torch differ by at most {difference:.1e}")


@app.command()
def train(
    config: Annotated[
        str, typer.Argument(help="Name of a bundled config, or a .toml file.")
    ],
    data: Annotated[
        Path, typer.Argument(help="Folder with index.csv, photographs and masks.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for checkpoint and log.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
) -> None:
    """Train a network on pairs synthesized from photographs with masks.

    Needs the train extra. Prints one line per validation.
    """
    with _needs_extra("train"):
        from imharmony.training import task
    settings = task.read_settings(config)
    with _progress("training", settings.num_steps) as advance:
        for progress in task.train(settings, data, output, resume=resume):
            advance(progress.step)
            if "psnr" in progress.values:
                shown = "  ".join(f"{k} {v:.4f}" for k, v in progress.values.items())
                typer.echo(f"step {progress.step}  {shown}")


@app.command()
def synthesize(
    data: Annotated[
        Path, typer.Argument(help="Folder with index.csv, photographs and masks.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; must not exist.")
    ],
    split: Annotated[
        str | None,
        typer.Option(help="Use the photos of this split only.", show_default=False),
    ] = None,
    num_pairs: Annotated[
        int, typer.Option(min=1, help="How many pairs to write.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the looks.")] = 0,
) -> None:
    """Write composite, mask and real pictures in iHarmony4 layout.

    Needs the train extra. The same seed gives the same pairs.
    """
    with _needs_extra("train"):
        from imharmony.training.data import written
    with _progress("pairs", num_pairs) as advance:
        done = written.write_pairs(
            data, output, split=split, num_pairs=num_pairs, seed=seed
        )
        for count in done:
            advance(count)


@app.command()
def evaluate(
    root: Annotated[
        Path,
        typer.Argument(help="Folder in iHarmony4 layout: composites, masks, real."),
    ],
    *,
    model: Model = "s2crnet-cs",
    weights: Weights = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Also write one CSV row per image.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Score the composites, Reinhard's transfer and a model; print a table."""
    from imharmony.evaluation import protocol

    _check_outputs({"table": table}, inputs=[], overwrite=overwrite, suffixes=[".csv"])
    pairs = protocol.find_pairs(root)
    scores = []
    with _progress("images", len(pairs)) as advance:
        for count, score in enumerate(
            protocol.score_pairs(pairs, model=model, weights=weights), 1
        ):
            scores.append(score)
            advance(count)
    if table is not None:
        protocol.write_scores(scores, table)
    typer.echo(protocol.summary(scores))


def main() -> None:
    """Run the command line; the entry point of `imharmony`.

    The one place that turns errors into text and exit codes. Errors that nobody
    raised on purpose are bugs and keep their traceback.
    """
    warnings.showwarning = _show_warning
    try:
        app()
    except HarmonizeError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError | WeightsError) else 1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"warning: {message}", err=True)


def _name(path: Path) -> str:
    return "standard input" if path == PIPE else str(path)


def _source(path: Path) -> Path | bytes:
    return sys.stdin.buffer.read() if path == PIPE else path


def _read_photo(path: Path) -> tuple["pyvips.Image", str]:
    from imharmony import files

    return files.read_photo(_source(path), name=_name(path)), _name(path)


def _check_outputs(
    outputs: dict[str, Path | None],
    *,
    inputs: list[Path | None],
    overwrite: bool,
    suffixes: Sequence[str] | None = None,
) -> None:
    """Refuse before any work what could not be written after it."""
    from imharmony import files

    # realpath: two names of one file, through a link or another folder.
    taken = {os.path.realpath(path) for path in inputs if path not in (None, PIPE)}
    for option, target in outputs.items():
        if target is None or (target == PIPE and option == "output" and not suffixes):
            continue
        if os.path.realpath(target) in taken:
            msg = f"{target}: --{option} is also used for another file of this command"
            raise UsageError(msg)
        taken.add(os.path.realpath(target))
        files.check_target(target, overwrite=overwrite, suffixes=suffixes)


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


def _write(
    image: "pyvips.Image",
    target: Path,
    file_format: str,
    *,
    quality: int | None,
    overwrite: bool,
) -> None:
    from imharmony import files
    from imharmony.errors import ImageError

    if target == PIPE:
        suffix = "." + file_format.removeprefix(".")
        encoded = files.encode_photo(image, suffix, quality=quality)
        try:
            sys.stdout.buffer.write(encoded)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough; Typer ends quietly
        except OSError as error:
            msg = f"standard output: cannot be written ({error.strerror or error})"
            raise ImageError(msg) from error
    else:
        files.write_photo(image, target, overwrite=overwrite, quality=quality)
        typer.echo(target)


@contextmanager
def _needs_extra(extra: str) -> Iterator[None]:
    """Turn a missing package into the line that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("imharmony"):
            raise
        msg = f"{error.name} is not installed; pip install 'imharmony[{extra}]'"
        raise UsageError(msg) from error


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; stay quiet in a pipe."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console,
        disable=not console.is_terminal, transient=True,
    ) as progress:  # fmt: skip
        bar = progress.add_task(what, total=total)
        yield lambda done: progress.update(bar, completed=done)


if __name__ == "__main__":
    main()
