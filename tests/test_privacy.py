"""Nothing leaves the machine, and no number is kept on it.

ONNX Runtime carries a telemetry client that is on by default. These tests run the
command line, the Python interface and the server as a user would, in folders of their
own, without the variable that the package sets for itself.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import imharmony
from tests.web.servers import EXAMPLES, SOURCES, running

PACKAGE = Path(imharmony.__file__).parent
COMPOSITE, MASK = str(EXAMPLES / "composite.png"), str(EXAMPLES / "mask.png")
VARIABLE = "ORT_DISABLE_TELEMETRY"

CALLS = "trace=connect,sendto,sendmsg,sendmmsg"

PYTHON = """
import numpy as np
import imharmony
mask = np.zeros((64, 64), np.uint8)
mask[16:48, 16:48] = 255
imharmony.harmonize(np.full((64, 64, 3), 90, np.uint8), mask)
"""
COMMANDS = {
    "command line": ["-m", "imharmony.cli", "harmonize", COMPOSITE, MASK, "-o"],
    "Python": ["-c", PYTHON],
}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Give every process that is started a home and a temporary folder of its own."""
    places = {name: tmp_path / name for name in ("home", "temporary", "result")}
    for path in places.values():
        path.mkdir()
    monkeypatch.setenv("HOME", str(places["home"]))
    monkeypatch.setenv("TMPDIR", str(places["temporary"]))
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return places


def words(name: str, places: dict[str, Path]) -> list[str]:
    """Return the words of a command of `COMMANDS`."""
    command = COMMANDS[name]
    target = [str(places["result"] / "x.png")] if command[-1] == "-o" else []
    return [sys.executable, *command, *target]


def kept(places: dict[str, Path]) -> list[str]:
    """List what lies in the home and the temporary folder."""
    return [
        str(path) for name in ("home", "temporary") for path in places[name].rglob("*")
    ]


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_one_module_imports_onnxruntime() -> None:
    importing = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "onnxruntime" for name in imported_modules(path))
    ]
    assert importing == [str(Path("inference/runtime.py"))]


@pytest.mark.parametrize("name", COMMANDS)
def test_harmonizing_keeps_nothing(name: str, places: dict[str, Path]) -> None:
    subprocess.run(words(name, places), check=True, capture_output=True, timeout=60)
    assert kept(places) == []


def test_serving_keeps_nothing(places: dict[str, Path]) -> None:
    with running(places["temporary"]) as server:
        files = {
            "composite": ("c.png", Path(COMPOSITE).read_bytes()),
            "mask": ("m.png", Path(MASK).read_bytes()),
        }
        assert server.post("harmonize", files).status_code == 200
    assert kept(places) == []


def test_telemetry_is_left_to_whoever_sets_the_variable(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    code = """
import os, sys, types
called = []
fake = types.ModuleType("onnxruntime")
fake.disable_telemetry_events = lambda: called.append(True)
sys.modules["onnxruntime"] = fake
from imharmony.inference import runtime
print(os.environ["ORT_DISABLE_TELEMETRY"], called)
"""
    given, unset = (
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for environment in (
            dict(os.environ),
            {k: v for k, v in os.environ.items() if k != VARIABLE},
        )
    )
    assert (given, unset) == ("0 []", "1 [True]")


def connections(trace: str) -> list[str]:
    """Find in what `strace` wrote the addresses of other machines."""
    lines = [
        line for line in trace.splitlines() if "connect(" in line or "sendto(" in line
    ]
    return [line for line in lines if re.search(r"AF_INET6?", line)]


def traced(command: list[str], target: Path) -> list[str]:
    """Run a command under `strace` and return the connections that it opened."""
    subprocess.run(
        ["strace", "-f", "-qq", "-e", CALLS, "-o", str(target), *command],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return connections(target.read_text())


@pytest.mark.trace
@pytest.mark.parametrize("name", COMMANDS)
def test_harmonizing_opens_no_connection(name: str, places: dict[str, Path]) -> None:
    assert traced(words(name, places), places["result"] / "trace") == []


@pytest.mark.trace
def test_the_trace_sees_a_connection(places: dict[str, Path]) -> None:
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    seen = traced([sys.executable, "-c", code], places["result"] / "trace")
    assert len(seen) == 1


@pytest.mark.trace
def test_serving_opens_no_connection_but_its_own(places: dict[str, Path]) -> None:
    trace = places["result"] / "trace"
    # -D: what is started is the server itself, so that it gets the signal to stop.
    program = ["strace", "-D", "-f", "-qq", "-e", CALLS, "-o", str(trace)]
    with running(places["temporary"], under=program) as server:
        files = {
            "composite": ("c.png", Path(COMPOSITE).read_bytes()),
            "mask": ("m.png", Path(MASK).read_bytes()),
        }
        assert server.post("harmonize", files).status_code == 200
    assert connections(trace.read_text()) == []
