"""The four architectures, and the variants of each."""

from collections.abc import Callable, Mapping
from typing import Any

from imharmony.errors import UsageError
from imharmony.training.networks.hdnet import (
    HDNET_VARIANTS,
    HDNet,
    HDNetDimensions,
    build_hdnet,
)
from imharmony.training.networks.refiner import (
    REFINER_VARIANTS,
    Refiner,
    RefinerDimensions,
    build_refiner,
)
from imharmony.training.networks.s2crnet import (
    VARIANTS,
    Dimensions,
    S2CRNet,
    build_s2crnet,
)
from imharmony.training.networks.seam import (
    SEAM_VARIANTS,
    SeamDimensions,
    SeamNet,
    build_seam_net,
)

__all__ = [
    "ALL_VARIANTS",
    "AnyDimensions",
    "AnyNetwork",
    "build_network",
    "find_architecture",
    "find_dimensions",
    "restore_network",
]

AnyNetwork = S2CRNet | SeamNet | HDNet | Refiner

AnyDimensions = Dimensions | SeamDimensions | HDNetDimensions | RefinerDimensions

ALL_VARIANTS = (*VARIANTS, *SEAM_VARIANTS, *HDNET_VARIANTS, *REFINER_VARIANTS)

ARCHITECTURES: dict[str, Mapping[str, object]] = {
    "s2crnet": VARIANTS,
    "seamnet": SEAM_VARIANTS,
    "hdnet": HDNET_VARIANTS,
    "refiner": REFINER_VARIANTS,
}
"""The variants of each architecture, by its name in checkpoints."""


def find_architecture(variant: str) -> str:
    """Name the architecture of a variant, one of `ARCHITECTURES`.

    Raises
    ------
    UsageError
        If there is no such variant; it lists the known ones.

    Examples
    --------
    >>> find_architecture("hdnet-lite")
    'hdnet'
    """
    if variant not in ALL_VARIANTS:
        msg = f"variant is one of {', '.join(ALL_VARIANTS)}, got {variant!r}"
        raise UsageError(msg)
    return next(
        architecture
        for architecture, known in ARCHITECTURES.items()
        if variant in known
    )


def find_dimensions(variant: str) -> type[AnyDimensions]:
    """Return the dataclass of a variant's dimensions."""
    known: dict[str, type[AnyDimensions]] = {
        "hdnet": HDNetDimensions,
        "refiner": RefinerDimensions,
        "seamnet": SeamDimensions,
        "s2crnet": Dimensions,
    }
    return known[find_architecture(variant)]


def build_network(variant: str, **changes: object) -> AnyNetwork:
    """Build a variant of any architecture, with some dimensions changed.

    Raises
    ------
    UsageError
        If the variant or a dimension does not exist; it lists the known ones.

    Examples
    --------
    >>> type(build_network("s2crnet-cs", num_bins=16)).__name__
    'S2CRNet'
    """
    builders: dict[str, Callable[..., AnyNetwork]] = {
        "hdnet": build_hdnet,
        "refiner": build_refiner,
        "seamnet": build_seam_net,
        "s2crnet": build_s2crnet,
    }
    return builders[find_architecture(variant)](variant, **changes)


def restore_network(architecture: str, dimensions: Mapping[str, Any]) -> AnyNetwork:
    """Build a network from a record of all its dimensions.

    Raises
    ------
    ValueError, TypeError, UsageError
        If there is no such architecture, or the dimensions are not its own.
    """
    if architecture == "s2crnet":
        return S2CRNet(Dimensions(**dimensions))
    if architecture == "seamnet":
        return SeamNet(SeamDimensions(**dimensions))
    if architecture == "hdnet":
        return HDNet(HDNetDimensions(**dimensions))
    if architecture == "refiner":
        return Refiner(RefinerDimensions(**dimensions))
    raise ValueError(
        f"network is one of {', '.join(ARCHITECTURES)}, got {architecture!r}"
    )
