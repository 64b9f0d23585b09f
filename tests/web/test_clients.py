"""Programs that use the server: the examples, curl, a proxy, a browser on its docs."""

import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.web.browser import PATIENCE_MS
from tests.web.servers import EXAMPLES, Server, running

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "web.md").read_text()
COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
PAIR = {
    "composite": ("c.png", COMPOSITE.read_bytes()),
    "mask": ("m.png", MASK.read_bytes()),
}


# The examples


@pytest.mark.parametrize(
    "program",
    [
        pytest.param([sys.executable, "harmonize.py"], id="Python"),
        pytest.param(
            ["node", "harmonize.mjs"], id="JavaScript", marks=pytest.mark.javascript
        ),
    ],
)
def test_example_harmonizes(program: list[str], server: Server, tmp_path: Path) -> None:
    command = [program[0], str(EXAMPLES / "api" / program[1]), server.address]
    target = tmp_path / "harmonized.png"
    done = subprocess.run(
        [*command, str(COMPOSITE), str(MASK), str(target)],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    expected = server.post("harmonize", PAIR, {"strength": "0.8"})
    assert target.read_bytes() == expected.content
    assert done.stdout == f"label: {expected.headers['imharmony-label']}\n"
    done = subprocess.run(
        [*command, str(COMPOSITE), str(Path(__file__)), str(target)],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Mask: ")


@pytest.mark.curl
def test_curl_sends_a_batch(server: Server, tmp_path: Path) -> None:
    (block,) = re.findall(r"```console\n(\$ zip .*?)```", DOCS, re.DOTALL)
    (command,) = re.findall(r"\$ (curl .*api/v1/batch.*?)\n", block.replace("\\\n", ""))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(COMPOSITE, "cup.png")
        archive.write(MASK, "cup_mask.png")
    here = command.replace("http://127.0.0.1:8000/", server.address)
    subprocess.run(here, shell=True, check=True, cwd=tmp_path, timeout=120)
    with zipfile.ZipFile(tmp_path / "harmonized.zip") as archive:
        assert archive.namelist() == ["cup.png", "report.jsonl"]
        assert archive.read("cup.png") == server.post("harmonize", PAIR).content


@pytest.mark.curl
def test_curl_reads_heads(server: Server) -> None:
    done = subprocess.run(
        ["curl", "-sI", f"{server.address}api/v1/health"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.startswith("HTTP/1.1 200 ")


# Behind nginx


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--root-path", "/harmonize", "--allow-host", "photos.example")
    with running(tmp_path_factory.mktemp("backend"), *options) as server:
        yield server


@pytest.fixture(scope="module", params=["taken off", "left"])
def proxied(
    request: pytest.FixtureRequest,
    backend: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Run nginx with what the docs say; return the address of the page behind it."""
    folder = tmp_path_factory.mktemp("nginx")
    (location,) = re.findall(r"```nginx\n(.*?)```", DOCS, re.DOTALL)
    end = "/" if request.param == "taken off" else ""
    target = f"http://127.0.0.1:{backend.port}{end}"
    changed = location.replace("http://127.0.0.1:8000/", target)
    assert changed != location
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = "".join(
        f"{name}_temp_path {folder};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n"
        f"server {{ listen 127.0.0.1:{port}; {changed} }} }}"
    )
    process = subprocess.Popen(["nginx", "-p", folder, "-c", configuration])
    address = f"http://127.0.0.1:{port}/harmonize/"
    try:
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(transport=transport) as client:
            client.get(address, timeout=60)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.proxy
def test_api_works_behind_nginx(proxied: str, backend: Server) -> None:
    answer = httpx.post(f"{proxied}api/v1/harmonize", files=PAIR, timeout=60)
    assert answer.content == backend.post("harmonize", PAIR).content
    schema = httpx.get(f"{proxied}api/v1/openapi.json").json()
    assert schema["servers"] == [{"url": "/harmonize"}]


@pytest.mark.proxy
def test_other_sites_are_refused_behind_nginx(proxied: str) -> None:
    headers = {"Origin": "https://evil.example"}
    assert httpx.get(f"{proxied}api/v1/models", headers=headers).status_code == 403
    own = {"Host": "photos.example", "Origin": "https://photos.example"}
    assert httpx.get(f"{proxied}api/v1/models", headers=own).status_code == 200


@pytest.mark.proxy
@pytest.mark.browser
@pytest.mark.parametrize("path", ["", "docs"])
def test_pages_load_whole_behind_nginx(
    path: str, proxied: str, browser: Browser
) -> None:
    failed: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on(
        "response",
        lambda r: failed.append(r.url) if not r.ok else None,
    )
    page.on("requestfailed", lambda r: failed.append(r.url))
    page.goto(proxied + path, wait_until="networkidle")
    assert page.locator("h1").first.inner_text() != ""
    loaded = page.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    page.close()
    assert failed == []
    assert loaded
    assert all(url.startswith((proxied, "blob:", "data:")) for url in loaded)


# The description as a page


def test_docs_describe_every_call_and_part(server: Server) -> None:
    text = httpx.get(f"{server.address}docs").text
    schema = httpx.get(f"{server.address}api/v1/openapi.json").json()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}" in text
            if method == "post":
                form = operation["requestBody"]["content"]["multipart/form-data"]
                for name in form["schema"]["properties"]:
                    assert f"<code>{name}</code>" in text


def test_docs_have_no_script_and_nothing_from_elsewhere(server: Server) -> None:
    answer = httpx.get(f"{server.address}docs")
    assert "<script" not in answer.text
    loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', answer.text)
    assert loaded == ["page/icon.svg", "docs/style.css"]
    for path in loaded:
        assert httpx.get(server.address + path).status_code == 200


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_axe_finds_nothing_in_the_docs(
    server: Server, browser: Browser, width: int, scheme: Any
) -> None:
    size: Any = {"width": width, "height": 800}
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{server.address}docs")
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js")
    page.evaluate(axe.read_text())
    violations = page.evaluate("axe.run()")["violations"]
    page.close()
    assert [violation["id"] for violation in violations] == []
