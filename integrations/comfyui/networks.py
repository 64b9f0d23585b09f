"""The loaded networks, and what the installed imharmony can do."""

import inspect
from functools import lru_cache
from typing import Any

from comfy_api.latest import io

from imharmony import Harmonizer
from imharmony.errors import UsageError
from imharmony.inference.models import DEFAULT_MODEL, MODELS
from imharmony.labels import LABELS

__all__ = [
    "CurvesType",
    "choices",
    "label_input",
    "load",
    "model_input",
    "seam_input",
    "strength_input",
]

GUESS = "guess"
SEAMS = ("auto", "trust", "ignore")

CurvesType = io.Custom("IMHARMONY_CURVES")
"""A tuple of `imharmony.Curves`, one for each picture of a batch."""


@lru_cache(maxsize=2)
def load(model: str) -> Harmonizer:
    """Load a network once; a few megabytes of the CPU's memory, none of the GPU's."""
    return Harmonizer(model)


def choices(label: str, seam: str) -> dict[str, Any]:
    """Turn the choices of a node's lists into options of a `Harmonizer`.

    Raises
    ------
    UsageError
        If the installed imharmony is too old to be told how to take the seam.
    """
    options: dict[str, Any] = {"label": None if label == GUESS else label}
    if "seam" in inspect.signature(Harmonizer.__call__).parameters:
        options["seam"] = seam
    elif seam != "auto":
        msg = f"seam: the installed imharmony knows auto only, got {seam}"
        raise UsageError(f"{msg}; a newer one does")
    return options


def strength_input() -> Any:
    """Describe the slider of all nodes that change colors."""
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=2.0,
        step=0.05,
        tooltip="How much of the change to apply: 0 none, 1 all, above 1 exaggerates.",
    )


def label_input() -> Any:
    """Describe the list of semantic labels."""
    return io.Combo.Input(
        "label",
        options=[GUESS, *LABELS],
        default=GUESS,
        tooltip="What the masked object is. The network guesses well; say it if not.",
    )


def seam_input() -> Any:
    """Describe how pixels on both sides of the mask's edge are taken."""
    return io.Combo.Input(
        "seam",
        options=list(SEAMS),
        default="auto",
        tooltip="Whether pixels on both sides of the mask's edge show the same thing. "
        "trust: yes, as after inpainting. ignore: no, as for a cut-out put elsewhere. "
        "auto: the network decides.",
    )


def model_input() -> Any:
    """Describe the list of networks that come with the package."""
    return io.Combo.Input(
        "model",
        options=list(MODELS),
        default=DEFAULT_MODEL,
        tooltip="The network that predicts the curves. It runs on the CPU.",
    )
