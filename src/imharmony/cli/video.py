"""The command for moving pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import (
    Label,
    Model,
    Overwrite,
    ResizeMask,
    SeamOption,
    Strength,
    Weights,
    needs_extra,
)
from imharmony.errors import HarmonizeWarning, UsageError
from imharmony.inference.choices import check_seam

__all__ = ["video"]

_LINE_EVERY = 100
"""In a pipe, a line is written for so many frames."""


def video(
    clip: Annotated[
        Path,
        typer.Argument(
            help="A clip, or frames: a folder of them, or a pattern such as %04d.png."
        ),
    ],
    masks: Annotated[
        Path | None,
        typer.Argument(
            help="White where the foreground is: a clip, frames, or one picture for "
            "all frames. Left out, the clip's alpha is the mask.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Clip to write, or a folder or pattern for frames."
        ),
    ],
    over: Annotated[
        Path | None,
        typer.Option(
            help="What to lay a clip with alpha on: a clip, frames, or a picture.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Another photo to fit the foreground to.", show_default=False
        ),
    ] = None,
    strength: Strength = 1.0,
    label: Label = None,
    model: Model = "s2crnet-cs",
    weights: Weights = None,
    seam: SeamOption = "auto",
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Ask the network about every so many frames, and at each new scene. "
            "Default: eight a second.",
            show_default=False,
        ),
    ] = None,
    smoothing: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Seconds over which curves are averaged before and after each frame; "
            "0 lets them flicker.",
        ),
    ] = 0.5,
    rate: Annotated[
        str | None,
        typer.Option(
            help="Frames a second of a sequence, such as 25 or 24000/1001. Default: "
            "24.",
            show_default=False,
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="FFmpeg's name of the encoder. Default: that of the input's kind.",
            show_default=False,
        ),
    ] = None,
    crf: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Constant quality of the encoder, less is better. Default: 18 for "
            "H.264, 20 for H.265, 24 for VP9 and AV1.",
            show_default=False,
        ),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(
            help="FFmpeg's name of the pixel format. Default: the input's, or the "
            "nearest that the encoder has.",
            show_default=False,
        ),
    ] = None,
    encoder_option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, an option of the encoder, such as preset=slow.",
            show_default=False,
        ),
    ] = None,
    resize_mask: ResizeMask = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Work in segments, and go on after the last one there is."
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Recolor the foreground of a clip so that it fits its background."""
    import warnings

    with needs_extra("video"):
        from imharmony.video import harmonize_video
    from imharmony.harmonizer import Harmonizer

    if output == Path("-") or Path("-") in (clip, masks):
        raise UsageError("video needs files; - is for photos")
    _check_names(clip, masks, over, output)
    with warnings.catch_warnings(), _show_frames() as advance:
        warnings.simplefilter("ignore", HarmonizeWarning)  # the report holds them
        report = harmonize_video(
            clip,
            masks,
            output,
            harmonizer=Harmonizer(model, weights=weights),
            over=over,
            reference=reference,
            label=label,
            strength=strength,
            seam=check_seam(seam),
            every=every,
            width_s=smoothing,
            rate=_parse_rate(rate),
            codec=codec,
            crf=crf,
            pixel_format=pixel_format,
            options=_parse_options(encoder_option or []),
            resize_mask=resize_mask,
            overwrite=overwrite,
            resume=resume,
            progress=advance,
        )
    for note in report.warnings:
        typer.echo(f"warning: {note}", err=True)
    if report.label is not None and label is None:
        typer.echo(f"label: {report.label} (guessed; --label changes it)", err=True)
    speed = report.num_frames / report.seconds
    summary = f"{report.num_frames} frames in {report.num_scenes} scenes"
    typer.echo(f"{summary}, {speed:.1f} a second", err=True)
    typer.echo(output)


def _check_names(
    clip: Path, masks: Path | None, over: Path | None, output: Path
) -> None:
    """Refuse to write over an input."""
    for path in (clip, masks, over):
        if path is not None and path.resolve() == output.resolve():
            raise UsageError(f"{output}: --output is also an input of this command")


def _parse_rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        msg = "rate: expected frames a second, such as 25 or 24000/1001"
        raise UsageError(f"{msg}, got {text!r}")
    return rate


def _parse_options(texts: list[str]) -> dict[str, str]:
    options = {}
    for text in texts:
        name, is_pair, value = text.partition("=")
        if not (name and is_pair):
            raise UsageError(f"encoder-option: expected NAME=VALUE, got {text!r}")
        options[name] = value
    return options


@contextmanager
def _show_frames() -> Iterator[Callable[[int, int | None], None]]:
    """Show frames a second and the time left: a bar, or in a pipe some lines."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    begin = time.monotonic()
    if not console.is_terminal:

        def write_line(count: int, total: int | None) -> None:
            if count % _LINE_EVERY == 0:
                speed = count / (time.monotonic() - begin)
                of_total = "" if total is None else f" of {total}"
                typer.echo(f"{count}{of_total} frames, {speed:.1f} a second", err=True)

        yield write_line
        return
    progress = Progress(
        TextColumn("{task.completed:.0f} frames"),
        BarColumn(),
        TextColumn("{task.fields[speed]:.1f} a second"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar = progress.add_task("", total=None, speed=0.0)

    def move(count: int, total: int | None) -> None:
        speed = count / (time.monotonic() - begin)
        progress.update(bar, completed=count, total=total, speed=speed)

    with progress:
        yield move
