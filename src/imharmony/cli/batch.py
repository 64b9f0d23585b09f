"""Many pictures: what `harmonize` does with folders and manifests."""

import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.cli.arguments import (
    PIPE,
    MaxPixels,
    Model,
    Quality,
    ResizeMask,
    Weights,
    Workers,
    needs_extra,
)
from imharmony.errors import HarmonizeWarning, UsageError

if TYPE_CHECKING:
    from imharmony.batch import Job, Outcome, Settings

__all__ = ["batch", "follow", "harmonize_folders"]

_PAUSE_LINES = 100
"""In a pipe, a line is written for so many pictures."""


def harmonize_folders(
    inputs: list[Path],
    output: Path,
    *,
    settings: "Settings",
    common: "Job",
    masks: Path | None,
    manifest: Path | None,
    recursive: bool,
    name: str | None,
    watch: bool,
    workers: int | None,
    report: Path | None,
    sheet: Path | None,
) -> None:
    """Harmonize files, folders or the rows of a manifest.

    Raises
    ------
    typer.Exit
        With code 1, if a picture failed.
    """
    from imharmony.batch import folders
    from imharmony.batch import manifest as tables
    from imharmony.batch.watch import watch as watch_folder

    if PIPE in (*inputs, output):
        raise UsageError("- is for one photo; several need files and folders")
    if output.suffix and not output.is_dir() and not manifest:
        from imharmony.images.formats import SUFFIXES

        if output.suffix.lower() in SUFFIXES:
            msg = f"{output}: expected a folder for several pictures"
            raise UsageError(f"{msg}, got the name of a file")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: expected a folder, got a file")
    if settings.resume and settings.overwrite:
        raise UsageError("--resume keeps what is done, --overwrite replaces it")
    naming = folders.Naming() if name is None else folders.Naming(name)

    def find() -> "list[Job]":
        return folders.find_jobs(
            inputs,
            output,
            masks=masks,
            recursive=recursive,
            naming=naming,
            common=common,
        )

    jobs: Iterable[Job | None]
    total: int | None = None
    if manifest is not None:
        if inputs or masks is not None or watch:
            msg = "--manifest says which files to take: expected no others"
            raise UsageError(f"{msg}, no --masks and no --watch")
        jobs = tables.read_manifest(manifest, output=output, naming=naming)
    elif watch:
        find_some = _allow_empty(find, inputs)
        jobs = watch_folder(find_some)
    else:
        listed = find()
        jobs, total = listed, len(listed)
        _refuse_existing(listed, settings)
    follow(
        jobs,
        total=total,
        settings=settings,
        workers=workers,
        report=report,
        sheet=sheet,
        may_be_stopped=watch,
    )


def _refuse_existing(jobs: "list[Job]", settings: "Settings") -> None:
    """Refuse, before any work, to do again what is done."""
    if settings.overwrite or settings.resume:
        return
    existing = [job.output for job in jobs if job.output and job.output.exists()]
    if existing:
        msg = f"{existing[0]}: exists already, as do {len(existing) - 1} other outputs"
        raise UsageError(f"{msg}; --overwrite replaces them, --resume skips them")


def _allow_empty(
    find: "Callable[[], list[Job]]", inputs: list[Path]
) -> "Callable[[], list[Job]]":
    """Let a folder that is to be watched be empty."""
    for folder in inputs:
        if not folder.is_dir():
            raise UsageError(f"{folder}: expected a folder to watch")

    def find_some() -> "list[Job]":
        try:
            return find()
        except UsageError:
            return []

    return find_some


def follow(
    jobs: "Iterable[Job | None]",
    *,
    total: int | None,
    settings: "Settings",
    workers: int | None,
    report: Path | None,
    sheet: Path | None,
    may_be_stopped: bool = False,
) -> None:
    """Do all jobs; show how it goes, report, and count what failed.

    Raises
    ------
    typer.Exit
        With code 1, if a picture failed.
    """
    from imharmony.batch import harmonize_many
    from imharmony.batch.report import Report
    from imharmony.batch.sheet import ContactSheet

    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", HarmonizeWarning)  # outcomes hold them
        pages = None
        if sheet is not None:
            replaces = settings.overwrite or settings.resume
            pages = ContactSheet(sheet, overwrite=replaces)
        lines = None
        if report is not None:
            lines = stack.enter_context(
                Report(report, overwrite=settings.overwrite, resume=settings.resume)
            )
            jobs = _add_sizes(jobs, lines.sizes)
        outcomes = harmonize_many(jobs, workers=workers, settings=settings)
        say, advance = stack.enter_context(_show_speed(total))
        try:
            for outcome in outcomes:
                counts[outcome.status] += 1
                if lines is not None:
                    lines.add(outcome)
                if pages is not None:
                    pages.add(outcome)
                _tell(outcome, say)
                advance(counts)
        except KeyboardInterrupt:
            if not may_be_stopped:
                raise
        finally:
            if pages is not None:
                pages.write()
    _say_counts(counts)
    if counts["failed"]:
        raise typer.Exit(1)


