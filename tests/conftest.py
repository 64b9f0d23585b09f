"""Settings all tests share."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# In CI the same examples every time; at a desk new ones, to find more.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# Of conftest.py no doctests are wanted, and what tests/gimp holds runs inside GIMP.
collect_ignore_glob = ["conftest.py", "*/conftest.py", "gimp/*"]

NEEDS = {
    "interop": ("ffmpeg", "convert"),
    "browser": ("chromium",),
    "firefox": ("firefox-esr",),
    "trace": ("strace",),
    "curl": ("curl",),
    "javascript": ("node",),
    "proxy": ("nginx",),
    "static": ("chromium", "node", "site/node_modules/onnxruntime-web"),
    "metadata": ("exiftool",),
    "heic": ("heif-enc", "module:pi_heif"),
    "cluster": ("module:ray", "module:pyarrow"),
    "plot": ("module:matplotlib",),
    "video": ("module:av",),
}
"""Programs, folders of the project and modules that the tests of a marker need."""

SYSTEMS = {
    "linux": sys.platform == "linux",
    "unix": os.name == "posix",
}
"""Whether this is the system that the tests of a marker need."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write expected pictures anew"
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out, and say so, what needs other programs or another system."""
    told = []
    reasons = {
        marker: " and ".join(name for name in programs if not _is_there(name))
        for marker, programs in NEEDS.items()
    }
    missing = {
        marker: f"{names} not found" for marker, names in reasons.items() if names
    }
    for marker, is_there in SYSTEMS.items():
        if not is_there:
            missing[marker] = f"this is {sys.platform}"
    for marker, reason in missing.items():
        left_out = [item for item in items if marker in item.keywords]
        if left_out:
            told.append(f"LEFT OUT: {len(left_out)} {marker} tests, because {reason}")
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = told
    if hasattr(config, "workeroutput"):  # one of several processes of pytest-xdist
        config.workeroutput["left_out"] = told


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what another process left out, to say so once."""
    told = getattr(node, "workeroutput", {}).get("left_out")
    if told is not None:
        node.config.stash[_LEFT_OUT] = told


def _is_there(name: str) -> bool:
    if name.startswith("module:"):
        return find_spec(name.removeprefix("module:")) is not None
    if "/" in name:
        return (Path(__file__).parents[1] / name).exists()
    return shutil.which(name) is not None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(line, yellow=True)


_LEFT_OUT = pytest.StashKey[list[str]]()
