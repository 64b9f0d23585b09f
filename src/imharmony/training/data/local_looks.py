"""Looks that no curve can undo, since they depend on the place or on the hue.

second_light
    A lamp of another color that lights an object from one side and fades towards the
    other; `light`, in module `looks`, is the scene's own light, uneven.
drift
    A tint that drifts over the object, as in regions that were painted anew: a smooth
    field of color, added to the encoded values.
material
    One material of the object under another light than the rest: colors near one of
    the object's own, with a soft rim, are made brighter or darker and tinted.
color_mix
    Hue and saturation, and a leak between channels, as between two cameras: a 3x3
    matrix that keeps gray as it is.

Each function draws one; a strength of 0 leaves the photograph as it is.
"""

from dataclasses import dataclass

import numpy as np

from imharmony.training.data.looks import (
    UNTOUCHED,
    FloatArray,
    Look,
    UInt8Array,
    smooth,
    spread_places,
)

__all__ = [
    "ColorMix",
    "Material",
    "SideLight",
    "TintDrift",
    "color_mix_look",
    "drift_look",
    "material_look",
    "second_light_look",
]

_GAMMA = 2.2
"""Encoded values are about the light's root of this order: a gain of the light is its
root as a gain of values, at a tenth of the time that encoding takes."""
_NODES = 4
"""Of a drifting tint, along each side of the object's box."""


@dataclass(frozen=True)
class SideLight:
    """A lamp at one side of the object."""

    gains: FloatArray
    """(3,): what linear light is multiplied by where it is brightest."""
    direction: tuple[float, float]
    """Towards the lamp, down and across; of length 1."""
    reach: float
    """Exponent of the fading: the larger, the sooner it is dark."""
    needs_place = True

    def apply(self, x: FloatArray, place: FloatArray | None) -> FloatArray:
        """Light values (3, ...) at their places (2, ...)."""
        if place is None:
            place = spread_places(x.shape[1:])
        down, across = self.direction
        along = down * (place[0] - 0.5) + across * (place[1] - 0.5)
        share = (along + np.float32(0.5)).clip(0, 1) ** np.float32(self.reach)
        made = np.empty_like(x)
        for c in range(3):
            light = 1 + share * np.float32(self.gains[c] - 1)
            made[c] = x[c] * light ** np.float32(1 / _GAMMA)
        return made


@dataclass(frozen=True)
class TintDrift:
    """A smooth field of color over the object's box."""

    nodes: FloatArray
    """(3, n, n): what is added to encoded values, on a lattice from rim to rim."""
    needs_place = True

    def apply(self, x: FloatArray, place: FloatArray | None) -> FloatArray:
        """Tint values (3, ...) at their places (2, ...)."""
        if place is None:
            place = spread_places(x.shape[1:])
        shares = [_between(axis.ravel(), self.nodes.shape[1]) for axis in place]
        field = [
            ((node.T.astype(np.float32) @ shares[0]) * shares[1]).sum(axis=0)
            for node in self.nodes
        ]
        return np.asarray(x + np.stack(field).reshape(x.shape))


@dataclass(frozen=True)
class Material:
    """Colors near one color, under another light than the rest."""

    center: FloatArray
    """(3,): encoded."""
    width: float
    """Distance of chroma at which the change is at 0.6 of its height."""
    gains: FloatArray
    """(3,): of linear light."""
    needs_place = False

    def apply(self, x: FloatArray, place: FloatArray | None) -> FloatArray:
        """Change values (3, ...) by how near they are; places are not looked at."""
        flat = x.reshape(3, -1)
        apart = _OPPONENT @ (flat - self.center[:, None].astype(np.float32))  # (3, N)
        near = np.exp((apart**2).sum(axis=0) * np.float32(-0.5 / self.width**2))
        gains = (self.gains ** (1 / _GAMMA) - 1).astype(np.float32)
        made = flat * (1 + gains[:, None] * near)
        return np.asarray(made.reshape(x.shape))