def _add_sizes(
    jobs: "Iterable[Job | None]", sizes: dict[str, int | None]
) -> "Iterator[Job | None]":
    """Add what an earlier run has reported of the outputs."""
    for job in jobs:
        known = sizes.get(str(job.output)) if job is not None else None
        yield job if job is None else replace(job, num_bytes=known)


def _tell(outcome: "Outcome", say: Callable[[str], None]) -> None:
    """Say what went wrong or may surprise; in a pipe, which file was written."""
    if outcome.error is not None:
        say(f"error: {outcome.error}")
    for note in outcome.warnings:
        say(f"warning: {outcome.job.name}: {note}")
    if outcome.status == "done" and not sys.stdout.isatty():
        typer.echo(outcome.job.output)


@contextmanager
def _show_speed(
    total: int | None,
) -> Iterator[tuple[Callable[[str], None], Callable[[Counter[str]], None]]]:
    """Show pictures a second and the time left: a bar, or in a pipe some lines.

    Yields
    ------
    say : callable
        Writes a line to standard error.
    advance : callable
        Takes the counts so far.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    begin = time.monotonic()
    if not console.is_terminal:

        def write_line(counts: Counter[str]) -> None:
            num_done = counts.total()
            if num_done % _PAUSE_LINES == 0:
                speed = num_done / (time.monotonic() - begin)
                typer.echo(_describe_speed(num_done, total, speed), err=True)

        yield lambda text: typer.echo(text, err=True), write_line
        return
    progress = Progress(
        TextColumn("{task.completed:.0f}"),
        BarColumn(),
        TextColumn("{task.fields[speed]:.1f} pictures/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar = progress.add_task("", total=total, speed=0.0)

    def move(counts: Counter[str]) -> None:
        num_done = counts.total()
        speed = num_done / (time.monotonic() - begin)
        progress.update(bar, completed=num_done, speed=speed)

    with progress:
        yield lambda text: console.print(text, markup=False, highlight=False), move


def _describe_speed(num_done: int, total: int | None, speed: float) -> str:
    text = f"{num_done} pictures, {speed:.1f} a second"
    if total is None:
        return text
    left = round((total - num_done) / speed)
    return f"{num_done} of {total} pictures, {speed:.1f} a second, {left} s left"


def batch(
    manifest: Annotated[
        str,
        typer.Argument(
            help="Table of jobs, by path or URI: .parquet, .csv or .jsonl, with the "
            "columns composite, mask, labels, reference, label, strength, seam and "
            "output."
        ),
    ],
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder for the results, by path or URI (s3://...)."
        ),
    ],
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to work on: HOST:PORT, auto, or local to start one here. "
            "Default: this machine, without Ray.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            help="Folder for the report, in Parquet. Default: _report in the output "
            "folder.",
            show_default=False,
        ),
    ] = None,
    workers: Workers = None,
    model: Model = "s2crnet-cs",
    weights: Weights = None,
    resize_mask: ResizeMask = False,
    quality: Quality = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Harmonize the pictures of a manifest, here or on many machines.

    What is done is skipped, so a second run does what is left.
    """
    with needs_extra("cluster"):
        from imharmony.batch import cluster as runs
    from imharmony.batch import Settings, locations

    settings = Settings(
        model=model,
        weights=weights,
        resize_mask=resize_mask,
        quality=quality,
        max_pixels=max_pixels,
    )
    if locations.is_local(output):
        output = str(Path(output).resolve())
    report = report or locations.join(output, "_report")
    if locations.is_local(report):
        report = str(Path(report).resolve())
    if cluster is None:
        with _show_speed(None) as (_, advance):
            counts = runs.run_here(
                manifest,
                output,
                settings=settings,
                report=report,
                workers=workers,
                progress=advance,
            )
    else:
        with needs_extra("cluster"):
            counts = runs.run_on_cluster(
                manifest,
                output,
                address=cluster,
                settings=settings,
                report=report,
                workers=workers,
            )
    _say_counts(counts)
    typer.echo(report)
    if counts["failed"]:
        raise typer.Exit(1)


def _say_counts(counts: Counter[str]) -> None:
    names = ("done", "skipped", "failed")
    summary = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    typer.echo(summary or "nothing to do", err=True)
