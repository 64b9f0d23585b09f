"""What the commands share: options, pipes, checks before and progress during work."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.errors import UsageError
from imharmony.inference.models import MODELS
from imharmony.labels import LABELS

if TYPE_CHECKING:
    import pyvips

    from imharmony.results import Predicted

__all__ = [
    "PIPE",
    "Format",
    "Label",
    "Manifest",
    "Masks",
    "MaxPixels",
    "Model",
    "Name",
    "Output",
    "Overwrite",
    "Quality",
    "Recursive",
    "Reference",
    "ReportFile",
    "ResizeMask",
    "Resume",
    "Sheet",
    "Strength",
    "Watch",
    "Weights",
    "Workers",
    "check_outputs",
    "check_quality",
    "name_input",
    "needs_extra",
    "read_composite",
    "read_mask",
    "read_photo",
    "say_what_was_found",
    "show_progress",
    "take_source",
    "write",
    "write_to_pipe",
]

PIPE = Path("-")

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="File to write; its extension sets the format. - is standard output.",
    ),
]
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
        help=f"What the foreground is: {', '.join(LABELS[:-1])} or {LABELS[-1]}. "
        "Guessed by default.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(help=f"Model to use: {' or '.join(MODELS)}."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Weights file (.onnx) to use instead of a model by name.",
        show_default=False,
    ),
]
SeamOption = Annotated[
    str,
    typer.Option(
        "--seam",
        help="Pixels across the mask's edge: auto lets the network judge whether the "
        "foreground is of the same scene; trust says it is (edited, inpainted or relit "
        "in place); ignore does not look (a paste on a busy edge).",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        help="Another photo to fit the foreground to, instead of the composite's own "
        "background.",
        show_default=False,
    ),
]
ResizeMask = Annotated[
    bool,
    typer.Option("--resize-mask", help="Fit a mask of another size to the photo."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Refuse pictures of more pixels before decoding them. Default: 268435456, "
        "which is 16384 x 16384.",
        show_default=False,
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Folder of masks, found by the composites' names.", show_default=False
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        help="Table of jobs, .csv or .jsonl, with the columns composite, mask, "
        "labels, reference, label, strength, seam and output.",
        show_default=False,
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", help="Search folders in folders, too.")
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Names of the files in the output folder; {stem}, {suffix} and {parent} "
        "are the composite's. Default: {stem}{suffix}.",
        show_default=False,
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Skip what is done and whole.")]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch", help="Go on with pictures that arrive in the folder, until Ctrl-C."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes side by side. Default: one a core.", show_default=False
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="File of JSON lines that says what became of each picture.",
        show_default=False,
    ),
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        help="Picture of all results, small and beside their composites; every fifty "
        "make one.",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="Format on standard output: png, jpg, webp, tif or avif."
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="JPEG, WebP or AVIF quality, 1 to 100. Default: the input's for JPEG, or "
        "95; lossless for WebP and AVIF.",
        show_default=False,
    ),
]


def name_input(path: Path) -> str:
    """Name an input as error messages do."""
    return "standard input" if path == PIPE else str(path)


def take_source(path: Path) -> Path | bytes:
    """Take a file, or all of standard input."""
    return sys.stdin.buffer.read() if path == PIPE else path


def read_photo(
    path: Path, *, max_pixels: int | None = None
) -> tuple["pyvips.Image", str]:
    """Open a photo; also say what error messages call it."""
    from imharmony.images import files

    limit = files.MAX_PIXELS if max_pixels is None else max_pixels
    with show_progress("reading", 100) as advance:
        image = files.read_photo(
            take_source(path), name=name_input(path), max_pixels=limit, progress=advance
        )
    return image, name_input(path)


def read_composite(
    composite: Path,
    mask: Path | None,
    *,
    resize_mask: bool,
    has_reference: bool = False,
    max_pixels: int | None = None,
) -> tuple["pyvips.Image", "pyvips.Image"]:
    """Open a composite and its mask; without one, split off the composite's alpha."""
    from imharmony.images import files, mask_files
    from imharmony.images.masks import split_mask

    if mask is not None:
        with show_progress("reading", 100) as advance:
            return mask_files.read_pair(
                take_source(composite),
                take_source(mask),
                names=(name_input(composite), name_input(mask)),
                resize=resize_mask,
                max_pixels=files.MAX_PIXELS if max_pixels is None else max_pixels,
                progress=advance,
            )
    image, name = read_photo(composite, max_pixels=max_pixels)
    return split_mask(image, name=name, may_be_full=has_reference)


