"""A run: the network, its average and its optimizer, from one step to the next."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from imharmony.errors import HarmonizeError, UsageError
from imharmony.training.adversary import Adversary
from imharmony.training.checkpoints import save_checkpoint
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.recipes import recipe_for
from imharmony.training.settings import TrainSettings
from imharmony.training.state import (
    load_state,
    random_states,
    restore_random_state,
    write_state,
)
from imharmony.writing import replace_whole

__all__ = ["Run"]


class Run:
    """All that a step depends on and changes.

    On several devices each process has one; they call its methods together.

    Parameters
    ----------
    feed : Feed
        Of this device.
    fabric : Fabric
        Launched.
    output : Path
        The run's folder.
    """

    def __init__(self, feed: Feed, fabric: Fabric, output: Path) -> None:
        settings = self._settings = feed.settings
        self._feed, self._fabric, self._output = feed, fabric, output
        torch.manual_seed(settings.seed)
        self._recipe = recipe_for(settings.variant)
        self._network = self._recipe.build(settings)
        self.average = deepcopy(self._network).eval()
        """The running mean of the weights: the result."""
        self.average.to(fabric.device, memory_format=torch.channels_last)
        self._network.to(memory_format=torch.channels_last)
        method = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
        self._groups = self._recipe.parameters(self._network, settings)
        optimizer = method(
            [{"params": group.parameters} for group in self._groups],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._model, self._optimizer = fabric.setup(self._network, optimizer)
        self._adversary = None
        if settings.adversarial_weight:
            rate = settings.discriminator_learning_rate
            self._adversary = Adversary(fabric, learning_rate=rate)
        if fabric.global_rank:  # the other devices drop other features
            torch.manual_seed(settings.seed + fabric.global_rank)

    def start_from(self, before: Path) -> None:
        """Take weights and optimizer of another run; begin its own schedule."""
        self._load(before)

    def restore(self) -> int:
        """Go on where the run in its folder stopped; return the steps it has made."""
        state = self._load(self._output)
        if self._adversary is not None:
            self._adversary.load_state_dict(state["adversary"])
        precision = self._fabric.strategy.precision
        precision.load_state_dict(state.get("precision", {}))
        num_done: int = state["step"]
        restore_random_state(
            self._fabric,
            state.get("random"),
            otherwise_seed=self._settings.seed + num_done,
        )
        return num_done

    def _load(self, before: Path) -> dict[str, Any]:
        state = load_state(before, self._fabric)
        try:
            self._network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            msg = f"{before}: a run of another network than {self._settings.variant}"
            raise UsageError(f"{msg}: {error}") from error
        return state

    def step(self, number: int, pair: Pair) -> dict[str, Tensor]:
        """Learn from a batch; return the losses before that, of this device.

        Raises
        ------
        HarmonizeError
            If a loss or gradient is not finite; the batch is kept in `nan_batch.pt`.
        """
        settings, fabric = self._settings, self._fabric
        self._set_rates(number)
        losses = self._recipe.losses(
            self._model, self._network, pair, step=number, feed=self._feed
        )
        total = losses.total
        values = {"loss": losses.pixels.detach()}
        values |= {name: part.detach() for name, part in losses.parts.items()}
        if self._adversary is not None:
            fooling = self._adversary.judge(losses.harmonized)
            total = total + settings.adversarial_weight * fooling
            values["adversarial"] = fooling.detach()
        self._optimizer.zero_grad()
        fabric.backward(total)
        norm = fabric.clip_gradients(
            self._model,
            self._optimizer,
            max_norm=settings.max_gradient_norm or torch.inf,
            error_if_nonfinite=False,
        )
        finite = [total]
        # 16-mixed makes infinite gradients of its own, and skips those steps.
        if norm is not None and settings.precision != "16-mixed":
            finite.append(norm)
        self._check_finite(finite, number, pair)
        self._optimizer.step()
        if self._adversary is not None:
            discriminator = self._adversary.learn(losses.real, losses.harmonized)
            values["discriminator"] = discriminator
            self._check_finite([discriminator], number, pair)
        _update_average(self.average, self._network, settings.average_decay, number)
        return values

    def save(self, num_done: int) -> None:
        """Write a checkpoint after so many steps; the first device writes."""
        state = {
            "step": num_done,
            "network": self._network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "adversary": self._adversary.state_dict() if self._adversary else {},
            "precision": self._fabric.strategy.precision.state_dict(),
            "random": random_states(self._fabric),
        }
        if self._fabric.is_global_zero:
            # The weights first: stopped in between, a resumed run writes them anew.
            settings = self._settings
            save_checkpoint(
                self._output / "weights.safetensors",
                self._recipe.finish(deepcopy(self.average)),
                variant=settings.variant,
                thumbnail_size=settings.thumbnail_size,
            )
            write_state(self._output, state)

    def _set_rates(self, number: int) -> None:
        rate = self._settings.learning_rate * _compute_rate_share(
            number, self._settings
        )
        for known, group in zip(
            self._optimizer.param_groups, self._groups, strict=True
        ):
            known["lr"] = rate * group.share if number >= group.held_steps else 0.0

    def _check_finite(self, values: list[Tensor], number: int, pair: Pair) -> None:
        """Stop a run that went wrong, and keep the batch that it went wrong with."""
        if not all(torch.isfinite(value).all() for value in values):
            with replace_whole(self._output / "nan_batch.pt", overwrite=True) as file:
                torch.save(pair._asdict(), file)
            msg = f"{self._output}: at step {number} a loss or its gradient was not"
            raise HarmonizeError(f"{msg} finite; its batch is in nan_batch.pt")


def _compute_rate_share(step: int, settings: TrainSettings) -> float:
    """Share of the peak learning rate: linear rise, then what the schedule says."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    if settings.schedule == "constant":
        return rise
    if settings.schedule == "steps":
        passed = sum(step >= drop * settings.num_steps for drop in settings.drops)
        return float(rise * 0.1**passed)
    angle = torch.pi * step / settings.num_steps
    return rise * 0.5 * (1 + float(torch.cos(torch.tensor(angle))))


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
