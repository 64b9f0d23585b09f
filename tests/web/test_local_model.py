"""The model that changes colors by place, over the HTTP API."""

import json
from typing import Any

import httpx
import numpy as np
import pytest

from imharmony import Curves
from imharmony.curve_files import Record, encode
from imharmony.harmonizer import Harmonizer
from imharmony.images import files, mask_files
from imharmony.images.files import encode_photo
from imharmony.images.photo import from_array, to_array
from tests.web.servers import EXAMPLES, Server

PAIR = {
    name: (f"{name}.png", (EXAMPLES / f"{name}.png").read_bytes())
    for name in ("composite", "mask")
}
LOCAL = {"model": "hdnet-lite"}


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer("hdnet-lite")


def test_models_say_whether_they_predict_curves(server: Server) -> None:
    models = httpx.get(f"{server.address}api/v1/models").json()["models"]
    assert {model["name"]: model["has_curves"] for model in models} == {
        "s2crnet-cs": True,
        "hdnet-lite": False,
    }


def test_it_gives_the_pixels_of_the_python_api(
    server: Server, harmonizer: Harmonizer
) -> None:
    answer = server.post("harmonize", PAIR, LOCAL | {"strength": "0.7"})
    composite = files.read_photo(EXAMPLES / "composite.png")
    size = (composite.height, composite.width)
    mask = mask_files.read_mask(EXAMPLES / "mask.png", size=size)
    expected = harmonizer(to_array(composite), to_array(mask)[..., 0], strength=0.7)
    made = to_array(files.read_photo(answer.content, name="answer"))
    np.testing.assert_array_equal(made, expected.image)
    assert "imharmony-same-scene" in answer.headers


def test_curves_of_it_are_refused_with_what_to_do(server: Server) -> None:
    answer = server.post("curves", PAIR, LOCAL)
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "code": "bad_option",
        "message": "Model: hdnet-lite changes colors by place, which no curves say; "
        "ask harmonize, or for the curves of another model.",
    }


def test_another_photo_to_fit_to_is_refused(server: Server) -> None:
    parts = {**PAIR, "reference": PAIR["composite"]}
    answer = server.post("harmonize", parts, LOCAL)
    assert answer.json()["error"]["code"] == "bad_option"


# As a grid


def grid_of(server: Server, **options: str) -> dict[str, Any]:
    answer = server.post("grid", PAIR, LOCAL | options)
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def render(server: Server, grid: Any, **options: str) -> httpx.Response:
    text = grid if isinstance(grid, bytes) else json.dumps(grid).encode()
    return server.post("render", {**PAIR, "grid": ("g.json", text)}, options)


def test_grid_renders_to_what_harmonize_gives(server: Server) -> None:
    grid = grid_of(server, label="food")
    assert grid["curves"]["label"] == "food"
    for strength in ("1", "0.4", "1.8"):
        options = {"label": "food", "strength": strength}
        expected = server.post("harmonize", PAIR, LOCAL | options).content
        assert render(server, grid, strength=strength).content == expected


def test_grid_of_an_empty_mask_changes_nothing(server: Server) -> None:
    nothing = np.zeros((427, 640), np.uint8)
    parts = PAIR | {"mask": ("m.png", encode_photo(from_array(nothing), ".png"))}
    grid = server.post("grid", parts, LOCAL)
    assert "imharmony-warnings" in grid.headers
    made = to_array(
        files.read_photo(render(server, grid.json()).content, name="answer")
    )
    composite = to_array(files.read_photo(EXAMPLES / "composite.png"))
    np.testing.assert_array_equal(made, composite)


def test_grid_of_curves_is_refused_with_what_to_do(server: Server) -> None:
    answer = server.post("grid", PAIR)
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "code": "bad_option",
        "message": "Model: s2crnet-cs predicts curves, the same change everywhere; "
        "ask curves, or for the grid of another model.",
    }


def test_one_change_is_rendered(server: Server) -> None:
    for parts in (PAIR, {**PAIR, "grid": ("g", b"{}"), "curves": ("c", b"{}")}):
        answer = server.post("render", parts, {"strength": "1"})
        assert answer.json()["error"] == {
            "code": "bad_option",
            "message": "Expected curves, or a grid.",
        }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "imharmony-curves"}, "Grid: format: input should be"),
        ({"version": 2}, "Grid: version: input should be 1"),
        ({"curves": {}}, "Grid: curves: format: expected"),
        ({"corner": [0.5, 0]}, "Grid: corner: input should be a valid integer"),
        ({"corner": [0, 10**9]}, "Grid: corner: input should be less"),
        ({"cell": [3, 4]}, "Grid: cell: value error, expected a power of two"),
        ({"cell": [0, 4]}, "Grid: cell: input should be greater"),
        ({"nodes": [[]] * 2}, "Grid: nodes: list should have at least 2"),
        ({"nodes": [[[[0.0] * 12] * 3] * 65] * 2}, "Grid: nodes: list should have"),
        ({"nodes": [[[[1e9] * 12] * 3] * 2] * 2}, "Grid: nodes: input should be less"),
        (
            {"nodes": [[[[0.0] * 12] * 3] * n for n in (2, 3)]},
            "Grid: nodes: expected rows of one length",
        ),
        ({"nodes": [[[[float("nan")] * 12] * 3] * 2] * 2}, "Grid: nodes: "),
        (None, "Grid: invalid JSON"),
    ],
)
def test_wrong_grids_are_told_why(
    change: dict[str, Any] | None, said: str, server: Server
) -> None:
    identity = json.loads(encode(Record(Curves.identity()), "json"))
    grid = {
        "format": "imharmony-grid",
        "version": 1,
        "curves": identity,
        "corner": [0, 0],
        "cell": [64, 64],
        "nodes": [[[[0.0] * 12] * 3] * 2] * 2,
    }
    answer = render(server, b"{" if change is None else grid | change)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "bad_curves"
    assert answer.json()["error"]["message"].startswith(said)


def test_grids_far_away_and_of_large_numbers_are_rendered(server: Server) -> None:
    grid = grid_of(server)
    grid |= {"corner": [2**24, -(2**24)], "cell": [2**24, 1]}
    grid["nodes"] = [[[[100.0, -100.0] * 6] * 3] * 64] * 64
    assert render(server, grid).status_code == 200
    assert render(server, b" " * (2**22 + 1)).json()["error"]["code"] == "bad_curves"
