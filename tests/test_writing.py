"""Whole files or none, in this process; killed ones are in tests/cli/test_stops.py."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from imharmony.errors import ImageError, UsageError
from imharmony.writing import (
    check_new_folder,
    check_target,
    fill_folder,
    replace_whole,
    write_whole,
)


@pytest.fixture(params=["unnamed", "named", "without links"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Linux, another system, and a file system that has no hard links."""
    if request.param != "unnamed":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without a name")
    if request.param == "without links":

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    return request.param


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_takes_its_name_when_it_is_whole(system: str, tmp_path: Path) -> None:
    with replace_whole(tmp_path / "a.png") as file:
        file.write(b"whole")
        assert "a.png" not in names(tmp_path)
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert names(tmp_path) == ["a.png"]


def test_error_leaves_what_was_there(system: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def stop_halfway() -> None:
        with replace_whole(tmp_path / "a.png", overwrite=True) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop_halfway()
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_replaced_file_keeps_its_permissions(system: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    (tmp_path / "a.png").chmod(0o640)
    write_whole(tmp_path / "a.png", b"new", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    assert names(tmp_path) == ["a.png"]


def test_file_that_appears_meanwhile_is_not_replaced(
    system: str, tmp_path: Path
) -> None:
    def write_as_others_do() -> None:
        with replace_whole(tmp_path / "a.png") as file:
            file.write(b"ours")
            (tmp_path / "a.png").write_bytes(b"theirs")

    with pytest.raises(UsageError, match=r"a\.png: exists already"):
        write_as_others_do()
    assert (tmp_path / "a.png").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.png"]


def test_what_a_link_points_to_is_written(system: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "there" / "a.png")
    write_whole(tmp_path / "link.png", "größer", overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "there" / "a.png").read_text("utf-8") == "größer"


def test_link_that_fails_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(Path, "hardlink_to", fail)
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("named files are renamed instead")
    with pytest.raises(ImageError, match=r"a\.png: cannot be written \(No space left"):
        write_whole(tmp_path / "a.png", b"whole")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent/a.png", "the folder .*absent does not exist"),
        ("file.png/a.png", r"file\.png is not a folder"),
        ("folder.png", "expected a file to write, got a folder"),
        ("file.png", "exists already"),
        ("a.gif", r"expected an extension of \.png, got '\.gif'"),
        ("a" * 300 + ".png", r"cannot be written \(File name too long\)"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file.png").write_bytes(b"old")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=message):
        check_target(tmp_path / name, [".png"])
    check_target(tmp_path / "file.png", [".png"], overwrite=True)
    check_target(tmp_path / "new.PNG", [".png"])


@pytest.mark.unix
def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UsageError, match="expected a regular file, got a device"):
        check_target(tmp_path / "pipe.png", [".png"], overwrite=True)


def test_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may all
    with pytest.raises(UsageError, match="no permission to write to the folder"):
        check_target(tmp_path / "a.png", [".png"])


def test_folder_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with fill_folder(tmp_path / "results") as folder:
        (folder / "a.txt").write_text("whole")
        assert not (tmp_path / "results").exists()
    assert names(tmp_path) == ["results"]
    assert names(tmp_path / "results") == ["a.txt"]


def test_error_leaves_no_folder(tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        with fill_folder(tmp_path / "results") as folder:
            (folder / "a.txt").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ImageError, match=r"results: cannot be written \(No space left"):
        fill_the_disk()
    assert names(tmp_path) == []


def test_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    def fill_as_others_do() -> None:
        with fill_folder(tmp_path / "results"):
            (tmp_path / "results").mkdir()
            (tmp_path / "results" / "theirs").touch()

    with pytest.raises(UsageError, match="exists; the results go to a new folder"):
        fill_as_others_do()
    assert names(tmp_path) == ["results"]
    assert names(tmp_path / "results") == ["theirs"]


def test_folder_in_a_folder_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder .*absent does not exist"):
        check_new_folder(tmp_path / "absent" / "results")
