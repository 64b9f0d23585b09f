"""Write files that appear under their name whole, or not at all."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imharmony.errors import Hint, ImageError, UsageError

__all__ = [
    "check_new_folder",
    "check_suffix",
    "check_target",
    "draft",
    "fill_folder",
    "replace_whole",
    "write_whole",
]


def check_suffix(suffix: str, name: str, known: Sequence[str]) -> None:
    """Refuse an extension that is not one of the known."""
    if suffix.lower() not in known:
        expected = ", ".join(known)
        raise UsageError(f"{name}: expected an extension of {expected}, got {suffix!r}")


def check_target(
    target: Path, suffixes: Sequence[str], *, overwrite: bool = False
) -> None:
    """Refuse an output path that cannot be written, before any work is done.

    Parameters
    ----------
    target : Path
        File to be written.
    suffixes : sequence of str
        Extensions that it may have.
    overwrite : bool
        Whether it may exist.

    Raises
    ------
    UsageError
        If the extension is unknown, the folder does not exist or cannot be written
        to, or the target exists and may not be replaced.

    Examples
    --------
    >>> check_target(Path("result.bmp"), [".jpg", ".png"])
    Traceback (most recent call last):
    imharmony.errors.UsageError: result.bmp: expected an extension of .jpg, .png, got \
'.bmp'
    """
    check_suffix(target.suffix, str(target), suffixes)
    folder = target.parent
    try:
        if not folder.exists():
            raise UsageError(f"{target}: the folder {folder} does not exist")
        if not folder.is_dir():
            raise UsageError(f"{target}: {folder} is not a folder")
        if target.is_dir():
            raise UsageError(f"{target}: expected a file to write, got a folder")
        if target.exists() and not target.is_file():
            raise UsageError(f"{target}: expected a regular file, got a device or pipe")
        if target.exists() and not overwrite:
            raise _make_exists_error(target)
        if not os.access(folder, os.W_OK):
            raise UsageError(f"{target}: no permission to write to the folder {folder}")
    except OSError as error:  # such as a name that is too long
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise UsageError(msg) from error


@contextmanager
def replace_whole(target: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that takes its name only when all of it is written.

    Until then it has no name, where the system can do that (Linux), so that not even
    a killed process leaves a trace; elsewhere it has a temporary one in the same
    folder. If the block ends with an error, an older file stays as it was.

    Parameters
    ----------
    target : Path
        The name to take.
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    binary file
        For writing and reading.

    Raises
    ------
    UsageError
        If the target has appeared meanwhile and may not be replaced.
    ImageError
        If it cannot be written, for instance on a full disk.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replace_whole(Path(folder) / "a.txt") as file:
    ...         _ = file.write(b"whole")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'whole'
    """
    if target.is_symlink():  # what it points to is written, and the link stays
        target = Path(os.path.realpath(target))
    try:
        with draft(target) as (file, path):
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                mode = stat.S_IMODE(target.stat().st_mode)
                os.chmod(file.fileno() if path is None else path, mode)  # noqa: PTH101
            _give_name(file, path, target, overwrite=overwrite)
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise ImageError(msg) from error


def write_whole(target: Path, content: bytes | str, *, overwrite: bool = False) -> None:
    """Write a file that takes its name only when all of it is written.

    Parameters
    ----------
    target : Path
        The name to take.
    content : bytes or str
        Text is written as UTF-8, line ends as they are.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError, ImageError
        As `replace_whole`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "größer")
    ...     write_whole(Path(folder) / "a.txt", b"whole", overwrite=True)
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    data = content.encode() if isinstance(content, str) else content
    with replace_whole(target, overwrite=overwrite) as file:
        file.write(data)


@contextmanager
def draft(target: Path) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Open a file in the target's folder that is gone afterwards; maybe unnamed."""
    try:
        # The name that /proc gives it is needed later on.
        flags = os.O_TMPFILE | os.O_RDWR
        unnamed = os.open(target.parent, flags, 0o666)
    except (AttributeError, OSError):  # another system, or a file system without it
        path = target.with_name(f".imharmony-{secrets.token_hex(8)}{target.suffix}")
        try:
            # "x": created, never opened; with the permissions of a new file.
            with path.open("x+b") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)
    else:
        with open(unnamed, "w+b") as file:  # noqa: PTH123
            yield file, None


@contextmanager
def fill_folder(target: Path) -> Iterator[Path]:
    """Make a folder that takes its name only when all of it is written.

    Until then it has a temporary name beside the target. If the block ends with an
    error, nothing stays.

    Parameters
    ----------
    target : Path
        The name to take; nothing may be there.

    Yields
    ------
    Path
        The folder to write into.

    Raises
    ------
    UsageError
        If the target exists, or its own folder does not.
    ImageError
        If something cannot be written, for instance on a full disk.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with fill_folder(Path(place) / "results") as folder:
    ...         _ = (folder / "a.txt").write_text("whole")
    ...     [path.name for path in Path(place).rglob("*")]
    ['results', 'a.txt']
    """
    check_new_folder(target)
    folder = target.with_name(f".imharmony-{secrets.token_hex(8)}")
    try:
        folder.mkdir()
        yield folder
        check_new_folder(target)
        folder.rename(target)
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise ImageError(msg) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_new_folder(target: Path) -> None:
    """Refuse a folder that exists or cannot be made, before any work.

    Raises
    ------
    UsageError
    """
    if target.exists():
        raise UsageError(f"{target}: exists; the results go to a new folder")
    if not target.parent.is_dir():
        msg = f"{target}: the folder {target.parent} does not exist"
        raise UsageError(msg)


def _give_name(
    file: BinaryIO, path: Path | None, target: Path, *, overwrite: bool
) -> None:
    """Link a draft to the target's name, or put it in the target's place."""
    if overwrite and path is not None:
        path.replace(target)
    elif overwrite:
        path = target.with_name(f".imharmony-{secrets.token_hex(8)}{target.suffix}")
        _link(file, None, path)
        path.replace(target)
    else:
        try:
            _link(file, path, target)  # unlike renaming, fails if the target appeared
        except FileExistsError as error:
            raise _make_exists_error(target) from error
        except OSError:  # a file system without hard links, such as exFAT
            if path is None:
                raise
            if target.exists():
                raise _make_exists_error(target) from None
            path.replace(target)


def _link(file: BinaryIO, path: Path | None, name: Path) -> None:
    if path is not None:
        name.hardlink_to(path)
        return
    # open(2), O_TMPFILE: the link in /proc is followed. Python does so only with a
    # folder descriptor.
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(file.fileno()), name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _make_exists_error(target: Path) -> UsageError:
    return UsageError(f"{target}: exists already", hint=Hint.OVERWRITE)
