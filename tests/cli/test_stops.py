"""Commands stopped in the middle, and full disks."""

import contextlib
import os
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


def moment(name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process is where a person might interrupt it."""
    if name == "starting":
        time.sleep(0.05)
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
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert contents(folder) == ({"out.png": b"old"} if is_old_there else {})
    assert large.composite.read_bytes() == before


def test_full_disk_leaves_the_old_file_and_says_so(large: Inputs, folder: Path) -> None:
    target = folder / "out.png"
    target.write_bytes(b"old")
    args = ("harmonize", large.composite, large.mask, "-o", target, "--overwrite")
    # A quota of 1 MB per file; the noise takes 18.
    limited = "ulimit -f 1024; trap '' XFSZ; exec \"$@\""
    command = [sys.executable, "-m", "imharmony.cli", *map(str, args)]
    finished = subprocess.run(
        ["bash", "-c", limited, "bash", *command],
        capture_output=True, check=False, text=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )  # fmt: skip
    assert finished.returncode == 1
    assert "out.png: cannot be written" in finished.stderr
    assert contents(folder) == {"out.png": b"old"}
