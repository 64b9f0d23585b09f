"""Servers and a browser to test with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web import browser as tools
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # of machines with other work
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=tools.FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page as it opens; at its end it must have made no error."""
    with tools.watched(tools.open_page(browser, server.address)) as page:
        yield page
