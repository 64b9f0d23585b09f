"""A network's dimensions, by the name of a variant."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from imharmony.errors import UsageError

__all__ = ["change_variant"]

Dimensions = TypeVar("Dimensions")


def change_variant(
    variants: Mapping[str, Dimensions], variant: str, changes: Mapping[str, Any]
) -> Dimensions:
    """Take a variant's dimensions, a dataclass, and change some.

    Raises
    ------
    UsageError
        If the variant or a dimension does not exist; it lists the known ones.
    """
    if variant not in variants:
        known = ", ".join(variants)
        raise UsageError(f"variant is one of {known}, got {variant!r}")
    dimensions: Any = variants[variant]
    names = [field.name for field in fields(dimensions)]
    if unknown := ", ".join(sorted(changes.keys() - set(names))):
        raise UsageError(f"dimensions are {', '.join(names)}; got {unknown}")
    changed: Dimensions = replace(dimensions, **changes)
    return changed
