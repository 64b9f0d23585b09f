"""The command line: arguments in, exit code out.

Exit codes: 0 all done, 1 a picture failed, 2 wrong usage; `stops` says what a stop
gives. Results go to standard output, everything else to standard error; progress shows
on a terminal only. Heavy packages are imported inside the command that needs them, so
`--help` is quick.
"""

import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from imharmony.cli import (
    batch,
    benchmark,
    curves,
    data,
    evaluation,
    pictures,
    training,
    video,
    web,
)
from imharmony.cli.stops import end_by_signal
from imharmony.errors import HarmonizeError, Hint, UsageError, WeightsError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PANELS = {
    "Pictures": (
        pictures.harmonize,
        pictures.paste,
        video.video,
        batch.batch,
        web.serve,
    ),
    "Curves": (curves.curves, curves.apply),
    "Research": (
        data.synthesize,
        training.train,
        training.ablate,
        training.export,
        evaluation.evaluate,
        evaluation.compare,
        evaluation.study,
        benchmark.benchmark,
    ),
}
"""Commands as `--help` groups them."""

for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(data.data_app, name="data", rich_help_panel="Research")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"imharmony {version('imharmony')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version of the package, and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Make a pasted object look as if it had been photographed in the scene."""


_HINTS = {
    Hint.OVERWRITE: "--overwrite replaces it",
    Hint.RESUME: "--overwrite replaces it, --resume goes on with it",
    Hint.RESIZE_MASK: "--resize-mask stretches it",
    Hint.MAX_PIXELS: "--max-pixels raises the limit",
    Hint.GO_ON: "--resume goes on with it",
    Hint.VARIANT: "--variant names it, or is left out",
}
"""What the command line says of an option that would help."""


def main() -> None:
    """Run the command line; the entry point of `imharmony`.

    The one place that turns errors into text and exit codes. Errors that nobody
    raised on purpose are bugs and keep their traceback.
    """
    warnings.showwarning = _show_warning
    with end_by_signal():
        try:
            app()
        except HarmonizeError as error:
            hint = "" if error.hint is None else f"; {_HINTS[error.hint]}"
            typer.echo(f"error: {error}{hint}", err=True)
            sys.exit(2 if isinstance(error, UsageError | WeightsError) else 1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"warning: {message}", err=True)
