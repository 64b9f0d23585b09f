"""What the command line refuses, with one message and nothing written."""

import os
from pathlib import Path

import numpy as np
import pytest

from imharmony.harmonizer import Harmonizer
from imharmony.images import photo
from imharmony.images.files import encode_photo
from tests.cli.commands import Inputs, Refused, Run, disc, pixels, save

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


@pytest.mark.parametrize(
    ("command", "output"), [("harmonize", "out.png"), ("curves", "out.cube")]
)
def test_opaque_alpha_is_no_mask(
    command: str, output: str, folder: Path, refused: Refused
) -> None:
    opaque = np.full((40, 60, 4), 255, np.uint8)
    save(folder / "opaque.png", opaque)
    message = refused(1, command, "opaque.png", "-o", output)
    assert message == (
        "opaque.png: no mask given, and the alpha channel is opaque everywhere, so it "
        "cuts no foreground out"
    )


@pytest.mark.unix
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


@pytest.mark.unix
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


@pytest.mark.unix
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


@pytest.mark.parametrize(
    ("command", "target", "message"),
    [
        (
            "harmonize",
            "out.png",
            "out.png: quality applies to JPEG, WebP and AVIF only",
        ),
        (
            "harmonize",
            "-",
            "standard output: quality applies to JPEG",
        ),
        ("paste", "out.tif", "out.tif: quality applies to JPEG, WebP"),
        ("apply", "out.png", "out.png: quality applies to JPEG, WebP"),
    ],
)
def test_quality_that_does_not_apply_is_refused_before_any_work(
    command: str, target: str, message: str, inputs: Inputs, refused: Refused
) -> None:
    # Before any work: the missing picture is not even looked for.
    args = (command, "none.png", inputs.composite, "-o", target, "--quality", "90")
    assert refused(2, *args).startswith(message)


def test_quality_that_does_not_apply_to_several_objects(
    inputs: Inputs, refused: Refused
) -> None:
    masks = (inputs.mask, "--mask", inputs.mask)
    args = ("harmonize", "none.png", *masks, "-o", "out.png", "--quality", "90")
    message = refused(2, *args)
    assert message.startswith("out.png: quality applies to JPEG, WebP and AVIF only")


def test_benchmark_of_an_unknown_model(refused: Refused) -> None:
    message = refused(2, "benchmark", "--quick", "--model", "best")
    assert message.startswith("model is one of s2crnet-cs")
    assert message.endswith("got 'best'")


def test_bug_keeps_its_traceback(
    inputs: Inputs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Harmonizer, "predict", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run("harmonize", inputs.composite, inputs.mask, "-o", "out.png")
