"""Commands that make weights: train, ablate and export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imharmony.cli.arguments import Overwrite, check_outputs, needs_extra, show_progress
from imharmony.errors import UsageError

if TYPE_CHECKING:
    from imharmony.training.task import Devices as TaskDevices
    from imharmony.training.task import Progress

__all__ = ["ablate", "export", "train"]

Data = Annotated[
    Path,
    typer.Argument(
        help="Folder with index.csv, photographs and masks, or with the folders photos "
        "and masks; or pairs in iHarmony4 layout with IHD_train.txt and IHD_test.txt."
    ),
]
Photos = Annotated[
    Path | None,
    typer.Option(
        help="Folder of more photographs, laid out likewise, used without masks.",
        show_default=False,
    ),
]
Trunk = Annotated[
    Path | None,
    typer.Option(
        help="SqueezeNet 1.1 weights as torchvision stores them (.pth or "
        ".safetensors), to start the encoder from. Default: the config's, or random.",
        show_default=False,
    ),
]
Accelerator = Annotated[
    str, typer.Option(help="What to compute on: auto, cpu, cuda or mps.")
]
Devices = Annotated[
    str,
    typer.Option(
        help="How many devices: a count, auto for all, or numbers such as 0,2. They "
        "share each batch."
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        help="Processes that make training pairs; 0 for a thread of this one. With a "
        "GPU, the number of processor cores is a good choice.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processor threads for the network's arithmetic. Default: one per core; "
        "on a few cores, one less leaves making pairs a core.",
        show_default=False,
    ),
]


def train(
    config: Annotated[
        str, typer.Argument(help="Name of a bundled config, or a .toml file.")
    ],
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Folders with index.csv, photographs and masks, or with the folders "
            "photos and masks; or one with pairs in iHarmony4 layout, with "
            "IHD_train.txt and IHD_test.txt."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for checkpoint and log.")
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of more photographs, laid out likewise, used without masks; "
            "may be given several times.",
            show_default=False,
        ),
    ] = None,
    trunk: Trunk = None,
    base_weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint of s2crnet-cs (.safetensors) that the base of a network "
            "that looks at the seam starts from. Default: the config's, or random.",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Folder of another run of the same network, whose weights and "
            "optimizer this one starts from. Default: random weights.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
    accelerator: Accelerator = "auto",
    devices: Devices = "1",
    workers: Workers = 0,
    threads: Threads = None,
) -> None:
    """Train a network on pairs, made from photographs with masks or read from disk.

    Needs the train extra. Prints one line per validation.
    """
    with needs_extra("train"):
        from imharmony.training import settings, task
    chosen = settings.read_settings(config)
    if trunk is not None:
        chosen = replace(chosen, trunk=str(trunk))
    if base_weights is not None:
        chosen = replace(chosen, base_weights=str(base_weights))
    run = task.train(
        chosen,
        data,
        output,
        photos=photos,
        start_from=start_from,
        resume=resume,
        devices=_choose_devices(accelerator, devices, workers, threads),
    )
    with _show_steps("training", chosen.num_steps) as advance:
        for progress in run:
            advance(progress.step)
            _print_scores(progress)


def ablate(
    data: Data,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for a run per row and the table; goes on with runs in it.",
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of each run. Default: the config's.", show_default=False
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            help="Config for all that the rows have in common: a bundled one, or a "
            ".toml file."
        ),
    ] = "s2crnet-paper",
    photos: Photos = None,
    trunk: Trunk = None,
    accelerator: Accelerator = "auto",
    devices: Devices = "1",
    workers: Workers = 0,
    threads: Threads = None,
) -> None:
    """Train the rows A to G of the paper's ablation table, and print the table.

    Needs the train extra. A run that was stopped goes on; one that is finished is not
    trained again.
    """
    with needs_extra("train"):
        from imharmony.training import ablations, task
    study = ablations.Study(base=base, num_steps=steps, trunk=trunk)
    run = ablations.ablate(
        study,
        data,
        output,
        photos=photos,
        devices=_choose_devices(accelerator, devices, workers, threads),
    )
    with _show_steps("ablations", study.total_steps) as advance:
        for row, progress in run:
            advance(study.steps_before(row) + progress.step)
            _print_scores(progress, row)
    if task.is_first_process():
        typer.echo((output / ablations.TABLE).read_text(encoding="utf-8"), nl=False)


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .safetensors file, as training writes it, or a .pth file in the "
            "format of the S²CRNet or HDNet authors."
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
            "s2crnet-c, s2crnet-cs, hdnet-lite, hdnet-medium or hdnet.",
            show_default=False,
        ),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            help="Height and width of the thumbnails in use, in pixels, a multiple of "
            "8. HDNet gains by larger ones. Default: those of the training.",
            show_default=False,
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="Store weights as 16-bit floats: half the size, rounded."
        ),
    ] = False,
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
    difference = exporter.export(
        checkpoint, output, variant=variant, side=side, half=half
    )
    typer.echo(f"{output}: ONNX and torch differ by at most {difference:.1e}")


def _choose_devices(
    accelerator: str, devices: str, workers: int, threads: int | None
) -> "TaskDevices":
    from imharmony.training.task import Devices

    chosen: int | list[int] | str = devices
    parts = devices.split(",")
    if devices.isdecimal():
        chosen = int(devices)
    elif all(part.isdecimal() for part in parts):
        chosen = [int(part) for part in parts]
    if chosen == 0 or (isinstance(chosen, str) and chosen != "auto"):
        msg = f"--devices is a count, auto or numbers such as 0,2, got {devices}"
        raise UsageError(msg)
    return Devices(accelerator, chosen, workers=workers, threads=threads)


@contextmanager
def _show_steps(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar, but in the first of several processes only."""
    from imharmony.training.task import is_first_process

    bar = show_progress(what, total) if is_first_process() else nullcontext(_ignore)
    with bar as advance:
        yield advance


def _ignore(_: int) -> None:
    pass


def _print_scores(progress: "Progress", row: str = "") -> None:
    """Print a validation's scores; results, so to standard output."""
    if "psnr" in progress.values:
        scores = "  ".join(f"{k} {v:.4f}" for k, v in progress.values.items())
        typer.echo(f"{row} step {progress.step}  {scores}".lstrip())
