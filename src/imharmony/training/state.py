"""The folder of a run: checkpoints and settings, from which a run can be resumed.

`trainer.pt` holds all that the next step depends on, and is replaced in one move.
`weights.safetensors`, the result, is replaced just before: a run that was killed
between the two goes on from the older `trainer.pt` and writes the result anew.
"""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from imharmony.errors import Hint, UsageError, WeightsError
from imharmony.training.settings import (
    TrainSettings,
    compare_settings,
    settings_record,
)
from imharmony.writing import replace_whole, write_whole

__all__ = [
    "check_folder",
    "has_run",
    "load_state",
    "random_states",
    "restore_random_state",
    "write_settings",
    "write_state",
]

STATE = "trainer.pt"
SETTINGS = "settings.json"


def has_run(output: Path) -> bool:
    """Whether a folder holds a run that can go on or is finished."""
    return (output / STATE).is_file()


def check_folder(output: Path, settings: TrainSettings, *, resume: bool) -> None:
    """Refuse to mix two runs in one folder.

    Raises
    ------
    UsageError
        If there is a run and `resume` is off, or none and it is on, or it was made
        with other settings.
    """
    if resume and not has_run(output):
        msg = f"{output}: no {STATE} to resume from"
        raise UsageError(msg)
    if not resume and has_run(output):
        msg = f"{output}: already holds a run; expected another folder"
        raise UsageError(msg, hint=Hint.GO_ON)
    if not resume:
        return
    try:
        stored = json.loads((output / SETTINGS).read_text(encoding="utf-8"))
        changed = compare_settings(settings, stored)
    except (OSError, ValueError, TypeError) as error:
        msg = f"{output}: cannot read the run's {SETTINGS}: {error}"
        raise UsageError(msg) from error
    if changed:
        msg = f"{output}: was trained with other settings; see {SETTINGS}"
        raise UsageError(f"{msg} for {', '.join(changed)}")


def write_settings(output: Path, settings: TrainSettings) -> None:
    """Keep the settings beside the result."""
    output.mkdir(parents=True, exist_ok=True)
    record = json.dumps(settings_record(settings), indent=2)
    write_whole(output / SETTINGS, record + "\n", overwrite=True)


def write_state(output: Path, state: dict[str, Any]) -> None:
    """Replace the state in one move."""
    with replace_whole(output / STATE, overwrite=True) as file:
        torch.save(state, file)


def load_state(output: Path, fabric: Fabric) -> dict[str, Any]:
    """Read the state onto the run's device.

    Raises
    ------
    WeightsError
        If the file is damaged.
    """
    path = output / STATE
    try:
        state: dict[str, Any] = torch.load(
            path, map_location=fabric.device, weights_only=True
        )
    except Exception as error:  # a damaged pickle raises almost anything
        raise WeightsError(f"{path}: cannot read the state of a run") from error
    return state


def random_states(fabric: Fabric) -> Tensor:
    """State of each device's generator, which dropout draws from: (devices, N) uint8.

    All processes of a run call it together.
    """
    state: Tensor = _get_generator(fabric).get_rng_state()
    gathered = fabric.all_gather(state.to(fabric.device))
    return gathered.reshape(fabric.world_size, -1).cpu()  # type: ignore[union-attr]


def restore_random_state(
    fabric: Fabric, states: Tensor | None, *, otherwise_seed: int
) -> None:
    """Go on with the device's own state, or anew where the run had other devices."""
    if states is not None and states.shape == random_states(fabric).shape:
        _get_generator(fabric).set_rng_state(states[fabric.global_rank].cpu())
    else:
        torch.manual_seed(otherwise_seed + fabric.global_rank)


def _get_generator(fabric: Fabric) -> Any:
    """Return the module whose `get_rng_state` is the device's."""
    device_type = fabric.device.type
    return torch if device_type == "cpu" else torch.get_device_module(device_type)
