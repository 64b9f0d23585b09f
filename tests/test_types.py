"""What `mypy --strict` knows of results; wrong types fail in lint, not when run."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
from PIL import Image

from imharmony import Harmonizer, Result, harmonize


def test_results_have_the_type_of_the_composite() -> None:
    mask = np.eye(8, dtype=bool)
    shape = (8, 8, 3)
    a8 = np.full(shape, 9, np.uint8)
    a16 = np.full(shape, 9, np.uint16)
    a32 = np.full(shape, 0.5, np.float32)
    a64 = np.full(shape, 0.5, np.float64)
    assert_type(harmonize(a8, mask), Result[npt.NDArray[np.uint8]])
    assert_type(harmonize(a16, mask), Result[npt.NDArray[np.uint16]])
    assert_type(harmonize(a32, mask), Result[npt.NDArray[np.float32]])
    assert_type(harmonize(a64, mask), Result[npt.NDArray[np.float64]])
    assert_type(harmonize(a8, mask).image, npt.NDArray[np.uint8])
    assert_type(Harmonizer()(a16, mask).image, npt.NDArray[np.uint16])
    pillow = Image.new("RGB", (8, 8))
    assert_type(harmonize(pillow, mask).image, Image.Image)
    assert_type(harmonize([[0.5, 0.4]], [[1, 0]]), Result[npt.NDArray[Any]])
