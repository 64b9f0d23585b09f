"""Curves as JSON: every knot at full precision, and how a prediction came about.

The one curve file that loses nothing. `docs/curves.md` describes the schema.
"""

import json
import re
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.curves import CHANNELS, Curves
from imharmony.errors import CurveError

__all__ = ["MAX_HEIGHT", "MAX_KNOTS", "Record", "from_json", "to_json"]

FORMAT = "imharmony-curves"
VERSION = 1

# More than any file needs (the largest table we write has 4096 rows); the work of
# composing two curves grows with the product of their knots.
MAX_KNOTS = 4096
# Heights of a real curve stay near [0, 1]. Those far outside are damage, and their
# differences would overflow.
MAX_HEIGHT = 1e6

Place = tuple[str | int, ...]  # keys and indices that lead to a value


@dataclass(frozen=True)
class Record:
    """Curves, and how they came about where that is known."""

    curves: Curves
    """What is rendered: all stages in one, strength included."""
    stages: tuple[Curves, ...] = ()
    """The network's stages, first one first, at full strength."""
    label: str | None = None
    """Semantic label the network was given, or guessed."""
    strength: float = 1.0
    """How much of the change `curves` hold already."""
    model: str | None = None
    """Name of the model, or of the weights file."""
    checkpoint_sha256: str | None = None
    """Hash of the checkpoint that the weights were exported from."""


def to_json(record: Record) -> str:
    """Write a record as JSON, one knot a line.

    Raises
    ------
    CurveError
        If the curves have more than `MAX_KNOTS` knots in a channel, or a height
        beyond `MAX_HEIGHT`.

    Examples
    --------
    >>> print(to_json(Record(Curves.identity(), label="food"))[:187])
    {
     "format": "imharmony-curves",
     "version": 1,
     "encoding": "sRGB",
     "model": null,
     "checkpoint_sha256": null,
     "label": "food",
     "strength": 1.0,
     "curves": {
      "red": [
       [0.0, 0.0],
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "encoding": "sRGB",
        "model": record.model,
        "checkpoint_sha256": record.checkpoint_sha256,
        "label": record.label,
        "strength": float(record.strength),
        "curves": _list_knots(record.curves),
        "stages": [_list_knots(stage) for stage in record.stages],
    }
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    # A knot on one line. No text can be meant: there, a line end is written \n.
    return re.sub(r"\[\n\s*(\S+),\n\s*(\S+)\n\s*\]", r"[\1, \2]", text)


def from_json(text: str, *, name: str) -> Record:
    """Read what `to_json` wrote, exactly; unknown fields are passed over.

    Raises
    ------
    CurveError
        If the text is not such JSON; the message names `name`, and the line
        or the keys that lead to the value.

    Examples
    --------
    >>> record = Record(Curves.from_params(np.array([[1.0, 3.0]] * 3)), label="food")
    >>> from_json(to_json(record), name="look.json") == record
    True
    >>> from_json('{"format": "something"}', name="look.json")
    Traceback (most recent call last):
    imharmony.errors.CurveError: look.json: format: expected 'imharmony-curves', got \
'something'
    """
    try:
        return _Document(text, name).record()
    except RecursionError as error:
        raise CurveError(f"{name}: expected curves, got JSON too deep") from error


def _list_knots(curves: Curves) -> dict[str, list[list[float]]]:
    knots = {}
    for channel, x, y in zip(CHANNELS, curves.knots_x, curves.knots_y, strict=True):
        if len(x) > MAX_KNOTS or np.abs(y).max() > MAX_HEIGHT:
            raise CurveError(
                f"{channel} channel: JSON holds at most {MAX_KNOTS} knots of heights "
                f"up to {MAX_HEIGHT:g}, got {len(x)} up to {np.abs(y).max():g}"
            )
        knots[channel] = np.stack([x, y], axis=1).tolist()
    return knots


class _Document:
    """Parsed JSON; an error names the keys and indices that lead to the value."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        try:
            self._root = json.loads(text)
        except json.JSONDecodeError as error:
            reason = error.msg[:1].lower() + error.msg[1:]
            msg = f"{name}, line {error.lineno}: expected JSON, but {reason}"
            raise CurveError(msg) from error
        except ValueError as error:  # a whole number of thousands of digits
            raise CurveError(f"{name}: expected JSON numbers, {error}") from error

    def record(self) -> Record:
        if not isinstance(self._root, dict):
            raise self._error((), "expected an object", self._root)
        if self._root.get("format") != FORMAT:
            got = self._root.get("format")
            raise self._error(("format",), f"expected {FORMAT!r}", got)
        version = self._root.get("version")
        if version != VERSION or isinstance(version, bool):
            raise self._error(("version",), f"expected {VERSION}", version)
        strength = self._root.get("strength", 1.0)
        if not _is_number(strength) or strength < 0:
            raise self._error(("strength",), "expected a number from 0", strength)
        stages = self._root.get("stages", [])
        if not isinstance(stages, list):
            raise self._error(("stages",), "expected a list", stages)
        return Record(
            curves=self._curves(("curves",), self._root.get("curves")),
            stages=tuple(
                self._curves(("stages", index), stage)
                for index, stage in enumerate(stages)
            ),
            label=self._text_or_none("label"),
            strength=float(strength),
            model=self._text_or_none("model"),
            checkpoint_sha256=self._text_or_none("checkpoint_sha256"),
        )

    def _text_or_none(self, key: str) -> str | None:
        value = self._root.get(key)
        if value is not None and not isinstance(value, str):
            raise self._error((key,), "expected text or null", value)
        return value

    def _curves(self, place: Place, value: Any) -> Curves:
        if not isinstance(value, dict):
            raise self._error(place, "expected red, green and blue", value)
        channels = [self._channel((*place, name), value.get(name)) for name in CHANNELS]
        red, green, blue = (np.array(knots, np.float64).T for knots in channels)
        try:
            return Curves((red[0], green[0], blue[0]), (red[1], green[1], blue[1]))
        except CurveError as error:
            for channel, knots in zip(CHANNELS, (red, green, blue), strict=True):
                if str(error).startswith(channel):
                    place = (*place, channel, _find_wrong_knot(knots[0]))
            raise self._error(place, str(error)) from error

    def _channel(self, place: Place, knots: Any) -> list[list[float]]:
        if not isinstance(knots, list) or not 2 <= len(knots) <= MAX_KNOTS:
            got = len(knots) if isinstance(knots, list) else knots
            raise self._error(place, f"expected 2 to {MAX_KNOTS} knots", got)
        for index, knot in enumerate(knots):
            is_pair = isinstance(knot, list) and len(knot) == 2
            if not is_pair or not all(map(_is_number, knot)):
                expected = f"expected [x, y], numbers up to {MAX_HEIGHT:g}"
                raise self._error((*place, index), expected, knot)
        return knots

    def _error(self, place: Place, expected: str, *got: Any) -> CurveError:
        where = ".".join(map(str, place)) + ": " if place else ""
        detail = "".join(f", got {reprlib.repr(value)}" for value in got)
        return CurveError(f"{self._name}: {where}{expected}{detail}")


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number, not too large to be a height."""
    is_any = isinstance(value, int | float) and not isinstance(value, bool)
    return is_any and abs(value) <= MAX_HEIGHT  # which NaN is not


def _find_wrong_knot(x: npt.NDArray[np.float64]) -> int:
    """Index of the knot that breaks the rule that x rises from 0 to 1."""
    if x[0] != 0:
        return 0
    if x[-1] != 1:
        return len(x) - 1
    return int(np.diff(x).argmin()) + 1