@dataclass(frozen=True)
class ColorMix:
    """A linear map of color."""

    matrix: FloatArray
    """(3, 3): rows sum to 1."""
    needs_place = False

    def apply(self, x: FloatArray, place: FloatArray | None) -> FloatArray:
        """Map values (3, ...); places are not looked at."""
        mapped = self.matrix.astype(np.float32) @ x.reshape(3, -1)
        return np.asarray(mapped.reshape(x.shape))


def second_light_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw a lamp from any side, of any warmth, brighter or shading."""
    exposure_ev = strength * rng.normal(0.0, 0.8)
    warmth, tint = strength * rng.normal(0.0, [0.45, 0.15])
    gains = 2.0 ** np.clip(exposure_ev, -2.0, 2.0) * np.exp(
        np.clip([warmth, tint, -warmth], -1.2, 1.2)
    )
    angle = rng.uniform(0, 2 * np.pi)
    direction = float(np.sin(angle)), float(np.cos(angle))
    return UNTOUCHED._replace(
        local=SideLight(gains, direction, float(rng.uniform(0.7, 3.0)))
    )


def drift_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw a tint that drifts: in brightness, and in each channel by less."""
    shape = (_NODES, _NODES)
    brightness = rng.normal(0.0, 0.06, (1, *shape))
    tint = rng.normal(0.0, 0.035, (3, *shape))
    nodes = strength * (brightness + tint)
    return UNTOUCHED._replace(local=TintDrift(nodes.clip(-0.35, 0.35)))


def material_look(rng: np.random.Generator, strength: float, own: UInt8Array) -> Look:
    """Draw one of the object's colors, of its 8-bit colors (3, N), and its change."""
    center = own[:, rng.integers(own.shape[1])] / 255.0
    exposure_ev = strength * rng.normal(0.0, 0.6)
    warmth, tint = strength * rng.normal(0.0, [0.3, 0.15])
    gains = 2.0 ** np.clip(exposure_ev, -2.0, 2.0) * np.exp(
        np.clip([warmth, tint, -warmth], -1.2, 1.2)
    )
    width = float(rng.uniform(0.06, 0.2))
    return UNTOUCHED._replace(local=Material(center, width, gains))


def color_mix_look(rng: np.random.Generator, strength: float) -> Look:
    """Draw a turn of hue, a saturation and a leak between channels."""
    turn = np.deg2rad(np.clip(strength * rng.normal(0.0, 14.0), -50, 50))
    saturation = np.exp(np.clip(strength * rng.normal(0.0, 0.45), -1.5, 0.9))
    gray = np.full((3, 3), 1 / 3)
    # Rotation about the gray axis (Rodrigues): of what is not gray.
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    colored = np.cos(turn) * (np.eye(3) - gray) + np.sin(turn) * across
    matrix = gray + saturation * colored
    leak = strength * rng.normal(0.0, 0.05, (3, 3))
    matrix = matrix + leak - leak.mean(axis=1, keepdims=True)
    return UNTOUCHED._replace(local=ColorMix(matrix))


_OPPONENT = np.array(
    [[0.25, 0.25, 0.25], [0.7, -0.7, 0.0], [0.4, 0.4, -0.8]], np.float32
)
"""Lightness, red against green, blue against yellow: lightness counts for less."""


def _between(place: FloatArray, n: int) -> FloatArray:
    """Share places (N,) of [0, 1] between n nodes, without creases: (n, N)."""
    position = np.clip(place, 0, 1) * np.float32(n - 1)
    lower = np.minimum(position.astype(np.intp), n - 2)
    share = smooth((position - lower).astype(np.float32))
    shares = np.zeros((n, place.size), np.float32)
    every = np.arange(place.size)
    shares[lower, every] = 1 - share
    shares[lower + 1, every] = share
    return shares
