"""Our curve files, applied by the programs that they are for.

ffmpeg and ImageMagick recolor the example photograph by a file of ours; the result is
compared with our own rendering of the same curves. `docs/curves.md` has the numbers
for the curves that the network predicts.
"""

import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony.curve_files.files import read_curves, write_curves
from imharmony.curves import Curves
from imharmony.errors import HarmonizeWarning
from imharmony.images import files, photo
from imharmony.rendering.render import render

pytestmark = pytest.mark.interop

Pixels = npt.NDArray[Any]

EXAMPLES = Path(__file__).parents[2] / "examples"
HEIGHT, WIDTH = 214, 320  # half the example's size

# Largest difference from our rendering, in steps of 1/255 (8 bit: whole steps).
STEPS = {
    # ffmpeg rounds down where we round to the nearest: one step, whatever the file.
    "8 bit": 1.0,
    # At 16 bit that is one step of 65535. What is left is what the file costs: 4096
    # rows; 33, 64 or 65 samples per channel; 16 points of whole numbers.
    "lut1d": 0.02,
    "lut3d": 1.0,
    "haldclut": 1.0,
    "psfile": 2.0,
    # At 8 bit, ffmpeg passes the points of an .acv through decimals and rounds down:
    # inputs move by up to one step, where `steep` rises by 4.
    "psfile 8 bit": 6.0,
    # The program against our reading of the same file, at 16 bit.
    "as we read it": 0.02,
}


def gentle() -> Curves:
    """A warmer, darker look; no slope changes by more than 0.15 within 1/32."""
    x = np.linspace(0, 1, 65)
    wave = np.sin(np.pi * x)
    heights = [x - 0.02 * wave, x - 0.08 * wave, x - 0.15 * wave]
    return Curves((x, x, x), (heights[0], heights[1], heights[2]))


def steep() -> Curves:
    """Two stages that are steep at both ends, like those of the network."""
    t = np.linspace(0, 1, 64)
    slopes = 0.6 + 1.2 * np.exp(-12 * t) + 2.5 * np.exp(-11 * (1 - t))
    first = Curves.from_params(np.stack([slopes, slopes**0.7, slopes**0.4]))
    return first.then(Curves.from_params(np.stack([slopes**0.3, slopes**0, slopes])))


@dataclass(frozen=True)
class Sample:
    """A photograph as a file and as pixels."""

    path: Path
    pixels: Pixels

    @property
    def depth(self) -> int:
        return 8 * self.pixels.itemsize

    @property
    def raw(self) -> str:
        return "rgb24" if self.depth == 8 else "rgb48le"

    def decode(self, raw: bytes) -> Pixels:
        kind = "u1" if self.depth == 8 else "<u2"
        return np.frombuffer(raw, kind).reshape(HEIGHT, WIDTH, 3)

    def rendered(self, curves: Curves) -> Pixels:
        whole = pyvips.Image.black(WIDTH, HEIGHT).invert()
        image = photo.from_array(self.pixels)
        return photo.to_array(render(image, whole, curves))

    def steps_off(self, ours: Pixels, theirs: Pixels) -> float:
        scale = 1 if self.depth == 8 else 257
        return float(np.abs(ours.astype(float) - theirs).max() / scale)


@pytest.fixture(params=[8, 16], ids=["8 bit", "16 bit"])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    """The example composite; at 16 bit with noise in the lower byte."""
    image = files.read_photo(EXAMPLES / "composite.png")
    pixels = photo.to_array(photo.stretch(image, (HEIGHT, WIDTH)))
    if request.param == 16:
        noise = np.random.default_rng(0).integers(-128, 128, pixels.shape)
        pixels = (257 * pixels.astype(np.int64) + noise).clip(0, 65535)
        pixels = pixels.astype(np.uint16)
    path = tmp_path / "photo.png"
    files.write_photo(photo.from_array(pixels), path)
    return Sample(path, pixels)


def saved(curves: Curves, path: Path, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmonizeWarning)  # that it costs something
        write_curves(curves, path, **options)
    return path


