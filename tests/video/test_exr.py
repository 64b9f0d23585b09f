"""EXR frames: what files tell of their colors, and all that goes from file to file."""

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from imharmony.errors import DecodeError
from imharmony.images import files, photo, profiles
from imharmony.video import exr
from tests.video.test_harmonize_video import harmonize

H, W = 24, 32
# ITU-R BT.2020: red, green, blue, white, as the attribute has them.
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)


def write_exr(path: Path, light: Any, *, kind: Any = np.float16, **header: Any) -> None:
    channels = {
        name: np.ascontiguousarray(light[..., k].astype(kind))
        for k, name in enumerate("RGBA"[: light.shape[2]])
    }
    channels["depth.Z"] = np.linspace(1, 9, H * W, dtype=np.float32).reshape(H, W)
    known = {"compression": OpenEXR.PIZ_COMPRESSION, "owner": "a studio"}
    OpenEXR.File(known | header, channels).write(str(path))


def scene(num_channels: int = 3) -> Any:
    rng = np.random.default_rng(0)
    return rng.uniform(0.02, 3.0, (H, W, num_channels)).astype(np.float32)


def test_frame_comes_back_bit_for_bit_with_all_that_it_holds(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", scene(4), chromaticities=BT2020)
    exr.write(exr.read(tmp_path / "a.exr"), tmp_path / "b.exr", overwrite=False)
    old, new = (
        OpenEXR.File(str(tmp_path / name), separate_channels=True)
        for name in ("a.exr", "b.exr")
    )
    assert new.header()["owner"] == "a studio"
    assert new.header()["compression"] == OpenEXR.PIZ_COMPRESSION
    assert new.header()["chromaticities"] == old.header()["chromaticities"]
    assert old.channels().keys() == new.channels().keys() == {*"RGBA", "depth.Z"}
    for name, channel in old.channels().items():
        assert new.channels()[name].pixels.dtype == channel.pixels.dtype
        np.testing.assert_array_equal(new.channels()[name].pixels, channel.pixels)


def test_colors_are_divided_by_alpha_in_linear_light(tmp_path: Path) -> None:
    light = np.zeros((H, W, 4), np.float32)
    light[...] = (0.25, 0.125, 0.0625, 0.5)
    light[0] = (0.3, 0.3, 0.3, 0.0)  # a glow
    write_exr(tmp_path / "a.exr", light, kind=np.float32)
    image = exr.read(tmp_path / "a.exr")
    encoded = photo.to_array(image)
    # IEC 61966-2-1 of 0.5, 0.25, 0.125, and of 0.3 as it is.
    np.testing.assert_allclose(
        encoded[1, 0], [0.735357, 0.537099, 0.388573, 0.5], atol=1e-5
    )
    np.testing.assert_allclose(encoded[0, 0], [0.583831] * 3 + [0], atol=1e-5)
    brighter = photo.from_array(encoded + np.array([0.1, 0.1, 0.1, 0], np.float32))
    exr.write(brighter, tmp_path / "b.exr", overwrite=False)
    file = OpenEXR.File(str(tmp_path / "b.exr"), separate_channels=True)
    red = file.channels()["R"].pixels
    expected = 0.5 * ((0.835357 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(red[1, 0], expected, atol=1e-5)


def test_frame_of_another_size_is_written_by_itself(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", scene())
    half = exr.read(tmp_path / "a.exr").crop(0, 0, W // 2, H)
    exr.write(half, tmp_path / "b.exr", overwrite=False)
    file = OpenEXR.File(str(tmp_path / "b.exr"), separate_channels=True)
    assert {c.pixels.shape for c in file.channels().values()} == {(H, W // 2)}


def test_primaries_are_those_that_the_file_tells(tmp_path: Path) -> None:
    light = np.zeros((H, W, 3), np.float32)
    light[...] = (0.2, 0.3, 0.25)
    write_exr(tmp_path / "a.exr", light, kind=np.float32, chromaticities=BT2020)
    image = exr.read(tmp_path / "a.exr")
    assert not profiles.is_srgb(image)
    # ITU-R BT.2087-0: BT.2020 to BT.709, in linear light.
    matrix = [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ]
    expected = np.array(matrix) @ [0.2, 0.3, 0.25]
    shown = photo.to_array(profiles.to_srgb(image))[0, 0] / 65535
    linear = ((shown + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(linear, expected, atol=0.01)


def test_primaries_of_screens_need_no_profile(tmp_path: Path) -> None:
    bt709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
    write_exr(tmp_path / "a.exr", scene(), chromaticities=bt709)
    assert profiles.is_srgb(exr.read(tmp_path / "a.exr"))


def test_shot_keeps_what_lies_outside_the_mask_bit_for_bit(tmp_path: Path) -> None:
    shot, mattes = tmp_path / "shot", tmp_path / "mattes"
    shot.mkdir()
    mattes.mkdir()
    mask = np.zeros((H, W), np.uint8)
    mask[6:18, 8:24] = 255
    for number in (1, 2):
        light = 0.3 * scene()  # above white, light stays as it is
        write_exr(shot / f"a_{number:04d}.exr", light, chromaticities=BT2020)
        files.write_photo(photo.from_array(mask), mattes / f"m_{number:04d}.png")
    harmonize(shot, mattes, tmp_path / "out" / "a_%04d.exr")
    old, new = (
        OpenEXR.File(str(folder / "a_0001.exr"), separate_channels=True)
        for folder in (shot, tmp_path / "out")
    )
    for name, channel in old.channels().items():
        one, other = channel.pixels, new.channels()[name].pixels
        np.testing.assert_array_equal(one[mask == 0], other[mask == 0])
        if name in "RGB":
            assert (one[mask > 0] != other[mask > 0]).mean() > 0.9


def test_files_we_cannot_read_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.exr"
    damaged.write_bytes(b"v/1\x01" + bytes(40))
    with pytest.raises(DecodeError, match=r"damaged\.exr: cannot be decoded"):
        exr.read(damaged)
    gray = tmp_path / "gray.exr"
    OpenEXR.File({}, {"Y": np.zeros((4, 4), np.float32)}).write(str(gray))
    with pytest.raises(DecodeError, match=r"gray\.exr: expected channels R, G and B"):
        exr.read(gray)
    with pytest.raises(DecodeError, match=r"none\.exr: no such file"):
        exr.read(tmp_path / "none.exr")
