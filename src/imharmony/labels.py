"""Semantic labels, which say what the foreground is."""

from collections.abc import Sequence
from typing import Literal, get_args

from imharmony.errors import UsageError

__all__ = ["LABELS", "Label", "label_index"]

Label = Literal["person", "animal", "food", "vehicle", "others"]
LABELS: tuple[str, ...] = get_args(Label)
"""The order the released checkpoint uses; the paper lists them differently."""


def label_index(label: str, labels: Sequence[str] = LABELS) -> int:
    """Turn the name of a semantic label into its number among `labels`.

    Raises
    ------
    UsageError
        If there is no such label; it lists the known ones.

    Examples
    --------
    >>> label_index("vehicle")
    3
    """
    if label not in labels:
        msg = f"label is one of {', '.join(labels)}, got {label!r}"
        raise UsageError(msg)
    return labels.index(label)
