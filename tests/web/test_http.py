"""HTTP as other programs speak it: methods, bodies, spellings, prefixes, origins."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from imharmony.images import files, photo
from imharmony.web.app import create_app
from imharmony.web.settings import Settings
from tests.web.servers import EXAMPLES, SOURCES, Server, running

COMPOSITE, MASK = (
    (EXAMPLES / name).read_bytes() for name in ("composite.png", "mask.png")
)
PAIR = {"composite": ("holiday.png", COMPOSITE), "mask": ("m.png", MASK)}
FRIEND = "https://photos.example"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.jsonl"


@pytest.fixture(scope="module")
def proxied(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as behind a proxy, with a friend on another site."""
    options = ("--root-path", "/studio/", "--allow-origin", FRIEND, "--log", "json")
    with running(tmp_path_factory.mktemp("proxied"), *options, log=log) as server:
        yield server


# Methods


@pytest.mark.parametrize("path", ["", "api/v1/health", "api/v1/models", "metrics"])
def test_head_is_get_without_a_body(path: str, server: Server) -> None:
    head, get = httpx.head(server.address + path), httpx.get(server.address + path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_head_of_a_call_that_is_posted_says_so(server: Server) -> None:
    answer = httpx.head(f"{server.address}api/v1/harmonize")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# Bodies


def body(*parts: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n'
    pictures = zip((b"composite", b"mask"), (COMPOSITE, MASK), strict=True)
    files = b"".join(head % name + data + b"\r\n" for name, data in pictures)
    return before + files + b"".join(parts) + b"--x--" + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"This is a multipart message.\r\n", b""),
        (b"It is -- no --x boundary --x-- yet\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\nEpilogue, to be ignored.\r\n--x\r\n"),
        (b"-" * 60_000 + b"\r\n", b"\r\n" + b"-" * 70_000),
    ],
    ids=["preamble", "dashes", "epilogue", "long"],
)
def test_text_around_the_parts_is_ignored(
    before: bytes, after: bytes, server: Server
) -> None:
    content = body(before=before, after=after)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{server.address}api/v1/harmonize"
    answer = httpx.post(url, content=content, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.content == server.post("harmonize", PAIR).content


@pytest.mark.parametrize("size", [1, 2, 5])
def test_boundaries_may_arrive_in_pieces(size: int, server: Server) -> None:
    """Every cut through the last boundary is tried."""
    whole = b'--x\r\nContent-Disposition: form-data; name="label"\r\n\r\nfood\r\n--x--'

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{server.address}api/v1/harmonize"
    answer = httpx.post(url, content=pieces(), headers=headers)
    # The body was understood: what is missing are pictures.
    assert answer.status_code == 422
    assert "Expected composite" in answer.json()["error"]["message"]


def test_endless_preamble_is_refused(server: Server) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{server.address}api/v1/harmonize"
    answer = httpx.post(url, content=body(before=b"-" * 70_000), headers=headers)
    assert answer.json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Label", "unknown part 'Label'; perhaps label was meant"),
        ("composit", "perhaps composite was meant"),
        ("hue", "unknown part 'hue'; expected "),
        ("\n\u202e<b>", r"unknown part '%0A\u202e<b>'; expected "),
        ("y" * 300, f"unknown part '{'y' * 40}"),
    ],
)
def test_unknown_part_is_named(name: str, words: str, server: Server) -> None:
    error = server.post("harmonize", PAIR, {name: "1"}).json()["error"]
    assert error["code"] == "bad_option"
    assert words[1:] in error["message"]
    assert len(error["message"]) < 400


# Spellings

SMALL = files.encode_photo(photo.from_array(np.eye(8, dtype=np.uint8) * 255), ".png")
UNEQUAL = {**PAIR, "mask": ("m.png", SMALL)}


@pytest.mark.parametrize("word", ["on", "Yes", "1", "TRUE"])
def test_common_words_for_yes_are_taken(word: str, server: Server) -> None:
    answer = server.post("harmonize", UNEQUAL, {"resize_mask": word})
    assert answer.status_code == 200


