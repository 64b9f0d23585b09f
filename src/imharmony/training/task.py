"""The training loop: settings and pairs in, a checkpoint and a log out."""

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only

from imharmony.errors import UsageError
from imharmony.training.architectures import AnyNetwork
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed, PairSource, open_sources, prefetch
from imharmony.training.log import RunLog
from imharmony.training.run import Run
from imharmony.training.settings import TrainSettings
from imharmony.training.state import (
    check_folder,
    has_run,
    write_settings,
)
from imharmony.training.threads import num_threads
from imharmony.training.validation import samples, validate

__all__ = ["Devices", "Progress", "fit", "is_first_process", "train"]


@dataclass(frozen=True)
class Devices:
    """What a run computes on: not part of its settings."""

    accelerator: str = "auto"
    """Of Lightning Fabric: auto, cpu, cuda, mps and others."""
    devices: int | list[int] | str = 1
    """How many, which ones, or "auto" for all."""
    workers: int = 0
    """Processes that make pairs; 0 for one thread of this one."""
    threads: int | None = None
    """Processor threads of the network's arithmetic; None leaves torch's number."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `train` yields one after each step."""

    step: int
    num_steps: int
    values: dict[str, float]
    """Newest losses, and after a validation what `validate` gives."""


def train(
    settings: TrainSettings,
    data: Path | Sequence[Path],
    output: Path,
    *,
    photos: Path | Sequence[Path] | None = None,
    start_from: Path | None = None,
    resume: bool = False,
    devices: Devices | None = None,
) -> Iterator[Progress]:
    """Train a network on a folder: of photographs with masks, or of pairs.

    Parameters
    ----------
    settings : TrainSettings
    data : Path or sequence of Path
        Folders as `read_pool` takes them, with splits "train" and "val": pairs are
        synthesized. Or one in iHarmony4 layout that holds `IHD_train.txt` and
        `IHD_test.txt`: its pairs are read, those of the second list to validate.
    output : Path
        See `fit`.
    photos : Path, sequence of Path or None
        Folders of further photographs for training, as `read_pool` takes them; masks
        are not read. `settings.looks.maskless` says how often they are used. A photo
        whose file has the name of one in split "val" is left out.
    start_from, resume, devices
        See `fit`.

    Yields
    ------
    Progress
        After every step.

    Raises
    ------
    UsageError
        If a folder cannot be used; and see `fit`.
    """
    pairs, val_pairs = open_sources(settings, data, photos=photos)
    yield from fit(
        settings,
        pairs,
        val_pairs,
        output,
        start_from=start_from,
        resume=resume,
        devices=devices,
    )


def fit(
    settings: TrainSettings,
    pairs: PairSource,
    val_pairs: PairSource,
    output: Path,
    *,
    start_from: Path | None = None,
    resume: bool = False,
    devices: Devices | None = None,
) -> Iterator[Progress]:
    """Train a network on pairs from anywhere.

    On several devices each has a process of its own, which runs the caller's script
    from its start; only the first one yields and writes.

    Parameters
    ----------
    settings : TrainSettings
    pairs, val_pairs : PairSource
    output : Path
        Folder for `weights.safetensors` (the averaged weights), `trainer.pt`,
        `settings.json`, `log.csv` and `tensorboard`.
    start_from : Path or None
        Folder of another run, of the same network: its newest and averaged weights and
        its optimizer's state are where this one begins, at step 0 of its own schedule.
        Not read with `resume`.
    resume : bool
        Go on from `trainer.pt` in the output folder. It holds all that a step
        depends on, so on a CPU the run ends with the same bits as one that was
        never stopped.
    devices : Devices or None
        None is one device, the fastest there is.

    Yields
    ------
    Progress
        After every step.

    Raises
    ------
    UsageError
        If the output folder already holds a run and `resume` is off, or there is
        none to resume or start from, or it was made with other settings, or of another
        network; if there are no such
        devices, or the batch cannot be shared out among them.
    HarmonizeError
        If a loss or gradient is not finite; the batch is kept in `nan_batch.pt`.
    """
    check_folder(output, settings, resume=resume)
    if start_from is not None and not has_run(start_from):
        raise UsageError(f"{start_from}: no run to start from")
    devices = devices or Devices()
    fabric = _start_fabric(settings, devices)
    feed = Feed(pairs, settings, world_size=fabric.world_size)
    fabric.launch()
    feed = replace(feed, rank=fabric.global_rank)
    run = Run(feed, fabric, output)
    first = 0
    if resume:
        first = run.restore()
        if first >= settings.num_steps:
            return
    elif start_from is not None:
        run.start_from(start_from)
    is_first = fabric.is_global_zero
    if is_first:
        write_settings(output, settings)
    log = RunLog(output, first) if is_first else None
    steps = range(first, settings.num_steps)
    with (
        closing(log) if log else nullcontext(),
        num_threads(devices.threads),
        prefetch(feed, steps, workers=devices.workers) as batches,
    ):
        for step in steps:
            pair = Pair(*(tensor.to(fabric.device) for tensor in next(batches)))
            losses = run.step(step, pair)
            values = {
                name: float(fabric.all_reduce(value))  # type: ignore[arg-type]
                for name, value in losses.items()
            }
            num_done = step + 1
            if log:
                values |= _report(
                    log, num_done, values, run.average, val_pairs, settings
                )
            every = settings.checkpoint_every
            if _is_validation(num_done, settings) or (every and num_done % every == 0):
                run.save(num_done)
            if is_first:
                yield Progress(num_done, settings.num_steps, values)


def _report(
    log: RunLog,
    num_done: int,
    losses: dict[str, float],
    average: AnyNetwork,
    val_pairs: PairSource,
    settings: TrainSettings,
) -> dict[str, float]:
    """Write down the losses after a step, and validate where it is time; the scores."""
    scores = {}
    if _is_validation(num_done, settings):
        scores = validate(average, val_pairs, settings)
        for name, picture in samples(average, val_pairs, settings).items():
            log.add_picture(num_done, name, picture)
    if scores or num_done % settings.log_every == 0:
        log.add(num_done, losses | scores)
    return scores


def _is_validation(num_done: int, settings: TrainSettings) -> bool:
    return num_done % settings.validate_every == 0 or num_done == settings.num_steps


def is_first_process() -> bool:
    """Whether this process is the one that reports and writes."""
    return int(rank_zero_only.rank) == 0  # type: ignore[attr-defined]


def _start_fabric(settings: TrainSettings, devices: Devices) -> Fabric:
    try:
        return Fabric(
            accelerator=devices.accelerator,
            devices=devices.devices,
            precision=settings.precision,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        msg = f"no devices {devices.devices} of accelerator {devices.accelerator}"
        raise UsageError(f"{msg}: {error}") from error
