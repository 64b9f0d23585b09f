"""Make a pasted object look as if it had been photographed in the scene.

The names in `__all__`, and the sub-packages `errors` and `curve_files`, are the public
interface; all else may change. Names are imported when first used, so that
`import imharmony` and `imharmony --help` take no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imharmony import curve_files, errors
    from imharmony.curves import Curves
    from imharmony.default import harmonize
    from imharmony.harmonizer import Harmonizer
    from imharmony.photo_files import harmonize_file, read_photo, write_photo
    from imharmony.results import Result

    __version__: str

__all__ = [
    "Curves",
    "Harmonizer",
    "Result",
    "__version__",
    "curve_files",
    "errors",
    "harmonize",
    "harmonize_file",
    "read_photo",
    "write_photo",
]

_HOMES = {
    "Curves": "curves",
    "Harmonizer": "harmonizer",
    "Result": "results",
    "harmonize": "default",
    "harmonize_file": "photo_files",
    "read_photo": "photo_files",
    "write_photo": "photo_files",
}
_PACKAGES = ("curve_files", "errors")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes ten times as long as all else

        return version("imharmony")
    if name in _PACKAGES:
        return import_module(f"imharmony.{name}")
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"imharmony.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
