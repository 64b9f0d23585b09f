"""Curves in OpenColorIO, which Nuke, Blender and others read tables with."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PyOpenColorIO as ocio  # noqa: N813
import pytest

from imharmony import Curves
from imharmony.curve_files import write_curves

NUKE = Path(__file__).parents[2] / "docs" / "programs" / "nuke.md"


@pytest.fixture
def curves() -> Curves:
    x = np.linspace(0, 1, 65)
    return Curves((x, x, x), (x**0.8, x**1.1, x**1.3))


def render(
    processor: ocio.Processor, pixels: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    rendered = pixels.copy()
    processor.getDefaultCPUProcessor().applyRGB(rendered)
    return rendered


def test_a_table_renders_as_the_curves_do(curves: Curves, tmp_path: Path) -> None:
    path = tmp_path / "look.cube"
    write_curves(curves, path)
    transform = ocio.FileTransform(src=str(path), interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform)
    pixels = np.random.default_rng(0).random((100, 100, 3), dtype=np.float32)
    assert np.abs(render(processor, pixels) - curves(pixels)).max() < 1 / 4000


def test_the_look_of_the_page_works_in_a_configuration(
    curves: Curves, tmp_path: Path
) -> None:
    write_curves(curves, tmp_path / "look.cube")
    (look,) = re.findall(r"```yaml\n(.*?)```", NUKE.read_text("utf-8"), flags=re.DOTALL)
    text = f"""ocio_profile_version: 2
search_path: {tmp_path}
roles: {{default: sRGB, scene_linear: linear}}
displays:
  screen:
    - !<View> {{name: plain, colorspace: sRGB}}
{look}
colorspaces:
  - !<ColorSpace> {{name: linear}}
  - !<ColorSpace>
    name: sRGB
    from_scene_reference: !<ExponentWithLinearTransform>
      {{gamma: 2.4, offset: 0.055, direction: inverse}}
"""
    config = ocio.Config.CreateFromStream(text)
    config.validate()
    pixels = np.random.default_rng(0).random((50, 50, 3), dtype=np.float32)
    transform = ocio.LookTransform(src="sRGB", dst="sRGB", looks="harmonized")
    difference = render(config.getProcessor(transform), pixels) - curves(pixels)
    assert np.abs(difference).max() < 1 / 1000
