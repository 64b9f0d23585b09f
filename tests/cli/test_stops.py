"""Commands stopped in the middle, and full disks."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imharmony.images import photo
from tests.cli.commands import (
    SOURCES,
    Inputs,
    contents,
    disc,
    load,
    pixels,
    save,
    start,
)

pytestmark = pytest.mark.linux


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Noise, which takes a PNG encoder longest."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    noise = photo.from_array(rng.integers(0, 256, (2000, 3000, 3), dtype=np.uint8))
    noise.pngsave(str(folder / "composite.png"), compression=0)
    mask = np.zeros((2000, 3000), np.uint8)
    mask[300:1500, 400:2000] = 255
    save(folder / "mask.png", mask)
    return Inputs(folder / "composite.png", folder / "mask.png", folder / "none")


def has_draft(folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has an unnamed file open in the folder."""
    opened = Path(f"/proc/{process.pid}/fd")
    with contextlib.suppress(FileNotFoundError):  # one that was just closed
        links = [str(link.readlink()) for link in opened.iterdir()]
        return any(link.startswith(f"{folder}/#") for link in links)
    return False


_IMPORTS = """
import os, signal, sys
from imharmony.__main__ import main

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.{stop})
sys.meta_path.insert(0, Stop())
sys.argv = ["imharmony", "--version"]
main()
"""
"""Stops itself at the import of a module."""


@pytest.mark.parametrize("name", ["typer", "imharmony.cli.web"])
@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stop_while_modules_are_imported_is_no_traceback(name: str, stop: str) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS.format(name=name, stop=stop)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    signal.signal(signal.SIGINT, handler)
    assert b"Traceback" not in done.stderr
    assert done.returncode == -signal.Signals[stop]


