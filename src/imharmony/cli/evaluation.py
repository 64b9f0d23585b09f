"""Commands that measure: evaluate."""

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

__all__ = ["evaluate"]


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

    check_outputs({"table": table}, inputs=[], overwrite=overwrite, suffixes=[".csv"])
    pairs = protocol.find_pairs(root)
    scores = []
    with show_progress("images", len(pairs)) as advance:
        for count, score in enumerate(
            protocol.score_pairs(pairs, model=model, weights=weights), 1
        ):
            scores.append(score)
            advance(count)
    if table is not None:
        protocol.write_scores(scores, table)
    typer.echo(protocol.summary(scores))
