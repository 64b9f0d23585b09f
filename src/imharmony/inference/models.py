"""Models by name, and where their weights are."""

from pathlib import Path

from imharmony.errors import UsageError, WeightsError

__all__ = ["DEFAULT_MODEL", "MODELS", "OPTIONAL_MODELS", "WEIGHTS", "weights_of"]

WEIGHTS = Path(__file__).parents[1] / "weights"
MODELS = {"s2crnet-cs": WEIGHTS / "s2crnet-cs.onnx"}
"""Bundled models by name."""
OPTIONAL_MODELS = {"hdnet-lite": WEIGHTS / "hdnet-lite.onnx"}
"""Known models by name whose weights an installation may lack."""
DEFAULT_MODEL = "s2crnet-cs"


def weights_of(model: str) -> Path:
    """Find the weights file of a model by its name.

    Raises
    ------
    UsageError
        If there is no such model; it lists the known ones.
    WeightsError
        If the model is known, but its weights are not part of this installation.

    Examples
    --------
    >>> weights_of("s2crnet-cs").name
    's2crnet-cs.onnx'
    """
    known = MODELS | OPTIONAL_MODELS
    if model not in known:
        msg = f"model is one of {', '.join(known)}, got {model!r}"
        raise UsageError(msg)
    if model in OPTIONAL_MODELS and not known[model].is_file():
        msg = f"{model}: its weights are not part of this installation; 'imharmony"
        raise WeightsError(f"{msg} export' makes a file of it to pass as weights")
    return known[model]
