"""The page without a server in Firefox: drop, result, compare, adjust, download."""

import time
from pathlib import Path

import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from imharmony.images import files, mask_files, photo
from imharmony.rendering.render import render
from tests.web import firefox
from tests.web.browser import COMPOSITE, MASK

pytestmark = [pytest.mark.firefox, pytest.mark.static]

# Of the picture that is shown, left of the line between before and after, on the
# object; of the working copies, the same place.
SHOWN = """(() => {
  const { view, composer } = imharmony;
  const [x, y] = [200, 330];
  const pixel = (canvas, at) =>
    [...canvas.getContext("2d").getImageData(...at.map(Math.floor), 1, 1).data];
  return [pixel(view.canvas, view.toScreen([x + 0.5, y + 0.5])),
    pixel(composer.before, [x, y]), pixel(composer.after, [x, y])];
})()"""


def test_main_path_in_firefox(site: str, tmp_path: Path) -> None:
    image = files.read_photo(COMPOSITE)
    mask = mask_files.read_mask(MASK, size=(image.height, image.width))
    curves = Harmonizer().predict(image, mask).curves
    with firefox.running(tmp_path) as page:
        page.ask("WebDriver:Navigate", url=site)
        page.wait("document.body.dataset.ready === 'true'")

        # Drop, and the result
        page.drop(COMPOSITE, MASK)
        page.wait("document.querySelector('#status').innerText.startsWith('Harmon')")
        look = page.evaluate("imharmony.doc().objects[0].look")
        for curve, at, heights in zip(
            look, curves.knots_x, curves.knots_y, strict=True
        ):
            shown = np.interp(at, curve["x"], curve["y"])
            np.testing.assert_allclose(shown, heights, atol=1e-3)

        # Compare
        page.click("#zoom-full")
        page.run(  # pixels on pixels
            """const { view } = window.imharmony;
            view.pan(Math.round(view.x) - view.x, Math.round(view.y) - view.y);"""
        )
        page.run("document.querySelector('[value=hand]').click()")  # no outline
        page.click("#split")
        page.wait("imharmony.view.mode === 'after' && !imharmony.view.frame")
        seen, before, after = np.array(page.evaluate(SHOWN)).astype(int)
        assert np.abs(before - after).max() > 10
        np.testing.assert_allclose(seen, after, atol=2)
        page.hold("c", is_down=True)
        page.wait("imharmony.view.mode === 'before' && !imharmony.view.frame")
        seen = np.array(page.evaluate(SHOWN)).astype(int)[0]
        np.testing.assert_allclose(seen, before, atol=2)
        page.hold("c", is_down=False)
        page.wait("imharmony.view.mode === 'after'")

        # Download
        page.run("document.querySelector('#photo-format').value = 'png'")
        page.click("#download")
        result = photo.to_array(files.read_photo(wait_for_file(tmp_path)))
        expected = photo.to_array(render(image, mask, curves)).astype(int)
        assert np.abs(result - expected).max() <= 1

        # Adjust by hand, and take it back
        page.click("#by-hand summary")
        page.wait("document.querySelectorAll('#plot .handle').length === 2")
        box = page.evaluate("document.querySelector('#plot').getBoundingClientRect()")
        x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
        page.drag((x, y), (x, y - 40), (x, y - 60))
        page.wait("document.querySelectorAll('#plot .handle').length === 3")
        adjusted = np.array(page.evaluate(SHOWN)).astype(int)[2]
        assert (adjusted[:3] > after[:3]).all()
        page.click("#undo")
        page.wait("document.querySelectorAll('#plot .handle').length === 2")
        np.testing.assert_array_equal(page.evaluate(SHOWN)[2], after)


def wait_for_file(folder: Path) -> Path:
    path = folder / "composite-harmonized.png"
    end = time.monotonic() + firefox.PATIENCE_S
    while not path.exists() or not path.stat().st_size or list(folder.glob("*.part")):
        assert time.monotonic() < end, "nothing was downloaded"
        time.sleep(0.1)
    return path
