"""Files by path or by URI: local ones directly, others by fsspec."""

from pathlib import Path
from typing import Any

from imharmony.errors import DecodeError, ImageError, UsageError
from imharmony.writing import replace_whole

__all__ = [
    "find_suffix",
    "is_local",
    "join",
    "measure",
    "plain",
    "read_bytes",
    "write_bytes",
]


def is_local(location: str) -> bool:
    """Whether a location is a path of this machine.

    Examples
    --------
    >>> is_local("photos/a.png"), is_local("s3://shop/a.png")
    (True, False)
    """
    return "://" not in location


def plain(location: str) -> str:
    """Return the path of a `file://` URI; other locations stay as they are.

    Examples
    --------
    >>> plain("file:///data/a.png"), plain("s3://shop/a.png")
    ('/data/a.png', 's3://shop/a.png')
    """
    return location.removeprefix("file://")


def join(folder: str, name: str) -> str:
    """Find a name from a folder, unless it stands for itself.

    Examples
    --------
    >>> join("s3://shop/in", "a.png"), join("/data", "b/c.png"), join("/data", "/d.png")
    ('s3://shop/in/a.png', '/data/b/c.png', '/d.png')
    """
    folder, name = plain(folder), plain(name)
    if not is_local(name) or Path(name).is_absolute():
        return name
    if is_local(folder):
        return str(Path(folder) / name)
    return f"{folder.rstrip('/')}/{name}"


def find_suffix(location: str) -> str:
    """Return the extension of a location, with its dot."""
    return Path(location.rpartition("/")[2]).suffix


def read_bytes(location: str) -> bytes:
    """Read all of a file.

    Raises
    ------
    DecodeError
        If it cannot be read.
    """
    try:
        if is_local(location):
            return Path(location).read_bytes()
        system, path = _open_system(location)
        content: bytes = system.cat_file(path)
    except FileNotFoundError as error:
        raise DecodeError(f"{location}: no such file") from error
    except OSError as error:
        reason = error.strerror or error
        raise DecodeError(f"{location}: cannot be read ({reason})") from error
    return content


def measure(location: str) -> int | None:
    """Return the bytes of a file; None if there is none."""
    try:
        if is_local(location):
            return Path(location).stat().st_size
        system, path = _open_system(location)
        return int(system.size(path))
    except OSError:
        return None


def write_bytes(location: str, content: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all; object stores do so by themselves.

    Raises
    ------
    UsageError
        If it exists and may not be replaced.
    ImageError
        If it cannot be written.
    """
    if is_local(location):
        target = Path(location)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(target, overwrite=overwrite) as file:
            file.write(content)
        return
    system, path = _open_system(location)
    try:
        try:
            system.pipe_file(path, content)
        except FileNotFoundError:  # a store that has folders
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{location}: cannot be written ({reason})") from error


def _open_system(location: str) -> tuple[Any, str]:
    """Find the file system of a URI."""
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(location)
    except ModuleNotFoundError as error:
        msg = f"{location}: {error.name} is not installed"
        raise UsageError(f"{msg}; pip install 'imharmony[cluster]'") from error
    except (ImportError, ValueError) as error:
        raise UsageError(f"{location}: cannot be opened ({error})") from error
    return system, str(path)
