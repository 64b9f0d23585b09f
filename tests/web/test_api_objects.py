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
from imharmony.rendering.objects import render_objects
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


def test_masks_are_harmonized_as_in_python(server: Server) -> None:
    answer = server.post("harmonize", parts(), {"label": ["food", "person"]})
    expected = Harmonizer().harmonize_objects(
        pixels(COMPOSITE.read_bytes()), masks(), labels=["food", "person"]
    )
    np.testing.assert_array_equal(pixels(answer.content), expected.image)
    assert answer.headers["imharmony-label"] == "food, person"
    judged = [f"{one.same_scene:.4f}" for one in expected.objects]
    assert answer.headers["imharmony-same-scene"].split(", ") == judged
    pairs = [str(one.seam_pairs) for one in expected.objects]
    assert answer.headers["imharmony-seam-pairs"].split(", ") == pairs


def test_each_mask_has_its_strength_and_seam(server: Server) -> None:
    options = {"strength": ["0.5", "1.5"], "seam": ["trust", "ignore"]}
    answer = server.post("harmonize", parts(), options)
    composite, harmonizer = files.read_photo(COMPOSITE), Harmonizer()
    regions = [photo.from_array(mask) for mask in masks()]
    left, _ = harmonizer.predict_objects(composite, regions, seam="trust")
    _, right = harmonizer.predict_objects(composite, regions, seam="ignore")
    changes = [left.at_strength(0.5).transform, right.at_strength(1.5).transform]
    result = render_objects(composite, list(zip(regions, changes, strict=True)))
    np.testing.assert_array_equal(pixels(answer.content), photo.to_array(result))


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


def test_curves_of_each_are_rendered_in_turn(server: Server) -> None:
    composite, *regions = parts()
    looks = [
        server.post("curves", [composite, region], {"label": label}).content
        for region, label in zip(regions, ("food", "person"), strict=True)
    ]
    sent = [*parts(), *(("curves", ("c.json", look)) for look in looks)]
    at_once = server.post("render", sent, {"strength": ["0.5", "1"]}).content
    data = COMPOSITE.read_bytes()
    for region, look, strength in zip(regions, looks, ("0.5", "1"), strict=True):
        layer = [("composite", ("c", data)), region, ("curves", ("c", look))]
        data = server.post("render", layer, {"strength": strength}).content
    np.testing.assert_array_equal(pixels(at_once), pixels(data))


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
