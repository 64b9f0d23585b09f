"""The command line, as a person meets it: exit codes, both streams, and files.

Most tests call `main` in this process, which is ten times as fast as a new one;
pipes, signals and what gets imported are tried on real processes.
"""

import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import typer.main

import imharmony
from imharmony import cli
from imharmony.harmonizer import MODELS, Harmonizer
from imharmony.images import photo
from imharmony.images.files import encode_photo, read_photo
from imharmony.inference import models
from imharmony.inference.network import Network, Prediction
from tests.onnx_files import write_picture_weights

Pixels = npt.NDArray[Any]

H, W = 40, 60
SOURCES = str(Path(imharmony.__file__).parents[1])
COMMANDS = (
    *("harmonize", "paste", "curves", "apply", "export", "train", "ablate"),
    *("synthesize", "evaluate", "compare", "study", "benchmark", "serve"),
    "data",
)
PNG, JPEG = b"\x89PNG", b"\xff\xd8\xff"


# Pictures


def pixels(dtype: str = "uint8", num_channels: int = 3, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:H, :W]
    ramp = np.stack([x / W, y / H, 1 - x / W, y / H], axis=-1)[..., :num_channels]
    values = (0.1 + 0.6 * ramp + 0.2 * rng.random((H, W, num_channels))).clip(0, 1)
    image: Pixels = (values * np.iinfo(dtype).max).astype(dtype)
    return image


def disc(size: tuple[int, int] = (H, W)) -> Pixels:
    """A mask with soft edges; more rows below than above."""
    y, x = np.mgrid[: size[0], : size[1]]
    soft = 12 - np.hypot(y - 0.6 * size[0], x - 0.4 * size[1])
    mask: Pixels = (255 * (soft / 3).clip(0, 1)).astype(np.uint8)
    return mask


def cutout(size: tuple[int, int] = (10, 16)) -> Pixels:
    """A red rectangle in a transparent frame one pixel wide."""
    image = np.zeros((*size, 4), np.uint8)
    image[1:-1, 1:-1] = (200, 30, 20, 255)
    return image


def save(path: Path, image: Pixels) -> Path:
    path.write_bytes(encode_photo(photo.from_array(image), path.suffix))
    return path


def load(source: Path | bytes) -> Pixels:
    return photo.to_array(read_photo(source))


@dataclass(frozen=True)
class Inputs:
    composite: Path
    mask: Path
    cutout: Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the commands; outputs go there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inputs(folder: Path) -> Inputs:
    return Inputs(
        composite=save(folder / "composite.png", pixels()),
        mask=save(folder / "mask.png", disc()),
        cutout=save(folder / "cutout.png", cutout()),
    )


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer()


# Running


@dataclass(frozen=True)
class Finished:
    code: int
    out: bytes
    err: str

    @property
    def messages(self) -> list[str]:
        """Lines on standard error, but the notes on what the network found."""
        lines = self.err.splitlines()
        found = ("label: ", "nothing changed: ")
        return [line for line in lines if not line.startswith(found)]


class Run(Protocol):
    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Finished: ...


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Run a command in this process."""

    def run(*args: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "argv", ["imharmony", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                cli.main()
                code: object = 0
            except SystemExit as stop:
                code = stop.code
        captured = capfdbinary.readouterr()
        return Finished(int(str(code or 0)), captured.out, captured.err.decode())

    return run


def start(*args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own, with streams as Python has them."""
    return subprocess.Popen(
        [sys.executable, "-m", "imharmony.cli", *map(str, args)],
        env=os.environ | {"PYTHONPATH": SOURCES, "PYTHONUNBUFFERED": ""},
        stderr=subprocess.PIPE,
        **options,
    )


