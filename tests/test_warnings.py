"""Warnings point at the line of the caller, however deep in the package they arise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

import imharmony
from imharmony.errors import HarmonizeWarning, WarningCode

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
EMPTY = np.zeros((32, 48), np.uint8)
HALF: npt.NDArray[np.uint8] = np.where(np.arange(48) < 24, 255, 0) + 0 * EMPTY


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write a photo, an empty mask and a picture of two pages."""
    for name, array in (("photo.png", PICTURE), ("empty.png", EMPTY)):
        pyvips.Image.new_from_array(array).write_to_file(tmp_path / name)
    pages = pyvips.Image.new_from_array(np.concatenate([PICTURE, PICTURE]))
    pages.set_type(pyvips.GValue.gint_type, "page-height", 32)
    pages.write_to_file(tmp_path / "pages.tif")
    masks = pyvips.Image.new_from_array(np.concatenate([HALF, HALF]).astype(np.uint8))
    masks.set_type(pyvips.GValue.gint_type, "page-height", 32)
    masks.write_to_file(tmp_path / "masks.tif")
    return tmp_path


CALLS: dict[str, Callable[[Path], object]] = {
    "harmonize": lambda _: imharmony.harmonize(PICTURE, EMPTY),
    "a batch": lambda _: imharmony.harmonize(PICTURE[None], EMPTY[None]),
    "Harmonizer": lambda _: imharmony.Harmonizer()(PICTURE, EMPTY),
    "predict": lambda _: imharmony.Harmonizer().predict(PICTURE, EMPTY),
    "harmonize_objects": lambda _: imharmony.Harmonizer().harmonize_objects(
        PICTURE, [HALF, EMPTY]
    ),
    "harmonize_file": lambda files: imharmony.harmonize_file(
        files / "photo.png", files / "empty.png", output=files / "done.png"
    ),
    "a mask's file": lambda files: imharmony.harmonize_file(
        files / "photo.png", files / "masks.tif", output=files / "done.png"
    ),
    "read_photo": lambda files: imharmony.read_photo(files / "pages.tif"),
    "floats": lambda _: imharmony.harmonize(200 * np.ones((32, 48, 3)), HALF),
}


@pytest.mark.parametrize("name", CALLS)
def test_warnings_point_at_the_caller(name: str, files: Path) -> None:
    with pytest.warns(HarmonizeWarning) as caught:
        CALLS[name](files)
    ours = [one for one in caught if issubclass(one.category, HarmonizeWarning)]
    assert ours
    assert {one.filename for one in ours} == {__file__}


def test_a_warning_has_its_code() -> None:
    with pytest.warns(HarmonizeWarning) as caught:
        imharmony.harmonize(PICTURE, EMPTY)
    assert [one.message.code for one in caught] == [  # type: ignore[union-attr]
        WarningCode.MASK_EMPTY
    ]
