"""Standard input and output instead of files."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from tests.cli.commands import (
    JPEG,
    PNG,
    H,
    Inputs,
    Refused,
    Run,
    W,
    load,
    run_alone,
    save,
    start,
)


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
    assert message == "only one of composite, mask and reference can be standard input"
    message = refused(2, "paste", "-", "-", "-o", "out.png", stdin=PNG)
    assert message == "cutout and background cannot both be standard input"


def test_reference_gives_other_colors(
    inputs: Inputs, run: Run, harmonizer: Harmonizer
) -> None:
    other = np.full((40, 30, 3), [20, 30, 90], np.uint8)
    save(Path("night.png"), other)
    args = ("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
    assert run(*args, "--reference", "night.png").code == 0
    composite, mask = load(inputs.composite), load(inputs.mask)[..., 0]
    expected = harmonizer(composite, mask, reference=other).image
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
        pictures = [inputs.small, inputs.small_mask]
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


@pytest.mark.unix
@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.parametrize("command", ["help", "folder", "picture", "usage"])
def test_head_ends_a_command_without_a_word(
    command: str, lines: int, inputs: Inputs, folder: Path
) -> None:
    """A reader such as head leaves after some lines."""
    many = folder / "many"
    many.mkdir()
    for number in range(12):
        os.link(inputs.composite, many / f"{number}.png")
        os.link(inputs.mask, many / f"{number}_mask.png")
    commands: dict[str, tuple[str | Path, ...]] = {
        "help": ("harmonize", "--help"),
        "usage": ("--version",),
        "picture": ("harmonize", inputs.composite, inputs.mask, "-o", "-"),
        "folder": ("harmonize", many, "-o", "done", "--workers", "1"),
    }
    process = start(*commands[command], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        errors = process.stderr.read()
    process.wait(timeout=60)
    assert b"Traceback" not in errors
    assert b"Exception ignored" not in errors
    assert process.returncode in (0, 1)  # what is short may have been written before