_IN_CALLBACK = """
import signal, sys, time
from pyvips import ffi
from imharmony.cli.stops import end_by_signal
is_first = [True]
@ffi.callback("void(void *)")
def called(_):
    if is_first:
        is_first.clear()
        signal.raise_signal(signal.{stop})
with end_by_signal():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        called(ffi.NULL)
"""
"""Is stopped while C calls Python, where exceptions are lost."""


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stop_during_a_callback_is_not_lost(stop: str) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = subprocess.run(
        [sys.executable, "-c", _IN_CALLBACK.format(stop=stop)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    signal.signal(signal.SIGINT, handler)
    assert done.returncode == -signal.Signals[stop]
    assert b"Traceback" not in done.stderr


def test_package_itself_imports_next_to_nothing() -> None:
    """Ctrl-C meets our own handling only after the package has been imported."""
    code = "import sys; import imharmony; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    loaded = set(done.stdout.split())
    heavy = {"importlib.metadata", "numpy", "typer", "pyvips", "email"}
    assert loaded & heavy == set()


def moment(name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process is where a person might interrupt it."""
    if name == "starting":  # before that Python itself is, with its own traceback
        maps = Path(f"/proc/{process.pid}/maps")
        ours = re.compile("site-packages/(?!coverage)")
        while process.poll() is None and not ours.search(maps.read_text()):
            time.sleep(0.005)
        return
    while process.poll() is None and not has_draft(folder, process):
        time.sleep(0.005)
    if name == "writing":
        time.sleep(0.1)


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("name", ["starting", "about to write", "writing"])
@pytest.mark.parametrize("is_old_there", [False, True])
def test_stopped_process_leaves_no_partial_file(
    stop: str, name: str, is_old_there: bool, large: Inputs, folder: Path
) -> None:
    target = folder / "out.png"
    if is_old_there:
        target.write_bytes(b"old")
    before = large.composite.read_bytes()
    args = ("harmonize", large.composite, large.mask, "-o", target, "--overwrite")

    # A test run in the background may ignore Ctrl-C, and its children would too.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*args, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, handler)
    moment(name, folder, process)
    process.send_signal(signal.Signals[stop])
    _, errors = process.communicate(timeout=60)
    # By the signal itself: a shell shows 130 or 143, and leaves its loop.
    assert process.returncode == -signal.Signals[stop]
    assert b"Traceback" not in errors
    assert contents(folder) == ({"out.png": b"old"} if is_old_there else {})
    assert large.composite.read_bytes() == before


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        # A thread may end while its children are read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += map(int, (task / "children").read_text().split())
    return children


def assert_stopped(
    process: subprocess.Popen[bytes], stop: str, output: Path, temporary: Path
) -> None:
    """Stop a command when its first output is there; nothing else must be left."""
    children: set[int] = set()
    deadline = time.monotonic() + 60
    while not any(output.glob("*.*")) and process.poll() is None:
        children |= set(children_of(process))
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.Signals[stop])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.Signals[stop], errors
    assert b"Traceback" not in errors
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(temporary.iterdir()) == []
    for path in output.glob("*.png"):
        load(path)  # whole


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Many pairs of pictures, by links, and a manifest of them."""
    photos = tmp_path / "photos"
    photos.mkdir()
    save(tmp_path / "composite.png", pixels())
    save(tmp_path / "mask.png", disc())
    rows = ["composite,mask"]
    for number in range(400):
        os.link(tmp_path / "composite.png", photos / f"{number}.png")
        os.link(tmp_path / "mask.png", photos / f"{number}_mask.png")
        rows.append(f"photos/{number}.png,photos/{number}_mask.png")
    (tmp_path / "jobs.csv").write_text("\n".join(rows))
    return photos


def started(temporary: Path, *args: str | Path) -> subprocess.Popen[bytes]:
    temporary.mkdir()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "imharmony", *map(str, args)],
        env=os.environ | {"PYTHONPATH": SOURCES, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    signal.signal(signal.SIGINT, handler)
    return process


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stopped_folder_ends_its_processes(
    stop: str, many: Path, tmp_path: Path
) -> None:
    output, temporary = tmp_path / "done", tmp_path / "temporary"
    process = started(temporary, "harmonize", many, "-o", output)
    assert_stopped(process, stop, output, temporary)


@pytest.mark.cluster
@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stopped_manifest_ends_its_processes(
    stop: str, many: Path, tmp_path: Path
) -> None:
    output, temporary = tmp_path / "done", tmp_path / "temporary"
    args = ("batch", many.parent / "jobs.csv", "--output", output)
    process = started(temporary, *args)
    assert_stopped(process, stop, output / "photos", temporary)


@pytest.mark.video
@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stopped_clip_leaves_its_frames_whole(
    stop: str, many: Path, tmp_path: Path
) -> None:
    shot = tmp_path / "shot"
    shot.mkdir()
    for number in range(400):
        os.link(tmp_path / "composite.png", shot / f"a_{number:04d}.png")
    output, temporary = tmp_path / "done", tmp_path / "temporary"
    args = ("video", shot, tmp_path / "mask.png", "-o", output / "a_%04d.png")
    assert_stopped(started(temporary, *args), stop, output, temporary)
    assert len(list(output.iterdir())) < 400


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
def test_stop_is_the_end_of_a_watch(stop: str, many: Path, tmp_path: Path) -> None:
    output, temporary = tmp_path / "done", tmp_path / "temporary"
    process = started(temporary, "harmonize", many, "-o", output, "--watch")
    while not any(output.glob("*.png")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.Signals[stop])
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"Traceback" in errors) == (0, False)


def test_full_disk_leaves_the_old_file_and_says_so(large: Inputs, folder: Path) -> None:
    target = folder / "out.png"
    target.write_bytes(b"old")
    args = ("harmonize", large.composite, large.mask, "-o", target, "--overwrite")
    # A quota of 1 MB per file; the noise takes 18.
    # What counts covered lines would be cut off by it, too.
    limited = "ulimit -f 1024; trap '' XFSZ; unset COVERAGE_PROCESS_CONFIG; exec \"$@\""
    command = [sys.executable, "-m", "imharmony.cli", *map(str, args)]
    finished = subprocess.run(
        ["bash", "-c", limited, "bash", *command],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    assert finished.returncode == 1
    assert "out.png: cannot be written" in finished.stderr
    assert contents(folder) == {"out.png": b"old"}
