"""Commands that make data sets: synthesize."""

from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import needs_extra, show_progress

__all__ = ["synthesize"]


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
    with needs_extra("train"):
        from imharmony.training.data import written
    with show_progress("pairs", num_pairs) as advance:
        done = written.write_pairs(
            data, output, split=split, num_pairs=num_pairs, seed=seed
        )
        for count in done:
            advance(count)
