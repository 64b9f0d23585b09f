"""The commands curves and apply, as a person meets them."""

import io
import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest

import imharmony
from imharmony import cli, curve_files
from imharmony.curve_files.files import read_curves, write_curves
from imharmony.curves import Curves
from imharmony.harmonizer import Harmonizer
from imharmony.images import photo
from imharmony.images.files import encode_photo, read_photo
from imharmony.inference.models import MODELS
from tests.onnx_files import write_picture_weights

Pixels = npt.NDArray[Any]

H, W = 40, 60
SOURCES = str(Path(imharmony.__file__).parents[1])
WRITTEN = {
    "look.json": (),
    "look.cube": (),
    "look.acv": (),
    "look.png": ("--kind", "hald"),
}


def pixels(dtype: str = "uint8", num_channels: int = 3) -> Pixels:
    y, x = np.mgrid[:H, :W]
    ramp = np.stack([x / W, y / H, 1 - x / W, y / H], axis=-1)[..., :num_channels]
    noise = np.random.default_rng(0).random((H, W, num_channels))
    image: Pixels = ((0.1 + 0.6 * ramp + 0.2 * noise) * np.iinfo(dtype).max).astype(
        dtype
    )
    return image


def disc() -> Pixels:
    y, x = np.mgrid[:H, :W]
    mask: Pixels = (85 * (12 - np.hypot(y - 24, x - 24)).clip(0, 3)).astype(np.uint8)
    return mask


def save(path: Path, image: Pixels) -> Path:
    path.write_bytes(encode_photo(photo.from_array(image), path.suffix))
    return path


def load(source: Path | bytes) -> Pixels:
    return photo.to_array(read_photo(source))


@dataclass(frozen=True)
class Finished:
    code: int
    out: bytes
    err: str


