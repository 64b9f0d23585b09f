"""The command that measures speed and memory: benchmark."""

import json
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import (
    Model,
    Overwrite,
    Weights,
    check_outputs,
    show_progress,
)
from imharmony.errors import UsageError
from imharmony.inference.models import DEFAULT_MODEL

__all__ = ["benchmark"]


def benchmark(
    *,
    sizes: Annotated[
        str, typer.Option(help="Heights and widths in pixels, with commas between.")
    ] = "256,512,1024,2048,4096,8192",
    depths: Annotated[
        str, typer.Option(help="Bits per channel: 8, 16, or both with a comma.")
    ] = "8,16",
    boxes: Annotated[
        str, typer.Option(help="Areas of the foreground's box, percent of the frame.")
    ] = "5,25,100",
    masks: Annotated[str, typer.Option(help="soft, hard, or both.")] = "soft,hard",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of the network within one call.")
    ] = 2,
    runs: Annotated[
        int, typer.Option(min=3, help="Runs per figure, after one to warm up.")
    ] = 15,
    seconds: Annotated[
        float,
        typer.Option(min=0.0, help="Start no run of a figure after this; 3 at least."),
    ] = 3.0,
    baseline_size: Annotated[
        int,
        typer.Option(
            min=0,
            help="Largest size, in pixels, for the slow baselines: the paper's "
            "rendering and, with torch, its network without thumbnails.",
        ),
    ] = 4096,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Only try it out: one tiny case, three runs, no memory."
        ),
    ] = False,
    model: Model = DEFAULT_MODEL,
    weights: Weights = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="JSON file to write everything to.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Plot to write, .png or .svg: time, memory and multiplications "
            "against resolution. Needs the extra plot.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure time and memory on this machine; print tables.

    Made-up pictures, array to array and file to file; the copy of the photo is the
    floor. All cases take about an hour. Let nothing else run meanwhile.
    """
    from imharmony import writing
    from imharmony.benchmark import cost_plots
    from imharmony.benchmark.cases import list_cases
    from imharmony.benchmark.record import Plan, measure
    from imharmony.benchmark.table import to_table
    from imharmony.curve_files import plots

    check_outputs(
        {"output": output}, inputs=[plot], overwrite=overwrite, suffixes=(".json",)
    )
    check_outputs(
        {"plot": plot}, inputs=[], overwrite=overwrite, suffixes=(".png", ".svg")
    )
    if plot is not None:
        plots.check_matplotlib()
    if quick:
        plan = Plan(
            list_cases([64], [8], [25], ["soft"]),
            model,
            weights,
            threads,
            runs=3,
            seconds=0.2,
            has_memory=False,
        )
    else:
        cases = list_cases(
            _read_numbers("sizes", sizes),
            _read_numbers("depths", depths),
            _read_numbers("boxes", boxes),
            masks.split(","),
        )
        plan = Plan(cases, model, weights, threads, runs, seconds, baseline_size)
    with show_progress("measuring", len(plan)) as advance:
        record = measure(plan, progress=advance)
    typer.echo(to_table(record))
    if output is not None:
        with writing.replace_whole(output, overwrite=overwrite) as file:
            file.write((json.dumps(record, indent=2) + "\n").encode())
        typer.echo(f"written: {output}", err=True)
    if plot is not None:
        data = plots.encode(cost_plots.draw(record), plot.suffix)
        with writing.replace_whole(plot, overwrite=overwrite) as file:
            file.write(data)
        typer.echo(f"written: {plot}", err=True)


def _read_numbers(name: str, text: str) -> list[int]:
    """Read whole numbers with commas between."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"--{name} are whole numbers with commas between, got {text!r}"
        raise UsageError(msg) from error
