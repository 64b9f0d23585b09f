"""Commands that measure: evaluate, compare, study."""

import os
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import show_progress
from imharmony.inference.models import DEFAULT_MODEL

__all__ = ["compare", "evaluate", "study"]


def evaluate(
    root: Annotated[
        Path,
        typer.Argument(help="Folder in iHarmony4 layout: composites, masks, real."),
    ],
    *,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="Rules to measure by: full, 256, pct-full, dccf-full, idih256, "
            "hdnet256, dovenet256 or s2crnet256. May be given several times, or with "
            "commas between. Default: full.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="What to score, with commas between: composite, reinhard, histogram, "
            "seamless, model, ceiling. Default: all; seamless only where OpenCV is "
            "installed.",
            show_default=False,
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            help="Also score another program's pictures: a folder with one for each "
            "composite, of the composite's name. May be given several times.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to score by its name. May be given several times. Default: "
            f"{DEFAULT_MODEL}, or none with --weights.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Weights file (.onnx) to score. May be given several times.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Which list to take: test, train, or all without a list. Default: "
            "test where there is a list.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to write tables per image, Markdown and a page of best and "
            "worst pictures to; must not exist.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many images to work on at once. Default: one per core.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Score composites, baselines, a model, other programs' pictures; print tables."""
    from imharmony.datasets.iharmony4 import find_pairs
    from imharmony.errors import ImageError
    from imharmony.evaluation.methods import methods as known
    from imharmony.evaluation.protocols.protocol import choose_protocols
    from imharmony.evaluation.reports.output import check_new_folder, write_folder
    from imharmony.evaluation.reports.report import report
    from imharmony.evaluation.reports.scoring import score_pairs
    from imharmony.evaluation.reports.tables import protocol_tables, to_markdown

    protocols = choose_protocols(protocol or ["full"])
    for chosen in protocols:
        chosen.check_installed()
    if output is not None:
        check_new_folder(output)
    pairs = find_pairs(root, split=split)
    methods = known.collect_methods(
        known.choose_rows(rows),
        pairs,
        models=model or ([] if weights else [DEFAULT_MODEL]),
        weights=weights or [],
        results=results or [],
    )
    if rows is None and "seamless" not in methods:
        note = "row seamless left out: cv2 is not installed; pip install"
        typer.echo(f"{note} 'imharmony[evaluate]'", err=True)
    num_threads = threads or os.cpu_count() or 1
    scores = []
    failures = []
    with show_progress("images", len(pairs)) as advance:
        scored = score_pairs(
            pairs,
            methods,
            protocols,
            num_threads=num_threads,
            on_failure=lambda pair, error: failures.append(f"{pair.name}: {error}"),
        )
        for count, of_image in enumerate(scored, 1):
            scores += of_image
            advance(count)
    for failure in failures:
        typer.echo(f"left out {failure}", err=True)
    if not scores:
        msg = f"{root}: none of {len(pairs)} pairs can be scored"
        raise ImageError(msg)
    tables = {
        chosen.name: protocol_tables(
            [score for score in scores if score.protocol == chosen.name]
        )
        for chosen in protocols
    }
    if output is not None:
        page = report(tables, scores, pairs, methods)
        write_folder(
            output, tables=tables, scores=scores, page=page, num_threads=num_threads
        )
        typer.echo(f"written: {output}", err=True)
    typer.echo("\n\n".join(to_markdown(parts) for parts in tables.values()))
    if failures:
        msg = f"{len(failures)} of {len(pairs)} pairs could not be scored"
        raise ImageError(msg)


def compare(
    first: Annotated[
        Path, typer.Argument(help="A table per image, ours or a peer's (.csv).")
    ],
    second: Annotated[Path, typer.Argument(help="Another, to set against it.")],
) -> None:
    """Test the difference of two methods on the images both were measured on.

    Says what was measured differently, and leaves that out.
    """
    from imharmony.evaluation.reports.comparison import (
        compare_tables,
        comparison_tables,
    )
    from imharmony.evaluation.reports.interchange import read_table
    from imharmony.evaluation.reports.tables import to_markdown

    comparison = compare_tables(read_table(first), read_table(second))
    typer.echo(to_markdown(comparison_tables(comparison)))


def study(
    folder: Annotated[
        Path,
        typer.Argument(help="Holds a folder per method of equally named pictures."),
    ],
    *,
    results: Annotated[
        bool,
        typer.Option("--results", help="Print the preferences voted so far, and end."),
    ] = False,
    votes: Annotated[
        Path | None,
        typer.Option(
            help="SQLite file for the votes. Default: votes.sqlite in the folder.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port to listen on at 127.0.0.1; 0 takes any."
        ),
    ] = 8765,
) -> None:
    """Ask people on a local page which of two methods' pictures looks more real.

    Methods are not named, order and sides are random. Ctrl-C ends it.
    """
    from imharmony.evaluation.reports.tables import to_markdown
    from imharmony.evaluation.study.preference import preference_tables
    from imharmony.evaluation.study.study import VOTES_FILE, Study, Votes
    from imharmony.evaluation.study.study_server import StudyServer

    if results:
        choices = Votes(votes or folder / VOTES_FILE).read()
        typer.echo(to_markdown(preference_tables(choices)))
        return
    with StudyServer(Study.of_folder(folder, votes=votes), port=port) as server:
        typer.echo(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("ended; --results prints the preferences", err=True)
