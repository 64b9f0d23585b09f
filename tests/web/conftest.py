"""Servers to test against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.servers import Server, Start, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with ordinary limits, for all tests that do not break it."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a server with options of the test's own."""
    return lambda *options: running(tmp_path, *options)
