"""Running servers, for the tests of the page and the API."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import imharmony

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCES = str(Path(imharmony.__file__).parents[1])


@dataclass(frozen=True)
class Server:
    """A running `imharmony serve`."""

    address: str
    process: subprocess.Popen[str]
    temporary: Path
    """Where it keeps files while it works."""

    @property
    def port(self) -> int:
        return int(httpx.URL(self.address).port or 0)

    def post(self, action: str, files: Any, data: Any = None) -> httpx.Response:
        url = f"{self.address}api/v1/{action}"
        return httpx.post(url, files=files, data=data, timeout=60)

    def leftovers(self) -> list[str]:
        """What it still keeps a moment after the last answer."""
        for _ in range(20):
            if not (
                kept := [
                    path.name for path in self.temporary.glob("imharmony-request-*")
                ]
            ):
                break
            time.sleep(0.05)
        return kept


@contextmanager
def running(
    temporary: Path, *options: str, under: Sequence[str] = (), log: Path | None = None
) -> Iterator[Server]:
    """Run a server of its own on a free port, maybe under another program.

    What it logs goes to a file, if one is named.
    """
    serve = ["-m", "imharmony.cli", "serve", "--port", "0", *options]
    with nullcontext() if log is None else log.open("w") as stderr:
        process = subprocess.Popen(
            [*under, sys.executable, *serve],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": SOURCES, "TMPDIR": str(temporary)},
        )
    if process.stdout is None:
        raise RuntimeError("no pipe")
    with process.stdout:
        address = process.stdout.readline().strip().partition("#")[0]
        try:
            httpx.get(address, timeout=60)  # answered once it is ready
            yield Server(address, process, temporary)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


Start = Callable[..., AbstractContextManager[Server]]