def read_mask(
    mask: Path,
    image: "pyvips.Image",
    *,
    resize_mask: bool,
    max_pixels: int | None = None,
) -> "pyvips.Image":
    """Open the mask of a photo."""
    from imharmony.images import files, mask_files

    with show_progress("reading the mask", None):
        return mask_files.read_mask(
            take_source(mask),
            size=(image.height, image.width),
            resize=resize_mask,
            name=name_input(mask),
            max_pixels=files.MAX_PIXELS if max_pixels is None else max_pixels,
        )


def say_what_was_found(
    predicted: "Predicted", *, label: str | None, strength: float
) -> None:
    """Announce a guessed label, the scene, and that nothing needed a change."""
    if predicted.same_scene is not None and sys.stderr.isatty():
        text = f"same scene: {predicted.same_scene:.2f}"
        typer.echo(f"{text} (by {predicted.seam_pairs} pairs of pixels)", err=True)
    if predicted.label is not None and label is None:
        typer.echo(f"label: {predicted.label} (guessed; --label changes it)", err=True)
    if predicted.stages and strength > 0 and predicted.curves.is_identity:
        typer.echo("nothing changed: the foreground seems to fit already", err=True)


def check_outputs(
    outputs: dict[str, Path | None],
    *,
    inputs: list[Path | None],
    overwrite: bool,
    suffixes: Sequence[str] | None = None,
) -> None:
    """Refuse before any work what could not be written after it."""
    from imharmony import writing
    from imharmony.images import formats

    # realpath: two names of one file, through a link or another folder.
    used_paths = {os.path.realpath(path) for path in inputs if path not in (None, PIPE)}
    for option, target in outputs.items():
        if target is None or (target == PIPE and option == "output" and not suffixes):
            continue
        if os.path.realpath(target) in used_paths:
            msg = f"{target}: --{option} is also used for another file of this command"
            raise UsageError(msg)
        used_paths.add(os.path.realpath(target))
        known = suffixes or tuple(formats.SUFFIXES)
        writing.check_target(target, known, overwrite=overwrite)


def check_quality(output: Path, file_format: str, quality: int | None) -> None:
    """Refuse, before any work, a quality or a format that the output cannot have."""
    from imharmony.images import formats

    if output == PIPE:
        suffix = "." + file_format.removeprefix(".")
        formats.check_quality(suffix, quality, "standard output")
    else:
        formats.check_quality(output.suffix, quality, str(output))


def write(
    image: "pyvips.Image",
    target: Path,
    file_format: str,
    *,
    quality: int | None,
    overwrite: bool,
) -> None:
    """Write a picture to a file or to standard output, and say where it is."""
    from imharmony.images import files

    if target == PIPE:
        suffix = "." + file_format.removeprefix(".")
        write_to_pipe(files.encode_photo(image, suffix, quality=quality))
    else:
        with show_progress("writing", 100) as advance:
            files.write_photo(
                image, target, overwrite=overwrite, quality=quality, progress=advance
            )
        typer.echo(target)


def write_to_pipe(encoded: bytes) -> None:
    """Write to standard output, all of it."""
    from imharmony.errors import ImageError

    try:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough; Typer ends quietly
    except OSError as error:
        msg = f"standard output: cannot be written ({error.strerror or error})"
        raise ImageError(msg) from error


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a missing package into the line that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("imharmony"):
            raise
        msg = f"{error.name} is not installed; pip install 'imharmony[{extra}]'"
        raise UsageError(msg) from error


@contextmanager
def show_progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal after a second; stay quiet in a pipe.

    Without a total it shows that work goes on.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    progress = Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    bar = progress.add_task(what, total=total)
    start = Timer(1.0, progress.start)
    start.daemon = True
    start.start()
    try:
        yield lambda count: progress.update(bar, completed=count)
    finally:
        start.cancel()
        start.join()
        progress.stop()
