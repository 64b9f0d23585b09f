"""The training loop: settings and pairs in, a checkpoint and a log out."""

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from imharmony.errors import HarmonizeError, UsageError
from imharmony.training.adversary import Adversary
from imharmony.training.checkpoints import save_checkpoint
from imharmony.training.data.synthesis import Pair
from imharmony.training.feed import Feed, PairSource, open_sources, prefetch
from imharmony.training.kinds import AnyNetwork
from imharmony.training.log import RunLog
from imharmony.training.recipes import recipe_for
from imharmony.training.settings import TrainSettings
from imharmony.training.state import (
    check_folder,
    has_run,
    load_state,
    random_states,
    restore_random_state,
    write_settings,
    write_state,
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
        settings, pairs, val_pairs, output,
        start_from=start_from, resume=resume, devices=devices,
    )  # fmt: skip


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
    fabric = _fabric(settings, devices)
    feed = Feed(pairs, settings, world_size=fabric.world_size)
    fabric.launch()
    feed = replace(feed, rank=fabric.global_rank)

    torch.manual_seed(settings.seed)
    recipe = recipe_for(settings.variant)
    network = recipe.build(settings)
    average = deepcopy(network).eval()
    average.to(fabric.device, memory_format=torch.channels_last)
    network.to(memory_format=torch.channels_last)
    method = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    groups = recipe.parameters(network, settings)
    optimizer = method(
        [{"params": group.parameters} for group in groups],
        settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    model, optimizer = fabric.setup(network, optimizer)
    adversary = None
    if settings.adversarial_weight:
        rate = settings.discriminator_learning_rate
        adversary = Adversary(fabric, learning_rate=rate)
    first = 0
    if fabric.global_rank:  # the other devices drop other features
        torch.manual_seed(settings.seed + fabric.global_rank)
    before = output if resume else start_from
    if before is not None:
        state = load_state(before, fabric)
        try:
            network.load_state_dict(state["network"])
            average.load_state_dict(state["average"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            msg = f"{before}: a run of another network than {settings.variant}"
            raise UsageError(f"{msg}: {error}") from error
    if resume:
        if adversary is not None:
            adversary.load_state_dict(state["adversary"])
        fabric.strategy.precision.load_state_dict(state.get("precision", {}))
        first = state["step"]
        if first >= settings.num_steps:
            return
        restore_random_state(
            fabric, state.get("random"), otherwise_seed=settings.seed + first
        )
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
            rate = settings.learning_rate * _schedule(step, settings)
            for known, group in zip(optimizer.param_groups, groups, strict=True):
                known["lr"] = rate * group.share if step >= group.held_steps else 0.0
            losses = recipe.losses(model, network, pair, step=step, feed=feed)
            total = losses.total
            values = {"loss": losses.pixels.detach()}
            values |= {name: part.detach() for name, part in losses.parts.items()}
            if adversary is not None:
                fooling = adversary.judge(losses.harmonized)
                total = total + settings.adversarial_weight * fooling
                values["adversarial"] = fooling.detach()
            optimizer.zero_grad()
            fabric.backward(total)
            norm = fabric.clip_gradients(
                model, optimizer, max_norm=settings.max_gradient_norm or torch.inf,
                error_if_nonfinite=False,
            )  # fmt: skip
            found = [total]
            # 16-mixed makes infinite gradients of its own, and skips those steps.
            if norm is not None and settings.precision != "16-mixed":
                found.append(norm)
            _check_finite(found, step, pair, output)
            optimizer.step()
            if adversary is not None:
                values["discriminator"] = adversary.learn(
                    losses.real, losses.harmonized
                )
                _check_finite([values["discriminator"]], step, pair, output)
            _update_average(average, network, settings.average_decay, step)

            done = step + 1
            told = {
                name: float(fabric.all_reduce(value))  # type: ignore[arg-type]
                for name, value in values.items()
            }
            is_last = done == settings.num_steps
            is_validation = done % settings.validate_every == 0 or is_last
            if is_validation and log:
                told |= validate(average, val_pairs, settings)
                for name, picture in samples(average, val_pairs, settings).items():
                    log.add_picture(done, name, picture)
            if (is_validation or done % settings.log_every == 0) and log:
                log.add(done, told)
            every = settings.checkpoint_every
            if is_validation or (every and done % every == 0):
                state = {
                    "step": done,
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "adversary": adversary.state_dict() if adversary else {},
                    "precision": fabric.strategy.precision.state_dict(),
                    "random": random_states(fabric),
                }
                if is_first:
                    # The weights first: stopped in between, a resumed run writes
                    # them anew.
                    _write_weights(output, average, settings)
                    write_state(output, state)
            if is_first:
                yield Progress(done, settings.num_steps, told)


def is_first_process() -> bool:
    """Whether this process is the one that reports and writes."""
    return int(rank_zero_only.rank) == 0  # type: ignore[attr-defined]


def _fabric(settings: TrainSettings, devices: Devices) -> Fabric:
    try:
        return Fabric(
            accelerator=devices.accelerator,
            devices=devices.devices,
            precision=settings.precision,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        msg = f"no devices {devices.devices} of accelerator {devices.accelerator}"
        raise UsageError(f"{msg}: {error}") from error


def _schedule(step: int, settings: TrainSettings) -> float:
    """Share of the peak learning rate: linear rise, then what the schedule says."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    if settings.schedule == "constant":
        return rise
    if settings.schedule == "steps":
        passed = sum(step >= drop * settings.num_steps for drop in settings.drops)
        return float(rise * 0.1**passed)
    angle = torch.pi * step / settings.num_steps
    return rise * 0.5 * (1 + float(torch.cos(torch.tensor(angle))))


def _check_finite(values: list[Tensor], step: int, pair: Pair, output: Path) -> None:
    """Stop a run that went wrong, and keep the batch that it went wrong with."""
    if not all(torch.isfinite(value).all() for value in values):
        torch.save(pair._asdict(), output / "nan_batch.pt")
        msg = f"{output}: at step {step} a loss or its gradient was not finite"
        raise HarmonizeError(f"{msg}; its batch is in nan_batch.pt")


def _update_average(
    average: nn.Module, network: nn.Module, decay: float, step: int
) -> None:
    """Move the averaged weights towards the newest; faster in the first steps.

    The running statistics of batch normalization are averaged alike; its counters
    are not read in evaluation.
    """
    decay = min(decay, (1 + step) / (10 + step))
    newest = network.state_dict()
    for key, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(newest[key], 1 - decay)


def _write_weights(output: Path, average: AnyNetwork, settings: TrainSettings) -> None:
    plain = recipe_for(settings.variant).finish(deepcopy(average))
    save_checkpoint(
        output / "weights.safetensors", plain,
        variant=settings.variant, thumbnail_size=settings.thumbnail_size,
    )  # fmt: skip
