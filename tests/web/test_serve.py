"""The command, its documentation and the Dockerfile."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from imharmony import cli
from tests.onnx_files import write_picture_weights
from tests.web.servers import EXAMPLES, SOURCES, Server, Start

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "web.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def run(*args: str, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys\n{code}\nsys.argv = {['imharmony', *args]!r}\n"
    return subprocess.run(
        [sys.executable, "-c", program + "from imharmony import cli\ncli.main()"],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def options() -> set[str]:
    group: Any = typer.main.get_command(cli.app)
    return {name for p in group.commands["serve"].params for name in p.opts}


def test_serving_without_the_extra_says_what_to_install() -> None:
    done = run("serve", code='sys.modules["uvicorn"] = None')
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: uvicorn is not installed; pip install 'imharmony[web]'"
    )


def test_taken_port_is_wrong_usage() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: 127.0.0.1 port {port}: cannot listen")


def test_weights_without_curves_are_wrong_usage(tmp_path: Path) -> None:
    weights = write_picture_weights(tmp_path)
    done = run("serve", "--port", "0", "--weights", str(weights))
    assert (done.returncode, done.stdout) == (2, "")
    assert "picture.onnx: expected weights that predict curves" in done.stderr


def test_unusable_weights_are_wrong_usage(tmp_path: Path) -> None:
    done = run("serve", "--port", "0", "--weights", str(tmp_path / "none.onnx"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}")


def test_listens_on_this_computer_only_unless_told(server: Server) -> None:
    assert server.address == f"http://127.0.0.1:{server.port}/"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_server_leaves_nothing_running(
    stop: signal.Signals, start: Start
) -> None:
    with start() as server:
        number = server.process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        assert len(children) == 2
        server.process.send_signal(stop)
        server.process.wait(timeout=20)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(server.temporary.iterdir()) == []


def test_every_option_is_in_the_docs() -> None:
    assert [name for name in options() if name not in DOCS] == []


def commands() -> list[str]:
    """Return the curl lines of the docs."""
    blocks = re.findall(r"```console\n(.*?)```", DOCS, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    curl = [line.removeprefix("$ ") for line in lines if line.startswith("$ curl")]
    return [line for line in curl if "/batch" not in line]  # see test_clients.py


def test_curl_examples_work(server: Server, tmp_path: Path) -> None:
    assert len(commands()) == 7
    for command in commands():
        words = shlex.split(command)
        parts = [words[i + 1] for i, word in enumerate(words) if word == "-F"]
        files: dict[str, bytes] = {}
        data: dict[str, str] = {}
        for name, _, value in (part.partition("=") for part in parts):
            if value.startswith("@"):
                path = Path(value[1:])
                folder = EXAMPLES if path.parent.name == "examples" else tmp_path
                files[name] = (folder / path.name).read_bytes()
            else:
                data[name] = value
        (url,) = (word for word in words if word.startswith("http"))
        named = {name: (name, content) for name, content in files.items()}
        answer = server.post(httpx.URL(url).path.removeprefix("/api/v1/"), named, data)
        assert answer.status_code == 200
        (tmp_path / words[words.index("-o") + 1]).write_bytes(answer.content)


def instructions(name: str) -> list[str]:
    found = re.findall(rf"^{name} (.*(?:\n    .*)*)", DOCKERFILE, re.MULTILINE)
    return [text.strip() for text in found]


def test_container_runs_as_a_user_without_rights() -> None:
    (user,) = instructions("USER")
    assert user not in ("root", "0")
    assert (
        f"useradd --system --no-create-home --shell /usr/sbin/nologin {user}"
        in (instructions("RUN")[-1])
    )
    assert DOCKERFILE.index("\nUSER ") < DOCKERFILE.index("\nENTRYPOINT ")


def test_container_starts_the_command_with_options_it_has() -> None:
    (line,) = instructions("ENTRYPOINT")
    program, command, *rest = re.findall(r'"([^"]+)"', line)
    assert (program, command) == ("imharmony", "serve")
    assert {word for word in rest if word.startswith("--")} <= options()


def test_health_check_of_the_container_works(server: Server) -> None:
    (line,) = instructions("HEALTHCHECK")
    _, _, code = re.findall(r'"([^"]+)"', line)
    here = code.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    assert here != code
    subprocess.run([sys.executable, "-c", here], check=True)
    nowhere = code.replace("127.0.0.1:8000", "127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", nowhere], check=False, stderr=subprocess.DEVNULL
    )
    assert done.returncode == 1


def test_container_is_built_from_what_it_is_given() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    given = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word
        for text in instructions("COPY")
        if not text.startswith("--from")
        for word in text.split()[:-1]
    }
    assert copied == given
    assert all((ROOT / name).exists() for name in given)
    assert instructions("FROM")[-1].endswith("-slim")


def test_server_itself_loads_no_decoder_and_no_network() -> None:
    code = """
import imharmony.web.server
heavy = {"numpy", "pyvips", "onnxruntime"} & set(sys.modules)
assert not heavy, heavy
"""
    assert run("--help", code=code).returncode == 0
