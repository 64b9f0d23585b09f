"""Measure what other programs make of our curve files, on the example photograph.

The curves are those predicted for the example composite, applied to all of it by
ffmpeg and ImageMagick; the difference is to our own rendering, in steps of 1/255,
maximum and mean over pixels and channels. Prints the table of docs/curves.md.

    python benchmarks/curve_files.py
"""

import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from imharmony import Curves, Harmonizer
from imharmony.curve_files.files import write_curves
from imharmony.errors import HarmonizeWarning
from imharmony.images import files, photo
from imharmony.rendering.render import render

Pixels = npt.NDArray[Any]

EXAMPLES = Path(__file__).parents[1] / "examples"
SAVED: dict[str, dict[str, Any]] = {
    "1d.cube": {},
    "33.cube": {"size": 33},
    "65.cube": {"size": 65},
    "points.acv": {},
    "64.png": {"kind": "hald"},
    "256.png": {"kind": "hald", "size": 256},
}
# File, program, and how it is told to apply the file: ffmpeg by a filter graph, whose
# haldclut is right with packed pixels only (5.1), ImageMagick by arguments.
READERS = [
    ("1d.cube", "ffmpeg `lut1d`", "format={planar},lut1d={path}"),
    ("33.cube", "ffmpeg `lut3d`", "format={planar},lut3d={path}"),
    ("65.cube", "ffmpeg `lut3d`", "format={planar},lut3d={path}"),
    ("points.acv", "ffmpeg `curves=psfile`", "format={planar},curves=psfile={path}"),
    ("64.png", "ffmpeg `haldclut`", "[0]format={packed}[in];[in][1]haldclut"),
    ("64.png", "ImageMagick `-hald-clut`", ""),
    ("256.png", "ffmpeg `haldclut`", "[0]format={packed}[in];[in][1]haldclut"),
    ("256.png", "ImageMagick `-hald-clut`", ""),
]
PACKED = {8: "rgb24", 16: "rgb48le"}
PLANAR = {8: "gbrp", 16: "gbrp16le"}
RAW = {8: "u1", 16: "<u2"}


def deepen(pixels: Pixels) -> Pixels:
    """Make 16 bit of 8, with noise in the lower byte."""
    noise = np.random.default_rng(0).integers(-128, 128, pixels.shape)
    wide = (257 * pixels.astype(np.int64) + noise).clip(0, 65535)
    return wide.astype(np.uint16)


def recolor(pixels: Pixels, curves: Curves) -> Pixels:
    """Recolor all of a photo by our own rendering."""
    whole = pyvips.Image.black(pixels.shape[1], pixels.shape[0]).invert()
    return photo.to_array(render(photo.from_array(pixels), whole, curves))


def apply(picture: Path, path: Path, graph: str, shape: Any, depth: int) -> Pixels:
    """Recolor a photo by another program."""
    command: list[str | Path] = ["convert", picture, path, "-hald-clut"]
    command += ["-depth", str(depth), "-endian", "LSB", "rgb:-"]
    if graph:
        known = {"planar": PLANAR[depth], "packed": PACKED[depth], "path": path}
        inputs = [picture, path] if "[1]" in graph else [picture]
        command = ["ffmpeg", "-v", "error"]
        command += [word for name in inputs for word in ("-i", name)]
        command += ["-filter_complex", graph.format(**known)]
        command += ["-f", "rawvideo", "-pix_fmt", PACKED[depth], "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, RAW[depth]).reshape(shape)


def main() -> None:
    """Print the table."""
    pixels = photo.to_array(files.read_photo(EXAMPLES / "composite.png"))
    mask = photo.to_array(files.read_photo(EXAMPLES / "mask.png"))
    curves = Harmonizer()(pixels, mask, label="person").curves
    print("| file | program | 8 bit: max, mean | 16 bit: max, mean |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HarmonizeWarning)
            for name, options in SAVED.items():
                write_curves(curves, folder / name, **options)
        samples = {8: pixels, 16: deepen(pixels)}
        for depth, sample in samples.items():
            files.write_photo(photo.from_array(sample), folder / f"photo{depth}.png")
        for name, program, graph in READERS:
            cells = []
            for depth, sample in samples.items():
                theirs = apply(
                    *(folder / f"photo{depth}.png", folder / name, graph),
                    *(sample.shape, depth),
                )
                ours = recolor(sample, curves)
                steps = np.abs(theirs.astype(float) - ours) * 255 / (2**depth - 1)
                cells.append(f"{steps.max():.3f}, {steps.mean():.3f}")
            print(f"| `{name}` | {program} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
