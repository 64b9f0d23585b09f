"""Where nothing, or next to nothing, would happen without a word."""

import io
import multiprocessing
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imharmony.errors import HarmonizeWarning, ImageError
from imharmony.images import files, mask_files
from imharmony.images.masks import mask_from_array, split_mask
from imharmony.images.photo import from_array, to_array


def png(pixels: Any) -> bytes:
    return files.encode_photo(from_array(np.asarray(pixels)), ".png")


def cutout(under: int = 0) -> Any:
    pixels = np.random.default_rng(1).integers(1, 256, (20, 30, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    pixels[5:15, 5:20, 3] = 255
    pixels[5, 5:20, 3] = 120
    pixels[pixels[..., 3] == 0] = (under, under, under, 0)
    return pixels


@pytest.mark.parametrize("under", [0, 255, 90])
def test_cutout_without_a_background_is_refused_with_what_is_missing(
    under: int,
) -> None:
    photo = files.read_photo(png(cutout(under)))
    with pytest.raises(ImageError, match=r"cat\.png: .*cut-out.*paste it.*reference"):
        split_mask(photo, name="cat.png")


def test_cutout_that_fits_a_reference_keeps_its_alpha() -> None:
    photo = files.read_photo(png(cutout()))
    kept, mask = split_mask(photo, name="cat.png", may_be_full=True)
    np.testing.assert_array_equal(to_array(kept), cutout())
    np.testing.assert_array_equal(to_array(mask)[..., 0], cutout()[..., 3])


def test_composite_with_a_background_under_its_alpha_is_as_before() -> None:
    pixels = cutout()
    pixels[..., :3] = np.random.default_rng(2).integers(0, 256, (20, 30, 3))
    photo, _ = split_mask(from_array(pixels), name="x")
    np.testing.assert_array_equal(to_array(photo), pixels[..., :3])


def test_float_picture_of_255_is_warned_of() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (9, 9, 3)).astype(np.float32)
    with pytest.warns(HarmonizeWarning, match="divide by 255"):
        from_array(pixels)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels * 256, photometric="rgb")
    with pytest.warns(HarmonizeWarning, match=r"a\.tif: .*divide by 65535"):
        files.read_photo(buffer.getvalue(), name="a.tif")


def test_float_picture_with_highlights_is_not_warned_of() -> None:
    pixels = np.full((9, 9, 3), 0.4, np.float32)
    pixels[:3, :3] = 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_array(pixels)


def palette() -> bytes:
    image = Image.new("P", (9, 9))
    image.putpalette([0, 0, 0, 10, 0, 0, 0, 12, 0])
    image.paste(2, (2, 2, 6, 6))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def square(value: int, dtype: str = "u1") -> Any:
    mask = np.zeros((9, 9), dtype)
    mask[2:6, 2:6] = value
    return mask


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(square(15)), "brightest value is 15 of 255"),
        (png(square(2)), "brightest value is 2 of 255"),
        (png(square(255, "u2")), "brightest value is 255 of 65535"),
        (palette(), "brightest value is 12 of 255"),
    ],
    ids=["dark", "class", "sixteen", "palette"],
)
def test_faint_mask_file_is_warned_of(data: bytes, message: str) -> None:
    with pytest.warns(HarmonizeWarning, match=message):
        mask_files.read_mask(data, size=(9, 9))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (square(15), "15 of 255"),
        (square(255, "u2"), "255 of 65535"),
        (square(1).astype(float) * 0.05, "0.05 of 1"),
    ],
)
def test_faint_mask_array_is_warned_of(mask: Any, message: str) -> None:
    with pytest.warns(HarmonizeWarning, match=message):
        mask_from_array(mask, size=(9, 9))


@pytest.mark.parametrize("value", [1, 255, 200])
def test_usual_mask_is_not_warned_of(value: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask_files.read_mask(png(square(value)), size=(9, 9))
        mask_from_array(square(value), size=(9, 9))


FORKING = """
import multiprocessing, sys
from pathlib import Path
from imharmony.images import files, mask_files

def read(path):
    try:
        return str(files.read_photo(Path(path)).width)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    print(read(sys.argv[1]))
    context = multiprocessing.get_context(sys.argv[2])
    with context.Pool(1) as pool:
        print(pool.apply_async(read, (sys.argv[1],)).get(60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_says_what_to_do_and_a_spawned_one_reads(tmp_path: Path) -> None:
    assert "fork" in multiprocessing.get_all_start_methods()
    path, script = tmp_path / "a.png", tmp_path / "forking.py"
    path.write_bytes(png(square(3)))
    script.write_text(FORKING)
    said = {}
    for method in ("fork", "spawn"):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", str(script), str(path), method],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        said[method] = run.stdout.splitlines()
    assert said["spawn"] == ["9", "9"]
    assert said["fork"][0] == "9"
    assert said["fork"][1].startswith("UsageError: this process was forked after")


def test_reason_is_that_of_the_file_at_fault(tmp_path: Path) -> None:
    whole = png(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    for index, damaged in enumerate([(True, False), (False, True)]):
        paths = []
        for side, is_cut in zip(("a", "b"), damaged, strict=True):
            path = tmp_path / f"{side}{index}.png"
            path.write_bytes(whole[: len(whole) // 2] if is_cut else whole)
            paths.append(path)
        at_fault = paths[damaged.index(True)].name
        with pytest.raises(ImageError, match=rf"{at_fault}: .*\(.{{8,}}\)"):
            mask_files.read_pair(*paths)
