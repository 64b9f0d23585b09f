"""What goes otherwise than planned: order, files, servers; nothing is lost by it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from imharmony.images import files, photo
from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    MASK,
    choose,
    download,
    drag,
    drop,
    mask,
    on_screen,
    open_page,
    place_cutout,
    set_range,
    settle,
    status,
    use_composite,
)
from tests.web.servers import Server, Start

pytestmark = pytest.mark.browser

PLACEMENT = "({...imharmony.doc().objects[0].placement})"


def drag_files(page: Page, event: str, x: float, y: float, *paths: Path) -> None:
    """Drag files over the window as a file manager does, or drop them."""
    data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    session.send(
        "Input.dispatchDragEvent", {"type": event, "x": x, "y": y, "data": data}
    )


def write_gif(folder: Path) -> Path:
    path = folder / "party.gif"
    path.write_bytes(b"GIF89a" + bytes(40))
    return path


def write_rounded(folder: Path) -> Path:
    """Write a photo that is transparent in one corner, as screenshots are."""
    pixels = photo.to_array(files.read_photo(COMPOSITE))
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    alpha[:6, :6] = 0
    path = folder / "rounded.png"
    files.write_photo(photo.from_array(np.concatenate([pixels, alpha], axis=2)), path)
    return path


# Files that are no pictures


def test_error_names_its_file_and_outlives_the_result(
    page: Page, tmp_path: Path
) -> None:
    gif, text = write_gif(tmp_path), tmp_path / "notes.txt"
    text.write_text("hello")
    drop(page, BACKGROUND, gif, text, CUTOUT)
    settle(page)
    assert status(page).startswith("Harmonized.")
    told = page.inner_text("#error-text")
    assert "party.gif: This is a GIF." in told
    assert "notes.txt: This file is not a picture." in told
    page.click("#error-close")
    drop(page, gif)
    expect(page.locator("#error")).to_be_visible()
    settle(page)
    assert status(page).startswith("Harmonized.")  # it still is
    Image.new("RGBA", (40, 30)).save(tmp_path / "nothing.png")
    drop(page, tmp_path / "nothing.png")
    expect(page.locator("#error")).to_contain_text("transparent everywhere")
    assert "party.gif" not in page.inner_text("#error")  # that was the last time
    assert page.locator("#objects .box").count() == 1


def test_folder_is_told_and_the_hint_says_what_for(page: Page, tmp_path: Path) -> None:
    drag_files(page, "dragEnter", 700, 400, COMPOSITE)
    expect(page.locator("#drop-text")).to_have_text(
        "Drop it: a photo, a cut-out or a mask"
    )
    expect(page.locator("#drop-hint")).to_be_hidden()  # once nothing is dragged
    place_cutout(page)
    box = page.locator("#photo-box").bounding_box()
    assert box is not None
    drag_files(page, "dragEnter", box["x"] + 9, box["y"] + 9, COMPOSITE)
    expect(page.locator("#drop-text")).to_have_text("Drop it: the new photo")
    (tmp_path / "holiday").mkdir()
    for event in ("dragEnter", "dragOver", "drop"):
        drag_files(page, event, 400, 300, tmp_path / "holiday")
    expect(page.locator("#error")).to_contain_text("holiday: This is a folder")
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "https://example.org/cat.png");
          document.body.dispatchEvent(
            new DragEvent("drop", { bubbles: true, dataTransfer: data }));
        }"""
    )
    expect(page.locator("#error")).to_contain_text("Save the picture as a file first")


