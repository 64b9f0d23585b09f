"""Looks drawn for a photograph: one for all of it, one for its foreground."""

import numpy as np

from imharmony.training.data.judging import Choice, judge, some_foreground, some_pixels
from imharmony.training.data.look_settings import (
    LOCAL,
    SELECTIVE,
    WHOLE,
    LookSettings,
)
from imharmony.training.data.looks import (
    UNTOUCHED,
    FloatArray,
    Look,
    UInt8Array,
    after,
    retouch_look,
)
from imharmony.training.data.pool import Pool
from imharmony.training.data.transfers import TRANSFERS

__all__ = ["LookDrawer"]


class LookDrawer:
    """Draws looks by the settings; keeps some pixels of each example to judge them by.

    Parameters
    ----------
    pool : Pool
        Examples whose colors a look may take over.
    settings : LookSettings
    """

    def __init__(self, pool: Pool, settings: LookSettings) -> None:
        self.pool, self.settings = pool, settings
        self._kept: dict[int, tuple[UInt8Array, UInt8Array]] = {}
        self._changed = Choice(settings.changed)
        self._families = Choice(settings.families)
        # The rest stays where no family suits it: then nothing is drawn from this.
        self._whole = Choice(settings.whole or {"untouched": 1.0})
        strengths = {name: share for name, (share, *_) in settings.strengths.items()}
        self._strengths = Choice(strengths)
        labels = np.array([example.semantic_label for example in pool])
        has_mask = np.array([example.mask is not None for example in pool])
        known = np.flatnonzero(has_mask) if has_mask.any() else np.arange(len(pool))
        same = {int(n): np.flatnonzero(has_mask & (labels == n)) for n in set(labels)}
        self._peers = {n: peers if len(peers) else known for n, peers in same.items()}

    def draw(
        self,
        rng: np.random.Generator,
        example: int,
        whole: UInt8Array,
        own: UInt8Array,
        base: FloatArray | None,
    ) -> tuple[Look, Look]:
        """Draw the looks of the truth and of the composite's foreground.

        Looks that break a bound of the settings are drawn again, up to ten times,
        weaker if they were too strong.

        Parameters
        ----------
        rng : numpy.random.Generator
        example : int
            Its label says whose colors a transfer may take.
        whole, own : ndarray of uint8, shape (3, N)
            Some pixels of the photograph and of its foreground, to judge by.
        base : ndarray of float, shape (3, 256), or None
            Curves that the photograph takes on before either look.
        """
        scale = 1.0
        for redraws in range(11):
            looks = self._draw_once(rng, example, own, scale)
            is_natural = all(look is UNTOUCHED for look in looks)
            if base is not None:
                looks = (after(base, looks[0]), after(base, looks[1]))
            if is_natural and not redraws:  # later, it has too small a difference
                break
            verdict = judge(looks, whole, own, self.settings)
            if verdict == "good":
                break
            if verdict == "too strong":
                scale *= 0.7
        return looks

    def samples(
        self, example: int, photo: UInt8Array, mask: UInt8Array
    ) -> tuple[UInt8Array, UInt8Array]:
        """Take pixels of a photo and its foreground, (3, N); kept for its own mask."""
        if example not in self._kept:
            samples = some_pixels(photo), some_foreground(photo, mask)
            if self.pool[example].mask is None:  # the next pair's mask is another
                return samples
            self._kept[example] = samples
        return self._kept[example]

    def _draw_once(
        self, rng: np.random.Generator, example: int, own: UInt8Array, scale: float
    ) -> tuple[Look, Look]:
        """Draw a look for the rest of the photograph and one for the foreground."""
        _, low, high = self.settings.strengths[self._strengths.draw(rng)]
        changed = self._draw_changed(rng)
        looks = []
        for part in ("rest", "foreground"):
            if changed not in (part, "both"):
                looks.append(UNTOUCHED)
                continue
            strength = scale * rng.uniform(low, high)
            family = self._families.draw(rng)
            if part == "rest" and family not in WHOLE:
                families = self.settings.whole
                family = next(iter(families))
                if len(families) > 1:
                    family = self._whole.draw(rng)
            look = self._draw_look(rng, family, strength, example, own)
            looks.append(look._replace(family=family))
        return looks[0], looks[1]

    def _draw_changed(self, rng: np.random.Generator) -> str:
        """Draw what differs from the untouched photograph, of `CHANGED`."""
        whole = self.settings.whole
        if not whole and not self.settings.changed.get("nothing"):
            return "foreground"
        changed = self._changed.draw(rng)
        return changed if whole or changed == "nothing" else "foreground"

    def _draw_look(
        self,
        rng: np.random.Generator,
        family: str,
        strength: float,
        example: int,
        own: UInt8Array,
    ) -> Look:
        """Draw a look of a family; a transfer takes the colors of another object."""
        if family in WHOLE:
            return WHOLE[family](rng, strength)
        if family in LOCAL or family in SELECTIVE:
            if family in LOCAL:
                look = LOCAL[family](rng, strength)
            else:
                look = SELECTIVE[family](rng, strength, own)
            if self.settings.retouched and rng.random() < self.settings.retouched:
                whole = retouch_look(rng, 0.6 * strength)
                look = whole._replace(light=look.light, local=look.local)
            return look
        peer = int(rng.choice(self._peers[self.pool[example].semantic_label]))
        _, other = self.samples(peer, *self.pool.pixels(peer))
        amount = min(1.0, strength * rng.uniform(0.5, 1.0))
        return TRANSFERS[family](own, other, amount)
