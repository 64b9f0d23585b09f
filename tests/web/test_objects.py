"""Several objects in one request are what they are one after the other."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, photo
from imharmony.rendering.render import render
from imharmony.web.objects import MAX_OBJECTS
from tests.web.servers import EXAMPLES, Server
from tests.web.test_api import error_of, picture, pixels

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
CUTOUT, BACKGROUND = EXAMPLES / "astronaut.png", EXAMPLES / "launchpad.jpg"
DOCS = (Path(__file__).parents[2] / "docs" / "web.md").read_text()


def masks() -> list[npt.NDArray[Any]]:
    """Two objects of the example, which overlap."""
    whole = photo.to_array(files.read_photo(MASK))[..., 0]
    left, right = whole.copy(), whole.copy()
    columns = np.nonzero(whole)[1]
    middle = int(np.median(columns))
    left[:, middle + 20 :] = 0
    right[:, : middle - 20] = 0
    return [left, right]


def parts() -> list[tuple[str, tuple[str, bytes]]]:
    """Parts of a request: the composite, and a mask for each object."""
    sent = [("composite", ("c.png", COMPOSITE.read_bytes()))]
    return sent + [("mask", ("m.png", picture(mask))) for mask in masks()]


def test_masks_are_fitted_alone_and_rendered_in_turn(server: Server) -> None:
    options = {"label": ["food", "person"], "strength": ["0.5", "1.5"], "seam": "trust"}
    answer = server.post("harmonize", parts(), options)
    composite = files.read_photo(COMPOSITE)
    harmonizer = Harmonizer()
    result, judged = composite, []
    for mask, label, strength in zip(
        masks(), ("food", "person"), (0.5, 1.5), strict=True
    ):
        region = photo.from_array(mask)
        predicted = harmonizer.predict(
            composite, region, label=label, strength=strength, seam="trust"
        )
        result = render(result, region, predicted.curves)
        judged.append(f"{predicted.same_scene:.4f}")
    np.testing.assert_array_equal(pixels(answer.content), photo.to_array(result))
    assert answer.headers["imharmony-label"] == "food, person"
    assert answer.headers["imharmony-same-scene"].split(", ") == judged
    assert len(answer.headers["imharmony-seam-pairs"].split(", ")) == 2


def test_one_option_counts_for_all(server: Server) -> None:
    once = server.post("harmonize", parts(), {"label": "food"})
    twice = server.post("harmonize", parts(), {"label": ["food", "food"]})
    assert once.content == twice.content
    assert once.headers["imharmony-label"] == "food, food"


def test_cutouts_lie_on_each_other(server: Server) -> None:
    cutout = ("a.png", CUTOUT.read_bytes())
    sent = [("background", ("b.jpg", BACKGROUND.read_bytes()))]
    sent += [("cutout", cutout), ("cutout", cutout)]
    places = {"at": ["6%,24%", "20%,30%"], "scale": ["65%", "40%"], "format": "png"}
    answer = server.post("harmonize", sent, places)
    background, harmonizer = files.read_photo(BACKGROUND), Harmonizer()
    result = background
    for at, scale in zip(places["at"], places["scale"], strict=True):
        how: Any = {
            "at": compositing.parse_point(at),
            "scale": compositing.parse_length(scale),
        }
        alone = compositing.paste(files.read_photo(CUTOUT), background, **how)
        predicted = harmonizer.predict(alone.composite, alone.mask)
        laid = compositing.paste(files.read_photo(CUTOUT), result, **how)
        result = render(laid.composite, laid.mask, predicted.curves)
    np.testing.assert_array_equal(pixels(answer.content), photo.to_array(result))


def test_curves_of_each_are_rendered(server: Server) -> None:
    composite, *regions = parts()
    looks = [
        server.post("curves", [composite, region], {"label": label}).content
        for region, label in zip(regions, ("food", "person"), strict=True)
    ]
    sent = [*parts(), *(("curves", ("c.json", look)) for look in looks)]
    rendered = server.post("render", sent, {"strength": ["0.5", "1"]})
    options = {"label": ["food", "person"], "strength": ["0.5", "1"]}
    assert rendered.content == server.post("harmonize", parts(), options).content


@pytest.mark.parametrize(
    ("extra", "data", "said"),
    [
        ([], {"label": ["food"] * 3}, "Label: expected one, or 2, one for each"),
        ([("mask", ("m", b"x"))] * MAX_OBJECTS, {}, "Mask: expected at most 16"),
        ([("background", ("b", b"x")), ("cutout", ("c", b"x"))], {}, "Expected "),
        ([], {"strength": ["1", "11"]}, "Strength: input should be less than"),
    ],
)
def test_what_does_not_fit_is_refused(
    extra: list[Any], data: Any, said: str, server: Server
) -> None:
    response = server.post("harmonize", [*parts(), *extra], data)
    assert error_of(response) == (422, "bad_option")
    assert response.json()["error"]["message"].startswith(said)
    assert server.leftovers() == []


def test_curves_are_asked_for_one_object(server: Server) -> None:
    response = server.post("curves", parts())
    assert error_of(response) == (422, "bad_option")
    assert "once" in response.json()["error"]["message"]


def test_description_says_what_may_come_several_times(server: Server) -> None:
    described = httpx.get(f"{server.address}api/v1/openapi.json").json()
    body = described["paths"]["/api/v1/harmonize"]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]["properties"]
    assert schema["mask"]["type"] == schema["strength"]["type"] == "array"
    assert schema["strength"]["items"]["maximum"] == 10
    assert schema["composite"]["format"] == "binary"
    docs = httpx.get(f"{server.address}docs").text
    assert "one for all objects, or for each" in docs


@pytest.mark.curl
def test_curl_harmonizes_two_objects(server: Server, tmp_path: Path) -> None:
    (command,) = re.findall(r"\$ (curl [^$]*?two\.jpg)\n", DOCS)
    here = command.replace("http://127.0.0.1:8000/", server.address)
    run = f"{here} --dump-header head.txt".replace("examples/", f"{EXAMPLES}/")
    subprocess.run(run, shell=True, check=True, cwd=tmp_path, timeout=120)
    assert files.read_photo(tmp_path / "two.jpg").width == 640
    head = dict(
        line.partition(": ")[::2]
        for line in (tmp_path / "head.txt").read_text().lower().splitlines()
    )
    assert len(head["imharmony-label"].split(", ")) == 2
    assert isinstance(json.loads(head["imharmony-warnings"]), list)
