"""Commands that make and check data sets: synthesize, data check, data label."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import (
    Overwrite,
    check_outputs,
    needs_extra,
    show_progress,
)
from imharmony.errors import UsageError

__all__ = ["check", "data_app", "label", "synthesize"]

data_app = typer.Typer(
    no_args_is_help=True, help="Check and label data sets in iHarmony4 layout."
)

Root = Annotated[
    Path, typer.Argument(help="Folder in iHarmony4 layout, which holds the sub-sets.")
]
Workers = Annotated[
    int,
    typer.Option(
        min=0, help="Threads; 0 for one per processor core. The result is the same."
    ),
]


def synthesize(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with index.csv, photographs and masks; or with the folders "
            "photos and masks."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write; must not exist.")
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Use the photos of this split only; train gets a list for training.",
            show_default=False,
        ),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help="Use the photos of these sources only, with commas between.",
            show_default=False,
        ),
    ] = None,
    num_pairs: Annotated[
        int, typer.Option(min=1, help="How many pairs to write.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the looks.")] = 0,
    families: Annotated[
        str | None,
        typer.Option(
            help="Looks to draw, with their shares: retouch, daylight, light, "
            "second_light, drift, material, color_mix, reinhard, fecker, xiao, pitie. "
            "Default: retouch=0.7,reinhard=0.15,fecker=0.15.",
            show_default=False,
        ),
    ] = None,
    shapes: Annotated[
        str,
        typer.Option(
            help="Masks of photographs without one, with their shares: object (of "
            "another photograph), ellipse, superpixel."
        ),
    ] = "object",
    max_hue_change: Annotated[
        float,
        typer.Option(
            min=0,
            max=180,
            help="Degrees that a foreground's colors may turn on the color wheel; 180 "
            "allows all.",
        ),
    ] = 180.0,
    pastes: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the pairs of photographs with a mask whose object is first "
            "laid on another photograph: nothing across its edge belongs to it.",
        ),
    ] = 0.0,
    jpeg: Annotated[
        bool,
        typer.Option(
            "--jpeg",
            help="Write composites and real photos as JPEG of quality 95, which code "
            "written for iHarmony4 expects. Default: PNG, exact.",
        ),
    ] = False,
    workers: Workers = 0,
) -> None:
    """Write composite, mask and real pictures in iHarmony4 layout.

    Needs the train extra. The same seed gives the same pairs.
    """
    with needs_extra("train"):
        from imharmony.training.data import written
        from imharmony.training.data.look_settings import LookSettings
    settings = LookSettings(
        shapes=_read_shares("shapes", shapes),
        max_hue_change=max_hue_change,
        pastes=pastes,
    )
    if families is not None:
        settings = replace(settings, families=_read_shares("families", families))
    with show_progress("pairs", num_pairs) as advance:
        counts = written.write_pairs(
            data,
            output,
            split=split,
            sources=sources.split(",") if sources else None,
            num_pairs=num_pairs,
            seed=seed,
            settings=settings,
            jpeg=jpeg,
            workers=workers or os.cpu_count() or 1,
        )
        for count in counts:
            advance(count)


@data_app.command()
def check(
    root: Root,
    *,
    sample: Annotated[
        int,
        typer.Option(
            min=0,
            help="Pairs per sub-set and split whose pixels are compared, evenly "
            "spread; 0 compares all.",
        ),
    ] = 100,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0,
            help="How far the means of 16x16 background pixels of composite and real "
            "photo may lie apart, in 8-bit steps. JPEG stays below 6.",
        ),
    ] = 8.0,
    workers: Workers = 0,
) -> None:
    """Say which pairs of a data set are there, missing, misnamed or wrong.

    Prints a table and the problems found. Exit code 1 if there are any.
    """
    from imharmony.training.data import check as checks

    report = checks.check_files(root)
    chosen = checks.sample_pairs(report, sample)
    with show_progress("pairs", len(chosen)) as advance:
        counts = checks.check_pixels(
            report, chosen, tolerance=tolerance, workers=workers or os.cpu_count() or 1
        )
        for count in counts:
            advance(count)
    typer.echo(report.table())
    for problem in report.problems:
        typer.echo(problem)
    if report.problems:
        raise typer.Exit(1)


@data_app.command()
def label(
    root: Root,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Table (.csv) to write. Training finds it as labels.csv in the root.",
        ),
    ],
    coco: Annotated[
        list[Path] | None,
        typer.Option(
            help="COCO instances file (.json) for the pairs of HCOCO; may be repeated.",
            show_default=False,
        ),
    ] = None,
    segformer: Annotated[
        str | None,
        typer.Option(
            help="SegFormer with ADE20K's 150 classes for all other pairs: a folder, "
            "or a name on the Hugging Face hub.",
            show_default=False,
        ),
    ] = None,
    by_group: Annotated[
        bool,
        typer.Option(
            "--by-group",
            help="Choose the label whose classes together cover most of the "
            "foreground. Default: the label of the class that covers most, as in the "
            "paper.",
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Find out what the foreground of each pair is, and write a table.

    Needs the labels extra.
    """
    check_outputs({"output": output}, inputs=[], overwrite=overwrite, suffixes=[".csv"])
    if not coco and segformer is None:
        raise UsageError("expected --coco, --segformer or both, got neither")
    from imharmony.datasets.iharmony4 import find_pairs
    from imharmony.training.data import labels

    pairs = find_pairs(root)
    with needs_extra("labels"):
        annotations = {
            number: annotation
            for path in coco or ()
            for number, annotation in labels.read_coco(path).items()
        }
        parser = None if segformer is None else labels.Parser(segformer)
    rows = []
    with show_progress("pairs", len(pairs)) as advance:
        for row in labels.label_pairs(
            pairs, annotations=annotations, parser=parser, by_group=by_group
        ):
            rows.append(row)
            advance(len(rows))
    labels.write_labels(rows, output)
    typer.echo(output)
    unknown = sum(not row.semantic_label for row in rows)
    if unknown:
        typer.echo(f"{unknown} of {len(rows)} pairs have no label", err=True)


def _read_shares(option: str, text: str) -> dict[str, float]:
    """Read `name=share,name=share`; a name alone has a share of 1."""
    shares = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        try:
            shares[name] = float(share or 1)
        except ValueError as error:
            msg = f"--{option}: expected name=share, such as retouch=0.5, got {part!r}"
            raise UsageError(msg) from error
    return shares
