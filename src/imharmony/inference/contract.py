"""What a weights file expects and gives, read from its metadata.

A weights file is one `.onnx` whose metadata name the variant, the thumbnail size,
whether it gives curves or a picture, which foreground it looks at, the order of the
labels, how slopes are to be read. Nothing about a network is guessed.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from imharmony.errors import WeightsError
from imharmony.inference.crossings import GAPS
from imharmony.labels import LABELS

__all__ = ["FORMAT", "Contract"]

FORMAT = "imharmony-weights-1"


@dataclass(frozen=True)
class Contract:
    """What a weights file expects and gives, read from its metadata."""

    variant: str
    thumbnail_size: tuple[int, int]
    """(height, width)."""
    checkpoint_sha256: str
    output: Literal["curves", "picture"] = "curves"
    """What the network gives: slopes of curves, or the harmonized thumbnail. What
    follows is of networks that give curves."""
    num_stages: int = 0
    num_pieces: int = 0
    has_semantic_label: bool = False
    guesses_label: bool = False
    foreground_input: str = ""
    slopes: str = ""
    """How `curve_params` are read: "free" or "positive" slopes of K pieces, or
    "heights" at their K + 1 ends, which need not begin at 0 nor end at 1."""
    labels: tuple[str, ...] = ()
    contexts: tuple[float, ...] = (0.0,)
    """Views of the surroundings, as `make_thumbnails` takes them."""
    seam: dict[str, int] = field(default_factory=dict)
    """Facing pixels that the network looks at, as `sample_seam` gives them: "pairs" at
    each of so many "gaps"; empty for networks that do not look at them."""
    refines: str = ""
    """Of a network that gives a picture: the model whose curves are applied first, by
    its name; empty where it sees the composite as it is."""

    @property
    def seam_pairs(self) -> int:
        """Pairs of facing pixels at each gap; 0 for none."""
        return self.seam.get("pairs", 0)

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata to store in a weights file, all values text."""
        return {"format": FORMAT, "contract": json.dumps(self.__dict__)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], *, name: str) -> "Contract":
        """Read what `to_metadata` wrote.

        Raises
        ------
        WeightsError
            If the metadata are not of this kind or a field is absent.
        """
        if metadata.get("format") != FORMAT:
            msg = (
                f"{name}: an ONNX file, but not imharmony weights: its metadata say "
                f"format {metadata.get('format')!r}, expected {FORMAT!r}; "
                f"'imharmony export' makes such files"
            )
            raise WeightsError(msg)
        try:
            fields = json.loads(metadata["contract"])
            output = fields.get("output", "curves")
            if output not in ("curves", "picture"):
                raise ValueError(f"output {output!r}, expected 'curves' or 'picture'")
            height, width = fields.pop("thumbnail_size")
            labels = tuple(fields.pop("labels", ()))
            if output == "curves":
                _check_curves(fields, labels)
            contexts = tuple(map(float, fields.pop("contexts", (0.0,))))
            return cls(
                thumbnail_size=(height, width),
                labels=labels,
                contexts=contexts,
                **fields,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{name}: damaged weights metadata: {error}"
            raise WeightsError(msg) from error


def _check_curves(fields: dict[str, Any], labels: tuple[str, ...]) -> None:
    """Refuse a contract of curves that leaves something open."""
    if sorted(labels) != sorted(LABELS):
        raise ValueError(f"labels {labels}, expected {LABELS} in any order")
    seam = fields.get("seam", {})
    if seam and (seam.get("gaps") != GAPS or seam.get("pairs", 0) < 1):
        raise ValueError(f"seam {seam}, expected pairs at {GAPS} gaps")
    for name in (
        *("num_stages", "num_pieces", "has_semantic_label", "guesses_label"),
        *("foreground_input", "slopes"),
    ):
        if name not in fields:
            raise KeyError(name)
