"""`imharmony harmonize`, as a person meets it: exit codes, both streams, and files."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from imharmony.harmonizer import Harmonizer
from imharmony.images import photo
from imharmony.images.files import read_photo
from imharmony.inference.curve_network import CurveNetwork, Slopes
from imharmony.inference.models import MODELS
from tests.cli.commands import (
    H,
    Inputs,
    Run,
    W,
    disc,
    load,
    pixels,
    run_alone,
    save,
)
from tests.onnx_files import write_picture_weights

# harmonize: results


def test_harmonize_writes_the_file_and_prints_its_path(inputs: Inputs) -> None:
    finished = run_alone("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert (finished.code, finished.out) == (0, f"out.png{os.linesep}".encode())
    assert re.match(r"label: \w+ \(guessed; --label changes it\)\s+", finished.err)
    assert finished.messages == []
    assert load(Path("out.png")).shape == (H, W, 3)


def test_a_foreground_that_fits_already_is_said(
    run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = Slopes(np.tile(np.arange(65, dtype=np.float32) / 64, (1, 3, 1)), "person")
    monkeypatch.setattr(CurveNetwork, "run", lambda *_, **__: flat)
    finished = run("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert "nothing changed: the foreground seems to fit already" in finished.err


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ((), {}),
        (("--strength", "0.4"), {"strength": 0.4}),
        (("--label", "food"), {"label": "food"}),
        (("--weights", str(MODELS["s2crnet-cs"])), {}),
    ],
)
def test_output_is_that_of_the_python_call(
    options: tuple[str, ...],
    arguments: dict[str, Any],
    run: Run,
    inputs: Inputs,
    harmonizer: Harmonizer,
) -> None:
    run("harmonize", inputs.composite, inputs.mask, "-o", "out.png", *options)
    expected = harmonizer(pixels(), disc(), **arguments).image
    np.testing.assert_array_equal(load(Path("out.png")), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_weights_that_give_a_picture_give_what_python_gives(
    dtype: str, run: Run, folder: Path, inputs: Inputs
) -> None:
    gain = np.linspace(0.4, 1.0, 32).reshape(1, 1, 1, 32)
    weights = write_picture_weights(folder, size=(32, 32), gain=gain)
    save(folder / "deep.png", pixels(dtype))
    args = ("harmonize", "deep.png", inputs.mask, "-o", "out.png")
    assert run(*args, "--weights", weights).code == 0
    expected = Harmonizer(weights=weights)(pixels(dtype), disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


def test_paste_takes_weights_that_give_a_picture(run: Run, folder: Path) -> None:
    weights = write_picture_weights(folder, size=(32, 32), gain=0.5)
    save(folder / "cutout.png", np.full((8, 9, 4), 200, np.uint8))
    save(folder / "scene.png", pixels())
    args = ("paste", "cutout.png", "scene.png", "--at", "5,7", "-o", "out.png")
    also = ("--composite", "composite2.png", "--mask", "mask2.png")
    assert run(*args, *also, "--weights", weights).code == 0
    composite, mask = load(folder / "composite2.png"), load(folder / "mask2.png")
    expected = Harmonizer(weights=weights)(composite, mask[..., 0]).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)
    assert (expected != composite).any()


def test_label_that_is_given_is_not_announced(run: Run, inputs: Inputs) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert run(*args, "--label", "food").err == ""


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_is_the_mask_where_none_is_given(
    dtype: str, run: Run, folder: Path, harmonizer: Harmonizer
) -> None:
    color, alpha = pixels(dtype), disc().astype(dtype)
    scale = np.iinfo(dtype).max // 255
    save(folder / "rgba.png", np.dstack([color, alpha * scale]))
    assert run("harmonize", "rgba.png", "-o", "out.png").code == 0
    expected = harmonizer(color, disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


def test_mask_that_is_given_wins_over_alpha(
    run: Run, inputs: Inputs, folder: Path, harmonizer: Harmonizer
) -> None:
    composite = pixels(num_channels=4)
    save(folder / "rgba.png", composite)
    run("harmonize", "rgba.png", inputs.mask, "-o", "out.png")
    expected = harmonizer(composite, disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


def test_strip_shows_composite_mask_and_result(run: Run, inputs: Inputs) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert run(*args, "--strip", "strip.png").out.splitlines() == [b"out.png"]
    parts = [pixels(), np.dstack([disc()] * 3), load(Path("out.png"))]
    np.testing.assert_array_equal(load(Path("strip.png")), np.hstack(parts))


def test_mask_is_resized_on_request(run: Run, inputs: Inputs, folder: Path) -> None:
    save(folder / "half.png", disc((H // 2, W // 2)))
    args = ("harmonize", inputs.composite, "half.png", "-o", "out.png")
    assert run(*args, "--resize-mask").code == 0
    assert load(folder / "out.png").shape == (H, W, 3)


def test_quality_makes_files_smaller(run: Run, inputs: Inputs) -> None:
    sizes = []
    for quality in ("30", "90"):
        name = f"{quality}.jpg"
        args = ("harmonize", inputs.composite, inputs.mask, "-o", name)
        assert run(*args, "--quality", quality).code == 0
        sizes.append(Path(name).stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".PNG"])
def test_extension_sets_the_format(suffix: str, run: Run, inputs: Inputs) -> None:
    target = f"out{suffix}"
    finished = run("harmonize", inputs.composite, inputs.mask, "-o", target)
    assert (finished.code, finished.out) == (0, f"{target}\n".encode())
    assert load(Path(target)).shape == (H, W, 3)


def test_existing_file_is_replaced_on_request(run: Run, inputs: Inputs) -> None:
    Path("out.png").write_bytes(b"old")
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert run(*args, "--overwrite").code == 0
    assert load(Path("out.png")).shape == (H, W, 3)


# harmonize: photos of all kinds


@pytest.mark.parametrize(
    ("dtype", "num_channels"), [("uint8", 1), ("uint16", 1), ("uint16", 3)]
)
def test_gray_and_16_bit_photos_with_an_8_bit_mask(
    dtype: str,
    num_channels: int,
    run: Run,
    inputs: Inputs,
    folder: Path,
    harmonizer: Harmonizer,
) -> None:
    composite = pixels(dtype, num_channels)
    save(folder / "photo.png", composite)
    assert run("harmonize", "photo.png", inputs.mask, "-o", "out.png").code == 0
    expected = harmonizer(composite, disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


def test_palette_photo(
    run: Run, inputs: Inputs, folder: Path, harmonizer: Harmonizer
) -> None:
    photo.from_array(pixels()).pngsave("photo.png", palette=True)
    assert run("harmonize", "photo.png", inputs.mask, "-o", "out.png").code == 0
    expected = harmonizer(load(folder / "photo.png"), disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


def test_mask_of_a_turned_photo_is_as_displayed(
    run: Run, inputs: Inputs, folder: Path, harmonizer: Harmonizer
) -> None:
    # Orientation 6: displayed after a quarter turn clockwise; Exif 2.3, 4.6.4 A.
    stored = photo.from_array(np.ascontiguousarray(np.rot90(pixels()))).copy()
    stored.set_type(pyvips.GValue.gint_type, "orientation", 6)
    stored.pngsave("turned.png")
    assert run("harmonize", "turned.png", inputs.mask, "-o", "out.png").code == 0
    expected = harmonizer(pixels(), disc()).image
    np.testing.assert_array_equal(load(folder / "out.png"), expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_profile_and_exif_are_kept(
    suffix: str, run: Run, inputs: Inputs, folder: Path
) -> None:
    tagged = photo.from_array(pixels()).icc_transform("p3").copy()
    artist = "Ann (Ann, ASCII, 4 components, 4 bytes)"
    tagged.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", artist)
    tagged.jpegsave("photo.jpg")
    run("harmonize", "photo.jpg", inputs.mask, "-o", f"out{suffix}")
    result = read_photo(folder / f"out{suffix}")
    assert result.get("exif-ifd0-Artist").startswith("Ann ")
    assert result.get("icc-profile-data") == tagged.get("icc-profile-data")


@pytest.mark.parametrize(
    ("value", "message"),
    [(0, "the mask is empty"), (255, "the mask covers everything")],
)
def test_suspicious_mask_is_announced_and_the_file_written(
    value: int, message: str, run: Run, inputs: Inputs, folder: Path
) -> None:
    save(folder / "flat.png", np.full((H, W), value, np.uint8))
    finished = run("harmonize", inputs.composite, "flat.png", "-o", "out.png")
    (line,) = finished.messages
    assert line.startswith(f"warning: {message}")
    assert (finished.code, finished.out) == (0, b"out.png\n")


def test_inverted_mask_is_announced(run: Run, inputs: Inputs, folder: Path) -> None:
    save(folder / "inverted.png", 255 - disc())
    finished = run("harmonize", inputs.composite, "inverted.png", "-o", "out.png")
    (line,) = finished.messages
    assert line.startswith("warning: the mask looks inverted")
    assert finished.code == 0


def test_empty_mask_gives_the_pixels_back(
    run: Run, inputs: Inputs, folder: Path
) -> None:
    save(folder / "empty.png", np.zeros((H, W), np.uint8))
    run("harmonize", inputs.composite, "empty.png", "-o", "out.png")
    np.testing.assert_array_equal(load(folder / "out.png"), pixels())
