"""Many composites in one call."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from imharmony.images import files, photo
from imharmony.web import batch
from imharmony.web.errors import ApiError
from tests.web.servers import EXAMPLES, Server

COMPOSITE, MASK = (
    (EXAMPLES / name).read_bytes() for name in ("composite.png", "mask.png")
)


def small(seed: int) -> tuple[bytes, bytes]:
    """A composite and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((24, 32), np.uint8)
    mask[6:18, 8:24] = 255
    composite = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    composite[mask > 0] //= 2
    pair = (photo.from_array(picture) for picture in (composite, mask))
    first, second = (files.encode_photo(picture, ".png") for picture in pair)
    return first, second


PAIRS = [small(seed) for seed in range(3)]


def post(server: Server, parts: Any, data: Any = None) -> httpx.Response:
    return server.post("batch", parts, data)


def unpack(answer: httpx.Response) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Return pictures by name, and the report."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[-1] == "report.jsonl"
        pictures = {name: archive.read(name) for name in names[:-1]}
        lines = archive.read("report.jsonl").decode().splitlines()
    return pictures, [json.loads(line) for line in lines]


def parts_of(pairs: list[tuple[bytes, bytes]]) -> list[Any]:
    return [
        (name, (f"photo {number}.png", data))
        for number, pair in enumerate(pairs)
        for name, data in zip(("composite", "mask"), pair, strict=True)
    ]


def packed(contents: dict[str, bytes], **options: Any) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", **options) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return target.getvalue()


def alone(server: Server, pair: tuple[bytes, bytes], **data: str) -> bytes:
    parts = {"composite": ("c.png", pair[0]), "mask": ("m.png", pair[1])}
    return server.post("harmonize", parts, data).content


def test_each_picture_is_as_it_is_alone(server: Server) -> None:
    answer = post(server, parts_of(PAIRS), {"strength": "0.7", "format": "webp"})
    pictures, report = unpack(answer)
    assert list(pictures) == ["photo 0.webp", "photo 1.webp", "photo 2.webp"]
    for pair, data in zip(PAIRS, pictures.values(), strict=True):
        assert data == alone(server, pair, strength="0.7", format="webp")
    assert [line["file"] for line in report] == list(pictures)
    assert [line["composite"] for line in report] == [
        "photo 0.png",
        "photo 1.png",
        "photo 2.png",
    ]
    assert {line["error"] for line in report} == {None}
    assert server.leftovers() == []


@pytest.mark.parametrize("layout", ["{}_mask.png", "masks/{}.png"])
def test_archive_is_paired_by_names(layout: str, server: Server) -> None:
    contents = {"__MACOSX/._a.png": b"junk", ".DS_Store": b"junk", "folder/": b""}
    for name, (composite, mask) in zip("abc", PAIRS, strict=True):
        contents[layout.format(name)] = mask
        contents[f"photos/{name}.png"] = composite
    data = packed(contents, compression=zipfile.ZIP_DEFLATED)
    pictures, _ = unpack(post(server, {"archive": ("a.zip", data)}))
    assert list(pictures) == ["a.png", "b.png", "c.png"]
    assert pictures["b.png"] == alone(server, PAIRS[1])


def test_bad_picture_is_reported_and_the_rest_goes_on(server: Server) -> None:
    pairs = [PAIRS[0], (b"no picture", PAIRS[1][1]), PAIRS[2]]
    pictures, report = unpack(post(server, parts_of(pairs)))
    assert list(pictures) == ["photo 0.png", "photo 2.png"]
    assert [line["error"] is None for line in report] == [True, False, True]
    assert report[1]["error"]["code"] == "bad_picture"
    assert report[1]["file"] is None
    assert "/" not in report[1]["error"]["message"]


def test_answer_begins_before_all_is_done(server: Server) -> None:
    """Big pictures, so that the first arrives well before the last."""
    pairs = [(COMPOSITE, MASK)] * 8
    url = f"{server.address}api/v1/batch"
    with httpx.stream("POST", url, files=parts_of(pairs), timeout=120) as answer:
        arrived = [time.monotonic() for _ in answer.iter_raw()]
    assert arrived[-1] - arrived[0] > 0.1


