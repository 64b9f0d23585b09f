"""Commands that make weights: train and export."""

from pathlib import Path
from typing import Annotated

import typer

from imharmony.cli.arguments import Overwrite, check_outputs, needs_extra, show_progress

__all__ = ["export", "train"]


def train(
    config: Annotated[
        str, typer.Argument(help="Name of a bundled config, or a .toml file.")
    ],
    data: Annotated[
        Path, typer.Argument(help="Folder with index.csv, photographs and masks.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for checkpoint and log.")
    ],
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder with index.csv of more photographs, used without masks.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
) -> None:
    """Train a network on pairs synthesized from photographs with masks.

    Needs the train extra. Prints one line per validation.
    """
    with needs_extra("train"):
        from imharmony.training import task
    settings = task.read_settings(config)
    with show_progress("training", settings.num_steps) as advance:
        run = task.train(settings, data, output, photos=photos, resume=resume)
        for progress in run:
            advance(progress.step)
            if "psnr" in progress.values:
                shown = "  ".join(f"{k} {v:.4f}" for k, v in progress.values.items())
                typer.echo(f"step {progress.step}  {shown}")


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .safetensors file, as training writes it, or a .pth file in the "
            "format of the S²CRNet authors."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Weights file (.onnx) to write.")
    ],
    variant: Annotated[
        str | None,
        typer.Option(
            help="Network in a .pth file, which does not say: s2crnet, s2crnet-s, "
            "s2crnet-c or s2crnet-cs.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a checkpoint into the weights file that `--weights` takes.

    Needs the train extra. The file is compared with torch before it is written.
    """
    check_outputs(
        {"output": output},
        inputs=[checkpoint],
        overwrite=overwrite,
        suffixes=[".onnx"],
    )
    with needs_extra("train"):
        from imharmony.training import export as exporter
    difference = exporter.export(checkpoint, output, variant=variant)
    typer.echo(f"{output}: ONNX and torch differ by at most {difference:.1e}")
