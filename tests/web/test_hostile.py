"""Requests meant to break the server: it answers, and goes on."""

import asyncio
import contextlib
import json
import socket
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from starlette.requests import Request

from imharmony.errors import WeightsError
from imharmony.images import files, photo
from imharmony.web import app as web_app
from imharmony.web import server as web_server
from imharmony.web import uploads
from imharmony.web.errors import ApiError
from imharmony.web.messages import Answer, Job
from imharmony.web.pool import Pool
from imharmony.web.settings import Settings
from tests.web.servers import EXAMPLES, Server, Start

COMPOSITE, MASK = (
    (EXAMPLES / name).read_bytes() for name in ("composite.png", "mask.png")
)
PAIR = {"composite": ("c.png", COMPOSITE), "mask": ("m.png", MASK)}


def is_well(server: Server) -> bool:
    """Whether it still works and has cleaned up."""
    response = server.post("harmonize", PAIR)
    return response.status_code == 200 and server.leftovers() == []


# Hostile pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """50,000 x 50,000 black pixels: 7.5 GB out of 7 MB, were it decoded."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile() -> Iterator[tuple[str, bytes]]:
    jpeg = (EXAMPLES / "launchpad.jpg").read_bytes()
    small = photo.from_array(np.zeros((8, 8, 3), np.uint8))
    tiff = files.encode_photo(small, ".tif")
    yield "empty", b""
    yield "truncated png", COMPOSITE[:5000]
    yield "truncated jpeg", jpeg[:5000]
    yield "truncated tiff", tiff[:-20]
    yield "bomb", bomb()
    yield "too little data", png(100, 100, b"\0")
    yield "largest size", png(2**31 - 1, 2**31 - 1, b"\0")
    yield "no size", png(0, 0, b"\0")
    yield "gif", b"GIF89a" + bytes(100)
    yield "svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/>'
    yield "html", b"<!doctype html><script>alert(1)</script>"
    yield "pdf", b"%PDF-1.7\n" + bytes(100)
    yield "elf", b"\x7fELF" + bytes(200)
    yield "zip behind a jpeg's head", b"\xff\xd8\xff\xe0" + b"PK\3\4" + bytes(500)
    yield "html behind a png's head", b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"
    yield (
        "imagemagick script",
        b"push graphic-context\nimage over 0,0 0,0 '/x'",
    )
    yield (
        "tiff that points at itself",
        b"II*\0\x08\0\0\0\1\0" + bytes(12) + b"\x08\0\0\0",
    )
    yield "webp of no size", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\x7f"
    yield "avif without content", b"\0\0\0\x20ftypavif" + bytes(100)
    yield "noise", np.random.default_rng(0).bytes(10_000)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        pytest.param(body, part, id=f"{name}-{part}")
        for name, body in hostile()
        for part in ("composite", "mask")
    ],
)
def test_hostile_picture_is_refused(body: bytes, part: str, server: Server) -> None:
    started = time.monotonic()
    response = server.post("harmonize", {**PAIR, part: ("x", body)})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "bad_picture"
    assert time.monotonic() - started < 5
    assert server.leftovers() == []


def test_polyglot_is_read_as_a_picture_only(server: Server) -> None:
    """A picture with a script after its end: nothing of the script comes back."""
    script = b"<script>alert(1)</script>"
    parts = {**PAIR, "composite": ("c.html", COMPOSITE + script)}
    response = server.post("harmonize", parts)
    assert response.headers["content-type"] == "image/png"
    assert script not in response.content


