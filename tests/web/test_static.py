"""The page without a server: its files alone, the network in the browser."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from playwright.sync_api import Browser, Page, expect

from imharmony.harmonizer import Harmonizer
from imharmony.images import compositing, files, mask_files, photo
from imharmony.rendering.render import render
from tests.web.browser import (
    BACKGROUND,
    COMPOSITE,
    CUTOUT,
    MASK,
    choose,
    download,
    drop,
    open_page,
    set_field,
    settle,
    status,
    watched,
)

pytestmark = [pytest.mark.browser, pytest.mark.static]

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "src/imharmony/web/page/samples"
MAX_BYTES = 25e6


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    with watched(open_page(browser, site)) as page:
        yield page


def write(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    files.write_photo(photo.from_array(pixels), path)
    return path


def ellipse(height: int, width: int, *, soft: float) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    away = np.hypot(
        (x - 0.55 * width) / (0.3 * width), (y - 0.5 * height) / (0.35 * height)
    )
    return np.asarray(np.clip((1 - away) / soft * 255, 0, 255), np.uint8)


def make_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Ten photographs with masks: hard and soft, small and large, tall and wide."""
    pairs = [(COMPOSITE, MASK), (SAMPLES / "cup.jpg", SAMPLES / "cup-mask.png")]
    launch = photo.to_array(files.read_photo(BACKGROUND))
    table = photo.to_array(files.read_photo(SAMPLES / "table.jpg"))
    large = pyvips.Image.new_from_file(str(COMPOSITE)).resize(3.7)
    crops = {
        "tall.png": launch[:, 100:260],
        "wide.png": table[150:250],
        "odd.png": table[:333, :457],
        "tiny.png": launch[200:230, 300:341],
        "dark.png": launch // 3,
        "gray.png": np.repeat(table[..., 1:2], 3, axis=2),
        "photo.jpg": table,
        "large.jpg": large.numpy(),
    }
    for number, (name, pixels) in enumerate(crops.items()):
        height, width = pixels.shape[:2]
        mask = ellipse(height, width, soft=(0.01, 0.5)[number % 2])
        pairs.append(
            (
                write(folder / name, np.ascontiguousarray(pixels)),
                write(folder / f"{name}-mask.png", mask),
            )
        )
    return pairs


def look(page: Page) -> list[tuple[list[float], list[float]]]:
    curves = page.evaluate("imharmony.doc().objects[0].look")
    return [(curve["x"], curve["y"]) for curve in curves]


def test_ten_photographs_are_as_python_has_them(page: Page, tmp_path: Path) -> None:
    harmonizer = Harmonizer()
    pairs = make_pairs(tmp_path)
    assert len(pairs) == 10
    for composite, mask in pairs:
        page.reload()
        expect(page.locator("body[data-ready]")).to_be_attached()
        drop(page, composite)
        choose(page, "mask", mask)
        settle(page)
        image = files.read_photo(composite)
        weights = mask_files.read_mask(mask, size=(image.height, image.width))
        curves = harmonizer.predict(image, weights).curves
        for (x, y), at, heights in zip(
            look(page), curves.knots_x, curves.knots_y, strict=True
        ):
            np.testing.assert_allclose(
                np.interp(at, x, y), heights, atol=1e-3, err_msg=composite.name
            )
        page.select_option("#photo-format", "png")
        result = photo.to_array(files.read_photo(download(page))).astype(int)
        expected = photo.to_array(render(image, weights, curves))
        assert np.abs(result - expected).max() <= 1, composite.name


def test_cutout_is_as_python_has_it(page: Page) -> None:
    drop(page, BACKGROUND, CUTOUT)
    settle(page)
    page.click("#place summary")
    for field, value in (("size", 65), ("left", 38), ("top", 102)):
        set_field(page, field, value)
    settle(page)
    pasted = compositing.paste(
        files.read_photo(CUTOUT),
        files.read_photo(BACKGROUND),
        at=(38, 102),
        scale=compositing.parse_length("65%"),
    )
    curves = Harmonizer().predict(pasted.composite, pasted.mask).curves
    for (x, y), at, heights in zip(
        look(page), curves.knots_x, curves.knots_y, strict=True
    ):
        np.testing.assert_allclose(np.interp(at, x, y), heights, atol=1e-3)
    page.select_option("#photo-format", "png")
    result = photo.to_array(files.read_photo(download(page))).astype(int)
    expected = photo.to_array(render(pasted.composite, pasted.mask, curves))
    assert np.abs(result - expected).max() <= 1


def test_it_works_offline_once_loaded(browser: Browser, site: str) -> None:
    page = open_page(browser, site)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("body[data-ready]")).to_be_attached()
    page.get_by_role("button", name="Cat").click()
    settle(page)
    assert status(page).startswith("Harmonized.")
    page.context.close()


def test_nothing_leaves_and_little_is_loaded(browser: Browser, site: str) -> None:
    page = browser.new_context().new_page()
    sizes: dict[str, int] = {}
    page.context.on(
        "response",
        lambda answer: sizes.update(
            {answer.url: int(answer.headers.get("content-length", 0))}
        ),
    )
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.goto(site)
    expect(page.locator("body[data-ready]")).to_be_attached()
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    drop(page, COMPOSITE, MASK)
    settle(page)
    download(page)
    assert {url.partition("/below/")[0] for url in asked if url.startswith("http")} == {
        site.removesuffix("/below/")
    }
    assert any(url.endswith(".wasm") for url in sizes)
    assert sum(sizes.values()) < MAX_BYTES
    policy = page.locator("meta[http-equiv=Content-Security-Policy]")
    assert "default-src 'none'" in (policy.get_attribute("content") or "")
    page.context.close()


def test_what_stays_the_servers_is_said(page: Page, tmp_path: Path) -> None:
    deep = tmp_path / "deep.tif"
    files.write_photo(photo.from_array(np.zeros((20, 20, 3), np.uint16)), deep)
    drop(page, deep)
    expect(page.locator("#error")).to_contain_text("A browser cannot read TIFF.")
    assert "stay in this browser" in page.inner_text("#privacy")
    expect(page.locator("#model-row")).to_be_hidden()  # changes by place, too
    page.click("#error-close")
    path = tmp_path / "deep.png"
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    files.write_photo(photo.from_array(pixels), path)
    drop(page, path, write(tmp_path / "mask.png", ellipse(64, 64, soft=0.5)))
    settle(page)
    download(page)
    expect(page.locator("#status")).to_contain_text("8 of the photo")