@pytest.mark.parametrize("word", ["off", "No", "0"])
def test_common_words_for_no_are_taken(word: str, server: Server) -> None:
    answer = server.post("harmonize", UNEQUAL, {"resize_mask": word})
    assert answer.json()["error"]["code"] == "wrong_size"


def test_other_words_are_no_answer_to_yes_or_no(server: Server) -> None:
    error = server.post("harmonize", PAIR, {"resize_mask": "perhaps"}).json()["error"]
    assert error["code"] == "bad_option"


@pytest.mark.parametrize(
    ("word", "media_type"),
    [
        ("jpeg", "image/jpeg"),
        ("JPG", "image/jpeg"),
        (".jpg", "image/jpeg"),
        ("TIFF", "image/tiff"),
        ("PNG", "image/png"),
    ],
)
def test_common_names_of_formats_are_taken(
    word: str, media_type: str, server: Server
) -> None:
    answer = server.post("harmonize", PAIR, {"format": word})
    assert answer.headers["content-type"] == media_type


def test_label_is_taken_in_any_case(server: Server) -> None:
    answer = server.post("curves", PAIR, {"label": "Person"})
    assert answer.headers["imharmony-label"] == "person"


# Behind a proxy


@pytest.mark.parametrize("prefix", ["", "studio/"])
def test_prefix_may_be_taken_off_or_left(prefix: str, proxied: Server) -> None:
    address = proxied.address + prefix
    assert "imharmony" in httpx.get(address).text
    assert httpx.get(f"{address}api/v1/health").json()["status"] == "ok"
    answer = httpx.post(f"{address}api/v1/harmonize", files=PAIR, timeout=60)
    assert answer.headers["content-type"] == "image/png"


def test_another_prefix_is_not_found(proxied: Server) -> None:
    for path in ("studios/", "studio", "other/api/v1/health", "studio/studio/"):
        assert httpx.get(proxied.address + path).status_code == 404


def test_prefix_does_not_lead_around_the_token() -> None:
    settings = Settings(token="sesame", root_path="/studio", hosts=("test",))
    transport = httpx.ASGITransport(create_app(settings))
    for path in ("/api/v1/models", "/studio/api/v1/models", "/metrics"):
        assert ask(transport, path).status_code == 401
    assert ask(transport, "/studio/api/v1/health").status_code == 200


def ask(transport: httpx.ASGITransport, path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test"
        ) as client:
            return await client.get(path)

    return asyncio.run(get())


def test_description_says_the_prefix(proxied: Server) -> None:
    schema = httpx.get(f"{proxied.address}api/v1/openapi.json").json()
    assert schema["servers"] == [{"url": "/studio"}]


# Other sites


def test_friend_may_ask_and_read(proxied: Server) -> None:
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    url = f"{proxied.address}api/v1/harmonize"
    answer = httpx.post(url, files=PAIR, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"Imharmony-Label", "Imharmony-Warnings", "X-Request-ID"} <= set(exposed)


