"""What training, validation and export ask of an architecture."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from imharmony.inference.contract import Contract
from imharmony.training.data.pairs import Pair
from imharmony.training.feed import Feed
from imharmony.training.settings import TrainSettings

__all__ = ["Graph", "Group", "Harmonized", "Losses", "Recipe"]

Network = TypeVar("Network", bound=nn.Module)


class Losses(NamedTuple):
    """What one batch says."""

    total: Tensor
    """(): what the network learns from, but for an adversary's judgement."""
    pixels: Tensor
    """(): the part of it that is reported, the error of the pixels."""
    real: Tensor
    """(B, 3, h, w): a picture that an adversary may see."""
    harmonized: Tensor
    """(B, 3, h, w): the network's picture, which an adversary compares with it."""
    parts: dict[str, Tensor] = {}  # noqa: RUF012  # never changed
    """Further columns of the run's table."""


class Harmonized(NamedTuple):
    """What a network makes of a batch."""

    picture: Tensor
    """(B, 3, h, w) float, RGB, sRGB-encoded; its background is the composite's."""
    heights: Tensor | None
    """(B, 3, N): of evenly spaced values from 0 to 1, all stages in one; of a network
    that predicts curves."""


class Group(NamedTuple):
    """Parameters that learn at one rate."""

    parameters: list[nn.Parameter]
    share: float = 1.0
    """Of the run's learning rate."""
    held_steps: int = 0
    """Steps before they learn."""


class Graph(NamedTuple):
    """What is written to an ONNX file."""

    module: nn.Module
    """Called with the inputs, one composite's, in their order."""
    inputs: tuple[str, ...]
    """Of the names that `example_inputs` knows, the first ones."""
    outputs: tuple[str, ...]
    views: tuple[str, ...]
    """Inputs of which there may be several, along the first axis."""


class Recipe(ABC, Generic[Network]):
    """How one architecture is trained and exported. It keeps no state."""

    surroundings: tuple[str, ...] = ("same scene",)
    """What validation shows beside the object; see `harmonize`."""

    def parameters(self, network: Network, settings: TrainSettings) -> list[Group]:
        """Name what learns, and at which share of the rate."""
        return [Group(list(network.parameters()))]

    @abstractmethod
    def build(self, settings: TrainSettings) -> Network:
        """Make a network to train, from random weights or those the settings name."""

    @abstractmethod
    def losses(
        self,
        model: Callable[..., Any],
        network: Network,
        pair: Pair,
        *,
        step: int,
        feed: Feed,
    ) -> Losses:
        """Run a batch through a network and measure what it makes of it.

        Parameters
        ----------
        model : callable
            The network as it is run: on several devices, in another precision.
        network : nn.Module
            The same, to be asked for its dimensions.
        pair : Pair
        step : int
            From 0.
        feed : Feed
            Tells the settings, and how many devices share the batch.
        """

    @abstractmethod
    def harmonize(
        self, network: Network, pair: Pair, *, surroundings: str = "same scene"
    ) -> Harmonized:
        """Harmonize a batch, without gradients.

        Parameters
        ----------
        network : nn.Module
        pair : Pair
        surroundings : str
            One of `surroundings`: "same scene" as the pair is, "paste" where what
            faces the object has nothing to do with it, "no seam" where there is none.
        """

    def finish(self, network: Network) -> Network:
        """Turn a trained network into the one that is saved. May change its own."""
        return network

    @abstractmethod
    def graph(self, network: Network) -> Graph:
        """Say what is exported."""

    @abstractmethod
    def contract(
        self,
        network: Network,
        *,
        variant: str,
        thumbnail_size: tuple[int, int],
        checkpoint_sha256: str,
    ) -> Contract:
        """Say what the exported file expects and gives."""
