"""The page in a real browser: Debian's chromium, driven by Playwright."""

import base64
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from imharmony import Curves, curve_files
from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, photo
from imharmony.rendering.render import render
from tests.web.servers import EXAMPLES, Server, Start

pytestmark = pytest.mark.browser

COMPOSITE, MASK = EXAMPLES / "composite.png", EXAMPLES / "mask.png"
CUTOUT, BACKGROUND = EXAMPLES / "astronaut.png", EXAMPLES / "launchpad.jpg"
H, W = 427, 640
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
DESK: Any = {"width": 1280, "height": 800}
PHONE: Any = {"width": 390, "height": 844}

Pixels = npt.NDArray[Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS
        )
        yield browser
        browser.close()


def open_page(browser: Browser, server: Server, **options: Any) -> Page:
    context = browser.new_context(**{"viewport": DESK, **options})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(server.address)
    expect(page.locator("#model option")).to_have_count(1)
    return page


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page as it opens; at its end it must have made no error."""
    page = open_page(browser, server)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    yield page
    page.context.close()
    assert [text for text in errors if "status of 4" not in text] == []


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer()


def choose(page: Page, **paths: Path) -> None:
    for name, path in paths.items():
        page.set_input_files(f"#file-{name}", path)
        expect(page.locator(f"#name-{name}")).to_contain_text(path.name)
        expect(page.locator("#progress")).to_be_hidden()


def place_cutout(page: Page) -> None:
    choose(page, background=BACKGROUND, cutout=CUTOUT)


def use_composite(page: Page) -> None:
    page.get_by_text("Composite and mask", exact=True).click()
    choose(page, composite=COMPOSITE, mask=MASK)


def harmonize(page: Page) -> None:
    page.click("#harmonize")
    expect(page.locator("#status")).to_contain_text("Harmonized")


def download(page: Page, button: str = "#download") -> bytes:
    with page.expect_download() as waiting:
        page.click(button)
    return Path(waiting.value.path()).read_bytes()


def canvas(page: Page, name: str) -> Pixels:
    """Pixels of one of the page's working canvases."""
    values = page.evaluate(
        """(name) => {
          const canvas = imharmony.stage[name];
          const { data } = canvas.getContext("2d").getImageData(
            0, 0, canvas.width, canvas.height);
          let text = "";
          for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192));
          return [canvas.height, canvas.width, btoa(text)];
        }""",
        name,
    )
    height, width, encoded = values
    data = np.frombuffer(base64.b64decode(encoded), np.uint8)
    return data.reshape(height, width, 4)


