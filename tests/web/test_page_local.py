"""Changes by place in the page: what it shows and downloads is what Python gives."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import pyvips
from playwright.sync_api import Page, Request, Route, expect

from imharmony import Curves
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, mask_files, photo
from imharmony.rendering.bilateral_grid import NUM_KNOTS, BilateralGrid
from imharmony.rendering.render import render
from imharmony.rendering.transform import Chain, CurveTransform
from imharmony.results import Predicted
from imharmony.web.grids import write_grid
from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    MASK,
    H,
    Pixels,
    W,
    canvas,
    download,
    drag,
    drop,
    mask,
    place_cutout,
    set_field,
    set_range,
    settle,
    status,
    use_composite,
)
from tests.web.browser import choose as choose_file

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer("hdnet-lite")


def choose_by_place(page: Page) -> None:
    page.select_option("#model", label="Place by place")
    settle(page)


def trust_edge(page: Page) -> None:
    """Say that the object belongs to the photo: pastes are hardly changed by place."""
    page.select_option("#seam", label="This photo")
    settle(page)


def shown(page: Page) -> Pixels:
    return canvas(page, "after")[..., :3].astype(int)


def downloaded(page: Page) -> Pixels:
    data = files.read_photo(download(page), name="download")
    return photo.to_array(data).astype(int)


def difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def encode(values: Pixels) -> str:
    return base64.b64encode(values.tobytes()).decode()


# Bit for bit


def test_page_recolors_by_place_as_python(page: Page) -> None:
    rng = np.random.default_rng(0)
    height, width = 60, 90
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    weights = rng.integers(0, 256, (height, width), dtype=np.uint8)
    slopes = rng.gamma(0.7, size=(3, 12))
    nodes = rng.uniform(-0.3, 0.3, (4, 3, 3, NUM_KNOTS + 3))
    # It ends before the photo does; beyond, the change of its rim goes on.
    grid = BilateralGrid((7, 11), (16, 32), nodes.astype(np.float32))
    change = Chain(CurveTransform(Curves.from_params(slopes)), grid)
    document = json.loads(write_grid(Predicted(change), model="any"))
    for strength in (0.0, 0.3, 1.0, 1.8):
        expected = render(
            photo.from_array(pixels), photo.from_array(weights), change.blend(strength)
        )
        got: str = page.evaluate(
            """async ([data, weights, document, strength, width]) => {
              const grids = await import("/page/grids.js");
              const { fromRecord, blend, heights } = imharmony.curves;
              const code = (letter) => letter.charCodeAt(0);
              const bytes = (text) => Uint8Array.from(atob(text), code);
              const pixels = bytes(data);
              const look = fromRecord(document.curves).map((c) => blend(c, strength));
              const grid = grids.fromRecord(document);
              const change = { grid, heights: look.map(heights), strength };
              const area = { left: 0, top: 0, stepX: 1, stepY: 1, width };
              grids.recolor(pixels, bytes(weights), change, area);
              return btoa(String.fromCharCode(...pixels));
            }""",
            [
                *(encode(np.dstack([pixels, weights])), encode(weights)),
                *(document, strength, width),
            ],
        )
        made = np.frombuffer(base64.b64decode(got), np.uint8).reshape(height, width, 4)
        assert difference(made[..., :3], photo.to_array(expected)) <= 1
        np.testing.assert_array_equal(made[..., 3], weights)


def test_composite_is_changed_by_place(page: Page, harmonizer: Harmonizer) -> None:
    use_composite(page)
    trust_edge(page)
    alike = shown(page)
    choose_by_place(page)
    by_place = shown(page)
    outside = mask(page) == 0
    before = canvas(page, "before")[..., :3].astype(int)
    assert difference(by_place, alike) > 1
    np.testing.assert_array_equal(by_place[outside], before[outside])
    composite = files.read_photo(COMPOSITE)
    region = mask_files.read_mask(MASK, size=(H, W))
    predicted = harmonizer.predict(composite, region, seam="trust")
    for strength in (1.0, 0.35, 1.7):
        set_range(page, "#strength", 100 * strength)
        change = predicted.at_strength(strength).transform
        expected = render(composite, region, change)
        assert download(page) == files.encode_photo(expected, ".png")
        assert difference(shown(page), photo.to_array(expected)) <= 1
    set_range(page, "#strength", 0)
    np.testing.assert_array_equal(shown(page), before)


def test_what_curves_alone_have_is_gone_until_it_is_chosen_again(page: Page) -> None:
    use_composite(page)
    trust_edge(page)
    alike = shown(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    expect(page.locator("#model option")).to_have_text(
        ["The same all over", "Place by place"]
    )
    expect(page.locator("#by-hand")).to_be_visible()
    expect(page.locator("#curves-download")).to_be_visible()
    choose_by_place(page)
    by_place = shown(page)
    assert difference(by_place, alike) > 1
    assert status(page).startswith("Harmonized.")
    assert "by place" in page.inner_text("#objects .quiet")
    expect(page.locator("#by-hand")).to_be_hidden()
    expect(page.locator("#curves-download")).to_be_hidden()
    expect(page.locator("#model-about")).to_contain_text("there are none to adjust")
    page.click("#undo")
    settle(page)
    np.testing.assert_array_equal(shown(page), alike)
    page.click("#redo")
    settle(page)
    np.testing.assert_array_equal(shown(page), by_place)
    assert asked == ["grid"]  # what was there is kept
    page.select_option("#model", label="The same all over")
    settle(page)
    np.testing.assert_array_equal(shown(page), alike)
    expect(page.locator("#by-hand")).to_be_visible()
    expect(page.locator("#curves-download")).to_be_visible()


def test_16_bit_photo_keeps_its_depth(
    page: Page, tmp_path: Path, harmonizer: Harmonizer
) -> None:
    pixels = photo.to_array(files.read_photo(COMPOSITE)).astype(np.uint16) * 257
    path = tmp_path / "deep.tif"
    files.write_photo(photo.from_array(pixels), path)
    drop(page, path, MASK)
    settle(page)
    trust_edge(page)
    choose_by_place(page)
    image, region = files.read_photo(path), mask_files.read_mask(MASK, size=(H, W))
    predicted = harmonizer.predict(image, region, seam="trust")
    expected = render(image, region, predicted.transform)
    assert download(page) == files.encode_photo(expected, ".tif")


def test_large_photo_is_shown_sharp_when_zoomed_in(page: Page, tmp_path: Path) -> None:
    paths = tmp_path / "photo.png", tmp_path / "mask.png"
    for path, original in zip(paths, (COMPOSITE, MASK), strict=True):
        pyvips.Image.new_from_file(str(original)).resize(2.5).write_to_file(str(path))
    drop(page, *paths)
    settle(page)
    trust_edge(page)
    choose_by_place(page)
    page.click("#zoom-full")
    while not page.evaluate("Boolean(imharmony.view.detail)"):
        page.wait_for_timeout(50)
    box, encoded = page.evaluate(
        """() => {
          const { box, after } = imharmony.view.detail;
          const { data } = after.getContext("2d").getImageData(
            0, 0, after.width, after.height);
          let text = "";
          for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192));
          return [box, btoa(text)];
        }"""
    )
    sharp = np.frombuffer(base64.b64decode(encoded), np.uint8)
    sharp = sharp.reshape(box["height"], box["width"], 4)[..., :3]
    saved = downloaded(page)
    part = np.s_[box["top"] :, box["left"] :]
    assert difference(saved[part][: len(sharp), : sharp.shape[1]], sharp) <= 1
    small = canvas(page, "after")[..., :3].astype(int)
    rows, columns = (
        ((np.arange(small.shape[axis]) + 0.5) * saved.shape[axis] / small.shape[axis])
        for axis in (0, 1)
    )
    near = saved[rows.astype(int)][:, columns.astype(int)]
    assert np.abs(near - small).mean() < 3  # another filter for size


# At work


def test_cutout_is_fitted_again_where_it_is_let_go(
    page: Page, harmonizer: Harmonizer
) -> None:
    place_cutout(page)
    trust_edge(page)
    choose_by_place(page)
    page.click("#place summary")
    for field, value in (("size", 65), ("left", 38), ("top", 102)):
        set_field(page, field, value)
    settle(page)
    asked: list[str] = []

    def count(request: Request) -> None:
        if request.url.endswith("/grid"):
            asked.append(request.url)

    page.on("request", count)
    place = page.evaluate("({...imharmony.doc().objects[0].placement})")
    start = (place["x"], place["y"])
    drag(page, start, (start[0] + 60, start[1] + 30))
    settle(page)
    assert len(asked) == 1
    page.click("#undo")
    settle(page)
    assert len(asked) == 1
    page.select_option("#photo-format", "png")
    pasted = compositing.paste(
        files.read_photo(CUTOUT),
        files.read_photo(BACKGROUND),
        at=(38, 102),
        scale=compositing.parse_length("65%"),
    )
    predicted = harmonizer.predict(pasted.composite, pasted.mask, seam="trust")
    expected = render(pasted.composite, pasted.mask, predicted.transform)
    np.testing.assert_array_equal(downloaded(page), photo.to_array(expected))
    for field, value in (("rotation", 30), ("top", 60)):
        set_field(page, field, value)
    page.click("#flip")
    settle(page)
    assert np.abs(downloaded(page) - shown(page)).mean() < 1.5  # filters differ


def test_what_is_moved_and_not_fitted_again_takes_its_change_along(page: Page) -> None:
    place_cutout(page)
    trust_edge(page)
    choose_by_place(page)
    page.click("#more summary")
    page.click("#auto")
    here = page.evaluate("imharmony.doc().objects[0].grid.corner")
    page.focus("#canvas")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(f"Shift+{key}")
    assert status(page).startswith("Changed since it was harmonized.")
    posted: list[bytes] = []

    def keep(route: Route) -> None:
        posted.append(route.request.post_data_buffer or b"")
        route.continue_()

    page.route("**/api/v1/render", keep)
    page.select_option("#photo-format", "png")
    saved = downloaded(page)
    corner = json.dumps([here[0] + 10, here[1] + 20], separators=(",", ":"))
    assert f'"corner":{corner}'.encode() in posted[0]
    assert np.abs(saved - shown(page)).mean() < 1.5


def test_objects_lie_on_each_other_each_with_its_change(
    page: Page, harmonizer: Harmonizer
) -> None:
    region = photo.to_array(mask_files.read_mask(MASK, size=(H, W)))[..., 0]
    middle = int(np.median(np.nonzero(region)[1]))
    drop(page, COMPOSITE)
    settle(page)
    regions = []
    for index, inside in enumerate(
        (slice(None, middle + 20), slice(middle - 20, None))
    ):
        part = np.zeros_like(region)
        part[:, inside] = region[:, inside]
        regions.append(photo.from_array(part))
        set_mask(page, part, f"part{index}.png")
    trust_edge(page)  # of the second
    choose_by_place(page)
    set_range(page, "#strength", 60)
    composite = files.read_photo(COMPOSITE)
    alike = Harmonizer().predict(composite, regions[0]).transform
    second = harmonizer.predict(composite, regions[1], seam="trust")
    local = second.transform.blend(0.6)
    expected = render(composite, regions[0], alike)
    expected = render(expected, regions[1], local)
    assert difference(downloaded(page), photo.to_array(expected)) == 0
    assert difference(shown(page), photo.to_array(expected)) <= 1

    page.click("#objects .pick")
    trust_edge(page)
    choose_by_place(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    first = harmonizer.predict(composite, regions[0], seam="trust").transform
    expected = render(render(composite, regions[0], first), regions[1], local)
    assert difference(downloaded(page), photo.to_array(expected)) == 0
    assert asked.count("render") == 1


def set_mask(page: Page, pixels: Pixels, name: str) -> None:
    data = files.encode_photo(photo.from_array(pixels), ".png")
    page.set_input_files(
        "#file-mask", {"name": name, "mimeType": "image/png", "buffer": data}
    )
    settle(page)


def test_painted_mask_is_fitted_again_on_release(
    page: Page, harmonizer: Harmonizer
) -> None:
    use_composite(page)
    trust_edge(page)
    choose_by_place(page)
    page.keyboard.press("b")
    set_range(page, "#brush-size", 60)
    drag(page, (420, 300), (460, 340))
    settle(page)
    composite = files.read_photo(COMPOSITE)
    region = photo.from_array(mask(page).copy())
    predicted = harmonizer.predict(composite, region, seam="trust")
    expected = render(composite, region, predicted.transform)
    np.testing.assert_array_equal(downloaded(page), photo.to_array(expected))
    assert difference(shown(page), photo.to_array(expected)) <= 1


def test_edge_is_judged_and_its_judgement_overruled(page: Page) -> None:
    use_composite(page)
    choose_by_place(page)
    before = shown(page)
    expect(page.locator("#seam.guess")).to_be_visible()
    page.select_option("#seam", label="This photo")
    settle(page)
    assert difference(shown(page), before) > 1
    page.select_option("#label", "food")
    settle(page)
    assert page.inner_text("#objects .quiet").startswith("Food")


def test_another_photo_to_fit_to_is_refused_in_words(page: Page) -> None:
    use_composite(page)
    page.click("#more summary")
    choose_file(page, "reference", BACKGROUND)
    settle(page)
    choose_by_place(page)
    expect(page.locator("#error")).to_contain_text(
        "“Place by place” fits an object to the photo it lies on, not to another."
    )
    page.select_option("#model", label="The same all over")
    settle(page)
    expect(page.locator("#error")).to_be_hidden()
    assert status(page).startswith("Harmonized.")