def test_friend_may_send_a_token(proxied: Server) -> None:
    headers = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    url = f"{proxied.address}api/v1/harmonize"
    answer = httpx.options(url, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "Authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://photos.example"},
        {"Origin": "https://photos.example.evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_strangers_stay_out(headers: dict[str, str], proxied: Server) -> None:
    answer = httpx.get(f"{proxied.address}api/v1/models", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


# The log and the numbers


def line_of(answer: httpx.Response, log: Path) -> dict[str, Any]:
    """Find the line of a request; it is written a moment after the answer."""
    number = answer.headers["x-request-id"]
    for _ in range(50):
        lines: list[dict[str, Any]] = [
            json.loads(line) for line in log.read_text().splitlines()
        ]
        for line in lines:
            if line["request_id"] == number:
                return line
        time.sleep(0.05)
    raise AssertionError(f"no line for {number}")


def test_each_request_is_a_line(proxied: Server, log: Path) -> None:
    headers = {"X-Request-ID": "abc-123"}
    url = f"{proxied.address}studio/api/v1/harmonize"
    answer = httpx.post(url, files=PAIR, headers=headers, timeout=60)
    assert answer.headers["x-request-id"] == "abc-123"
    line = line_of(answer, log)
    assert (line["method"], line["route"]) == ("POST", "/api/v1/harmonize")
    assert (line["status"], line["code"]) == (200, None)
    assert line["received_bytes"] == int(answer.request.headers["content-length"])
    assert line["sent_bytes"] == len(answer.content)
    assert line["milliseconds"] > 0


def test_error_is_logged_by_its_code(proxied: Server, log: Path) -> None:
    url = f"{proxied.address}api/v1/harmonize"
    answer = httpx.post(url, files={**PAIR, "mask": ("m", b"bad")}, timeout=60)
    line = line_of(answer, log)
    assert (line["status"], line["code"]) == (422, "bad_picture")


def test_log_holds_no_name_and_no_address(proxied: Server, log: Path) -> None:
    answers = (
        httpx.get(f"{proxied.address}private/holiday.png?name=holiday.png"),
        httpx.post(f"{proxied.address}api/v1/curves", files=PAIR, timeout=60),
    )
    assert [line_of(answer, log)["status"] for answer in answers] == [404, 200]
    text = log.read_text()
    assert "holiday" not in text
    assert "127.0.0.1" not in text


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a/b", "ä"])
def test_strange_request_id_is_replaced(given: str, proxied: Server) -> None:
    headers = {b"X-Request-ID": given.encode()}
    answer = httpx.get(f"{proxied.address}api/v1/health", headers=headers)
    assert len(answer.headers["x-request-id"]) == 16


def numbers(server: Server) -> dict[str, float]:
    text = httpx.get(f"{server.address}metrics").text
    values = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    return {name: float(value) for name, value in values}


def test_numbers_count_what_was_done(proxied: Server) -> None:
    route = 'route="/api/v1/curves"'
    name = f'imharmony_requests_total{{method="POST",{route},status="200"}}'
    before = numbers(proxied)
    answer = httpx.post(f"{proxied.address}api/v1/curves", files=PAIR, timeout=60)
    after = numbers(proxied)
    assert after[name] == before.get(name, 0) + 1
    count = f"imharmony_request_seconds_count{{{route}}}"
    assert after[count] == before.get(count, 0) + 1
    sent = after["imharmony_sent_bytes_total"] - before["imharmony_sent_bytes_total"]
    assert sent >= len(answer.content)
    assert after["imharmony_workers"] == 2
    assert after["imharmony_workers_busy"] == 0


def test_numbers_are_in_the_form_prometheus_reads(proxied: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    answer = httpx.get(f"{proxied.address}metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"imharmony_requests", "imharmony_request_seconds"} <= families


def test_bug_is_an_answer_and_a_line_with_its_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(Settings(hosts=("test",)))

    @app.get("/broken")
    def fail() -> None:
        raise RuntimeError("a bug")

    answer = ask(httpx.ASGITransport(app), "/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "failed"
    assert answer.headers["x-content-type-options"] == "nosniff"
    (record,) = (r for r in caplog.records if r.exc_info)
    assert vars(record)["request_id"] == answer.headers["x-request-id"]


# The end


@pytest.mark.parametrize(
    ("stop", "delay_s"),
    [(signal.SIGINT, 0.0), (signal.SIGINT, 1.0), (signal.SIGTERM, 0.3)],
)
def test_stop_during_start_is_no_traceback(
    stop: signal.Signals, delay_s: float, tmp_path: Path
) -> None:
    """A terminal sends Ctrl-C to the workers too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imharmony.cli", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": SOURCES, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()  # the address
    time.sleep(delay_s)
    os.killpg(process.pid, stop)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []
