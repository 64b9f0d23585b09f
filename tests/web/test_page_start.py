"""How pictures come into the page, and what it says of those that cannot."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from imharmony.harmonizer import Harmonizer
from imharmony.images import files, mask_files, photo
from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    MASK,
    choose,
    download,
    drop,
    open_page,
    settle,
    status,
    use_composite,
)
from tests.web.servers import Server, Start

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_pair_anywhere_on_the_window_harmonizes_by_itself(
    kind: str, page: Page
) -> None:
    drop(page, CUTOUT, BACKGROUND, kind=kind)
    settle(page)
    assert status(page).startswith("Harmonized.")
    assert page.inner_text("#photo-box .name") == BACKGROUND.name
    assert page.inner_text("#objects .name") == CUTOUT.name


def test_samples_can_be_tried(page: Page) -> None:
    for title in ("Astronaut", "Cup", "Cat"):
        page.get_by_role("button", name=title).click()
        settle(page)
        assert status(page).startswith("Harmonized.")
        expect(page.locator("#tag-before")).to_have_text("Before")
        expect(page.locator("#tag-after")).to_be_visible()
        page.get_by_role("button", name="Remove", exact=False).first.click()
        page.get_by_role("button", name="Remove", exact=False).first.click()


def test_large_button_takes_both_pictures_in_any_order(page: Page) -> None:
    choose(page, "any", BACKGROUND)
    expect(page.locator("#next")).to_contain_text("Now the object")
    choose(page, "any", CUTOUT)
    settle(page)
    assert page.evaluate("imharmony.doc().objects.length") == 1


def test_cutout_waits_for_its_photo(page: Page) -> None:
    drop(page, CUTOUT)
    expect(page.locator("#next")).to_contain_text("Now the photo it goes on")
    drop(page, BACKGROUND)
    settle(page)
    assert status(page).startswith("Harmonized.")


def test_second_cutout_does_not_hide_the_first(page: Page, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(CUTOUT.read_bytes())
    centers = "imharmony.doc().objects.map(({ placement }) => placement.x)"
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    choose(page, "cutout", other)
    settle(page)
    first, second = page.evaluate(centers)
    assert abs(first - second) > 100
    page.reload()
    expect(page.locator("body[data-ready]")).to_be_attached()
    drop(page, CUTOUT, other)  # both wait for their photo
    drop(page, BACKGROUND)
    settle(page)
    first, second = page.evaluate(centers)
    assert abs(first - second) > 100


def test_many_cutouts_lie_apart_and_have_names(page: Page) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    for _ in range(6):
        choose(page, "cutout", CUTOUT)
    settle(page)
    names = page.locator("#objects .name").all_inner_texts()
    assert names[0] == CUTOUT.name
    assert names[6] == f"{CUTOUT.name} (7)"
    places = page.evaluate(
        "imharmony.doc().objects.map(({ placement: { x, y } }) => [x, y])"
    )
    assert len({tuple(place) for place in places}) == 7
    # The list stays short, and shows which is chosen.
    expect(page.locator("#objects .chosen .name")).to_be_in_viewport()
    expect(page.locator("#label")).to_be_in_viewport()


def test_when_both_are_full_the_page_asks(page: Page, tmp_path: Path) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    other = tmp_path / "other.png"
    other.write_bytes(CUTOUT.read_bytes())
    drop(page, other)
    page.get_by_role("button", name=f"Replace {CUTOUT.name}").click()
    settle(page)
    assert page.locator("#objects .name").all_inner_texts() == [other.name]
    drop(page, COMPOSITE)
    page.get_by_role("button", name="Replace the photo").click()
    settle(page)
    assert page.inner_text("#photo-box .name") == COMPOSITE.name
    drop(page, other)
    page.get_by_role("button", name="One more object").click()
    settle(page)
    assert page.locator("#objects .box").count() == 2
    drop(page, BACKGROUND)
    page.get_by_role("button", name="Only take its colors").click()
    settle(page)
    assert page.inner_text("#reference-box .name") == BACKGROUND.name


def test_mask_may_come_before_its_composite(page: Page) -> None:
    drop(page, MASK)
    expect(page.locator("#next")).to_contain_text("this mask belongs to")
    drop(page, COMPOSITE)
    settle(page)
    assert status(page).startswith("Harmonized.")
    assert page.inner_text("#objects .name") == MASK.name


def test_mask_of_another_size_is_offered_to_be_fitted(
    page: Page, tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    half = photo.to_array(files.read_photo(MASK))[::2, ::2]
    files.write_photo(photo.from_array(np.ascontiguousarray(half)), small)
    drop(page, COMPOSITE, small)
    expect(page.locator("#ask-text")).to_contain_text("320 × 214")
    page.get_by_role("button", name="Fit it to the photo").click()
    settle(page)
    composite = files.read_photo(COMPOSITE)
    mask = mask_files.read_mask(small, size=(427, 640), resize=True)
    expected = Harmonizer().predict(composite, mask).curves
    shown = page.evaluate("imharmony.doc().objects[0].look.map((c) => c.y)")
    assert [list(y) for y in expected.knots_y] == shown


def test_transparent_composite_brings_its_mask(page: Page, tmp_path: Path) -> None:
    pixels = photo.to_array(files.read_photo(COMPOSITE))
    mask = photo.to_array(mask_files.read_mask(MASK, size=pixels.shape[:2]))
    path = tmp_path / "with-alpha.png"
    files.write_photo(photo.from_array(np.concatenate([pixels, mask], axis=2)), path)
    drop(page, path)
    page.get_by_role("button", name="its transparency is the mask").click()
    settle(page)
    assert status(page).startswith("Harmonized.")
    result = photo.to_array(files.read_photo(download(page)))
    expected = Harmonizer()(pixels, mask).image
    np.testing.assert_array_equal(result, expected)


def test_one_transparent_gray_makes_a_cutout(page: Page, tmp_path: Path) -> None:
    gray = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    gray[8:40, 16:48] = 200
    path = tmp_path / "keyed.png"
    Image.fromarray(gray).save(path, transparency=0)  # a PNG without an alpha channel
    drop(page, BACKGROUND)
    settle(page)
    drop(page, path)
    settle(page)
    assert page.inner_text("#objects .name") == path.name
    assert page.evaluate("imharmony.doc().objects[0].kind") == "cutout"


def test_second_file_while_one_is_read_replaces_it(page: Page, tmp_path: Path) -> None:
    first = tmp_path / "first.png"
    first.write_bytes(COMPOSITE.read_bytes())
    drop(page, first, BACKGROUND, apart=True)
    settle(page)
    expect(page.locator("#ask")).to_be_hidden()
    assert page.inner_text("#photo-box .name") == BACKGROUND.name


# Words


CMYK = b"\xff\xd8\xff\xc0\x00\x14\x08\x00\x10\x00\x10\x04" + bytes(60)
BROKEN = b"\x89PNG\r\n\x1a\n" + bytes(50)


UNREADABLE = {
    "gif": (b"GIF89a" + bytes(40), "This is a GIF."),
    "cmyk": (CMYK, "printing press (CMYK)"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "This is a HEIC picture"),
    "psd": (b"8BPS" + bytes(40), "Photoshop file"),
    "empty": (b"", "This file is empty."),
    "text": (b"hello", "This file is not a picture."),
    "broken": (BROKEN, "This picture is damaged"),
}


def test_errors_are_sentences_that_say_what_to_do(page: Page, tmp_path: Path) -> None:
    drop(page, BACKGROUND)
    settle(page)
    before = page.locator("#view").bounding_box()
    for name, (head, words) in UNREADABLE.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(head)
        drop(page, path)
        expect(page.locator("#error")).to_be_visible()
        text = page.inner_text("#error-text")
        assert words in text
        assert text.endswith(".")
        assert "Error" not in text
        # It lies over the picture, and leaves it where it was.
        assert page.locator("#view").bounding_box() == before
        page.keyboard.press("Escape")
        expect(page.locator("#error")).to_be_hidden()


def test_photo_as_cutout_is_explained(page: Page) -> None:
    drop(page, BACKGROUND)
    settle(page)
    choose(page, "cutout", COMPOSITE)
    expect(page.locator("#error")).to_contain_text("has no transparency")


def test_guess_looks_like_one_and_can_be_corrected(page: Page) -> None:
    use_composite(page)
    assert "guessed" not in page.inner_text("body")
    guess = page.locator("#label option").first.inner_text()
    assert guess.endswith("?")
    assert page.locator("#label.guess").count() == 1
    page.select_option("#label", "vehicle")
    settle(page)
    assert page.locator("#label.guess").count() == 0
    assert page.inner_text("#objects .quiet").startswith("Vehicle")


@pytest.mark.parametrize(
    ("steps", "said"), [(0, "Nothing changed"), (2, "Hardly anything changed")]
)
def test_what_fits_already_can_be_changed_anyway(
    steps: int, said: str, page: Page
) -> None:
    use_composite(page)
    page.evaluate(
        """(steps) => { const { doc, history } = imharmony;
          const curve = { x: [0, 0.5, 1], y: [0, 0.5 - steps / 255.1, 1] };
          const object = { ...doc().objects[0], look: [curve, curve, curve] };
          history.amend({ objects: [object] }); }""",
        steps,
    )
    is_slight = """(() => {
      const { y } = imharmony.doc().objects[0].look[0];
      return y.length === 3 && Math.abs(y[1] - 0.5) < 0.01;
    })()"""
    assert status(page).startswith(said)
    assert page.evaluate(is_slight)
    page.get_by_role("button", name="Change it anyway").click()
    assert not page.evaluate(is_slight)
    page.keyboard.press("Control+z")
    assert page.evaluate(is_slight)


# Nothing lost


def test_reload_asks(browser: Browser, server: Server) -> None:
    page = open_page(browser, server.address)
    use_composite(page)
    asked: list[str] = []

    def stay(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", stay)
    page.click("#hold")  # Chromium asks only on pages that were used
    page.reload()
    assert asked == ["beforeunload"]
    page.context.close()


def test_new_photo_starts_anew_and_undo_brings_the_old_back(page: Page) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    page.locator("#strength").fill("40")
    choose(page, "photo", COMPOSITE)
    settle(page)
    assert page.input_value("#strength") == "100"
    page.click("#undo")
    settle(page)
    assert page.input_value("#strength") == "40"
    assert page.inner_text("#photo-box .name") == BACKGROUND.name


def test_pictures_are_removed_and_come_back(page: Page) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    page.get_by_role("button", name=f"Remove {CUTOUT.name}").click()
    page.get_by_role("button", name="Remove the photo").click()
    expect(page.locator("#start")).to_be_visible()
    page.click("#undo")
    page.click("#undo")
    settle(page)
    assert page.inner_text("#objects .name") == CUTOUT.name


# Privacy, token


def test_nothing_is_asked_of_other_computers(browser: Browser, server: Server) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    expect(page.locator("body[data-ready]")).to_be_attached()
    use_composite(page)
    download(page)
    assert asked
    assert all(url.startswith((server.address, "blob:", "data:")) for url in asked)
    page.close()


def test_token_is_taken_from_the_address_or_asked_for(
    browser: Browser, start: Start
) -> None:
    with start("--token", "sesame") as server:
        page = browser.new_page()
        page.goto(f"{server.address}#token=sesame")
        expect(page.locator("#model option")).to_have_count(2)
        assert "sesame" not in page.url
        page.close()
        page = browser.new_page()
        page.goto(server.address)
        page.fill("#token", "simsim")
        page.keyboard.press("Enter")
        expect(page.locator("#token-wrong")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#error")).to_contain_text("Without its token")
        page.reload()
        page.fill("#token", "sesame")
        page.keyboard.press("Enter")
        expect(page.locator("#model option")).to_have_count(2)
        page.close()