@pytest.mark.heic
def test_heic_is_taken_where_the_server_reads_it(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    subprocess.run(
        ["heif-enc", str(COMPOSITE), "-o", str(path)], check=True, capture_output=True
    )
    drop(page, path, MASK)
    settle(page)
    assert status(page).startswith("Harmonized.")
    assert download(page).startswith(b"\x89PNG")


# What was dropped stays what it was


def test_file_may_be_written_anew_meanwhile(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "scene.jpg"
    shutil.copy(BACKGROUND, path)
    choose(page, "any", path)
    choose(page, "any", CUTOUT)
    settle(page)
    path.write_bytes(b"saved again by another program")
    set_range(page, "#strength", 50)
    assert download(page).startswith(b"\xff\xd8\xff")


def test_photo_taken_out_comes_back_under_its_objects(page: Page) -> None:
    place_cutout(page)
    page.click("#place summary")
    page.fill("#size", "30")
    page.press("#size", "Enter")
    page.select_option("#label", "animal")
    settle(page)
    before = page.evaluate(PLACEMENT)
    page.get_by_role("button", name="Remove the photo").click()
    assert status(page) == ""  # what was harmonized is not to be seen
    drop(page, BACKGROUND)
    settle(page)
    assert page.evaluate(PLACEMENT) == before
    assert page.inner_text("#objects .quiet").startswith("Animal")
    set_range(page, "#strength", 60)
    choose(page, "photo", COMPOSITE)
    settle(page)
    assert page.evaluate(PLACEMENT) == before
    assert page.inner_text("#objects .quiet").startswith("Animal · 100 %")
    assert "strength and curves start anew" in status(page)


def test_mask_waits_for_its_photo_without_tools(page: Page) -> None:
    drop(page, COMPOSITE)
    page.get_by_role("button", name="Paint it").click()
    drag(page, (100, 60), (260, 60))
    settle(page)
    painted = mask(page)
    page.get_by_role("button", name="Remove the photo").click()
    expect(page.locator("#mask-bar")).to_be_hidden()
    expect(page.locator("#next")).to_contain_text("the photo this mask belongs to")
    expect(page.get_by_role("button", name="its transparency")).to_have_count(0)
    drop(page, COMPOSITE)
    settle(page)
    np.testing.assert_array_equal(mask(page), painted)


@pytest.mark.parametrize("is_mask_first", [False, True])
def test_photo_with_a_transparent_corner_takes_its_mask(
    is_mask_first: bool, page: Page, tmp_path: Path
) -> None:
    rounded = write_rounded(tmp_path)
    drop(page, MASK if is_mask_first else rounded)
    settle(page)
    drop(page, rounded if is_mask_first else MASK)
    answer = "It is the photo of the mask" if is_mask_first else "It shows the object"
    page.get_by_role("button", name=answer).click()
    settle(page)
    assert status(page).startswith("Harmonized.")
    assert page.inner_text("#photo-box .name") == rounded.name
    assert page.locator("#objects .name").all_inner_texts() == [MASK.name]
    choose(page, "photo", rounded)  # its corner is no object beside another
    settle(page)
    assert page.locator("#objects .name").all_inner_texts() == [MASK.name]


def test_two_photos_in_a_row_are_asked_about_once(page: Page, tmp_path: Path) -> None:
    place_cutout(page)
    first = Path(shutil.copy(COMPOSITE, tmp_path / "first.png"))
    drop(page, first, COMPOSITE, apart=True)
    expect(page.locator("#ask-text")).to_have_text(COMPOSITE.name)
    page.keyboard.press("Escape")
    settle(page)
    expect(page.locator("#ask")).to_be_hidden()
    assert status(page).startswith("Harmonized.")
    assert page.inner_text("#photo-box .name") == BACKGROUND.name


# The line under the picture


def test_line_tells_of_what_is_old(page: Page) -> None:
    place_cutout(page)
    page.click("#more summary")
    page.click("#auto")
    page.focus("#canvas")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#status")).to_contain_text("Press Harmonize to fit it again.")
    page.keyboard.press("Enter")
    settle(page)
    assert status(page).startswith("Harmonized.")
    download(page)
    assert status(page) == "launchpad-harmonized.jpg is saved."
    set_range(page, "#strength", 50)  # now it is another than what was saved
    assert status(page).startswith("Harmonized.")


def test_what_was_changed_anyway_stays_so_when_it_is_moved(page: Page) -> None:
    def leave_alone(route: Route) -> None:
        response = route.fetch()
        record = response.json()
        record["curves"] = {name: [[0, 0], [1, 1]] for name in record["curves"]}
        route.fulfill(json=record, headers=response.headers)

    page.route("**/api/v1/curves", leave_alone)
    place_cutout(page)
    assert status(page).startswith("Nothing changed")
    page.get_by_role("button", name="Change it anyway").click()
    assert status(page).startswith("Brought half way")
    page.focus("#canvas")
    page.keyboard.press("Shift+ArrowLeft")
    settle(page)
    assert status(page).startswith("Brought half way")
    assert not page.evaluate(
        "imharmony.curves.isIdentity(imharmony.doc().objects[0].look)"
    )
    page.keyboard.press("b")
    drag(page, (500, 60), (560, 60))
    settle(page)
    assert status(page).startswith("Nothing changed")
    page.locator("#objects .pick").first.click()  # the line is of what is chosen
    assert status(page).startswith("Brought half way")


def test_what_was_canceled_can_be_tried_again(page: Page) -> None:
    page.route("**/api/v1/curves", lambda route: None)  # takes forever
    drop(page, BACKGROUND, CUTOUT)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("Not harmonized.")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    settle(page)
    assert status(page).startswith("Harmonized.")


def test_server_that_is_gone_is_told_and_asked_again(
    browser: Browser, start: Start
) -> None:
    with start() as server:
        port = server.port
        page = open_page(browser, server.address)
        place_cutout(page)
    page.focus("#canvas")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#error")).to_contain_text("The server cannot be reached.")
    assert status(page) == "Not harmonized."
    with start("--port", str(port)):
        page.get_by_role("button", name="Try again").click()
        settle(page)
        assert status(page).startswith("Harmonized.")
        expect(page.locator("#error")).to_be_hidden()
    page.context.close()


def test_space_moves_the_picture_under_the_brush(page: Page) -> None:
    use_composite(page)
    page.click("#zoom-full")
    page.keyboard.press("b")
    page.focus("#canvas")
    before, left = mask(page), page.evaluate("imharmony.view.x")
    x, y = on_screen(page, 420, 60)
    page.mouse.move(x, y)
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=3)
    page.mouse.up()
    page.keyboard.up("Space")
    assert page.evaluate("imharmony.view.x") == left + 50
    np.testing.assert_array_equal(mask(page), before)
    page.mouse.click(x, y)  # and then the brush paints again
    assert (mask(page) != before).any()


# Where it cannot start


def test_page_whose_scripts_do_not_run_says_so(
    browser: Browser, server: Server
) -> None:
    page = browser.new_page()
    page.route("**/page/app.js", lambda route: route.abort())  # as from a file
    page.goto(server.address)
    told = page.locator("#not-started")
    expect(told).to_have_css("opacity", "1")
    assert "it needs a web server" in told.inner_text()
    page.unroute_all()
    page.reload()
    expect(told).to_be_hidden()
    page.close()
