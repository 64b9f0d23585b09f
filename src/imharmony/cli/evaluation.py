"""Commands that measure: evaluate, compare, study."""

import os
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import needs_extra, show_progress
from imharmony.cli.hosts import (
    describe_address,
    is_local,
    name_hosts,
    parse_root_path,
)
from imharmony.errors import UsageError
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
    from imharmony.evaluation.reports.output import write_folder
    from imharmony.evaluation.reports.report import report
    from imharmony.evaluation.reports.scoring import score_pairs
    from imharmony.evaluation.reports.tables import protocol_tables, to_markdown
    from imharmony.writing import check_new_folder

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
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than yours need --raters.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any.")
    ] = 8765,
    raters: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Invite this many people: print a link of their own for each, and let "
            "nobody else vote. The links stay the same.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name under which browsers reach this, such as "
            "study.example.org behind a proxy; may be repeated.",
            show_default=False,
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            help="Prefix under which a proxy serves this, such as /study.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Ask people on a page which of two methods' pictures looks more real.

    Methods are not named, order and sides are random. Ctrl-C ends it.
    """
    from imharmony.evaluation.reports.tables import to_markdown
    from imharmony.evaluation.study.preference import preference_tables
    from imharmony.evaluation.study.study import VOTES_FILE, Study, Votes

    if results:
        choices = Votes(votes or folder / VOTES_FILE).read()
        typer.echo(to_markdown(preference_tables(choices)))
        return
    with needs_extra("web"):
        from imharmony.web.server import end_cleanly_on_signals, listen, serve
        from imharmony.web.study.app import create_study_app
    end_cleanly_on_signals()
    if raters is None and (allow_host or not is_local(host)):
        msg = "others can reach the study: expected --raters, the number of people"
        raise UsageError(f"{msg} to invite")
    shown = Study.of_folder(folder, votes=votes)
    invited = None if raters is None else shown.votes.invite(raters)
    prefix = parse_root_path(root_path)
    app = create_study_app(
        shown, hosts=name_hosts(host, allow_host), root_path=prefix, raters=invited
    )
    listener = listen(host, port)
    address = f"{describe_address(host, listener.getsockname()[1])}/"
    if allow_host:
        address = f"https://{allow_host[0]}{prefix}/"
    for line in (
        [address]
        if invited is None
        else [f"{name}: {address}join/{token}" for token, name in invited.items()]
    ):
        typer.echo(line)
    try:
        serve(app, listener)
    finally:
        typer.echo("ended; --results prints the preferences", err=True)
