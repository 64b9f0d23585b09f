"""How often and how strongly looks change, and which families of looks there are."""

from dataclasses import dataclass, field

from imharmony.errors import UsageError
from imharmony.training.data.local_looks import (
    color_mix_look,
    drift_look,
    material_look,
    second_light_look,
)
from imharmony.training.data.looks import daylight_look, light_look, retouch_look
from imharmony.training.data.shapes import SHAPES
from imharmony.training.data.transfers import TRANSFERS

__all__ = [
    "CHANGED",
    "FAMILIES",
    "LOCAL",
    "SELECTIVE",
    "WHOLE",
    "LookSettings",
]

WHOLE = {"retouch": retouch_look, "daylight": daylight_look}
"""Families that suit the rest of a photograph, too."""
LOCAL = {
    "light": light_look,
    "second_light": second_light_look,
    "drift": drift_look,
    "color_mix": color_mix_look,
}
"""Families that change an object as no curve undoes."""
SELECTIVE = {"material": material_look}
"""Likewise, and choose one of the object's own colors."""
FAMILIES = (*WHOLE, *LOCAL, *SELECTIVE, *TRANSFERS)
CHANGED = ("foreground", "rest", "both", "nothing")


@dataclass(frozen=True)
class LookSettings:
    """How often and how strongly looks change; shares are relative.

    A family without a share is never drawn, on either side.
    """

    families: dict[str, float] = field(
        default_factory=lambda: {"retouch": 0.7, "reinhard": 0.15, "fecker": 0.15}
    )
    changed: dict[str, float] = field(
        default_factory=lambda: {"foreground": 0.4, "rest": 0.35, "both": 0.25}
    )
    """What differs from the untouched photograph. The rest never takes another
    object's colors, a photo of those is no photo any more: it is retouched or set
    to another time of day, and where neither has a share, it stays. With nothing, the
    composite is the real photograph: what needs no change should get none."""
    strengths: dict[str, tuple[float, float, float]] = field(
        default_factory=lambda: {
            "small": (0.2, 0.5, 0.9),
            "moderate": (0.4, 0.9, 1.5),
            "large": (0.4, 1.5, 2.4),
        }
    )
    """Share, and the range that a look's strength is drawn from."""
    difference: tuple[float, float] = (0.06, 0.45)
    """Root mean square difference of the two foregrounds a pair may have."""
    max_clipped: float = 0.25
    """Share of foreground values a look may push out of range."""
    max_hue_change: float = 180.0
    """Degrees on the color wheel by which the hues of the two foregrounds may differ,
    on average over what is colored in both; 180 allows all. Light changes a color,
    but makes no red car blue."""
    maskless: float = 0.25
    """Share of pairs made from photographs without a mask, where the pool has any."""
    shapes: dict[str, float] = field(default_factory=lambda: {"object": 1.0})
    """What mask a photograph without one gets: another object's, or one of `SHAPES`."""
    base: float = 0.0
    """Greatest strength of a look that the whole photograph takes on before the
    pair's own looks, as if another camera had taken it."""
    parts: float = 0.0
    """Share of pairs whose foreground crop shows a part of the object's box only."""
    retouched: float = 0.0
    """Share of local changes that come with a retouch of the whole foreground."""
    pastes: float = 0.0
    """Share of pairs whose object is first pasted into another photograph, so that
    nothing across its edge belongs to it."""

    def __post_init__(self) -> None:
        for name, known in (
            ("families", FAMILIES),
            ("changed", CHANGED),
            ("shapes", SHAPES),
        ):
            shares = getattr(self, name)
            is_known = shares.keys() <= set(known)
            if (
                not is_known
                or min(shares.values(), default=0) < 0
                or not any(shares.values())
            ):
                msg = f"{name} gives shares above 0 to {', '.join(known)}, got {shares}"
                raise UsageError(msg)
            # In one order, so that equal settings give equal pairs.
            object.__setattr__(self, name, {n: shares[n] for n in known if n in shares})
        if not self.whole and not self.changed.get("foreground"):
            msg = (
                f"families {', '.join(self.families)} change the foreground only, "
                f"which changed gives no share: {self.changed}"
            )
            raise UsageError(msg)

    @property
    def whole(self) -> dict[str, float]:
        """Shares of the families that suit the rest, too."""
        return {n: self.families[n] for n in WHOLE if self.families.get(n)}
