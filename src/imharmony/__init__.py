"""Make a pasted object look as if it had been photographed in the scene.

The names in `__all__` are the public interface. Each is imported when first used, so
that `import imharmony` and `imharmony --help` take no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imharmony.curves import Curves
    from imharmony.errors import HarmonizeError, HarmonizeWarning
    from imharmony.harmonizer import Harmonizer, harmonize
    from imharmony.results import Result

__all__ = [
    "Curves",
    "HarmonizeError",
    "HarmonizeWarning",
    "Harmonizer",
    "Result",
    "harmonize",
]

_HOMES = {
    "Curves": "curves",
    "HarmonizeError": "errors",
    "HarmonizeWarning": "errors",
    "Harmonizer": "harmonizer",
    "Result": "results",
    "harmonize": "harmonizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"imharmony.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
