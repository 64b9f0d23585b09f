"""The page at work: what it shows and downloads is what Python gives."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Request, Route, expect

from imharmony import Curves, curve_files
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, mask_files, photo
from imharmony.rendering.render import render
from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    MASK,
    H,
    W,
    canvas,
    download,
    drag,
    drop,
    mask,
    on_screen,
    place_cutout,
    set_field,
    set_range,
    settle,
    shown,
    use_composite,
)
from tests.web.browser import choose as choose_file

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer()


def load_pair() -> tuple[object, object]:
    return files.read_photo(COMPOSITE), mask_files.read_mask(MASK, size=(H, W))


def paste_cutout(left: int, top: int, percent: str) -> compositing.Pasted:
    return compositing.paste(
        files.read_photo(CUTOUT),
        files.read_photo(BACKGROUND),
        at=(left, top),
        scale=compositing.parse_length(percent),
    )


# Bit for bit


def test_cutout_downloads_the_file_of_the_python_api(
    page: Page, harmonizer: Harmonizer
) -> None:
    place_cutout(page)
    page.click("#place summary")
    for field, value in (("size", 65), ("left", 38), ("top", 102)):
        set_field(page, field, value)
    settle(page)
    pasted = paste_cutout(38, 102, "65%")
    curves = harmonizer.predict(pasted.composite, pasted.mask).curves
    rendered = render(pasted.composite, pasted.mask, curves)
    assert download(page) == files.encode_photo(rendered, ".jpg")


def test_composite_downloads_the_file_of_the_python_api(
    page: Page, harmonizer: Harmonizer
) -> None:
    use_composite(page)
    image, mask = load_pair()
    for strength in (1.0, 0.35, 1.7):
        set_range(page, "#strength", 100 * strength)
        curves = harmonizer.predict(image, mask, strength=strength).curves
        rendered = render(image, mask, curves)
        expected = photo.to_array(rendered)
        np.testing.assert_array_equal(canvas(page, "after")[..., :3], expected)
        assert download(page) == files.encode_photo(rendered, ".png")


def test_tables_of_the_page_are_those_of_python(page: Page) -> None:
    rng = np.random.default_rng(0)
    for number in range(30):
        slopes = rng.gamma(0.7, size=(3, int(rng.integers(2, 70))))
        if number % 3 == 0:
            slopes[:, 0] *= -0.3  # turns back
        curves = Curves.from_params(slopes)
        strength = float(rng.choice([0.0, 0.3, 1.0, 1.4, 2.0]))
        record = json.loads(curve_files.encode(curve_files.Record(curves), "json"))
        tables = page.evaluate(
            """([record, strength]) => {
              const { fromRecord, blend, table } = imharmony.curves;
              return fromRecord(record).map((c) => [...table(blend(c, strength))]);
            }""",
            [record, strength],
        )
        expected = curves.blend(strength).table(np.uint8)
        np.testing.assert_array_equal(np.array(tables), expected)


def test_16_bit_tiff_is_shown_and_comes_back_whole(
    page: Page, tmp_path: Path, harmonizer: Harmonizer
) -> None:
    rng = np.random.default_rng(0)
    composite = rng.integers(0, 65536, (60, 80, 3), dtype=np.uint16)
    mask = np.zeros((60, 80), np.uint8)
    mask[20:50, 10:40] = 255
    composite[20:50, 10:40] //= 6  # far too dark, so that something changes
    paths = tmp_path / "deep.tif", tmp_path / "mask.png"
    files.write_photo(photo.from_array(composite), paths[0])
    files.write_photo(photo.from_array(mask), paths[1])
    drop(page, *paths)
    settle(page)
    expected = harmonizer(composite, mask).image
    result = photo.to_array(files.read_photo(download(page)))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, expected)


def test_painted_mask_is_used(page: Page, harmonizer: Harmonizer) -> None:
    drop(page, COMPOSITE)
    page.get_by_role("button", name="Paint it").click()
    assert page.locator("#harmonize").is_disabled()
    drag(page, (100, 60), (260, 60))  # in the sky: any weights would change that
    settle(page)
    composite = photo.to_array(files.read_photo(COMPOSITE))
    expected = harmonizer(composite, mask(page)).image
    result = photo.to_array(files.read_photo(download(page)))
    np.testing.assert_array_equal(result, expected)


def test_several_objects_each_with_its_own_look(
    page: Page, harmonizer: Harmonizer
) -> None:
    place_cutout(page)
    page.click("#place summary")
    for field, value in (("size", 40), ("left", 20), ("top", 200)):
        set_field(page, field, value)
    choose_file(page, "cutout", CUTOUT)
    settle(page)
    for field, value in (("size", 40), ("left", 400), ("top", 200)):
        set_field(page, field, value)
    settle(page)
    set_range(page, "#strength", 50)
    assert "50 %" in page.locator("#objects .quiet").last.inner_text()
    assert "100 %" in page.locator("#objects .quiet").first.inner_text()

    picture = files.read_photo(BACKGROUND)
    for left, strength in ((20, 1.0), (400, 0.5)):
        pasted = paste_cutout(left, 200, "40%")
        curves = harmonizer.predict(pasted.composite, pasted.mask).curves
        pasted = compositing.paste(
            files.read_photo(CUTOUT),
            picture,
            at=(left, 200),
            scale=compositing.parse_length("40%"),
        )
        picture = render(pasted.composite, pasted.mask, curves.blend(strength))
    page.select_option("#photo-format", "png")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    result = photo.to_array(files.read_photo(download(page)))
    assert asked.count("render") == 1
    np.testing.assert_array_equal(result, photo.to_array(picture))
    shown = canvas(page, "after")[..., :3].astype(int)
    assert np.abs(result.astype(int) - shown).mean() < 1.5  # another filter for size

    page.mouse.click(*on_screen(page, 100, 330))  # the first, by its pixels
    assert page.input_value("#strength") == "100"


def test_turned_cutout_is_shown_where_the_server_puts_it(page: Page) -> None:
    place_cutout(page)
    page.click("#place summary")
    set_field(page, "rotation", 30)
    page.click("#flip")
    settle(page)
    set_range(page, "#strength", 0)
    page.select_option("#photo-format", "png")
    result = photo.to_array(files.read_photo(download(page))).astype(int)
    before = canvas(page, "before")[..., :3].astype(int)
    # Different filters, but of the same place: means agree, edges nearly.
    assert np.abs(result - before).mean() < 1.5


def test_same_scene_is_told_and_can_be_decided(page: Page) -> None:
    asked: list[bytes] = []
    answers: list[tuple[bytes, dict[str, str]]] = []

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_buffer or b"")
        if not answers:
            response = route.fetch()
            told = {"Imharmony-Same-Scene": "0.9312"}
            answers.append((response.body(), response.headers | told))
        body, headers = answers[0]
        route.fulfill(body=body, headers=headers)

    page.route("**/api/v1/curves", answer)
    use_composite(page)
    seam = page.locator("#seam")
    expect(seam.locator("option").first).to_have_text("This photo?")  # a guess
    expect(seam).to_have_class("guess")
    expect(seam).to_have_attribute("title", re.compile("93 % sure"))
    assert b'name="seam"' not in asked[0]
    page.select_option("#seam", label="Another photo")
    settle(page)
    expect(seam).not_to_have_class("guess")
    assert b'name="seam"\r\n\r\nignore' in asked[1]


# At once


def test_object_is_fitted_again_when_it_is_let_go(page: Page) -> None:
    place_cutout(page)
    asked: list[str] = []

    def count(request: Request) -> None:
        if request.url.endswith("/curves"):
            asked.append(request.url)

    page.on("request", count)
    before = page.evaluate("({...imharmony.doc().objects[0].placement})")
    page.mouse.move(*on_screen(page, before["x"], before["y"]))
    page.mouse.down()
    page.mouse.move(*on_screen(page, before["x"] + 60, before["y"] + 30), steps=4)
    page.wait_for_timeout(400)
    assert asked == []
    page.mouse.up()
    settle(page)
    assert len(asked) == 1
    moved = page.evaluate("({...imharmony.doc().objects[0].placement})")
    assert moved["x"] == pytest.approx(before["x"] + 60, abs=0.01)
    page.keyboard.press("Control+z")
    settle(page)
    assert page.evaluate("imharmony.doc().objects[0].placement") == before
    assert len(asked) == 1  # its look was kept, too


def test_handles_scale_and_turn_after_harmonizing(page: Page) -> None:
    place_cutout(page)
    get = "({...imharmony.doc().objects[0].placement})"
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    before = page.evaluate(get)
    for handle, name in (("corners[0]", "scale"), ("knob", "rotation")):
        x, y = page.evaluate(f"imharmony.view.handles().{handle}")
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        page.mouse.move(box["x"] + x - 50, box["y"] + y + 10, steps=3)
        page.mouse.up()
        assert page.evaluate(get)[name] != before[name]
    settle(page)
    page.click("#undo")
    page.click("#undo")
    assert page.evaluate(get) == before
    page.click("#redo")
    assert page.evaluate(get)["scale"] != before["scale"]


def test_handles_are_within_reach(page: Page) -> None:
    place_cutout(page)
    page.click("#place summary")
    for field, value in (("size", 60), ("top", -40)):
        set_field(page, field, value)
    settle(page)
    get = "({...imharmony.doc().objects[0].placement})"
    canvas = page.locator("#canvas").bounding_box()
    assert canvas is not None
    x, y = page.evaluate("imharmony.view.handles().knob")
    assert 0 < y < canvas["height"]
    page.mouse.move(canvas["x"] + x, canvas["y"] + y)
    page.mouse.down()
    page.mouse.move(canvas["x"] + x - 60, canvas["y"] + y - 60, steps=3)
    page.mouse.up()
    assert page.evaluate(get)["rotation"] != 0
    for field, value in (("rotation", 0), ("size", 2)):
        set_field(page, field, value)
    before = page.evaluate(get)
    drag(page, (before["x"], before["y"]), (before["x"] + 50, before["y"] + 50))
    after = page.evaluate(get)
    assert after["x"] == pytest.approx(before["x"] + 50, abs=1)
    assert after["scale"] == before["scale"]  # a small one is moved, not scaled


# Before and after


def test_line_between_before_and_after(page: Page) -> None:
    use_composite(page)
    page.click("#zoom-full")
    x, y = 200, 330  # the suit
    before, after = (canvas(page, name)[y, x, :3] for name in ("before", "after"))
    assert np.abs(before.astype(int) - after.astype(int)).max() > 10
    page.keyboard.press("h")  # no outline
    set_range(page, "#compare", 0)
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), after, atol=2)
    set_range(page, "#compare", 100)
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), before, atol=2)
    expect(page.locator("#tag-before")).to_be_visible()
    expect(page.locator("#tag-after")).to_be_hidden()  # nothing of it is to be seen
    page.keyboard.down("c")
    page.keyboard.up("c")
    page.click("#split")
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), after, atol=2)
    page.keyboard.down("c")  # held
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), before, atol=2)
    page.keyboard.up("c")
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), after, atol=2)


def test_thumb_lies_on_the_line_and_is_dragged(page: Page) -> None:
    use_composite(page)
    set_range(page, "#compare", 50)
    box = page.locator("#compare").bounding_box()
    view = page.locator("#canvas").bounding_box()
    assert box is not None
    assert view is not None
    x, y = view["x"] + view["width"] / 2, box["y"] + box["height"] / 2
    assert page.evaluate("imharmony.view.divider") == view["width"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 200, y, steps=4)
    page.mouse.up()
    line = page.evaluate("imharmony.view.divider")
    assert line == pytest.approx(view["width"] / 2 - 200, abs=3)
    before = mask(page)
    page.keyboard.press("b")
    expect(page.locator("#compare")).to_be_hidden()  # never in the brush's way
    page.mouse.click(view["x"] + line, view["y"] + 100)
    assert (mask(page) != before).any()


def test_wheel_and_buttons_zoom(page: Page) -> None:
    use_composite(page)
    page.click("#zoom-full")
    assert page.evaluate("imharmony.view.scale") == 1
    assert page.inner_text("#zoom-full") == "100 %"
    page.hover("#canvas")
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(100)
    assert page.evaluate("imharmony.view.scale") > 1.2
    page.click("#zoom-fit")
    scales = page.evaluate("[imharmony.view.scale, imharmony.view.fitScale]")
    assert scales[0] == pytest.approx(scales[1])


def test_large_photo_is_sharp_when_zoomed_in(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1600, 2000, 3), dtype=np.uint8)
    path = tmp_path / "large.png"
    files.write_photo(photo.from_array(pixels), path)
    drop(page, path)
    settle(page)
    page.click("#zoom-full")
    page.wait_for_timeout(600)
    page.evaluate("imharmony.view.pan(0.5 - imharmony.view.x % 1, 0)")
    page.evaluate("imharmony.view.x = Math.round(imharmony.view.x)")
    page.evaluate("imharmony.view.y = Math.round(imharmony.view.y)")
    page.wait_for_timeout(600)
    np.testing.assert_allclose(shown(page, 1000, 800), pixels[800, 1000], atol=2)
