"""Every error imharmony raises on purpose.

.. code-block:: text

    HarmonizeError
    ├── ImageError        the file or array cannot be used as an image
    │   ├── DecodeError
    │   └── ShapeError    also a ValueError
    ├── CurveError        the parameters do not define a curve; also a ValueError
    ├── WeightsError      absent, corrupt, or for another model
    └── UsageError        options that contradict each other

A message says what was expected, what arrived, and which input it was. Results
that are valid but may surprise are announced once with `HarmonizeWarning`.
"""

__all__ = [
    "CurveError",
    "DecodeError",
    "HarmonizeError",
    "HarmonizeWarning",
    "ImageError",
    "ShapeError",
    "UsageError",
    "WeightsError",
]


class HarmonizeError(Exception):
    """Base of every error raised on purpose."""


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


class HarmonizeWarning(UserWarning):
    """The result is valid but may surprise."""
