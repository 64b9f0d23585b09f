"""Find and run the installed command `imharmony`.

GIMP brings a Python of its own, without the packages that imharmony needs. The plug-in
therefore calls the command, which runs in the Python that it was installed into.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["CommandError", "Run", "find", "options", "run"]

POLL_S = 0.05

INSTALL = (
    "The command imharmony was not found. Install it with 'pipx install imharmony' or "
    "'python3 -m pip install --user imharmony', and start GIMP again. If it is in an "
    "unusual place, name that in the field Command."
)

# What GIMP's packages set for their own libraries would mislead another Python.
NOT_FOR_OTHERS = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "LD_LIBRARY_PATH")


class CommandError(Exception):
    """The command is absent or failed; the message is for the user."""


def find(given: str = "") -> str:
    """Find the command.

    Parameters
    ----------
    given : str
        What the user says it is; "" looks on the PATH, then where installers put
        commands that a program started from a desktop does not have on its PATH.

    Raises
    ------
    CommandError
        If it is nowhere; the message says how to install it.
    """
    if given:
        found = shutil.which(given)
        if found is None:
            raise CommandError(
                f"{given}: expected the command imharmony, got no program"
            )
        return found
    home = Path.home()
    places = [
        *os.environ.get("PATH", "").split(os.pathsep),
        home / ".local" / "bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
        *sorted(home.glob("AppData/Roaming/Python/Python*/Scripts")),
        *sorted(home.glob("Library/Python/*/bin")),
    ]
    found = shutil.which("imharmony", path=os.pathsep.join(map(str, places)))
    if found is None:
        raise CommandError(INSTALL)
    return found


def options(strength: float, label: str, seam: str) -> list[str]:
    """Word the dialog's choices; what is the command's default is left out."""
    words = ["--strength", f"{strength:g}"]
    if label != "guess":
        words += ["--label", label]
    if seam != "auto":
        words += ["--seam", seam]
    return words


class Run:
    """A command at work."""

    def __init__(self, words: Sequence[str | Path]) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in NOT_FOR_OTHERS}
        # A console window would flash on Windows.
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self._process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            creationflags=hidden,
        )

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it; nothing half-written is left behind."""
        if not self.is_done:
            self._process.terminate()
        self._process.communicate()

    def check(self) -> None:
        """Wait for the end, and raise `CommandError` if it failed."""
        _, said = self._process.communicate()
        if self._process.returncode:
            raise CommandError(_sentences(said) or "imharmony failed without a word")


def _sentences(said: str) -> str:
    """Take the box away that is drawn around wrong usage, and what repeats the call."""
    lines = [line.strip(" │╭╮╰╯─") for line in said.splitlines()]
    return "\n".join(
        line
        for line in lines
        if line and not line.startswith(("Usage", "Try", "Error "))
    )


def run(words: Sequence[str | Path], *, waiting: Callable[[], object]) -> None:
    """Run a command to its end; call `waiting` some times a second.

    Raises
    ------
    CommandError
        If it failed.
    """
    work = Run(words)
    while not work.is_done:
        waiting()
        time.sleep(POLL_S)
    work.check()
