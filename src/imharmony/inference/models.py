"""Models by name, where their weights are, and how they are loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from imharmony.errors import UsageError

if TYPE_CHECKING:
    from imharmony.inference.network import Network

__all__ = ["DEFAULT_MODEL", "MODELS", "WEIGHTS", "find_weights", "load_network"]

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "s2crnet-cs"
MODELS = {
    DEFAULT_MODEL: WEIGHTS / "s2crnet-cs.onnx",
    "hdnet-lite": WEIGHTS / "hdnet-lite.onnx",
}
"""Bundled models by name."""


def find_weights(model: str) -> Path:
    """Find the weights file of a model by its name.

    Raises
    ------
    UsageError
        If there is no such model; it lists the known ones.

    Examples
    --------
    >>> find_weights("s2crnet-cs").name
    's2crnet-cs.onnx'
    """
    if model not in MODELS:
        msg = f"model is one of {', '.join(MODELS)}, got {model!r}"
        raise UsageError(msg)
    return MODELS[model]


def load_network(
    source: Path, *, num_threads: int = 2, provider: str | None = None
) -> "Network":
    """Load the network of a weights file.

    Parameters
    ----------
    source, num_threads, provider
        As for `Weights.open`.

    Returns
    -------
    Network
        A `CurveNetwork`, a `PictureNetwork` or, with the bundled network whose curves
        it refines, a `RefiningNetwork`, as the file says.

    Raises
    ------
    UsageError, WeightsError
        As `Weights.open`, and if the graph does not fit its metadata.
    """
    # Here, since the command line reads only names of this module.
    from imharmony.inference.curve_network import CurveNetwork
    from imharmony.inference.picture_network import PictureNetwork
    from imharmony.inference.refining_network import RefiningNetwork
    from imharmony.inference.weights import Weights

    weights = Weights.open(source, num_threads=num_threads, provider=provider)
    if weights.contract.refines:
        curves = load_network(
            find_weights(weights.contract.refines),
            num_threads=num_threads,
            provider=provider,
        )
        return RefiningNetwork(weights, curves)
    networks = {"curves": CurveNetwork, "picture": PictureNetwork}
    return networks[weights.contract.output](weights)
