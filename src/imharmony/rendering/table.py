"""Recolor whole numbers by a table: first the plain way, then the quick one.

`blend_plainly` says what is computed. `Table` gives the same bytes several times as
fast, by three things: two neighbors of 8 bit are looked up as one number of 16 bit,
whole pixels are copied in runs, and only soft edges are computed with.
"""

import threading

import numpy as np
import pyvips

from imharmony.images.pixels import PixelArray

__all__ = ["Table", "add_alpha_row", "blend_plainly"]

_PERIODS = 1024  # of channels, to which the starts of their tables are added at once


def blend_plainly(part: PixelArray, mask: PixelArray, rows: PixelArray) -> PixelArray:
    """Blend what a table makes of pixels over them, rounding as libvips does.

    Parameters
    ----------
    part : ndarray of uint8 or uint16, shape (h, w, C)
    mask : ndarray of uint8, shape (h, w)
        255 takes the table's value, 0 the pixel's.
    rows : ndarray of the dtype of `part`, shape (C, 256) or (C, 65536)
        What each value of each channel becomes.

    Examples
    --------
    >>> rows = np.arange(256, dtype=np.uint8)[np.newaxis] // 2
    >>> part = np.full((1, 3, 1), 100, np.uint8)
    >>> mask = np.array([[0, 128, 255]], np.uint8)
    >>> blend_plainly(part, mask, rows).ravel().tolist()
    [100, 75, 50]
    """
    blended = np.empty_like(part)
    weight = mask.astype(np.uint32)  # 255 * 65535 + 128 is below 2**32
    for channel, row in enumerate(rows):
        old = part[..., channel]
        total = weight * row[old] + (255 - weight) * old + 128
        blended[..., channel] = total // 255
    return blended


def add_alpha_row(rows: PixelArray, photo: pyvips.Image) -> PixelArray:
    """Give each channel of a photo its row of a table (3, N); alpha stays as it is."""
    unchanged = np.arange(rows.shape[1], dtype=rows.dtype)
    num_colors = photo.bands - photo.hasalpha()
    return np.stack([*rows[:num_colors], unchanged])[: photo.bands]


class Table:
    """`blend_plainly`, several times as fast; safe to call from several threads.

    The tables of all channels lie one after another. Two neighbors of 8 bit count as
    one number of 16 bit, since what takes time is the number of look-ups.

    Parameters
    ----------
    rows : ndarray of uint8 or uint16, shape (C, 256) or (C, 65536)
        As `add_alpha_row` gives them.
    num_pixels : int
        How many are looked up at once, at most.
    """

    def __init__(self, rows: PixelArray, num_pixels: int) -> None:
        C = len(rows)
        self.dtype = rows.dtype
        self.num_values = num_pixels * C
        self.heights = rows.ravel()
        self.code = self.dtype
        if self.dtype == np.uint8:
            self.num_values += self.num_values % 2
            # The first of a pair is its lower byte. After C pairs, channel 0 is first.
            self.code = np.dtype("<u2")
            pairs = np.arange(2 * C).reshape(C, 2) % C
            low, high = rows[pairs.T].astype(self.code)  # (C, 256) each
            self.heights = (high[:, :, None] << 8 | low[:, None, :]).ravel()
        self.starts = np.tile(np.arange(C) << 16, _PERIODS)
        self._scratch = threading.local()

    def blend_into(self, part: PixelArray, mask: PixelArray) -> None:
        """Put what `blend_plainly` gives in the place of `part`."""
        values, mapped = self._look_up(part)
        pixel = f"V{self.dtype.itemsize * part.shape[2]}"  # all channels as one thing
        before, after = values.view(pixel), mapped.view(pixel)  # (N,)
        mask = np.ascontiguousarray(mask)
        self._mix_soft_pixels(before, after, mask.ravel())
        is_tight = part.strides[1:] == (after.itemsize, self.dtype.itemsize)
        is_tight = is_tight and part.dtype.isnative
        target = part.view(pixel)[..., 0] if is_tight else before.reshape(mask.shape)
        np.copyto(target, after.reshape(mask.shape), where=mask > 0)
        if not is_tight:
            part[...] = values.reshape(part.shape)

    def _look_up(self, part: PixelArray) -> tuple[PixelArray, PixelArray]:
        """Copy all values of a part, and look them up: two arrays (h * w * C,)."""
        size = part.size + part.size % (self.code.itemsize // self.dtype.itemsize)
        values, index, mapped = self._scratch_arrays()
        values = values[:size]
        np.copyto(values[: part.size].reshape(part.shape), part)
        codes = values.view(self.code)
        index, mapped = index[: len(codes)], mapped[: len(codes)]
        np.copyto(index, codes)
        rest = len(codes) % len(self.starts)
        lines = index[: len(codes) - rest].reshape(-1, len(self.starts))
        lines += self.starts
        index[len(codes) - rest :] += self.starts[:rest]
        self.heights.take(index, out=mapped, mode="clip")  # none is outside
        return values[: part.size], mapped.view(self.dtype)[: part.size]

    def _mix_soft_pixels(
        self, before: PixelArray, after: PixelArray, mask: PixelArray
    ) -> None:
        """Blend pixels where the mask is neither 0 nor 255, into `after`."""
        soft = np.flatnonzero(mask - np.uint8(1) < 254)  # 0 wraps to 255
        # No sum exceeds 255 times the largest value, nor that the type.
        wide = np.uint16 if self.dtype == np.uint8 else np.uint32
        num_channels = after.itemsize // self.dtype.itemsize
        weights = np.repeat(mask.take(soft).astype(wide), num_channels)
        old, new = (x.take(soft).view(self.dtype) for x in (before, after))
        blended = (weights * new + (255 - weights) * old + 128) // 255
        np.put(after, soft, blended.astype(self.dtype).view(after.dtype))

    def _scratch_arrays(self) -> tuple[PixelArray, PixelArray, PixelArray]:
        """Return this thread's memory: for values, their numbers, and what they become.

        Memory that is new from the system each time takes longer than all else.
        """
        if not hasattr(self._scratch, "arrays"):
            num_codes = self.num_values * self.dtype.itemsize // 2
            self._scratch.arrays = (
                np.empty(self.num_values, self.dtype),
                np.empty(num_codes, np.intp),
                np.empty(num_codes, self.code),
            )
        arrays: tuple[PixelArray, PixelArray, PixelArray] = self._scratch.arrays
        return arrays
