"""Progress: on a terminal after a second, quiet in a pipe."""

import contextlib
import os
import subprocess
import sys

import pytest

from tests.cli.commands import (
    SOURCES,
)

LONG_WORK = """
import time
from imharmony.cli.arguments import show_progress
with show_progress("reading", 100) as advance:
    advance(50)
    time.sleep(%s)
"""


def shown_on_a_terminal(seconds: float) -> bytes:
    """Standard error of some work, where that is a terminal."""
    import pty  # Unix only

    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": SOURCES, "TERM": "xterm"}
    command = [sys.executable, "-c", LONG_WORK % seconds]
    subprocess.run(command, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that it is closed
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    return shown


@pytest.mark.unix
def test_long_work_shows_progress_on_a_terminal() -> None:
    assert b"reading" in shown_on_a_terminal(1.6)


@pytest.mark.unix
def test_short_work_shows_nothing_on_a_terminal() -> None:
    assert b"reading" not in shown_on_a_terminal(0.1)


def test_long_work_is_quiet_in_a_pipe() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", LONG_WORK % 1.6],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )
    assert (finished.stdout, finished.stderr) == (b"", b"")