class Run(Protocol):
    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Finished: ...


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:
    """Run a command in this process, in a folder that has the inputs."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "composite.png", pixels())
    save(tmp_path / "mask.png", disc())
    save(tmp_path / "other.png", 255 - pixels())

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


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer()


def curves_of(run: Run, output: str, *options: str) -> Finished:
    return run("curves", "composite.png", "mask.png", "-o", output, *options)


def refused(finished: Finished, code: int) -> str:
    assert (finished.code, finished.out) == (code, b"")
    *_, message = finished.err.splitlines()
    assert message.startswith("error: ")
    return message.removeprefix("error: ")


# curves


@pytest.mark.parametrize(("name", "options"), WRITTEN.items())
def test_curves_are_what_harmonizing_predicts(
    name: str, options: tuple[str, ...], run: Run, harmonizer: Harmonizer
) -> None:
    finished = curves_of(run, name, *options)
    assert (finished.code, finished.out) == (0, f"{name}{os.linesep}".encode())
    predicted = harmonizer(pixels(), disc()).curves
    levels = np.stack([np.arange(256) / 255] * 3, axis=-1)
    off = np.abs(read_curves(name)(levels) - predicted(levels)).max()
    assert off < 6 / 255


def test_json_holds_how_the_curves_came_about(run: Run, harmonizer: Harmonizer) -> None:
    curves_of(run, "look.json", "--label", "food", "--strength", "0.5")
    expected = harmonizer(pixels(), disc(), label="food", strength=0.5)
    record = curve_files.read_record(Path("look.json"))
    assert record.curves == expected.curves
    assert record.stages == expected.stages
    assert (record.label, record.strength) == ("food", 0.5)
    assert record.model == "s2crnet-cs"
    assert record.checkpoint_sha256 == harmonizer.contract.checkpoint_sha256


def test_weights_file_is_named_in_json(run: Run) -> None:
    curves_of(run, "look.json", "--weights", str(MODELS["s2crnet-cs"]))
    assert json.loads(Path("look.json").read_text())["model"] == "s2crnet-cs.onnx"


def test_guessed_label_is_announced_and_kept(run: Run) -> None:
    finished = curves_of(run, "look.json")
    label = curve_files.read_record(Path("look.json")).label
    assert f"label: {label} (guessed; --label changes it)" in finished.err


def test_another_background_gives_its_curves(run: Run, harmonizer: Harmonizer) -> None:
    curves_of(run, "look.json", "--reference", "other.png")
    expected = harmonizer(pixels(), disc(), reference=255 - pixels()).curves
    assert read_curves("look.json") == expected


def test_size_makes_a_cube_3d(run: Run) -> None:
    curves_of(run, "look.cube", "--size", "9")
    assert "LUT_3D_SIZE 9\n" in Path("look.cube").read_text()


def test_visible_cost_is_a_warning(run: Run) -> None:
    finished = curves_of(run, "look.cube", "--size", "2", "--strength", "3")
    assert finished.code == 0
    assert "warning: look.cube: up to " in finished.err


def test_alpha_is_the_mask_where_none_is_given(
    run: Run, tmp_path: Path, harmonizer: Harmonizer
) -> None:
    save(tmp_path / "rgba.png", np.dstack([pixels(), disc()]))
    run("curves", "rgba.png", "-o", "look.json")
    assert read_curves("look.json") == harmonizer(pixels(), disc()).curves


@pytest.mark.plot
@pytest.mark.parametrize(
    ("name", "head"), [("look.png", b"\x89PNG"), ("look.svg", b"<?xml")]
)
def test_plot_is_what_a_picture_is_by_default(name: str, head: bytes, run: Run) -> None:
    finished = curves_of(run, name)
    assert (finished.code, finished.out) == (0, f"{name}{os.linesep}".encode())
    assert Path(name).read_bytes().startswith(head)


@pytest.mark.plot
def test_stages_make_a_plot_higher(run: Run) -> None:
    curves_of(run, "one.png")
    curves_of(run, "all.png", "--stages")
    assert load(Path("all.png")).shape[0] > 1.5 * load(Path("one.png")).shape[0]


@pytest.mark.plot
def test_plot_shows_the_other_background(run: Run) -> None:
    # Without stages, only the histograms tell one background from the other.
    curves_of(run, "own.png", "--strength", "0")
    curves_of(run, "other's.png", "--strength", "0", "--reference", "other.png")
    assert Path("own.png").read_bytes() != Path("other's.png").read_bytes()


def test_plot_without_matplotlib_is_refused_before_any_work(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = refused(run("curves", "absent.png", "-o", "look.svg"), 2)
    assert message == "matplotlib is not installed; pip install 'imharmony[plot]'"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-o", "look.lut"), "look.lut: expected an extension of .json, .cube, .acv"),
        (("-o", "look.cube", "--kind", "hald"), "look.cube: expected an extension of"),
        (("-o", "look.png", "--kind", "lut"), "kind is one of json, cube, acv, plot"),
        (("-o", "-"), "standard output needs a --kind, one of json, cube, acv"),
        (("-o", "-", "--kind", "lut"), "kind is one of json, cube, acv, plot, hald"),
        (("-o", "look.acv", "--size", "33"), "size applies to .cube and HaldCLUT"),
        (("-o", "look.cube", "--size", "66"), "size: a 3D .cube has 2 to 65 samples"),
        (("-o", "look.json", "--stages"), "--stages is for plots; a .json holds all"),
        (("-o", "mask.png"), "mask.png: --output is also used for another file"),
        (("-o", "other.png"), "other.png: exists already; --overwrite replaces it"),
        (("-o", "look.json", "--label", "cat"), "label is one of person, animal"),
        (
            ("-o", "look.json", "--reference", "-"),
            "only one of composite, mask and reference can be standard input",
        ),
    ],
)
def test_curves_that_cannot_be_written(
    args: tuple[str, ...], message: str, run: Run, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    composite = "-" if args[-1] == "-" and "--reference" in args else "composite.png"
    finished = run("curves", composite, "mask.png", *args)
    assert refused(finished, 2).startswith(message)
    assert sorted(tmp_path.iterdir()) == before


def test_existing_curves_are_replaced_on_request(run: Run) -> None:
    Path("look.json").write_text("mine")
    assert curves_of(run, "look.json", "--overwrite").code == 0
    assert read_curves("look.json").is_monotone


# Models that predict no curves


def test_model_without_curves_says_how_far_the_nearest_are_off(
    run: Run, tmp_path: Path
) -> None:
    weights = write_picture_weights(tmp_path, gain=0.5)
    finished = curves_of(run, "look.json", "--weights", str(weights))
    message = refused(finished, 2)
    assert message == (
        "picture.onnx predicts no curves, since it changes colors by place; those that "
        "come nearest are 0.0 8-bit steps off (RMS), 0 at most; --best-fit writes them"
    )
    assert not Path("look.json").exists()


@pytest.mark.parametrize(("name", "options"), WRITTEN.items())
def test_nearest_curves_are_written_on_request(
    name: str, options: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    weights = write_picture_weights(tmp_path, gain=0.5)
    finished = curves_of(run, name, "--weights", str(weights), "--best-fit", *options)
    assert (finished.code, finished.out) == (0, f"{name}{os.linesep}".encode())
    assert "8-bit steps off (RMS)" in finished.err
    levels = np.repeat(np.linspace(0.3, 0.6, 20)[:, None], 3, axis=1)
    off = np.abs(read_curves(name)(levels) - levels / 2).max()
    assert off < 2 / 255


def test_best_fit_is_refused_where_curves_are_predicted(run: Run) -> None:
    message = refused(curves_of(run, "look.json", "--best-fit"), 2)
    assert message == "s2crnet-cs predicts curves; --best-fit is for models without"


# apply


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("strength", ["1", "0.4", "1.6"])
def test_json_gives_the_bytes_that_harmonize_gives(
    dtype: str, strength: str, run: Run, tmp_path: Path
) -> None:
    save(tmp_path / "deep.png", pixels(dtype))
    run("harmonize", "deep.png", "mask.png", "-o", "a.png", "--strength", strength)
    run("curves", "deep.png", "mask.png", "-o", "look.json")
    args = ("apply", "look.json", "deep.png", "mask.png", "-o", "b.png")
    assert run(*args, "--strength", strength).code == 0
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()


def test_strength_in_the_file_is_applied_already(run: Run) -> None:
    pictures = ("composite.png", "mask.png")
    run("harmonize", *pictures, "-o", "a.png", "--strength", "0.4")
    run("curves", *pictures, "-o", "look.json", "--strength", "0.4")
    run("apply", "look.json", *pictures, "-o", "b.png")
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()


@pytest.mark.parametrize(("name", "options"), WRITTEN.items())
def test_every_kind_of_file_is_applied(
    name: str, options: tuple[str, ...], run: Run
) -> None:
    pictures = ("composite.png", "mask.png")
    run("harmonize", *pictures, "-o", "a.png")
    curves_of(run, name, *options)
    assert run("apply", name, *pictures, "-o", "b.png").code == 0
    off = np.abs(load(Path("b.png")).astype(int) - load(Path("a.png")))
    assert off.max() <= 6  # .acv and HaldCLUT cost something
    assert (load(Path("b.png")) == pixels())[disc() == 0].all()


@pytest.fixture
def inverting(tmp_path: Path) -> Path:
    x = np.array([0.0, 1.0])
    write_curves(Curves((x, x, x), (1 - x, 1 - x, 1 - x)), tmp_path / "invert.json")
    return tmp_path / "invert.json"


def test_without_a_mask_all_of_the_photo_is_recolored(
    run: Run, inverting: Path
) -> None:
    run("apply", inverting, "composite.png", "-o", "b.png")
    np.testing.assert_array_equal(load(Path("b.png")), 255 - pixels())


def test_alpha_is_kept_and_is_no_mask(
    run: Run, inverting: Path, tmp_path: Path
) -> None:
    rgba = pixels(num_channels=4)
    save(tmp_path / "rgba.png", rgba)
    run("apply", inverting, "rgba.png", "-o", "b.png")
    expected = np.dstack([255 - rgba[..., :3], rgba[..., 3:]])
    np.testing.assert_array_equal(load(Path("b.png")), expected)


def test_gray_photo_stays_gray(run: Run, inverting: Path, tmp_path: Path) -> None:
    gray = pixels(num_channels=1)
    save(tmp_path / "gray.png", gray)
    run("apply", inverting, "gray.png", "-o", "b.png")
    np.testing.assert_array_equal(load(Path("b.png")), 255 - gray)


def test_mask_is_resized_on_request(run: Run, inverting: Path, tmp_path: Path) -> None:
    save(tmp_path / "small.png", np.full((2, 3), 255, np.uint8))
    args = ("apply", inverting, "composite.png", "small.png", "-o", "b.png")
    assert "expected a mask of the photo's size" in refused(run(*args), 1)
    assert run(*args, "--resize-mask").code == 0


def test_curves_come_through_a_pipe(run: Run) -> None:
    piped = curves_of(run, "-", "--kind", "json").out
    args = ("apply", "-", "composite.png", "mask.png", "-o", "-", "--format", "png")
    recolored = run(*args, stdin=piped).out
    run("harmonize", "composite.png", "mask.png", "-o", "a.png")
    assert recolored == Path("a.png").read_bytes()


@pytest.mark.parametrize("kind", ["json", "cube", "acv", "hald"])
def test_kind_in_a_pipe_is_told_by_its_content(kind: str, run: Run) -> None:
    piped = curves_of(run, "-", "--kind", kind).out
    assert run("apply", "-", "composite.png", "-o", "b.png", stdin=piped).code == 0


@pytest.mark.plot
def test_plot_in_a_pipe_is_a_png(run: Run) -> None:
    assert curves_of(run, "-", "--kind", "plot").out.startswith(b"\x89PNG")


def test_photo_from_standard_input(run: Run, inverting: Path) -> None:
    stdin = Path("composite.png").read_bytes()
    run("apply", inverting, "-", "-o", "b.png", stdin=stdin)
    np.testing.assert_array_equal(load(Path("b.png")), 255 - pixels())


def test_quality_makes_files_smaller(run: Run, inverting: Path) -> None:
    for name, quality in (("a.jpg", "90"), ("b.jpg", "20")):
        run("apply", inverting, "composite.png", "-o", name, "--quality", quality)
    assert Path("b.jpg").stat().st_size < Path("a.jpg").stat().st_size


def test_standard_input_can_be_one_input_only(run: Run) -> None:
    message = refused(run("apply", "-", "-", "-o", "b.png"), 2)
    assert message == "only one of curves, photo and mask can be standard input"


def test_curves_are_never_overwritten(run: Run, inverting: Path) -> None:
    args = ("apply", inverting, "composite.png", "-o", inverting, "--overwrite")
    assert "--output is also used for another file" in refused(run(*args), 2)


def test_broken_curves_are_named_with_the_line(run: Run) -> None:
    Path("look.cube").write_text("LUT_1D_SIZE 2\n0 0 0\n1 1 red\n")
    message = refused(run("apply", "look.cube", "composite.png", "-o", "b.png"), 1)
    assert message == (
        "look.cube, line 3: expected three numbers or a keyword, got '1 1 red'"
    )
    assert not Path("b.png").exists()


@pytest.mark.plot
def test_plot_is_no_curve_file(run: Run) -> None:
    curves_of(run, "look.png")
    message = refused(run("apply", "look.png", "composite.png", "-o", "b.png"), 1)
    assert message.startswith("look.png: expected a HaldCLUT")


def test_empty_pipe(run: Run) -> None:
    message = refused(run("apply", "-", "composite.png", "-o", "b.png"), 1)
    assert message.startswith("standard input: expected curves in a .json")
    assert message.endswith("got 0 bytes")


def test_applying_loads_no_network(run: Run, inverting: Path) -> None:
    code = f"""
import sys
from imharmony import cli
sys.argv = ["imharmony", "apply", {str(inverting)!r}, "composite.png", "-o", "b.png"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code
print("onnxruntime" in sys.modules, "matplotlib" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["b.png", "False False"]


# What the documents show


DOCUMENT = Path(__file__).parents[2] / "docs" / "curves.md"
EXAMPLES = DOCUMENT.parents[1] / "examples"


def test_documented_commands_work(run: Run) -> None:
    Path("examples").symlink_to(EXAMPLES)
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    commands = [line.split()[2:] for line in lines if line.startswith("$ imharmony ")]
    assert [command[0] for command in commands] == ["curves", "apply"]
    assert [run(*command).code for command in commands] == [0, 0]


@pytest.mark.plot
def test_documented_python_works(run: Run) -> None:
    _, block = DOCUMENT.read_text(encoding="utf-8").split("```python\n")
    names: dict[str, Any] = {"composite": pixels(), "mask": disc()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", imharmony.errors.HarmonizeWarning)
        exec(block.partition("```")[0], names)
    assert isinstance(names["half"], Curves)
    assert {"look.cube", "hald.png", "plot.png"} <= {p.name for p in Path().iterdir()}
