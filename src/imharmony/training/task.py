"""The training loop: settings in, a checkpoint and a log out."""

import csv
import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional as F

from imharmony.errors import UsageError
from imharmony.training.checkpoints import load_trunk, save_checkpoint
from imharmony.training.data.pool import Example, Pool, read_pool
from imharmony.training.data.synthesis import LookSettings, Pair, Synthesis
from imharmony.training.losses import roughness, stage_losses
from imharmony.training.networks.s2crnet import S2CRNet, build_s2crnet, render_curves
from imharmony.training.networks.squeezenet import add_batch_norm, fold_batch_norm

__all__ = ["CONFIGS", "Progress", "TrainSettings", "read_settings", "train"]

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class TrainSettings:
    """All that decides a training run, besides the photographs."""

    variant: str = "s2crnet-cs"
    dimensions: dict[str, Any] = field(default_factory=dict)
    """Fields of `Dimensions` that differ from the variant's."""
    looks: LookSettings = field(default_factory=LookSettings)
    unlabeled_sources: tuple[str, ...] = ()
    """Sources whose label "other" is not believed."""
    batch_norm: bool = False
    """Train the encoder with batch normalization, folded into it when saved."""
    trunk: str | None = None
    """A torchvision SqueezeNet state dict to start the encoder from."""
    thumbnail_size: tuple[int, int] = (256, 256)
    num_steps: int = 20_000
    batch_size: int = 32
    learning_rate: float = 8e-4
    """Peak of AdamW's rate: a linear rise, then a cosine to zero."""
    warmup_steps: int = 500
    weight_decay: float = 1e-2
    max_gradient_norm: float = 1.0
    average_decay: float = 0.999
    """Per step, of the running mean of the weights that is kept as the result."""
    log_offset: float = 0.0
    """Above 0, the logarithm of the loss is averaged; see `stage_losses`."""
    label_dropout: float = 0.5
    """Share of known labels hidden, so that the network works without one."""
    label_weight: float = 0.05
    """Of the cross-entropy of the label guess."""
    roughness_weight: float = 0.2
    precision: str = "32-true"
    """Of Lightning Fabric, such as "bf16-mixed"."""
    seed: int = 0
    log_every: int = 50
    validate_every: int = 1000
    """Steps between validations; a checkpoint is written at each."""