def test_same_names_do_not_replace_each_other(server: Server) -> None:
    parts = [(name, ("../x.png", data)) for name, (_, data) in parts_of(PAIRS)]
    pictures, _ = unpack(post(server, parts))
    assert list(pictures) == ["x.png", "x (2).png", "x (3).png"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (parts_of(PAIRS)[:-1], "bad_option"),
        ([("mask", ("m", MASK))], "bad_option"),
        ([("strength", (None, "1"))], "bad_option"),
        ([*parts_of(PAIRS), ("archive", ("a", packed({"a": b""})))], "bad_option"),
        ([*parts_of(PAIRS), ("label", (None, "dragon"))], "bad_option"),
        ([("archive", ("a", b"no zip"))], "bad_request"),
        ([("archive", ("a", packed({"a.png": COMPOSITE})[:-30]))], "bad_request"),
        ([("archive", ("a", packed({"a.png": COMPOSITE})[50:]))], "bad_request"),
        ([("archive", ("a", packed({})))], "bad_option"),
        ([("archive", ("a", packed({"a_mask.png": MASK})))], "bad_option"),
        ([("archive", ("a", packed({"x/a.png": b"", "a.png": b""})))], "bad_option"),
        (
            [("archive", ("a", packed({"a": b"a"}, compression=zipfile.ZIP_LZMA)))],
            "bad_option",
        ),
        (
            [("archive", ("a", packed({str(i): b"" for i in range(1001)})))],
            "bad_option",
        ),
        (
            [("archive", ("a", packed({f"{i:0200}": b"" for i in range(5000)})))],
            "too_large",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_batches_are_told_why(parts: Any, code: str, server: Server) -> None:
    answer = post(server, parts)
    assert answer.json()["error"]["code"] == code
    assert server.leftovers() == []


def test_bomb_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    bomb = packed({"a.png": bytes(2**24)}, compression=zipfile.ZIP_DEFLATED)
    (tmp_path / "a.zip").write_bytes(bomb)
    with pytest.raises(ApiError, match="too large together"):
        batch.pair_archive(tmp_path / "a.zip", tmp_path, 2**20)
    assert (tmp_path / "entry-0").stat().st_size <= 2**20


def test_lie_about_a_size_is_found_out(tmp_path: Path) -> None:
    data = bytearray(packed({"a.png": bytes(2**21)}, compression=zipfile.ZIP_DEFLATED))
    size = (2**21).to_bytes(4, "little")
    assert data.count(size) == 2
    (tmp_path / "a.zip").write_bytes(data.replace(size, (9).to_bytes(4, "little")))
    with pytest.raises(ApiError, match=r"damaged|too large"):
        batch.pair_archive(tmp_path / "a.zip", tmp_path, 2**20)


def test_third_batch_at_once_is_told_to_come_back(server: Server) -> None:
    import concurrent.futures

    pairs = parts_of([(COMPOSITE, MASK)] * 6)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        posts = [threads.submit(post, server, pairs) for _ in range(4)]
        statuses = sorted(post.result().status_code for post in posts)
    assert statuses[:2] == [200, 200]
    assert 503 in statuses
    assert post(server, parts_of(PAIRS)).status_code == 200
    assert server.leftovers() == []


def test_client_that_leaves_a_batch_leaves_nothing(server: Server) -> None:
    url = f"{server.address}api/v1/batch"
    pairs = parts_of([(COMPOSITE, MASK)] * 6)
    with httpx.stream("POST", url, files=pairs, timeout=60) as answer:
        next(answer.iter_raw())
    for _ in range(100):
        if server.leftovers() == []:
            break
        time.sleep(0.1)
    assert server.leftovers() == []
    assert post(server, parts_of(PAIRS)).status_code == 200
