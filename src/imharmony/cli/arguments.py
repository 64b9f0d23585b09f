"""What the commands share: options, pipes, checks before and progress during work."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.errors import UsageError

if TYPE_CHECKING:
    import pyvips

__all__ = [
    "PIPE",
    "Format",
    "Label",
    "Model",
    "Output",
    "Overwrite",
    "Quality",
    "Strength",
    "Weights",
    "check_outputs",
    "name_of",
    "needs_extra",
    "read_photo",
    "show_progress",
    "source_of",
    "write",
]

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


def name_of(path: Path) -> str:
    """Name an input as error messages do."""
    return "standard input" if path == PIPE else str(path)


def source_of(path: Path) -> Path | bytes:
    """Take a file, or all of standard input."""
    return sys.stdin.buffer.read() if path == PIPE else path


def read_photo(path: Path) -> tuple["pyvips.Image", str]:
    """Open a photo; also say what error messages call it."""
    from imharmony import files

    return files.read_photo(source_of(path), name=name_of(path)), name_of(path)


def check_outputs(
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


def write(
    image: "pyvips.Image",
    target: Path,
    file_format: str,
    *,
    quality: int | None,
    overwrite: bool,
) -> None:
    """Write a picture to a file or to standard output, and say where it is."""
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
def show_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
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
