"""Settings all tests share."""

import os
import shutil

import pytest
from hypothesis import settings

# In CI the same examples every time; at a desk new ones, to find more.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write expected pictures anew"
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out, and say so, what needs programs that are not installed."""
    missing = [name for name in ("ffmpeg", "convert") if not shutil.which(name)]
    left_out = [item for item in items if missing and "interop" in item.keywords]
    if left_out:
        config.stash[_LEFT_OUT] = (
            f"LEFT OUT: {len(left_out)} interop tests, because "
            f"{' and '.join(missing)} not found"
        )
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if _LEFT_OUT in config.stash:
        terminalreporter.write_line(config.stash[_LEFT_OUT], yellow=True)


_LEFT_OUT = pytest.StashKey[str]()