def test_names_from_clients_are_not_used(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "made"
    for name in (str(target), "../../../../../" + str(target), "a\0b", "x" * 5000):
        server.post("harmonize", {**PAIR, "composite": (name, COMPOSITE)})
    assert not target.exists()
    assert is_well(server)


# Hostile bodies


def raw(server: Server, *pieces: bytes) -> bytes:
    """Send bytes as they are; what comes back, or until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                link.sendall(piece)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65536):
                answer += piece
                head, _, body = answer.partition(b"\r\n\r\n")
                if b"content-length: %d\r" % len(body) in head.lower() + b"\r":
                    break
        return answer


def head(length: int, *, kind: str = "multipart/form-data; boundary=x") -> bytes:
    return (
        "POST /api/v1/harmonize HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"--x--", 415),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n", 422),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\nfood',
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\n\xff\r\n--x--',
            422,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\nfood\r\n'
            b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\nfood\r\n--x--',
            422,
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\n" + b"a: b\r\n" * 10_000 + b"\r\n\r\n--x--",
            400,
        ),
        ("multipart/form-data; boundary=" + "x" * 3000, b"--x--", 400),
    ],
)
def test_malformed_body_is_refused(
    kind: str, body: bytes, status: int, server: Server
) -> None:
    answer = raw(server, head(len(body), kind=kind) + body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert "error" in json.loads(answer.partition(b"\r\n\r\n")[2])
    assert server.leftovers() == []


def test_huge_headers_are_refused(server: Server) -> None:
    line = b"X-Big: " + b"a" * 8000 + b"\r\n"
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + 10 * line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert is_well(server)


def test_declared_size_is_checked_before_anything_is_sent(start: Start) -> None:
    with start("--max-megabytes", "1") as server:
        started = time.monotonic()
        answer = raw(server, head(2**40))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"too_large"' in answer
        assert time.monotonic() - started < 5


def test_undeclared_size_is_counted(start: Start) -> None:
    with start("--max-megabytes", "1") as server:
        begin = (
            b"POST /api/v1/harmonize HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        part = b'--x\r\nContent-Disposition: form-data; name="mask"; filename=m\r\n\r\n'
        body = part + bytes(2**21)
        answer = raw(server, begin, b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert server.leftovers() == []
        assert is_well(server)


def test_refusal_does_not_cut_off_who_is_still_sending(start: Start) -> None:
    """Some clients never read an answer that comes with a reset."""
    with (
        start("--max-megabytes", "8") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as link,
    ):
        link.sendall(head(2**23 + 1))
        for _ in range(8):
            link.sendall(bytes(2**20))  # raises if the connection is reset
            time.sleep(0.02)
        assert link.recv(100).startswith(b"HTTP/1.1 413 ")


def test_client_that_leaves_in_the_middle_leaves_nothing(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        part = b'--x\r\nContent-Disposition: form-data; name="mask"; filename=m\r\n\r\n'
        link.sendall(head(10**6) + part + bytes(1000))
        time.sleep(0.2)
        assert len(server.leftovers()) == 1
    time.sleep(0.5)
    assert server.leftovers() == []


def test_client_that_leaves_before_the_answer_leaves_nothing(server: Server) -> None:
    body = httpx.Request("POST", server.address, files=PAIR)
    content = body.read()
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(head(len(content), kind=body.headers["content-type"]) + content)
    assert is_well(server)


# Slow clients; with limits short enough to wait for


def test_answer_that_nobody_takes_is_given_up(tmp_path: Path) -> None:
    folder = tempfile.TemporaryDirectory(dir=tmp_path)
    result = Path(folder.name) / "harmonized.png"
    result.write_bytes(COMPOSITE)
    sent = web_app._Sent(Answer(str(result)), folder, {".png": "image/png"}, 0.1)

    async def never(*_: Any) -> Any:
        await asyncio.sleep(10)

    scope = {"type": "http", "method": "POST", "headers": []}
    asyncio.run(sent(scope, never, never))
    assert list(tmp_path.iterdir()) == []


async def slow_body() -> None:
    settings = Settings(idle_s=0.1, receive_s=0.3)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.08)
        return {"type": "http.request", "body": b"-", "more_body": True}

    kind = (b"content-type", b"multipart/form-data; boundary=x")
    scope = {"type": "http", "method": "POST", "headers": [kind]}
    chunks = uploads._receive_chunks(Request(scope, receive), settings)
    async for _ in chunks:
        pass


async def silent_body() -> None:
    settings = Settings(idle_s=0.1)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": []}
    async for _ in uploads._receive_chunks(Request(scope, receive), settings):
        pass


@pytest.mark.parametrize("body", [slow_body, silent_body])
def test_slow_body_is_given_up(body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        asyncio.run(body())
    assert caught.value.code == "too_slow"


def test_slow_head_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server of this process, where the limit can be set."""
    monkeypatch.setattr(web_server, "HEAD_S", 0.3)
    closed: list[float] = []

    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

        def close(self) -> None:
            closed.append(time.monotonic())

        def is_closing(self) -> bool:
            return bool(closed)

    async def drip() -> None:
        config = uvicorn.Config(lambda: None, http=web_server._Protocol)
        state = uvicorn.Server(config).server_state
        protocol = web_server._Protocol(config, state, {})
        protocol.connection_made(Transport())
        for byte in b"GET / HT":
            protocol.data_received(bytes([byte]))
            await asyncio.sleep(0.06)
        protocol._stop_watching()

    asyncio.run(drip())
    assert len(closed) == 1


# Workers


def job(folder: Path, **changes: Any) -> Job:
    paths = {}
    for name, (_, data) in PAIR.items():
        (folder / name).write_bytes(data)
        paths[name] = str(folder / name)
    options = {
        "resize_mask": False,
        "strength": 1.0,
        "label": None,
        "seam": "auto",
        "model": "s2crnet-cs",
        "format": "json",
        "size": None,
    }
    return Job("curves", str(folder), paths, options, 10**7, **changes)


def test_overlong_work_is_ended_and_the_next_is_done(tmp_path: Path) -> None:
    async def work() -> str:
        pool = Pool(Settings(num_workers=1, work_s=30))
        await pool.start()
        try:
            late = pool._workers[0]._process
            pool._settings = Settings(num_workers=1, work_s=0.001)
            with pytest.raises(ApiError, match="took over"):
                await pool.run(job(tmp_path))
            # Gone: else the next would be given this one's answer.
            assert late is not None
            assert late.returncode is not None
            pool._settings = Settings(num_workers=1, work_s=30)
            return (await pool.run(job(tmp_path))).file
        finally:
            await pool.stop()

    assert Path(asyncio.run(work())).read_bytes().startswith(b"{")


def test_death_of_a_worker_is_an_answer(tmp_path: Path) -> None:
    async def work() -> str:
        pool = Pool(Settings(num_workers=1))
        await pool.start()
        try:
            process = pool._workers[0]._process
            assert process is not None
            process.kill()
            await process.wait()
            with pytest.raises(ApiError, match="could not be worked on"):
                await pool.run(job(tmp_path))
            return (await pool.run(job(tmp_path))).file
        finally:
            await pool.stop()

    assert Path(asyncio.run(work())).exists()


def test_unusable_weights_stop_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")

    async def work() -> None:
        await Pool(Settings(num_workers=1, weights=tmp_path / "bad.onnx")).start()

    with pytest.raises(WeightsError, match=r"bad\.onnx"):
        asyncio.run(work())


def test_crowd_is_told_to_come_back(start: Start) -> None:
    with start("--workers", "1", "--max-waiting", "1") as server:
        with ThreadPoolExecutor(12) as threads:
            posts = [threads.submit(server.post, "harmonize", PAIR) for _ in range(36)]
            answers = [post.result() for post in posts]
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        busy = next(answer for answer in answers if answer.status_code == 503)
        assert int(busy.headers["retry-after"]) > 0
        assert busy.json()["error"]["code"] == "busy"
        assert is_well(server)


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil.example@127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_other_sites_are_refused(headers: dict[str, str], server: Server) -> None:
    answer = httpx.get(f"{server.address}api/v1/models", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] in ("wrong_host", "wrong_origin")


def test_own_page_is_served(server: Server) -> None:
    own = server.address.rstrip("/")
    for name in ("127.0.0.1", "localhost", "[::1]"):
        headers = {"Host": f"{name}:{server.port}"}
        assert httpx.get(server.address, headers=headers).status_code == 200
    headers = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
    assert httpx.get(f"{own}/api/v1/models", headers=headers).status_code == 200


def test_names_are_allowed_by_option(start: Start) -> None:
    with start("--allow-host", "photos.example") as server:
        headers = {"Host": "photos.example", "Origin": "https://photos.example"}
        assert httpx.get(f"{server.address}api/v1/models", headers=headers).is_success


def test_token_is_needed_where_there_is_one(start: Start) -> None:
    with start("--token", "sesame") as server:
        models = f"{server.address}api/v1/models"
        assert httpx.get(models).status_code == 401
        wrong = {b"Authorization": "Bearer ses\u00e4me".encode()}
        assert httpx.get(models, headers=wrong).status_code == 401
        right = {"Authorization": "Bearer sesame"}
        assert httpx.get(models, headers=right).is_success
        assert server.post("harmonize", PAIR).status_code == 401
        assert httpx.get(f"{server.address}api/v1/health").is_success
        assert httpx.get(server.address).is_success
