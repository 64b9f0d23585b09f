"""The HTTP API: its answers are the Python API's, its refusals are sentences."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from imharmony import Curves, curve_files, web
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, photo
from imharmony.rendering.render import render
from imharmony.web import schemas
from imharmony.web.errors import STATUS
from imharmony.web.settings import Settings
from tests.web.servers import EXAMPLES, Server, Start

Pixels = npt.NDArray[Any]
PAGE = Path(str(resources.files(web))) / "page"
PAGE_FILES = sorted(
    path.relative_to(PAGE).as_posix()
    for path in PAGE.rglob("*")
    if path.is_file() and path.suffix != ".md"
)
COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
CUTOUT, BACKGROUND = EXAMPLES / "astronaut.png", EXAMPLES / "launchpad.jpg"


def named(**paths: Path) -> dict[str, tuple[str, bytes]]:
    return {name: (path.name, path.read_bytes()) for name, path in paths.items()}


PAIR = named(composite=COMPOSITE, mask=MASK)
PLACED = named(cutout=CUTOUT, background=BACKGROUND)


def pixels(data: bytes) -> Pixels:
    return photo.to_array(files.read_photo(data))


def picture(array: Pixels, suffix: str = ".png") -> bytes:
    return files.encode_photo(photo.from_array(array), suffix)


def error_of(response: httpx.Response) -> tuple[int, str]:
    """Status and code; the message must be a sentence."""
    error = response.json()["error"]
    assert re.fullmatch(r"[A-Z].*\.", error["message"])
    assert "/tmp" not in error["message"]
    assert "Traceback" not in response.text
    return response.status_code, error["code"]


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer()


def test_harmonize_gives_the_pixels_of_the_python_api(
    server: Server, harmonizer: Harmonizer
) -> None:
    answer = server.post("harmonize", PAIR, {"strength": "0.7", "label": "food"})
    composite, mask = pixels(COMPOSITE.read_bytes()), pixels(MASK.read_bytes())
    expected = harmonizer(composite, mask[..., 0], strength=0.7, label="food")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["imharmony-label"] == "food"
    np.testing.assert_array_equal(pixels(answer.content), expected.image)


def test_cutout_and_background_give_the_file_of_paste(
    server: Server, harmonizer: Harmonizer
) -> None:
    place = {"at": "6%,24%", "scale": "65%", "format": "png"}
    answer = server.post("harmonize", PLACED, place)
    pasted = compositing.paste(
        files.read_photo(CUTOUT),
        files.read_photo(BACKGROUND),
        at=compositing.parse_point("6%,24%"),
        scale=compositing.parse_length("65%"),
    )
    predicted = harmonizer.predict(pasted.composite, pasted.mask)
    rendered = render(pasted.composite, pasted.mask, predicted.curves)
    assert answer.content == files.encode_photo(rendered, ".png")


def test_photo_comes_back_in_its_own_format(server: Server) -> None:
    answer = server.post("harmonize", PLACED)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="harmonized.jpg"'
    )


def test_16_bit_tiff_keeps_its_depth(server: Server) -> None:
    rng = np.random.default_rng(0)
    composite = rng.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:20] = 255
    parts = {
        "composite": ("a.tif", picture(composite, ".tif")),
        "mask": ("m.png", picture(mask)),
    }
    result = pixels(server.post("harmonize", parts).content)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[mask == 0], composite[mask == 0])


def test_curves_then_render_is_harmonize(server: Server) -> None:
    curves = server.post("curves", PAIR).content
    rendered = server.post(
        "render", {**PAIR, "curves": ("c.json", curves)}, {"strength": "0.6"}
    )
    harmonized = server.post("harmonize", PAIR, {"strength": "0.6"})
    assert rendered.content == harmonized.content


def test_render_without_mask_recolors_all(server: Server) -> None:
    gray = np.full((4, 5, 3), 100, np.uint8)
    knots = [np.array([0.0, 1.0])] * 3
    lifted = Curves(tuple(knots), (np.array([0.5, 1.0]),) * 3)  # type: ignore[arg-type]
    record = curve_files.encode(curve_files.Record(lifted), "json")
    answer = server.post(
        "render", {"composite": ("p", picture(gray)), "curves": ("c", record)}
    )
    # 100 / 255 becomes 0.5 + 0.5 * 100 / 255, which is 177.5 / 255, rounded up.
    assert (pixels(answer.content) == 178).all()


def test_alpha_is_the_mask_where_there_is_none(server: Server) -> None:
    composite = np.full((16, 16, 4), 90, np.uint8)
    composite[::2, :, :3] = 120  # a scene, not the nothing around a cut-out
    composite[..., 3] = 0
    composite[4:12, 4:12, 3] = 255
    answer = server.post("harmonize", {"composite": ("c", picture(composite))})
    assert pixels(answer.content).shape == (16, 16, 3)


def test_cutout_alone_is_told_what_is_missing(server: Server) -> None:
    composite = np.zeros((16, 16, 4), np.uint8)
    composite[4:12, 4:12] = (90, 80, 70, 255)
    response = server.post("harmonize", {"composite": ("c", picture(composite))})
    assert error_of(response) == (422, "bad_picture")
    assert "give a reference" in response.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["json", "cube", "acv", "hald"])
def test_curves_convert_to_every_format(kind: str, server: Server) -> None:
    record = server.post("curves", PAIR).content
    answer = server.post(
        "curves", {"curves": ("c", record)}, {"format": kind, "strength": "0.5"}
    )
    curves = curve_files.read_record(record, name="c.json").curves.blend(0.5)
    expected = curve_files.encode(curve_files.Record(curves, strength=0.5), kind)
    assert answer.content == expected


def test_curves_of_a_picture_say_how_they_came_about(server: Server) -> None:
    record = server.post("curves", PAIR, {"label": "animal"}).json()
    assert record["label"] == "animal"
    assert record["model"] == "s2crnet-cs"
    assert len(record["stages"]) == 1  # the cascade is one curve in the graph


def test_reference_changes_the_curves(server: Server) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 250
    alone = server.post("curves", PAIR).json()
    fitted = server.post("curves", {**PAIR, "reference": ("r", picture(red))}).json()
    assert alone["curves"] != fitted["curves"]


def test_warnings_are_in_a_header(server: Server) -> None:
    parts = {
        "composite": ("c", picture(np.zeros((4, 4, 3), np.uint8))),
        "mask": ("m", picture(np.zeros((4, 4), np.uint8))),
    }
    answer = server.post("harmonize", parts)
    assert json.loads(answer.headers["imharmony-warnings"]) == [
        "the mask is empty: nothing to harmonize"
    ]


def test_mask_of_another_size_is_fitted_when_asked(server: Server) -> None:
    small = picture(np.eye(8, dtype=np.uint8) * 255)
    parts = {**PAIR, "mask": ("m", small)}
    assert error_of(server.post("harmonize", parts)) == (422, "wrong_size")
    assert server.post("harmonize", parts, {"resize_mask": "true"}).status_code == 200


@pytest.mark.parametrize(
    ("parts", "options", "code"),
    [
        ({}, {"label": "food"}, "bad_option"),
        ({"composite": PAIR["composite"]}, {}, "bad_picture"),
        ({"mask": PAIR["mask"]}, {}, "bad_option"),
        ({**PAIR, **PLACED}, {}, "bad_option"),
        (PLACED, {"at": "nowhere"}, "bad_option"),
        (PLACED, {"at": "5000,0"}, "bad_option"),
        (PLACED, {"scale": "0%"}, "bad_option"),
        ({**PLACED, "mask": PAIR["mask"]}, {}, "bad_option"),
        (PAIR, {"label": "dragon"}, "bad_option"),
        (PAIR, {"model": "../../etc/passwd"}, "bad_option"),
        (PAIR, {"strength": "-1"}, "bad_option"),
        (PAIR, {"strength": "nan"}, "bad_option"),
        (PAIR, {"strength": "1e400"}, "bad_option"),
        (PAIR, {"format": "exe"}, "bad_option"),
        (PAIR, {"quality": "50"}, "bad_option"),
        (PAIR, {"surprise": "1"}, "bad_option"),
        (PAIR, {"label": "x" * 1001}, "bad_option"),
        ({"mask": PAIR["mask"]}, {"composite": "/etc/passwd"}, "bad_option"),
        ({"mask": PAIR["mask"]}, {"composite": "http://127.0.0.1/"}, "bad_option"),
        ({**PAIR, "composite": ("c", b"")}, {}, "bad_picture"),
        ({**PAIR, "composite": ("c", b"GIF89a" + bytes(99))}, {}, "bad_picture"),
        ({**PAIR, "mask": ("m", MASK.read_bytes()[:2000])}, {}, "bad_picture"),
    ],
)
def test_wrong_requests_are_told_why(
    parts: Any, options: dict[str, str], code: str, server: Server
) -> None:
    files_or_none = parts or {"mask": ("m", b"x")}
    response = server.post("harmonize", files_or_none, options)
    assert error_of(response) == (422, code)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"LUT_1D_SIZE 2\n", b"\0\1\0\3"])
def test_wrong_curves_are_told_why(body: bytes, server: Server) -> None:
    response = server.post("render", {**PAIR, "curves": ("c.cube", body)})
    assert error_of(response) == (422, "bad_curves")


def test_too_many_pixels_are_refused_before_decoding(start: Start) -> None:
    with start("--max-pixels", "1000") as server:
        response = server.post("harmonize", PAIR)
    assert error_of(response) == (422, "bad_picture")
    assert "at most 1000 pixels" in response.json()["error"]["message"]


def test_unknown_path_and_method_are_json(server: Server) -> None:
    assert error_of(httpx.get(f"{server.address}nowhere")) == (404, "not_found")
    wrong_method = httpx.get(f"{server.address}api/v1/harmonize")
    assert error_of(wrong_method) == (405, "not_allowed")
    assert error_of(httpx.get(f"{server.address}page/../app.py")) == (404, "not_found")


def test_health_says_limits(server: Server) -> None:
    health = httpx.get(f"{server.address}api/v1/health").json()
    assert health["status"] == "ok"
    assert health["limits"]["max_pixels"] == Settings().max_pixels


def test_models_are_described(server: Server) -> None:
    model, *_ = httpx.get(f"{server.address}api/v1/models").json()["models"]
    assert model["name"] == "s2crnet-cs"
    assert model["guesses_label"] is True


def test_labels_of_the_schema_are_those_of_the_networks(server: Server) -> None:
    models = httpx.get(f"{server.address}api/v1/models").json()["models"]
    label = schemas.HarmonizeForm.model_json_schema()["properties"]["label"]
    assert [model["labels"] for model in models] == [label["enum"]] * len(models)


def test_page_loads_nothing_from_elsewhere(server: Server) -> None:
    for path in ("", *(f"page/{name}" for name in PAGE_FILES)):
        answer = httpx.get(server.address + path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        if not answer.headers["content-type"].startswith(("text/", "image/svg")):
            continue
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import", text), path


@pytest.mark.parametrize(
    "name", ["../app.py", "%2e%2e/app.py", "samples", "samples/../../app.py", ""]
)
def test_page_serves_nothing_but_itself(name: str, server: Server) -> None:
    answer = httpx.get(f"{server.address}page/{name}")
    assert answer.status_code == 404


def test_nothing_is_open_to_other_sites(server: Server) -> None:
    answer = httpx.get(f"{server.address}api/v1/health")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_every_code_is_in_the_docs() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "web.md").read_text()
    assert [code for code in STATUS if f"`{code}`" not in docs] == []


def test_temporary_files_are_gone(server: Server) -> None:
    server.post("harmonize", PAIR)
    server.post("harmonize", {**PAIR, "mask": ("m", b"bad")})
    server.post("harmonize", {**PAIR, "surprise": ("m", b"bad")})
    assert server.leftovers() == []


def test_rotation_turns_clockwise_about_the_center(server: Server) -> None:
    arrow = np.zeros((11, 21, 4), np.uint8)
    arrow[..., 3] = 255
    arrow[:, :5, :3] = 255  # white on the left
    gray = np.full((40, 40, 3), 128, np.uint8)
    identity = curve_files.encode(curve_files.Record(Curves.identity()), "json")
    parts = {
        "cutout": ("c", picture(arrow)),
        "background": ("b", picture(gray)),
        "curves": ("i", identity),
    }
    answer = server.post("render", parts, {"at": "10,15", "rotation": "90"})
    turned = pixels(answer.content)[..., 0]
    assert (turned[10:15, 15:26] == 255).all()  # now on top
    assert (turned[15:31, 15:26] == 0).all()
    assert (turned != 128).sum() == 11 * 21


def test_flip_mirrors(server: Server) -> None:
    arrow = np.zeros((4, 6, 4), np.uint8)
    arrow[..., 3] = 255
    arrow[:, :2, :3] = 255
    gray = np.full((4, 6, 3), 128, np.uint8)
    identity = curve_files.encode(curve_files.Record(Curves.identity()), "json")
    parts = {
        "cutout": ("c", picture(arrow)),
        "background": ("b", picture(gray)),
        "curves": ("i", identity),
    }
    flipped = pixels(server.post("render", parts, {"flip": "true"}).content)
    assert flipped[0, :, 0].tolist() == [0, 0, 0, 0, 255, 255]