def run(*args: str | Path) -> bytes:
    done = subprocess.run([*map(str, args)], capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout


def ffmpeg(sample: Sample, graph: str, *inputs: Path) -> Pixels:
    """Run a filter graph on the photo; further inputs are the graph's too."""
    sources = [arg for path in (sample.path, *inputs) for arg in ("-i", path)]
    raw = run(
        *("ffmpeg", "-v", "error", *sources, "-filter_complex", graph),
        *("-f", "rawvideo", "-pix_fmt", sample.raw, "-"),
    )
    return sample.decode(raw)


def magick(sample: Sample, *args: str | Path) -> Pixels:
    raw = run(
        *("convert", sample.path, *args),
        *("-depth", str(sample.depth), "-endian", "LSB", "rgb:-"),
    )
    return sample.decode(raw)


def planar(sample: Sample) -> str:
    return "gbrp" if sample.depth == 8 else "gbrp16le"


def bound(sample: Sample, name: str) -> float:
    return STEPS["8 bit"] if sample.depth == 8 else STEPS[name]


# .cube


@pytest.mark.parametrize("curves", [gentle(), steep()], ids=["gentle", "steep"])
def test_ffmpeg_lut1d(curves: Curves, sample: Sample, tmp_path: Path) -> None:
    path = saved(curves, tmp_path / "look.cube")
    theirs = ffmpeg(sample, f"format={planar(sample)},lut1d={path}")
    ours = sample.rendered(curves)
    assert sample.steps_off(ours, theirs) <= bound(sample, "lut1d")


@pytest.mark.parametrize("interpolation", ["trilinear", "tetrahedral"])
@pytest.mark.parametrize(
    ("curves", "size"),
    [(gentle(), 33), (gentle(), 65), (steep(), 65)],
    ids=["gentle 33", "gentle 65", "steep 65"],
)
def test_ffmpeg_lut3d(
    curves: Curves, size: int, interpolation: str, sample: Sample, tmp_path: Path
) -> None:
    path = saved(curves, tmp_path / "look.cube", size=size)
    graph = f"format={planar(sample)},lut3d={path}:interp={interpolation}"
    off = sample.steps_off(sample.rendered(curves), ffmpeg(sample, graph))
    assert off <= bound(sample, "lut3d")


def test_ffmpeg_reads_a_coarse_table_as_we_do(sample: Sample, tmp_path: Path) -> None:
    path = saved(steep(), tmp_path / "look.cube", size=17)
    ours = sample.rendered(read_curves(path))
    theirs = ffmpeg(sample, f"format={planar(sample)},lut3d={path}")
    assert sample.steps_off(ours, theirs) <= bound(sample, "as we read it")


# .acv


@pytest.mark.parametrize("curves", [gentle(), steep()], ids=["gentle", "steep"])
def test_ffmpeg_psfile(curves: Curves, sample: Sample, tmp_path: Path) -> None:
    path = saved(curves, tmp_path / "look.acv")
    theirs = ffmpeg(sample, f"format={planar(sample)},curves=psfile={path}")
    name = "psfile 8 bit" if sample.depth == 8 else "psfile"
    assert sample.steps_off(sample.rendered(curves), theirs) <= STEPS[name]


def test_ffmpeg_reads_points_as_we_do(sample: Sample, tmp_path: Path) -> None:
    path = saved(steep(), tmp_path / "look.acv")
    ours = sample.rendered(read_curves(path))
    theirs = ffmpeg(sample, f"format={planar(sample)},curves=psfile={path}")
    name = "psfile 8 bit" if sample.depth == 8 else "as we read it"
    assert sample.steps_off(ours, theirs) <= STEPS[name]


# HaldCLUT


@pytest.mark.parametrize("curves", [gentle(), steep()], ids=["gentle", "steep"])
def test_ffmpeg_haldclut(curves: Curves, sample: Sample, tmp_path: Path) -> None:
    path = saved(curves, tmp_path / "look.png", kind="hald")
    # Packed: ffmpeg 5.1 mixes up the channels of planar formats in this filter.
    theirs = ffmpeg(sample, f"[0]format={sample.raw}[in];[in][1]haldclut", path)
    off = sample.steps_off(sample.rendered(curves), theirs)
    assert off <= bound(sample, "haldclut")


@pytest.mark.parametrize("curves", [gentle(), steep()], ids=["gentle", "steep"])
def test_imagemagick_hald_clut(curves: Curves, sample: Sample, tmp_path: Path) -> None:
    path = saved(curves, tmp_path / "look.png", kind="hald")
    theirs = magick(sample, path, "-hald-clut")
    off = sample.steps_off(sample.rendered(curves), theirs)
    assert off <= bound(sample, "haldclut")


def test_imagemagick_reads_a_coarse_hald_clut_as_we_do(
    sample: Sample, tmp_path: Path
) -> None:
    path = saved(steep(), tmp_path / "look.png", kind="hald", size=16)
    ours = sample.rendered(read_curves(path))
    theirs = magick(sample, path, "-hald-clut")
    assert sample.steps_off(ours, theirs) <= bound(sample, "as we read it")


def test_documented_commands_work(tmp_path: Path, sample: Sample) -> None:
    document = (EXAMPLES.parent / "docs" / "curves.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("$ ") for line in document.splitlines()]
    commands = [line.split() for line in lines if line.startswith(("ffmpeg ", "conv"))]
    assert len(commands) == 5
    saved(gentle(), tmp_path / "look.acv")
    saved(gentle(), tmp_path / "look.png", kind="hald")
    for command in commands:
        if sample.depth == 16:
            command = [word.replace("rgb24", "rgb48be") for word in command]
        size = 33 if "lut3d=look.cube" in command else None
        saved(gentle(), tmp_path / "look.cube", size=size, overwrite=True)
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        theirs = photo.to_array(files.read_photo(tmp_path / "out.png"))
        off = sample.steps_off(sample.rendered(gentle()), theirs)
        assert off <= STEPS["psfile 8 bit"], command
        (tmp_path / "out.png").unlink()


def test_we_read_the_identity_that_imagemagick_writes(tmp_path: Path) -> None:
    path = tmp_path / "hald.png"
    run("convert", "hald:8", path)
    read = read_curves(path)
    assert max(np.abs(y - read.knots_x[0]).max() for y in read.knots_y) < 1.01 / 65535


def test_we_read_the_identity_that_ffmpeg_writes(tmp_path: Path) -> None:
    path = tmp_path / "hald.png"
    # Left to itself, the source makes 8 bit and dithers that to 16.
    source = ("-f", "lavfi", "-i", "haldclutsrc=8,format=gbrp16le", "-frames:v", "1")
    run("ffmpeg", "-v", "error", *source, "-pix_fmt", "rgb48be", path)
    read = read_curves(path)
    assert max(np.abs(y - read.knots_x[0]).max() for y in read.knots_y) < 1.01 / 65535
