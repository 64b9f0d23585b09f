"""Training pairs from single photographs: change looks, keep one as the truth.

A pair is made from one photograph and the mask of an object in it. Two looks are
drawn: the truth is the whole photograph under the first, the composite is the
truth with the foreground replaced by the photograph under the second. Either look
may be the untouched photograph. So the network learns to undo whatever was done
to the foreground and to redo whatever was done to the rest.

Families of looks (module `look_settings`): `retouch` and `daylight` suit any picture;
`light` changes the foreground from one end to the other, as no curve can undo, nor what
module `local_looks` draws; `reinhard`, `fecker`, `xiao` and `pitie` (module
`transfers`) give it the colors of another photograph's object of the same label.

Every draw depends on a seed and the pair's index alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imharmony.errors import UsageError
from imharmony.inference.crossings import Crossings, find_crossings
from imharmony.training.data.judging import Choice
from imharmony.training.data.look_drawing import LookDrawer
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import Look, UInt8Array, base_table
from imharmony.training.data.pairs import (
    Box,
    Edge,
    Pair,
    Scene,
    SeamSamples,
    SinglePair,
    Swatch,
    corners,
    halve,
    mask_limits,
    positions,
    random_part,
    resize_part,
    stack,
)
from imharmony.training.data.pastes import draw_edge, paste
from imharmony.training.data.pool import Pool
from imharmony.training.data.seam import SeamSettings, draw_seam, scaled_gaps
from imharmony.training.data.shapes import (
    ellipse_mask,
    part_of_object,
    stretch,
    superpixel_mask,
)
from imharmony.training.data.swatches import (
    SHOWN_AGAIN,
    Material,
    draw_swatch,
    gather,
    swatch_numbers,
)

__all__ = ["Synthesis"]

_FIRST_SWATCH = 1 << 40
"""Pairs of which only colors are drawn have numbers of their own, from here on."""


class Synthesis:
    """Draws pairs from a pool; the same seed and index give the same pair.

    It has no length: every index, however large, is another pair.

    Parameters
    ----------
    pool : Pool
        Photographs to change, and to take other objects' colors from.
    settings : LookSettings
    seed : int
    seam : SeamSettings or None
        None draws no seams.

    Raises
    ------
    UsageError
        If no photograph has a mask, but the settings ask for other objects'.
    """

    def __init__(
        self,
        pool: Pool,
        settings: LookSettings,
        *,
        seed: int,
        seam: SeamSettings | None = None,
    ) -> None:
        self.pool, self.settings, self.seed = pool, settings, seed
        self.seam = seam or SeamSettings()
        self._crossings: dict[tuple[int, int], Crossings] = {}
        self._materials: dict[int, Material] = {}
        self._swatches: dict[int, Swatch] = {}
        self._boxes: dict[int, Box] = {}
        self._halved: dict[tuple[int, tuple[int, int]], list[UInt8Array]] = {}
        has_mask = np.array([example.mask is not None for example in pool])
        self._masked = np.flatnonzero(has_mask)
        self._maskless = np.flatnonzero(~has_mask)
        if not len(self._masked) and settings.shapes.get("object"):
            raise UsageError(
                "no photograph has a mask; pairs need some objects' masks, or shapes "
                "that give object no share"
            )
        self._shapes = Choice(settings.shapes)
        self._looks = LookDrawer(pool, settings)

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        """Randomness of one pair, kept apart by what it is for.

        0 example, 1 geometry, 2 looks, 3 another object's mask, 4 base, 5 shape,
        6 seam, 7 edge, 8 whether it is a paste, 9 into which photograph.
        """
        return np.random.default_rng([self.seed, index, stream])

    def draw_example(self, index: int) -> int:
        """Which example of the pool pair `index` is made from."""
        rng = self._rng(index, 0)
        if not len(self._masked) or (
            len(self._maskless) and rng.random() < self.settings.maskless
        ):
            return int(rng.choice(self._maskless))
        return int(self._masked[rng.integers(len(self._masked))])

    def draw_pixels(self, index: int, example: int) -> tuple[UInt8Array, UInt8Array]:
        """Photo (H, W, 3) and mask (H, W) of pair `index`, uint8."""
        photo, mask = self.pool.pixels(example)
        if self._is_paste(index, example):
            rng = self._rng(index, 9)
            return paste(rng, photo, mask, self._draw_other(rng, example)), mask
        if not mask.size:
            rng = self._rng(index, 5)
            shape = self._shapes.draw(rng)
            if shape == "object":
                other = int(self._rng(index, 3).choice(self._masked))
                mask = stretch(self.pool.pixels(other)[1], photo.shape[:2])
            elif shape == "ellipse":
                mask = ellipse_mask(rng, photo.shape[:2])
            else:
                mask = superpixel_mask(rng, photo)
        return photo, mask

    def _is_paste(self, index: int, example: int) -> bool:
        """Whether the object of pair `index` is pasted into another photograph."""
        share = self.settings.pastes
        if not share or self.pool[example].mask is None:
            return False
        return self._rng(index, 8).random() < share

    def draw_looks(self, index: int, example: int) -> tuple[Look, Look]:
        """Draw the looks of the truth and of the composite's foreground.

        They are judged on some 2,000 pixels; see `LookDrawer.draw`.
        """
        pixels = self.draw_pixels(index, example)
        return self._draw_looks(
            index, example, *self._take_samples(index, example, *pixels)
        )

    def _draw_looks(
        self, index: int, example: int, whole: UInt8Array, own: UInt8Array
    ) -> tuple[Look, Look]:
        """Draw looks for an example of which some pixels, (3, N) each, are given."""
        base = None
        if self.settings.base:
            base = base_table(self._rng(index, 4), self.settings.base)
        return self._looks.draw(self._rng(index, 2), example, whole, own, base)

    def _take_samples(
        self, index: int, example: int, photo: UInt8Array, mask: UInt8Array
    ) -> tuple[UInt8Array, UInt8Array]:
        """Take pixels to judge looks by; of a paste, of the object's own photo."""
        if self._is_paste(index, example):
            photo, mask = self.pool.pixels(example)
        return self._looks.samples(example, photo, mask)

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Make the pairs of the given indices as thumbnails of a size (height, width).

        Each from a random part of the photo that holds the whole object, perhaps
        mirrored.
        """
        pairs = [self._thumbnails(index, size) for index in indices]
        for place, index in enumerate(indices[: self.seam.edges]):
            edge = self._edge(index, is_same_scene=place % 2 == 0)
            pairs[place] = pairs[place]._replace(edge=edge)
        numbers = swatch_numbers(indices, self.seam.swatches, self.seam.shown)
        return stack(pairs, [self._swatch(_FIRST_SWATCH + n) for n in numbers])

    def _swatch(self, index: int) -> Swatch:
        """Draw the colors of a pair, or show them again."""
        if index not in self._swatches:
            limit = SHOWN_AGAIN * max(1, self.seam.swatches)
            while len(self._swatches) >= limit:
                del self._swatches[next(iter(self._swatches))]  # the oldest
            self._swatches[index] = self._draw_swatch(index)
        return self._swatches[index]

    def _draw_swatch(self, index: int) -> Swatch:
        """Draw the colors of a pair. A photo without a mask keeps the first it gets."""
        example = self.draw_example(index)
        photo, mask = self.pool.pixels(example)
        material = self._materials.get(example)
        if material is None:
            if not mask.size:
                _, mask = self.draw_pixels(_FIRST_SWATCH - 1 - example, example)
            material = gather(photo, mask, mask_limits(mask), self.seam.scales)
            self._materials[example] = material
        looks = self._draw_looks(index, example, *material.samples)
        rng = self._rng(index, 6)
        crossings = material.crossings[rng.integers(len(material.crossings))]
        seam = draw_seam(rng, photo, crossings, looks, material.box, self.seam)
        return draw_swatch(rng, material, looks, seam)

    def _thumbnails(self, index: int, size: tuple[int, int]) -> SinglePair:
        example = self.draw_example(index)
        photo, full_mask = self.draw_pixels(index, example)
        rng = self._rng(index, 1)
        inner = self._box(example, full_mask)
        outer = random_part(rng, inner, full_mask.shape)
        step = -1 if rng.random() < 0.5 else 1
        if self.settings.parts > rng.random():
            inner = part_of_object(rng, inner, full_mask)
        samples = self._take_samples(index, example, photo, full_mask)
        looks = self._draw_looks(index, example, *samples)
        if self._is_paste(index, example):
            layers = halve(photo, full_mask, size)
        else:
            layers = self._layers(example, photo, full_mask, size)
        parts = [
            resize_part(photo, full_mask, layers, part, size) for part in (outer, inner)
        ]
        levels = np.stack(parts, axis=1)[..., ::step]  # (4, 2, h, w)
        masks = levels[3:] / np.float32(255)
        place = None
        if looks[1].needs_place:
            box = self._box(example, full_mask)
            places = [positions(box, part, size) for part in (outer, inner)]
            place = np.stack(places, axis=1)[..., ::step]  # (2, 2, h, w)
        real = looks[0].apply(levels[:3]).clip(0, 1)
        composite = looks[1].apply(levels[:3], place).clip(0, 1)
        composite -= real
        composite *= masks
        composite += real
        whole, crop = (
            Scene(composite[:, k], real[:, k], masks[:, k]) for k in range(2)
        )
        seam = self._seam(index, example, photo, full_mask, looks)
        corner, shown = np.array(corners(outer)).reshape(2, 2)
        seam = seam._replace(place=((seam.place - corner) / shown).astype(np.float32))
        if step < 0:
            seam.place[:, 1] = 1 - seam.place[:, 1]
        return SinglePair(whole, crop, self.pool[example].semantic_label, seam)

    def _seam(
        self,
        index: int,
        example: int,
        photo: UInt8Array,
        mask: UInt8Array,
        looks: tuple[Look, Look],
    ) -> SeamSamples:
        """Draw the seam of a pair, of the whole photo whatever part is shown."""
        if not self.seam.num_pairs:
            return SeamSamples.none(0)
        box = self._box(example, mask)
        rng = self._rng(index, 6)
        settings = self.seam
        scale = 0  # of the photo itself
        if settings.scaled and rng.random() < settings.scaled:
            scale = int(rng.choice(settings.scales))
        crossings = self._crossings.get((example, scale))
        if crossings is None:
            gaps = scaled_gaps(scale) if scale else None
            crossings = find_crossings(mask, corners(box), gaps=gaps)
            if self.pool[example].mask is not None:  # the next pair's mask is another
                self._crossings[example, scale] = crossings
        if self._is_paste(index, example):  # what faces each other stays apart
            settings = replace(settings, nearer=0.0)
        return draw_seam(rng, photo, crossings, looks, box, settings)

    def _edge(self, index: int, *, is_same_scene: bool) -> Edge:
        """Draw an edge of an object that has a mask of its own."""
        rng = self._rng(index, 7)
        example = int(self._masked[rng.integers(len(self._masked))])
        photo, mask = self.pool.pixels(example)
        other = None if is_same_scene else self._draw_other(rng, example)
        samples = draw_edge(rng, photo, mask, other, self.seam.num_pairs)
        return Edge(samples, is_same_scene)

    def _draw_other(self, rng: np.random.Generator, example: int) -> UInt8Array:
        """Draw another photograph than an example's; its own if there is no other."""
        own = self.pool[example].photo
        for _ in range(20):
            other = int(rng.integers(len(self.pool)))
            if self.pool[other].photo != own:
                break
        return self.pool.pixels(other)[0]

    def _box(self, example: int, mask: UInt8Array) -> Box:
        """Limits of a mask; kept for an example's own."""
        if self.pool[example].mask is None:  # the next pair's mask is another
            return mask_limits(mask)
        if example not in self._boxes:
            self._boxes[example] = mask_limits(mask)
        return self._boxes[example]

    def _layers(
        self, example: int, photo: UInt8Array, mask: UInt8Array, size: tuple[int, int]
    ) -> list[UInt8Array]:
        """Photo and mask in one, halved as often as is of use; kept."""
        if (example, size) not in self._halved:
            self._halved[example, size] = halve(photo, mask, size)
        layers = self._halved[example, size]
        if self.pool[example].mask is None:  # kept was another pair's
            masks = [stretch(mask, layer.shape[:2]) for layer in layers]
            layers = [
                np.dstack([x[..., :3], m]) for x, m in zip(layers, masks, strict=True)
            ]
        return layers