def run_alone(*args: str | Path, stdin: bytes = b"") -> Finished:
    process = start(*args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, err = process.communicate(stdin, timeout=60)
    return Finished(process.returncode, out, err.decode())


Refused = Callable[..., str]


@pytest.fixture
def refused(run: Run, folder: Path) -> Refused:
    """Run a command that must fail and touch nothing; return its one message."""

    def refused(code: int, *args: str | Path, stdin: bytes = b"") -> str:
        before = contents(folder)
        finished = run(*args, stdin=stdin)
        assert contents(folder) == before
        assert (finished.code, finished.out) == (code, b"")
        (message,) = finished.messages
        assert message.startswith("error: ")
        return message.removeprefix("error: ")

    return refused


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


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
    flat = Prediction(np.ones((2, 3, 64), np.float32), "person")
    monkeypatch.setattr(Network, "predict", lambda *_, **__: flat)
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


def test_model_whose_weights_are_absent_names_the_way(
    inputs: Inputs, refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = {"hdnet-lite": tmp_path / "none.onnx"}
    monkeypatch.setattr(models, "OPTIONAL_MODELS", absent)
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    message = refused(2, *args, "--model", "hdnet-lite")
    assert message.startswith("hdnet-lite: its weights are not part of this installa")


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


# Pipes


def test_pipe_holds_the_picture_and_nothing_else(inputs: Inputs, run: Run) -> None:
    run("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    args = ("harmonize", "-", inputs.mask, "-o", "-")
    finished = run_alone(*args, stdin=inputs.composite.read_bytes())
    assert (finished.code, finished.messages) == (0, [])
    assert finished.out == Path("out.png").read_bytes()


def test_mask_from_standard_input(inputs: Inputs, run: Run) -> None:
    run("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    args = ("harmonize", inputs.composite, "-", "-o", "-")
    finished = run(*args, stdin=inputs.mask.read_bytes())
    assert finished.out == Path("out.png").read_bytes()


@pytest.mark.parametrize(("name", "head"), [("jpg", JPEG), (".png", PNG)])
def test_format_of_standard_output(
    name: str, head: bytes, inputs: Inputs, run: Run
) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "-", "--format", name)
    assert run(*args).out.startswith(head)


def test_paste_writes_to_a_pipe(inputs: Inputs, run: Run) -> None:
    finished = run("paste", inputs.cutout, inputs.composite, "-o", "-")
    assert load(finished.out).shape == (H, W, 3)


def test_unknown_format_of_standard_output(inputs: Inputs, refused: Refused) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "-", "--format", "bmp")
    assert "expected an extension of .jpg, .jpeg, .png" in refused(2, *args)


def test_standard_input_can_be_one_input_only(inputs: Inputs, refused: Refused) -> None:
    message = refused(2, "harmonize", "-", "-", "-o", "out.png", stdin=PNG)
    assert message == "only one of composite, mask and background can be standard input"
    message = refused(2, "paste", "-", "-", "-o", "out.png", stdin=PNG)
    assert message == "cutout and background cannot both be standard input"


def test_another_background_gives_other_colors(
    inputs: Inputs, run: Run, harmonizer: Harmonizer
) -> None:
    other = np.full((40, 30, 3), [20, 30, 90], np.uint8)
    save(Path("night.png"), other)
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert run(*args, "--background", "night.png").code == 0
    composite, mask = load(inputs.composite), load(inputs.mask)[..., 0]
    expected = harmonizer(composite, mask, background=other).image
    np.testing.assert_array_equal(load(Path("out.png")), expected)
    assert (expected != harmonizer(composite, mask).image).any()


def test_limit_on_pixels_is_stated_and_can_be_raised(
    inputs: Inputs, run: Run, refused: Refused
) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    message = refused(1, *args, "--max-pixels", str(H * W - 1))
    assert f"at most {H * W - 1} pixels, got {H}x{W}" in message
    assert "--max-pixels raises the limit" in message
    assert run(*args, "--max-pixels", str(H * W)).code == 0


def test_empty_pipe(inputs: Inputs, refused: Refused) -> None:
    message = refused(1, "harmonize", "-", inputs.mask, "-o", "out.png")
    assert message == "standard input: expected a picture, got 0 bytes"


@pytest.mark.parametrize("option", ["--strip", "--composite"])
def test_only_the_result_goes_to_standard_output(
    option: str, inputs: Inputs, refused: Refused
) -> None:
    command = "harmonize" if option == "--strip" else "paste"
    args = (inputs.cutout, inputs.composite, "-o", "out.png", option, "-")
    assert refused(2, command, *args).startswith("-: expected an extension of .jpg")


@pytest.mark.parametrize("kind", ["small", "large", "path"])
def test_reader_that_left_is_no_traceback(kind: str, inputs: Inputs) -> None:
    # What is small waits in Python's buffer, and fails only when that is emptied.
    pictures = [inputs.composite, inputs.mask]
    if kind == "small":
        pictures = [inputs.cutout]
    target = "out.png" if kind == "path" else "-"
    reading, writing = os.pipe()
    os.close(reading)
    options = ("-o", target, "--label", "food")
    process = start("harmonize", *pictures, *options, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_full_disk_behind_standard_output(
    inputs: Inputs, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full()))
    message = refused(1, "harmonize", inputs.composite, inputs.mask, "-o", "-")
    assert message == "standard output: cannot be written (No space left on device)"


# Inputs that cannot be used


def broken_input(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.png"
    encoded = encode_photo(photo.from_array(pixels()), ".jpg")
    cmyk = photo.from_array(pixels()).colourspace("cmyk").jpegsave_buffer()
    content = {
        "text": b"not a picture at all",
        "truncated": encoded[: len(encoded) // 2],
        "empty": b"",
        "cmyk": cmyk,
    }
    if kind in content:
        path.write_bytes(content[kind])
    return folder if kind == "folder" else path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        (
            "text",
            "expected a JPEG, PNG, WebP, TIFF or AVIF file, got one that starts with",
        ),
        ("truncated", "the JPEG data is damaged, truncated or"),
        ("empty", "expected a picture, got 0 bytes"),
        ("cmyk", "expected an RGB or gray picture, got CMYK; convert it to RGB first"),
        ("folder", "expected a file, got a folder"),
        ("long" * 100, "cannot be read"),
    ],
    ids=lambda text: text[:9],
)
@pytest.mark.parametrize("place", ["composite", "mask", "cutout", "background"])
def test_broken_input_is_named_with_its_reason(
    kind: str, message: str, place: str, inputs: Inputs, folder: Path, refused: Refused
) -> None:
    path = broken_input(kind, folder)
    pictures = {
        "composite": ("harmonize", path, inputs.mask),
        "mask": ("harmonize", inputs.composite, path),
        "cutout": ("paste", path, inputs.composite),
        "background": ("paste", inputs.cutout, path),
    }
    found = refused(1, *pictures[place], "-o", "out.png")
    assert found.startswith(f"{path}: {message}")


def test_mask_of_another_size(inputs: Inputs, folder: Path, refused: Refused) -> None:
    save(folder / "small.png", disc((20, 30)))
    args = ("harmonize", inputs.composite, "small.png", "-o", "out.png")
    assert refused(1, *args) == (
        "small.png: expected a mask of the photo's size, 40x60 (height x width), got "
        "20x30; --resize-mask stretches it"
    )


def test_neither_mask_nor_alpha(inputs: Inputs, refused: Refused) -> None:
    message = refused(1, "harmonize", inputs.composite, "-o", "out.png")
    expected = f"{inputs.composite}: no mask given and no alpha channel to use as one"
    assert message == expected


def test_name_that_leads_in_circles(inputs: Inputs, refused: Refused) -> None:
    Path("circle.png").symlink_to("circle.png")
    message = refused(1, "harmonize", "circle.png", inputs.mask, "-o", "out.png")
    assert message.startswith("circle.png: cannot be read")


# Options and outputs that cannot be used


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--label", "dog"), "label is one of person, animal, food, vehicle, others, "),
        (("--model", "best"), "model is one of s2crnet-cs, hdnet-lite, got"),
        (("--weights", "mask.png"), "mask.png: expected an .onnx weights file, got"),
        (("--weights", "none.onnx"), "none.onnx: cannot read weights: No such file"),
        (("--quality", "50"), "out.png: quality applies to JPEG, WebP and AVIF only"),
    ],
)
def test_option_that_cannot_be_used(
    options: tuple[str, str], message: str, inputs: Inputs, refused: Refused
) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    found = refused(2, *args, "--strip", "strip.png", *options)
    assert found.startswith(message)


