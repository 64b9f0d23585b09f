"""Servers and a browser to test with."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web import browser as tools
from tests.web.servers import Server, Start, running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with ordinary limits, for all tests that do not break it."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a server with options of the test's own."""
    return lambda *options: running(tmp_path, *options)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all tests of a file: Playwright refuses a second session beside it.

    It ends with the file, because as long as it lasts an event loop runs in this
    thread, and the next file could not use asyncio.
    """
    expect.set_options(timeout=tools.PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=tools.FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page as it opens; at its end it must have made no error."""
    with tools.watched(tools.open_page(browser, server.address)) as page:
        yield page


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the log of tests free of requests."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's files, below a folder, as a host that knows nothing of them has it."""
    folder = tmp_path_factory.mktemp("site")
    command = ["node", str(ROOT / "site" / "build.mjs"), str(folder / "below")]
    subprocess.run(command, check=True, capture_output=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/below/"
        server.shutdown()
        thread.join()