def read_settings(config: str) -> TrainSettings:
    """Read a TOML file, or one of the configs that come with the package.

    Parameters
    ----------
    config : str
        A path ending in `.toml`, or the name of a file in `CONFIGS`.

    Raises
    ------
    UsageError
        If there is no such file, or a setting does not exist.

    Examples
    --------
    >>> read_settings("s2crnet-cs").variant
    's2crnet-cs'
    """
    path = Path(config) if config.endswith(".toml") else CONFIGS / f"{config}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        msg = f"{config}: no such config; known are {known}, or a path to a .toml file"
        raise UsageError(msg)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: not valid TOML: {error}"
        raise UsageError(msg) from error
    looks = values.pop("looks", {})
    for name, kind in (("setting", TrainSettings), ("looks setting", LookSettings)):
        fields: dict[str, Any] = kind.__dataclass_fields__
        unknown = (values if kind is TrainSettings else looks).keys() - fields.keys()
        if unknown:
            msg = f"{path}: unknown {name} {', '.join(sorted(unknown))}"
            raise UsageError(f"{msg}; known are {', '.join(fields)}")
    for section in (values, looks):
        for key, value in section.items():
            if isinstance(value, list):
                section[key] = tuple(value)
    return replace(TrainSettings(looks=LookSettings(**looks)), **values)


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `train` yields one after each step."""

    step: int
    num_steps: int
    values: dict[str, float]
    """Newest loss, and after a validation psnr, composite_psnr and harm_rate."""


def train(
    settings: TrainSettings,
    data: Path,
    output: Path,
    *,
    photos: Path | None = None,
    resume: bool = False,
) -> Iterator[Progress]:
    """Train a network on pairs synthesized from a folder of photographs.

    Parameters
    ----------
    settings : TrainSettings
    data : Path
        A folder as `read_pool` takes it, with splits "train" and "val".
    output : Path
        Folder for `weights.safetensors` (the averaged weights), `trainer.pt`,
        `settings.json` and `log.csv`.
    photos : Path or None
        A folder of further photographs for training, as `read_pool` takes it; masks
        are not read. `settings.looks.maskless` says how often they are used. A photo
        whose file has the name of one in split "val" is left out.
    resume : bool
        Go on from `trainer.pt` in the output folder. Pairs depend on the step
        alone, so the run goes on as if it had never stopped.

    Yields
    ------
    Progress
        After every step.

    Raises
    ------
    UsageError
        If the output folder already holds a run and `resume` is off, or there is
        none to resume, or it was made with other settings.
    """
    state_path = output / "trainer.pt"
    record = json.dumps(asdict(settings), indent=2) + "\n"
    _check_output(output, record, resume=resume)
    fabric = Fabric(accelerator="auto", devices=1, precision=settings.precision)  # type: ignore[arg-type]
    torch.manual_seed(settings.seed)
    network = build_s2crnet(settings.variant, **settings.dimensions)
    if settings.trunk:
        load_trunk(network, Path(settings.trunk))
    if settings.batch_norm:
        add_batch_norm(network.encoder)
    average = deepcopy(network).eval()
    average.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    model, optimizer = fabric.setup(network, optimizer)
    first = 0
    if resume:
        state = torch.load(state_path, map_location=fabric.device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    output.mkdir(parents=True, exist_ok=True)
    (output / "settings.json").write_text(record, encoding="utf-8")
    _rewind_log(output / "log.csv", first)

    pool = read_pool(data, split="train", unlabeled_sources=settings.unlabeled_sources)
    val_pool = read_pool(data, split="val")
    if photos is not None:
        pool = Pool([*pool, *_without_masks(read_pool(photos), kept_apart=val_pool)])
    synthesis = Synthesis(pool, settings.looks, seed=settings.seed)
    labels_of = average.dimensions.num_labels
    with _prefetch(synthesis, settings, first) as batches:
        for step in range(first, settings.num_steps):
            pair = Pair(*(tensor.to(fabric.device) for tensor in next(batches)))
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, settings)
            known = pair.semantic_label >= 0  # (B,)
            generator = torch.Generator().manual_seed(step)
            shown = known.cpu() & (
                torch.rand(len(known), generator=generator) >= settings.label_dropout
            )
            one_hot = F.one_hot(pair.semantic_label.clamp(min=0), labels_of)
            one_hot = one_hot * shown.to(fabric.device)[:, None]
            prediction = model(*_inputs(pair), one_hot.float())
            curve_params = prediction.curve_params.float()
            loss = stage_losses(
                pair.foreground, pair.foreground_real, pair.foreground_mask,
                curve_params, log_offset=settings.log_offset,
            )  # fmt: skip
            total = loss + settings.roughness_weight * roughness(curve_params)
            if average.dimensions.guesses_label and known.any():
                logits = prediction.label_logits.float()[known]
                guess = F.cross_entropy(logits, pair.semantic_label[known])
                total = total + settings.label_weight * guess
            if not torch.isfinite(total):
                torch.save(pair._asdict(), output / "nan_batch.pt")
                msg = f"step {step}: the loss is not finite; see nan_batch.pt"
                raise FloatingPointError(msg)
            optimizer.zero_grad()
            fabric.backward(total)
            fabric.clip_gradients(model, optimizer, max_norm=settings.max_gradient_norm)
            optimizer.step()
            _update_average(average, network, settings.average_decay, step)

            done = step + 1
            values = {"loss": float(loss.detach())}
            if done % settings.validate_every == 0 or done == settings.num_steps:
                values |= validate(average, val_pool, settings)
                state = {
                    "step": done,
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
                # The weights first: stopped in between, a resumed run writes them anew.
                plain = deepcopy(average)
                plain.encoder = fold_batch_norm(plain.encoder)
                save_checkpoint(
                    output / "weights.safetensors", plain,
                    variant=settings.variant, thumbnail_size=settings.thumbnail_size,
                )  # fmt: skip
                torch.save(state, state_path.with_suffix(".partial"))
                state_path.with_suffix(".partial").replace(state_path)
            if done % settings.log_every == 0 or len(values) > 1:
                _log(output / "log.csv", done, values)
            yield Progress(done, settings.num_steps, values)


def _without_masks(pool: Pool, *, kept_apart: Pool) -> Iterator[Example]:
    """Drop masks, and photos whose file is named like one kept apart for scores."""
    names = {example.photo.stem for example in kept_apart}
    for example in pool:
        if example.photo.stem not in names:
            yield replace(example, mask=None)


def validate(
    network: S2CRNet, pool: Pool, settings: TrainSettings, *, num_pairs: int = 512
) -> dict[str, float]:
    """Score a network on fixed pairs from photographs it was not trained on.

    Returns
    -------
    dict
        `psnr` and `composite_psnr` in dB (mean over images, whole thumbnail, peak
        1), `harm_rate` (share whose squared error grew), without labels given.
    """
    looks = replace(settings.looks, base=0.0, parts=0.0)
    synthesis = Synthesis(pool, looks, seed=settings.seed + 1_000_003)
    device = next(network.parameters()).device
    before, after = [], []
    for start in range(0, num_pairs, settings.batch_size):
        indices = range(start, min(start + settings.batch_size, num_pairs))
        made = synthesis.batch(indices, settings.thumbnail_size)
        pair = Pair(*(tensor.to(device) for tensor in made))
        unknown = torch.zeros(len(indices), network.dimensions.num_labels)
        with torch.inference_mode():
            image = pair.composite
            params = network(*_inputs(pair), unknown.to(device)).curve_params
            for stage in params.unbind(dim=1):
                image = render_curves(image, stage)
            harmonized = pair.mask * image + (1 - pair.mask) * pair.composite
        before.append(((pair.composite - pair.real) ** 2).mean(dim=(1, 2, 3)))
        after.append(((harmonized - pair.real) ** 2).mean(dim=(1, 2, 3)))
    mse_before, mse_after = torch.cat(before), torch.cat(after)
    return {
        "psnr": float(-10 * mse_after.clamp(min=1e-8).log10().mean()),
        "composite_psnr": float(-10 * mse_before.clamp(min=1e-8).log10().mean()),
        "harm_rate": float((mse_after > mse_before).float().mean()),
    }


def _inputs(pair: Pair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return pair.composite, pair.mask, pair.foreground, pair.foreground_mask


def _schedule(step: int, settings: TrainSettings) -> float:
    """Share of the peak learning rate: linear rise, cosine fall to zero."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    angle = torch.pi * step / settings.num_steps
    return rise * 0.5 * (1 + float(torch.cos(torch.tensor(angle))))