@pytest.mark.parametrize("strength", ["-1", "nan", "inf", "much"])
def test_impossible_strength(
    strength: str, inputs: Inputs, run: Run, folder: Path
) -> None:
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    finished = run(*args, "--strength", strength)
    assert (finished.code, finished.out) == (2, b"")
    assert "strength" in finished.err
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("out.bmp", "out.bmp: expected an extension of .jpg, .jpeg, .png, .webp, .tif"),
        ("out", "out: expected an extension of .jpg"),
        ("none/out.png", "none/out.png: the folder none does not exist"),
        ("mask.png/out.png", "mask.png/out.png: mask.png is not a folder"),
        ("folder.png", "folder.png: expected a file to write, got a folder"),
        ("old.png", "old.png: exists already; --overwrite replaces it"),
        (f"{'long' * 100}.png", f"{'long' * 100}.png: cannot be written"),
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("option", ["--output", "--strip", "--composite", "--mask"])
def test_target_that_cannot_be_written(
    option: str,
    target: str,
    message: str,
    inputs: Inputs,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Before any work: a prediction would fail this test.
    monkeypatch.delattr(Harmonizer, "predict")
    Path("folder.png").mkdir()
    Path("old.png").write_bytes(b"old")
    first: tuple[str | Path, ...] = ("paste", inputs.cutout, inputs.composite)
    if option in ("--output", "--strip"):
        first = ("harmonize", inputs.composite, inputs.mask)
    output = () if option == "--output" else ("-o", "out.png")
    assert refused(2, *first, *output, option, target).startswith(message)


def test_folder_without_permission(
    inputs: Inputs, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    message = refused(2, "harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert message == "out.png: no permission to write to the folder ."


def same_file(kind: str, path: Path) -> Path:
    """Name a file differently."""
    if kind == "relative":
        return Path("..") / path.parent.name / path.name
    if kind == "link":
        link = path.with_name("link.png")
        link.symlink_to(path)
        return link
    if kind == "folder link":
        folder = path.parent / "linked"
        folder.symlink_to(path.parent, target_is_directory=True)
        return folder / path.name
    return path


@pytest.mark.parametrize("kind", ["plain", "relative", "link", "folder link"])
@pytest.mark.parametrize("option", ["--output", "--strip", "--composite"])
@pytest.mark.parametrize("victim", ["first", "second"])
def test_an_input_is_never_overwritten(
    kind: str, option: str, victim: str, inputs: Inputs, refused: Refused
) -> None:
    command, pictures = "harmonize", (inputs.composite, inputs.mask)
    if option == "--composite":
        command, pictures = "paste", (inputs.cutout, inputs.composite)
    target = same_file(kind, pictures[0 if victim == "first" else 1])
    output = () if option == "--output" else ("-o", "out.png")
    message = refused(2, command, *pictures, *output, option, target, "--overwrite")
    expected = f"{target}: {option} is also used for another file of this command"
    assert message == expected


def test_an_input_named_by_a_link_is_never_overwritten(
    inputs: Inputs, refused: Refused
) -> None:
    link = same_file("link", inputs.composite)
    args = ("harmonize", link, inputs.mask, "-o", inputs.composite, "--overwrite")
    assert "--output is also used for another file" in refused(2, *args)


@pytest.mark.parametrize("option", ["--composite", "--mask"])
def test_two_outputs_are_two_files(
    option: str, inputs: Inputs, refused: Refused
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png", option)
    message = refused(2, *args, "./out.png")
    assert message == f"out.png: {option} is also used for another file of this command"


def test_bug_keeps_its_traceback(
    inputs: Inputs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Harmonizer, "predict", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("harmonize", inputs.composite, inputs.mask, "-o", "out.png")


# paste


@pytest.mark.parametrize(
    ("at", "scale", "box"),
    [
        ("5,7", "100%", (7, 5, 10, 16)),
        ("50%,25%", "100%", (10, 30, 10, 16)),
        ("5px,25%", "200%", (10, 5, 20, 32)),
        ("5,7", "8", (7, 5, 5, 8)),
        ("-4,-2", "100%", (0, 0, 8, 12)),
    ],
)
def test_paste_places_the_cutout(
    at: str, scale: str, box: tuple[int, int, int, int], run: Run, inputs: Inputs
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png")
    finished = run(*args, "--at", at, "--scale", scale, "--mask", "placed.png")
    assert finished.code == 0
    top, left, height, width = box
    inside = np.zeros((H, W), bool)
    inside[top : top + height, left : left + width] = True
    mask = load(Path("placed.png"))[..., 0]
    assert not mask[~inside].any()
    assert (mask[inside] > 0).mean() > 0.5
    untouched = load(Path("out.png"))[mask == 0]
    np.testing.assert_array_equal(untouched, pixels()[mask == 0])


def test_paste_is_harmonizing_its_composite(
    run: Run, inputs: Inputs, harmonizer: Harmonizer
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png", "--at", "9,9")
    finished = run(*args, "--composite", "pasted.png", "--mask", "placed.png")
    assert (finished.code, finished.out) == (0, b"out.png\n")
    placed = load(Path("placed.png"))[..., 0]
    expected = harmonizer(load(Path("pasted.png")), placed).image
    np.testing.assert_array_equal(load(Path("out.png")), expected)


def test_cutout_without_alpha(inputs: Inputs, refused: Refused) -> None:
    message = refused(1, "paste", inputs.composite, inputs.composite, "-o", "out.png")
    assert message.startswith("expected a cut-out with an alpha channel")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--at", "60,0"), "expected a position that puts some of the cut-out"),
        (("--at", "7"), "expected a position X,Y, such as 120,80 or 30%,50%, got '7'"),
        (("--at", "left,top"), "expected a length in pixels"),
        (("--scale", "0"), "scale 0px: expected a cut-out from 1 pixel wide"),
        (("--scale", "big"), "expected a length in pixels"),
    ],
)
def test_place_that_does_not_exist(
    options: tuple[str, str], message: str, inputs: Inputs, refused: Refused
) -> None:
    args = ("paste", inputs.cutout, inputs.composite, "-o", "out.png", *options)
    assert refused(2, *args).startswith(message)


# Ctrl-C


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Noise, which takes a PNG encoder longest."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    noise = photo.from_array(rng.integers(0, 256, (2000, 3000, 3), dtype=np.uint8))
    noise.pngsave(str(folder / "composite.png"), compression=0)
    mask = np.zeros((2000, 3000), np.uint8)
    mask[300:1500, 400:2000] = 255
    save(folder / "mask.png", mask)
    return Inputs(folder / "composite.png", folder / "mask.png", folder / "none")


def has_draft(folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has an unnamed file open in the folder."""
    opened = Path(f"/proc/{process.pid}/fd")
    with contextlib.suppress(FileNotFoundError):  # one that was just closed
        links = [str(link.readlink()) for link in opened.iterdir()]
        return any(link.startswith(f"{folder}/#") for link in links)
    return False


def moment(name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process is where a person might interrupt it."""
    if name == "starting":
        time.sleep(0.05)
        return
    while process.poll() is None and not has_draft(folder, process):
        time.sleep(0.005)
    if name == "writing":
        time.sleep(0.1)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("name", ["starting", "about to write", "writing"])
@pytest.mark.parametrize("is_old_there", [False, True])
def test_stopped_process_leaves_no_partial_file(
    stop: signal.Signals, name: str, is_old_there: bool, large: Inputs, folder: Path
) -> None:
    target = folder / "out.png"
    if is_old_there:
        target.write_bytes(b"old")
    before = large.composite.read_bytes()
    args = ("harmonize", large.composite, large.mask, "-o", target, "--overwrite")

    # A test run in the background may ignore Ctrl-C, and its children would too.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*args, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, handler)
    moment(name, folder, process)
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert contents(folder) == ({"out.png": b"old"} if is_old_there else {})
    assert large.composite.read_bytes() == before


def test_full_disk_leaves_the_old_file_and_says_so(large: Inputs, folder: Path) -> None:
    target = folder / "out.png"
    target.write_bytes(b"old")
    args = ("harmonize", large.composite, large.mask, "-o", target, "--overwrite")
    # A quota of 1 MB per file; the noise takes 18.
    limited = "ulimit -f 1024; trap '' XFSZ; exec \"$@\""
    command = [sys.executable, "-m", "imharmony.cli", *map(str, args)]
    finished = subprocess.run(
        ["bash", "-c", limited, "bash", *command],
        capture_output=True, check=False, text=True,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )  # fmt: skip
    assert finished.returncode == 1
    assert "out.png: cannot be written" in finished.stderr
    assert contents(folder) == {"out.png": b"old"}


# Progress

LONG_WORK = """
import time
from imharmony.cli.arguments import show_progress
with show_progress("reading", 100) as advance:
    advance(50)
    time.sleep(%s)
"""


def shown_on_a_terminal(seconds: float) -> bytes:
    """Standard error of some work, where that is a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": SOURCES, "TERM": "xterm"}
    command = [sys.executable, "-c", LONG_WORK % seconds]
    subprocess.run(command, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that it is closed
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    return shown


def test_long_work_shows_progress_on_a_terminal() -> None:
    assert b"reading" in shown_on_a_terminal(1.6)


def test_short_work_shows_nothing_on_a_terminal() -> None:
    assert b"reading" not in shown_on_a_terminal(0.1)


def test_long_work_is_quiet_in_a_pipe() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", LONG_WORK % 1.6],
        capture_output=True, check=True, env=os.environ | {"PYTHONPATH": SOURCES},
    )  # fmt: skip
    assert (finished.stdout, finished.stderr) == (b"", b"")


# Help


def parameters() -> Iterator[tuple[str, Any]]:
    # Any: older versions of Typer use click's classes, newer ones their own.
    group: Any = typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        for parameter in command.params:
            yield f"{name} {parameter.name}", parameter


def test_commands_are_the_checked_in_list() -> None:
    group: Any = typer.main.get_command(cli.app)
    assert tuple(group.commands) == COMMANDS
    assert all(command.help for command in group.commands.values())


@pytest.mark.parametrize(
    "parameter", [p for _, p in parameters()], ids=[name for name, _ in parameters()]
)
def test_help_says_more_than_the_name(parameter: Any) -> None:
    said = set(re.findall(r"\w+", (parameter.help or "").lower()))
    name = set(re.findall(r"\w+", " ".join(parameter.opts).lower()))
    assert len(said - name) >= 2
    assert parameter.help.endswith(".")


@pytest.mark.parametrize(
    "parameter",
    [p for _, p in parameters() if p.opts[0].startswith("--")],
    ids=[name for name, p in parameters() if p.opts[0].startswith("--")],
)
def test_options_are_whole_words_and_short_only_for_output(parameter: Any) -> None:
    assert [name for name in parameter.opts if name[1] != "-"] in ([], ["-o"])


@pytest.mark.parametrize("command", COMMANDS)
def test_short_flag_shows_help(command: str, run: Run) -> None:
    finished = run(command, "-h")
    assert (finished.code, finished.err) == (0, "")
    assert f"imharmony {command} [OPTIONS]".encode() in finished.out


def test_no_command_shows_help(run: Run) -> None:
    finished = run()
    assert finished.code == 2
    assert all(name in finished.out.decode() + finished.err for name in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from imharmony import cli
for command in {(*COMMANDS, "")!r}:
    sys.argv = ["imharmony", *command.split(), "--help"]
    try:
        cli.main()
    except SystemExit as stop:
        assert stop.code == 0
heavy = {{"numpy", "pyvips", "onnxruntime", "torch"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# Without the train extra


@pytest.mark.parametrize(
    "args",
    [
        ("export", "checkpoint.safetensors", "-o", "weights.onnx"),
        ("train", "s2crnet-cs", "data", "-o", "run"),
        ("synthesize", "data", "-o", "pairs"),
    ],
    ids=lambda args: args[0],
)
def test_training_without_torch_says_what_to_install(
    args: tuple[str, ...], folder: Path
) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
sys.argv = ["imharmony", *{args!r}]
from imharmony import cli
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: \w+ is not installed; pip install 'imharmony\[train\]'\s+", done.stderr
    )
    assert contents(folder) == {}


def test_export_writes_onnx_files_only(refused: Refused) -> None:
    message = refused(2, "export", "checkpoint.safetensors", "-o", "-")
    assert message.startswith("-: expected an extension of .onnx")
