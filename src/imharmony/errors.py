"""Every error imharmony raises on purpose.

.. code-block:: text

    HarmonizeError
    ├── ImageError        the file or array cannot be used as an image
    │   ├── DecodeError
    │   └── ShapeError    also a ValueError
    ├── CurveError        the parameters do not define a curve; also a ValueError
    ├── WeightsError      absent, corrupt, or for another model
    └── UsageError        options that contradict each other

A message says what was expected, what arrived, and which input it was. Where an option
would help, the error carries a `Hint`, which each surface says in its own words: the
command line names a flag, the web API a part of the request, and a Python traceback the
argument. Results that are valid but may surprise are announced once with
`HarmonizeWarning`, whose code says which of the known surprises it is.
"""

import inspect
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import ParamSpec, TypeVar

__all__ = [
    "CurveError",
    "DecodeError",
    "HarmonizeError",
    "HarmonizeWarning",
    "Hint",
    "ImageError",
    "ShapeError",
    "UsageError",
    "WarningCode",
    "WeightsError",
]


class Hint(StrEnum):
    """An option that would help."""

    OVERWRITE = "overwrite"
    """Existing files may be replaced."""
    RESUME = "resume"
    """Likewise, or what they hold may be kept and gone on with."""
    RESIZE_MASK = "resize_mask"
    """A mask of another size may be stretched."""
    MAX_PIXELS = "max_pixels"
    """Larger pictures may be read."""
    GO_ON = "go_on"
    """A run that was stopped may be gone on with."""
    VARIANT = "variant"
    """The variant of a network may be named, or left out."""


_ARGUMENTS = {
    Hint.OVERWRITE: "overwrite=True replaces it",
    Hint.RESUME: "overwrite=True replaces it, resume=True goes on with it",
    Hint.RESIZE_MASK: "resize_mask=True stretches it",
    Hint.MAX_PIXELS: "a larger max_pixels raises the limit",
    Hint.GO_ON: "resume=True goes on with it",
    Hint.VARIANT: "variant=... names it, None leaves it out",
}


class HarmonizeError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    message : str
        Lower case, no full stop.
    hint : Hint or None
        An option that would help. Not part of the message; a traceback shows it as a
        note below.

    Examples
    --------
    >>> error = UsageError("out.png: exists already", hint=Hint.OVERWRITE)
    >>> str(error), error.hint.value, error.__notes__
    ('out.png: exists already', 'overwrite', ['overwrite=True replaces it'])
    """

    def __init__(self, message: str, *, hint: Hint | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint is not None:
            self.add_note(_ARGUMENTS[hint])


class ImageError(HarmonizeError):
    """The file or array cannot be used as an image."""


class DecodeError(ImageError):
    """The file is not an image we can read, or it is damaged."""


class ShapeError(ImageError, ValueError):
    """An array has the wrong number of rows, columns or channels."""


class CurveError(HarmonizeError, ValueError):
    """The parameters do not define a curve."""


class WeightsError(HarmonizeError):
    """A weights file is absent, corrupt, or for another model."""


class UsageError(HarmonizeError):
    """Options contradict each other, or one has a value that does not exist."""


class WarningCode(StrEnum):
    """What may surprise about a result; codes stay, sentences may change."""

    MASK_EMPTY = "mask_empty"
    """No pixel is foreground, so the composite comes back."""
    MASK_FULL = "mask_full"
    """Every pixel is foreground, so the composite comes back."""
    MASK_INVERTED = "mask_inverted"
    """The mask covers most of the photo and all of its rim."""
    LABEL_IGNORED = "label_ignored"
    """The weights know no labels."""
    NO_CURVE = "no_curve"
    """The slopes define no curve, so the composite comes back."""
    FOREGROUND_TOO_SMALL = "foreground_too_small"
    """The thumbnail does not show the foreground, so the composite comes back."""
    NOT_FINITE = "not_finite"
    """The network gave NaN or infinity, so the composite comes back."""


class HarmonizeWarning(UserWarning):
    """The result is valid but may surprise.

    Parameters
    ----------
    message : str
        A sentence for people.
    code : WarningCode or None
        For programs. None where the surprise concerns a file, not the result.
    """

    def __init__(self, message: str, code: WarningCode | None = None) -> None:
        super().__init__(message)
        self.code = code


P = ParamSpec("P")
T = TypeVar("T")

_Notice = tuple[str, WarningCode | None]

_PACKAGE = Path(__file__).parent

_collected: ContextVar[list[_Notice] | None] = ContextVar("_collected", default=None)
"""What a call in another thread warns of."""


def warn(message: str, code: WarningCode | None = None) -> None:
    """Issue a `HarmonizeWarning` at the caller's line, however deep in here it arose.

    Parameters
    ----------
    message, code
        See `HarmonizeWarning`.
    """
    if (notices := _collected.get()) is not None:
        notices.append((message, code))
        return
    level, frame = 1, inspect.currentframe()
    while frame and Path(frame.f_code.co_filename).is_relative_to(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(HarmonizeWarning(message, code), stacklevel=level)


def collect_warnings(
    function: Callable[P, T], *args: P.args, **options: P.kwargs
) -> tuple[T, list[_Notice]]:
    """Call a function in another thread, where no caller's line is to be found.

    Returns
    -------
    tuple
        Its result, and what to `warn` of in the caller's thread.
    """
    notices: list[_Notice] = []
    token = _collected.set(notices)
    try:
        return function(*args, **options), notices
    finally:
        _collected.reset(token)
