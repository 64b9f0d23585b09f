"""Contact sheets: every composite beside its result, small."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony.batch.jobs import Outcome
from imharmony.images import compositing, files, photo
from imharmony.images.formats import SUFFIXES
from imharmony.writing import check_target

__all__ = ["ContactSheet", "make_tile"]

SIDE = 160
"""Longest side of a small picture, in pixels."""
_ACROSS, _DOWN = 5, 10
_CAPTION = 18
_GAP = 6
_BACK, _INK = 245, 40

Pixels = npt.NDArray[Any]


def make_tile(composite: pyvips.Image, rendered: pyvips.Image) -> Pixels:
    """Put small copies of composite and result side by side.

    Returns
    -------
    ndarray of uint8, shape (SIDE, 2 * SIDE, 3)
    """
    factor = SIDE / max(composite.width, composite.height)
    size = [max(1, round(n * factor)) for n in (composite.height, composite.width)]
    small = [
        photo.stretch(image, (size[0], size[1])) for image in (composite, rendered)
    ]
    cells = [
        compositing.side_by_side([image]).gravity(
            "centre", SIDE, SIDE, extend="background", background=[_BACK] * 3
        )
        for image in small
    ]
    return photo.to_array(cells[0].join(cells[1], "horizontal"))


class ContactSheet:
    """One picture for every fifty results, with their names.

    Parameters
    ----------
    path : Path
        Of the first sheet: .jpg, .png or another format of pictures. Further ones are
        `NAME-2.jpg` and so on.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    UsageError
        If the first sheet cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        check_target(path, tuple(SUFFIXES), overwrite=overwrite)
        self._path = path
        self._overwrite = overwrite
        self._num_sheets = 0
        self._tiles: list[pyvips.Image] = []

    def add(self, outcome: Outcome) -> None:
        """Take a result up; writes a sheet when it is full."""
        if outcome.tile is None:
            return
        name = (outcome.job.output or Path(outcome.job.name)).name
        self._tiles.append(_add_caption(outcome.tile, name))
        if len(self._tiles) == _ACROSS * _DOWN:
            self.write()

    def write(self) -> None:
        """Write what is left as the last sheet."""
        if not self._tiles:
            return
        self._num_sheets += 1
        path = self._path
        if self._num_sheets > 1:
            path = path.with_stem(f"{path.stem}-{self._num_sheets}")
        across = min(_ACROSS, len(self._tiles))
        sheet = pyvips.Image.arrayjoin(
            self._tiles, across=across, shim=_GAP, background=[_BACK] * 3
        )
        files.write_photo(photo.tag(sheet), path, overwrite=self._overwrite)
        self._tiles = []


def _add_caption(tile: Pixels, name: str) -> pyvips.Image:
    picture = photo.from_array(tile).embed(
        0, 0, 2 * SIDE, SIDE + _CAPTION, extend="background", background=[_BACK] * 3
    )
    caption = _draw_text(name)
    if caption is None:
        return picture
    ink = np.full((1, 1, 3), _INK, np.uint8)
    colored = photo.from_array(ink).embed(
        0, 0, caption.width, caption.height, extend="copy"
    )
    inked = caption.ifthenelse(
        colored,
        picture.crop(2, SIDE + 2, caption.width, caption.height),
        blend=True,
    )
    return picture.insert(inked, 2, SIDE + 2)


def _draw_text(text: str) -> pyvips.Image | None:
    """Draw a name as a mask; None where the system has no fonts."""
    short_text = text if len(text) <= 44 else f"{text[:20]}…{text[-20:]}"
    escaped = short_text.replace("&", "&amp;").replace("<", "&lt;")
    try:
        ink = pyvips.Image.text(escaped, font="sans 9", dpi=72)
    except pyvips.Error:
        return None
    width = min(ink.width, 2 * SIDE - 4)
    return ink.crop(0, 0, width, min(ink.height, _CAPTION - 2)).copy_memory()