def set_range(page: Page, selector: str, value: float) -> None:
    page.eval_on_selector(
        selector,
        """(slider, value) => {
          slider.value = value;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
          slider.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        value,
    )


def load_pair() -> tuple[Any, Any]:
    image = files.read_photo(COMPOSITE)
    return image, files.read_mask(MASK, size=(H, W))


# Both ways of working, with real photographs


def test_cutout_way_downloads_the_file_of_the_python_api(
    page: Page, harmonizer: Harmonizer
) -> None:
    place_cutout(page)
    for field, value in (("size", 65), ("left", 38), ("top", 102)):
        page.fill(f"#{field}", str(value))
        page.press(f"#{field}", "Enter")
    harmonize(page)

    pasted = compositing.paste(
        files.read_photo(CUTOUT),
        files.read_photo(BACKGROUND),
        at=(38, 102),
        scale=compositing.parse_length("65%"),
    )
    curves = harmonizer.predict(pasted.composite, pasted.mask).curves
    rendered = render(pasted.composite, pasted.mask, curves)
    assert download(page) == files.encode_photo(rendered, ".jpg")


def test_composite_way_downloads_the_file_of_the_python_api(
    page: Page, harmonizer: Harmonizer
) -> None:
    use_composite(page)
    harmonize(page)
    image, mask = load_pair()
    rendered = render(image, mask, harmonizer.predict(image, mask).curves)
    assert download(page) == files.encode_photo(rendered, ".png")


@pytest.mark.parametrize("strength", [0.35, 1.0, 1.7])
def test_what_is_shown_is_what_the_python_api_gives(
    strength: float, page: Page, harmonizer: Harmonizer
) -> None:
    use_composite(page)
    harmonize(page)
    set_range(page, "#strength", strength)
    image, mask = load_pair()
    curves = harmonizer.predict(image, mask, strength=strength).curves
    expected = photo.to_array(render(image, mask, curves))
    np.testing.assert_array_equal(canvas(page, "after")[..., :3], expected)
    np.testing.assert_array_equal(
        photo.to_array(files.read_photo(download(page))), expected
    )


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
    paths = {"composite": tmp_path / "deep.tif", "mask": tmp_path / "mask.png"}
    files.write_photo(photo.from_array(composite), paths["composite"])
    files.write_photo(photo.from_array(mask), paths["mask"])
    page.get_by_text("Composite and mask", exact=True).click()
    choose(page, **paths)
    harmonize(page)
    expected = harmonizer(composite, mask).image
    result = photo.to_array(files.read_photo(download(page)))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, expected)


# Tools


def shown(page: Page, x: float, y: float) -> list[int]:
    """Color on the screen of a point of the picture."""
    color: list[int] = page.evaluate(
        """async ([x, y]) => {
          await new Promise((done) => setTimeout(done, 100));
          const { canvas, view } = imharmony.stage;
          const at = [x * view.scale + view.x, y * view.scale + view.y];
          const { data } = canvas.getContext("2d").getImageData(...at, 1, 1);
          return [...data.slice(0, 3)];
        }""",
        [x, y],
    )
    return color


def test_slider_shows_before_and_after(page: Page) -> None:
    use_composite(page)
    harmonize(page)
    page.click("#zoom-full")
    x, y = 200, 330  # the suit
    before, after = (canvas(page, name)[y, x, :3] for name in ("before", "after"))
    assert np.abs(before.astype(int) - after.astype(int)).max() > 10
    set_range(page, "#compare", 0)
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), after, atol=2)
    set_range(page, "#compare", 100)
    np.testing.assert_allclose(shown(page, x + 0.5, y + 0.5), before, atol=2)


def test_divider_is_dragged_on_the_picture(page: Page) -> None:
    use_composite(page)
    harmonize(page)
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 200, middle[1], steps=4)
    page.mouse.up()
    assert float(page.input_value("#compare")) < 35
    assert (canvas(page, "mask")[..., 3] == 255).sum() == (
        files.read_mask(MASK, size=(H, W)).numpy() == 255
    ).sum()  # nothing was painted


def stroke(page: Page, *, x: int = 500, y: int = 200) -> None:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + x + 150, box["y"] + y, steps=5)
    page.mouse.up()


@pytest.mark.parametrize("how", ["button", "keys"])
def test_stroke_is_undone(how: str, page: Page) -> None:
    use_composite(page)
    before = canvas(page, "mask")
    stroke(page)
    assert (canvas(page, "mask") != before).any()
    if how == "button":
        page.click("#undo")
    else:
        page.keyboard.press("Control+z")
    np.testing.assert_array_equal(canvas(page, "mask"), before)
    assert page.locator("#undo").is_disabled()


def test_eraser_wipes(page: Page) -> None:
    use_composite(page)
    page.get_by_text("Eraser").click()
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 250, box["y"] + 480)
    assert (
        (canvas(page, "mask")[..., 3]).sum()
        < photo.to_array(files.read_mask(MASK, size=(H, W))).sum()
    )


def test_painted_mask_is_used(page: Page, harmonizer: Harmonizer) -> None:
    page.get_by_text("Composite and mask", exact=True).click()
    choose(page, composite=COMPOSITE)
    assert page.locator("#harmonize").is_disabled()
    stroke(page, x=250, y=130)  # in the sky: any weights would change that
    mask = canvas(page, "mask")[..., 3]
    harmonize(page)
    composite = photo.to_array(files.read_photo(COMPOSITE))
    expected = harmonizer(composite, mask).image
    result = photo.to_array(files.read_photo(download(page)))
    np.testing.assert_array_equal(result, expected)


def test_cutout_is_moved_scaled_and_turned_by_hand(page: Page) -> None:
    place_cutout(page)
    get = "({...imharmony.state.placement})"
    before = page.evaluate(get)
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 30, steps=3)
    page.mouse.up()
    scale = page.evaluate("imharmony.stage.view.scale")
    moved = page.evaluate(get)
    assert moved["x"] - before["x"] == pytest.approx(60 / scale, abs=0.01)
    corner = page.evaluate(
        """() => { const { outline: o, view: v } = imharmony.stage;
        return [o.left * v.scale + v.x, o.top * v.scale + v.y]; }"""
    )
    page.mouse.move(box["x"] + corner[0], box["y"] + corner[1])
    page.mouse.down()
    page.mouse.move(box["x"] + corner[0] - 40, box["y"] + corner[1] + 20, steps=3)
    page.mouse.up()
    turned = page.evaluate(get)
    assert turned["rotation"] < -5
    assert turned["scale"] != before["scale"]
    page.click("#undo")
    page.click("#undo")
    assert page.evaluate(get) == before


def test_page_places_a_turned_cutout_where_the_server_does(page: Page) -> None:
    place_cutout(page)
    page.fill("#rotation", "30")
    page.press("#rotation", "Enter")
    page.click("#flip")
    page.select_option("#label", "person")
    harmonize(page)
    set_range(page, "#strength", 0)
    page.select_option("#photo-format", "png")
    result = photo.to_array(files.read_photo(download(page))).astype(int)
    shown = canvas(page, "before")[..., :3].astype(int)
    # Different filters, but of the same place: means agree, edges nearly.
    assert np.abs(result - shown).mean() < 1.5


def test_wheel_and_buttons_zoom(page: Page) -> None:
    use_composite(page)
    page.click("#zoom-full")
    assert page.evaluate("imharmony.stage.view.scale") == 1
    page.hover("#canvas")
    page.mouse.wheel(0, -200)
    page.wait_for_function("imharmony.stage.view.scale > 1.2")
    page.click("#zoom-fit")
    assert page.evaluate("imharmony.stage.view.scale") == pytest.approx(
        page.evaluate("imharmony.stage.fitScale")
    )


# Curves


def drag_middle(page: Page) -> None:
    handle = page.locator("#plot .handle").nth(4)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 40, steps=4)
    page.mouse.up()


def test_dragged_curve_shows_at_once_and_is_downloaded(page: Page) -> None:
    use_composite(page)
    harmonize(page)
    predicted = canvas(page, "after")
    page.get_by_text("Green", exact=True).click()
    drag_middle(page)
    edited = canvas(page, "after")
    np.testing.assert_array_equal(edited[..., [0, 2]], predicted[..., [0, 2]])
    assert (edited[..., 1] > predicted[..., 1]).any()

    record = curve_files.read_record(download(page, "#download-curves"), name="c.json")
    image, mask = load_pair()
    expected = photo.to_array(render(image, mask, record.curves))
    np.testing.assert_array_equal(edited[..., :3], expected)
    np.testing.assert_array_equal(
        photo.to_array(files.read_photo(download(page))), expected
    )

    page.click("#undo")
    np.testing.assert_array_equal(canvas(page, "after"), predicted)


@pytest.mark.parametrize(
    ("choice", "start"),
    [
        ("cube", b"#"),
        ("cube 33", b"#"),
        ("acv", b"\0"),
        ("hald", b"\x89PNG"),
        ("json", b"{"),
    ],
)
def test_curves_download_in_every_format(choice: str, start: bytes, page: Page) -> None:
    use_composite(page)
    harmonize(page)
    page.select_option("#curves-format", choice)
    data = download(page, "#download-curves")
    assert data.startswith(start)
    curve_files.read_record(data, name="downloaded.cube")


# Keyboard, phone, accessibility


def tab_to(page: Page, selector: str) -> None:
    for _ in range(80):
        if page.evaluate("(s) => document.activeElement?.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


def test_everything_works_with_the_keyboard(page: Page) -> None:
    place_cutout(page)  # a file dialog is the browser's own
    tab_to(page, "#file-background")
    tab_to(page, "#file-cutout")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "#canvas")
    left = int(page.input_value("#left"))
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("f")
    page.keyboard.press("]")
    page.keyboard.press("Control+z")
    assert int(page.input_value("#left")) == left - 11
    assert page.evaluate("imharmony.state.placement.flip") is True
    assert page.input_value("#rotation") == "0"
    tab_to(page, "#harmonize")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Harmonized")
    tab_to(page, "#strength")
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#strength") == "0.99"
    tab_to(page, "#plot .handle:nth-of-type(5)")
    before = page.evaluate("document.activeElement.getAttribute('aria-valuenow')")
    page.keyboard.press("PageUp")
    after = page.evaluate("document.activeElement.getAttribute('aria-valuenow')")
    assert int(after) == int(before) + 10
    tab_to(page, "#download")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "launchpad-harmonized.jpg"


def test_mask_is_painted_with_the_keyboard(page: Page) -> None:
    page.get_by_text("Composite and mask", exact=True).click()
    choose(page, composite=COMPOSITE)
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert canvas(page, "mask")[..., 3].max() == 255
    expect(page.locator("#harmonize")).to_be_enabled()


def test_phone_has_room_for_everything(browser: Browser, server: Server) -> None:
    page = open_page(browser, server, viewport=PHONE, has_touch=True, is_mobile=True)
    place_cutout(page)
    page.tap("#harmonize")
    expect(page.locator("#status")).to_contain_text("Harmonized")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]
    for box in (b.bounding_box() for b in page.locator("button:visible").all()):
        assert box is not None
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8
    page.locator("#download").scroll_into_view_if_needed()
    assert download(page)[:3] == b"\xff\xd8\xff"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(
    scheme: str, viewport: Any, browser: Browser, server: Server
) -> None:
    page = open_page(browser, server, color_scheme=scheme, viewport=viewport)
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page.evaluate(axe)

    def violations() -> list[str]:
        found = page.evaluate("axe.run()")["violations"]
        return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found]

    assert violations() == []
    place_cutout(page)
    harmonize(page)
    assert violations() == []
    use_composite(page)
    harmonize(page)
    assert violations() == []
    page.context.close()


# Errors, privacy, token


def test_errors_are_sentences(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    page.set_input_files("#file-background", broken)
    expect(page.locator("#error")).to_be_visible()
    assert page.inner_text("#error").endswith(".")
    assert "Error" not in page.inner_text("#error")
    page.get_by_text("Composite and mask", exact=True).click()
    choose(page, composite=COMPOSITE)
    page.set_input_files("#file-mask", CUTOUT)
    expect(page.locator("#error")).to_contain_text(
        "The mask has 512 × 512 pixels, the composite 640 × 427."
    )


def test_server_that_is_gone_is_told(browser: Browser, start: Start) -> None:
    with start() as server:
        page = open_page(browser, server)
        use_composite(page)
    page.click("#harmonize")
    expect(page.locator("#error")).to_contain_text("The server cannot be reached.")
    page.context.close()


def test_nothing_is_asked_of_other_computers(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    use_composite(page)
    harmonize(page)
    assert asked
    assert all(url.startswith((server.address, "blob:")) for url in asked)
    context.close()


def test_token_is_taken_from_the_address_or_asked_for(
    browser: Browser, start: Start
) -> None:
    with start("--token", "sesame") as server:
        page = browser.new_page()
        page.goto(f"{server.address}#token=sesame")
        expect(page.locator("#model option")).to_have_count(1)
        assert "sesame" not in page.url
        page.close()
        page = browser.new_page()
        page.goto(server.address)
        page.fill("#token", "sesame")
        page.keyboard.press("Enter")
        expect(page.locator("#model option")).to_have_count(1)
        page.close()
