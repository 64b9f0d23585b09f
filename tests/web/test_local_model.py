"""The model that changes colors by place, over the HTTP API."""

import httpx
import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from imharmony.images import files
from imharmony.images.photo import to_array
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
    mask = files.read_mask(EXAMPLES / "mask.png", size=size)
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
