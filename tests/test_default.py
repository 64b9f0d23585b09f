"""One call with the default model: loaded once, shared by all threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from imharmony import default
from imharmony.default import harmonize
from imharmony.errors import HarmonizeWarning
from imharmony.harmonizer import Harmonizer
from imharmony.results import Result

Pixels = npt.NDArray[Any]

H, W = 48, 64


def picture(seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    scene = rng.integers(80, 256, (H, W, 3), dtype=np.uint8)
    scene[12:36, 16:40] //= 2
    return scene


def foreground() -> Pixels:
    mask = np.zeros((H, W), np.uint8)
    mask[12:36, 16:40] = 255
    return mask


def test_plain_calls_share_one_harmonizer(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load() -> Harmonizer:
        loaded.append(Harmonizer())
        return loaded[-1]

    monkeypatch.setattr(default, "Harmonizer", load)
    monkeypatch.setattr(default, "_default", [])
    start = threading.Barrier(4)

    def work(seed: int) -> Result[Pixels]:
        start.wait()
        return harmonize(picture(seed), foreground(), label="food", strength=0.5)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    assert len(loaded) == 1
    expected = loaded[0](picture(3), foreground(), label="food", strength=0.5)
    np.testing.assert_array_equal(results[3].image, expected.image)
    assert (results[3].image != picture(3)).any()


def test_warning_points_at_the_line_of_the_caller() -> None:
    with pytest.warns(HarmonizeWarning) as announced:
        harmonize(picture(), np.zeros((H, W), bool))
    assert [warning.filename for warning in announced] == [__file__]
