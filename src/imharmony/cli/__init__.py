"""The command line: arguments in, exit code out.

Exit codes: 0 all done, 1 a picture failed, 2 wrong usage. Results go to standard
output, everything else to standard error; progress shows on a terminal only. Heavy
packages are imported inside the command that needs them, so `--help` is quick.
"""

import sys
import warnings

import typer

from imharmony.cli import benchmark, curves, data, evaluation, pictures, training, web
from imharmony.errors import HarmonizeError, UsageError, WeightsError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make a pasted object look as if it had been photographed in the scene.",
)

for command in (
    pictures.harmonize,
    pictures.paste,
    curves.curves,
    curves.apply,
    training.export,
    training.train,
    training.ablate,
    data.synthesize,
    evaluation.evaluate,
    evaluation.compare,
    evaluation.study,
    benchmark.benchmark,
    web.serve,
):
    app.command()(command)
app.add_typer(data.data_app, name="data")


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
