"""For everybody: keyboard, phone, small windows, screen readers."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    DESK,
    LAPTOP,
    PHONE,
    download,
    drop,
    mask,
    open_page,
    place_cutout,
    settle,
    status,
    use_composite,
)
from tests.web.servers import Server

pytestmark = pytest.mark.browser


def tab_to(page: Page, selector: str) -> None:
    for _ in range(80):
        if page.evaluate("(s) => document.activeElement?.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


def test_everything_works_with_the_keyboard(page: Page) -> None:
    tab_to(page, "#file-any")  # a file dialog is the browser's own
    tab_to(page, "#samples button")
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator("#canvas")).to_be_focused()  # the start, which had it, is gone
    get = "({...imharmony.doc().objects[0].placement})"
    before = page.evaluate(get)
    for key in ("Shift+ArrowLeft", "ArrowLeft", "f", "]"):
        page.keyboard.press(key)
    settle(page)
    after = page.evaluate(get)
    assert after["x"] == before["x"] - 11
    assert after["flip"] is not before["flip"]
    assert after["rotation"] == 1
    tab_to(page, "#compare")
    line = page.input_value("#compare")
    page.keyboard.press("ArrowLeft")
    assert float(page.input_value("#compare")) == float(line) - 0.5
    tab_to(page, "#strength")
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#strength") == "99"
    tab_to(page, "#by-hand summary")
    page.keyboard.press("Enter")
    tab_to(page, "#plot .handle")
    tab_to(page, "#download")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "launchpad-harmonized.jpg"
    tab_to(page, "#objects [aria-label^=Remove]")
    page.keyboard.press("Enter")
    expect(page.locator("#file-cutout")).to_be_focused()


def test_tools_tell_their_keys_and_boxes_show_thumbnails(page: Page) -> None:
    place_cutout(page)
    for label in page.locator("#tools label").all():
        (key,) = re.findall(r"\(([A-Z])\)$", label.get_attribute("title") or "")
        page.keyboard.press(key.lower())
        expect(label.locator("input")).to_be_checked()
    for name in ("#undo", "#zoom-in", "#zoom-fit", "#split", "#hold", "#download"):
        assert re.search(r"\(.+\)", page.get_attribute(name, "title") or "")
    sizes = page.eval_on_selector_all(
        ".box .thumb", "images => images.map((one) => one.naturalWidth)"
    )
    assert len(sizes) == 2
    assert min(sizes) >= 48


def test_mask_is_painted_with_the_keyboard(page: Page) -> None:
    drop(page, COMPOSITE)
    settle(page)
    page.get_by_role("button", name="Paint it").press("Enter")
    expect(page.locator("#canvas")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert mask(page).max() == 255
    settle(page)
    assert status(page).startswith("Harmonized")


@pytest.mark.parametrize(
    "viewport",
    [LAPTOP, PHONE, {"width": 320, "height": 568}],
    ids=["laptop", "phone", "small"],
)
def test_what_finishes_the_work_is_always_in_view(
    viewport: Any, browser: Browser, server: Server
) -> None:
    is_phone = viewport["width"] < 500
    page = open_page(
        browser,
        server.address,
        viewport=viewport,
        has_touch=is_phone,
        is_mobile=is_phone,
    )
    title = "Choose your pictures" if is_phone else "Drop your pictures anywhere"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert page.get_by_text("paste with").is_visible() is not is_phone
    place_cutout(page)
    page.click("#by-hand summary")
    page.wait_for_timeout(200)
    curves, foot = (page.locator(s).bounding_box() for s in ("#plot", "#panel-foot"))
    assert curves is not None
    assert foot is not None
    assert curves["y"] + curves["height"] <= foot["y"] or viewport["height"] < 600
    for name in ("#harmonize", "#download", "#undo", "#canvas", "#hold"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= viewport["width"]
        assert box["y"] + box["height"] <= viewport["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    tops = {box["y"] for box in boxes(page, "#tools label")}
    assert len(tops) == (1 if is_phone else 5)  # on a phone one row
    for box in boxes(page, "button:visible"):
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8
    assert download(page)[:3] == b"\xff\xd8\xff"
    page.context.close()


def boxes(page: Page, selector: str) -> list[Any]:
    return [one.bounding_box() for one in page.locator(selector).all()]


def test_two_fingers_zoom_and_do_not_paint(browser: Browser, server: Server) -> None:
    page = open_page(
        browser, server.address, viewport=PHONE, has_touch=True, is_mobile=True
    )
    use_composite(page)
    page.tap("#tools label:has([value=brush])")
    before = mask(page)
    scale = page.evaluate("imharmony.view.scale")
    session = page.context.new_cdp_session(page)
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *offsets: float) -> None:
        points = [{"x": x + k, "y": y, "id": n} for n, k in enumerate(offsets)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -30)
    touch("touchStart", -30, 30)
    for k in (45, 60, 75, 90):
        touch("touchMove", -k, k)
    touch("touchEnd")
    settle(page)
    assert page.evaluate("imharmony.view.scale") > 2 * scale
    assert (mask(page) == before).all()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_on_any_screen(
    scheme: str, viewport: Any, browser: Browser, server: Server, tmp_path: Path
) -> None:
    page = open_page(browser, server.address, color_scheme=scheme, viewport=viewport)
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page.evaluate(axe)

    def check(screen: str) -> None:
        page.wait_for_timeout(200)  # transitions of color
        found = page.evaluate("axe.run()")["violations"]
        told = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found]
        assert told == [], screen

    check("start")
    drop(page, BACKGROUND)
    settle(page)
    check("photo alone")
    drop(page, CUTOUT)
    settle(page)
    check("harmonized")
    for part in ("#by-hand", "#place", "#more"):
        page.click(f"{part} > summary")
    check("all unfolded")
    page.keyboard.press("b")
    check("brush")
    bad = tmp_path / "bad.gif"
    bad.write_bytes(b"GIF89a" + bytes(20))
    drop(page, bad)
    expect(page.locator("#error")).to_be_visible()
    check("error")
    page.click("#error-close")
    drop(page, COMPOSITE)
    expect(page.locator("#ask")).to_be_visible()
    check("question")
    page.context.close()
