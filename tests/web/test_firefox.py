"""The page without a server in Firefox: the same curves, and a changed picture."""

from pathlib import Path

import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from imharmony.images import files
from tests.web import firefox
from tests.web.browser import COMPOSITE, MASK

pytestmark = [pytest.mark.firefox, pytest.mark.static]


def test_page_harmonizes_in_firefox_as_in_python(site: str, tmp_path: Path) -> None:
    with firefox.running(tmp_path) as page:
        page.ask("WebDriver:Navigate", url=site)
        page.wait("document.body.dataset.ready === 'true'")
        page.choose("#file-any", COMPOSITE, MASK)
        page.wait("Boolean(imharmony.doc().objects[0]?.look)")
        look = page.evaluate("imharmony.doc().objects[0].look")
        assert page.evaluate("document.querySelector('#status').innerText").startswith(
            "Harmonized."
        )
        middle = page.evaluate(
            """["before", "after"].map((name) => {
              const canvas = imharmony.composer[name];
              const [x, y] = [canvas.width / 3, canvas.height / 1.3].map(Math.round);
              return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data];
            })"""
        )
        assert middle[0] != middle[1]
    image = files.read_photo(COMPOSITE)
    mask = files.read_mask(MASK, size=(image.height, image.width))
    curves = Harmonizer().predict(image, mask).curves
    for curve, at, heights in zip(look, curves.knots_x, curves.knots_y, strict=True):
        shown = np.interp(at, curve["x"], curve["y"])
        np.testing.assert_allclose(shown, heights, atol=1e-3)