def _update_average(
    average: S2CRNet, network: S2CRNet, decay: float, step: int
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


@contextmanager
def _prefetch(
    synthesis: Synthesis, settings: TrainSettings, first: int
) -> Iterator[Iterator[Pair]]:
    """Batches in order of their step, each made while the one before is used."""

    def make(step: int) -> Pair:
        start = step * settings.batch_size
        indices = range(start, start + settings.batch_size)
        return synthesis.batch(indices, settings.thumbnail_size)

    def batches() -> Iterator[Pair]:
        ahead = thread.submit(make, first)
        for step in range(first, settings.num_steps):
            pair = ahead.result()
            ahead = thread.submit(make, step + 1)
            yield pair

    with ThreadPoolExecutor(1) as thread:
        yield batches()


def _check_output(output: Path, record: str, *, resume: bool) -> None:
    """Refuse to mix two runs in one folder."""
    has_run = (output / "trainer.pt").is_file()
    if resume and not has_run:
        msg = f"{output}: no trainer.pt to resume from"
        raise UsageError(msg)
    if has_run and not resume:
        msg = f"{output}: already holds a run; use --resume or another folder"
        raise UsageError(msg)
    stored = output / "settings.json"
    if resume and stored.read_text(encoding="utf-8") != record:
        msg = f"{output}: was trained with other settings; see settings.json"
        raise UsageError(msg)


def _rewind_log(path: Path, step: int) -> None:
    """Drop the rows of steps that a stopped run made but did not keep."""
    if path.is_file():
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if int(row.partition(",")[0]) <= step]
        path.write_text("".join([header, *kept]), encoding="utf-8")


def _log(path: Path, step: int, values: dict[str, float]) -> None:
    """Append one row to the run's table."""
    columns = ["step", "loss", "psnr", "composite_psnr", "harm_rate"]
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        shown = {key: f"{value:.5f}" for key, value in values.items()}
        writer.writerow({"step": step} | shown)
