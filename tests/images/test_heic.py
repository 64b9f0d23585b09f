"""HEIC files as x265 writes them: colors, turns, alpha, depth, profile and EXIF."""

import io
import struct
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from imharmony.errors import DecodeError, HarmonizeWarning
from imharmony.images import avif_boxes, files
from imharmony.images.photo import to_array
from tests.cli.commands import run_alone

pytestmark = pytest.mark.heic

HEIGHT, WIDTH = 48, 64
Pixels = npt.NDArray[np.uint8]
# Through YCbCr and back in 8 bit, a channel moves by a step.
EXACT = ("-L", "-p", "chroma=444", "--matrix_coefficients=0")


def scene() -> Pixels:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = np.stack([x * 4, y * 5, 255 - x * 3], -1)
    return planes.clip(0, 255).astype(np.uint8)


def heic(tmp_path: Path, *options: str, suffix: str = ".png", **said: Any) -> Path:
    """Write a picture in HEIC by libheif and x265."""
    source, path = tmp_path / f"source{suffix}", tmp_path / "photo.heic"
    pixels = said.pop("pixels", scene())
    if pixels.dtype == np.uint16:
        cv2.imwrite(str(source), pixels[..., ::-1])
    else:
        Image.fromarray(pixels).save(source, **said)
    command = ["heif-enc", *options, str(source), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def distance(photo: Any, expected: npt.NDArray[Any]) -> float:
    return float(np.abs(to_array(photo).astype(float) - expected).max())


def test_colors_are_those_that_were_encoded(tmp_path: Path) -> None:
    photo = files.read_photo(heic(tmp_path, *EXACT))
    assert photo.bands == 3
    assert distance(photo, scene()) <= 1


def test_a_usual_one_is_near(tmp_path: Path) -> None:
    photo = files.read_photo(heic(tmp_path, "-q", "90"))  # 4:2:0
    error = np.abs(to_array(photo).astype(float) - scene())
    assert error.mean() < 2


def test_gray_stays_gray(tmp_path: Path) -> None:
    photo = files.read_photo(heic(tmp_path, "-L", pixels=scene()[..., 0]))
    assert photo.bands == 1
    assert distance(photo, scene()[..., :1]) <= 1


def test_alpha_stays(tmp_path: Path) -> None:
    alpha = np.mgrid[:HEIGHT, :WIDTH][1].astype(np.uint8) * 4
    pixels = np.dstack([scene(), alpha])
    photo = files.read_photo(heic(tmp_path, *EXACT, pixels=pixels))
    assert photo.bands == 4
    assert distance(photo, pixels) <= 1


def test_ten_bits_are_read_at_eight_with_a_warning(tmp_path: Path) -> None:
    deep = scene().astype(np.uint16) * 257
    path = heic(tmp_path, "-b", "10", *EXACT, pixels=deep)
    with pytest.warns(HarmonizeWarning, match="10 bit; read at 8"):
        photo = files.read_photo(path)
    assert photo.format == "uchar"
    assert distance(photo, scene()) <= 1


def turned(data: bytes, quarters: int, axis: int | None = None) -> bytes:
    """Say that the picture is to be turned, and mirrored before; 23008-12, 6.5.10."""
    changed = bytearray(data)
    if axis is not None:
        mirror = struct.pack(">I4sB", 9, b"imir", axis)
        avif_boxes._insert_property(changed, mirror)
    turn = struct.pack(">I4sB", 9, b"irot", quarters)
    avif_boxes._insert_property(changed, turn)
    return bytes(changed)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turn_of_the_container_is_applied_once(quarters: int, tmp_path: Path) -> None:
    block = Image.Exif()
    block[0x0112], block[0x010F] = {1: 8, 2: 3, 3: 6}[quarters], "Maker"
    path = heic(
        tmp_path,
        "-q",
        "95",
        "-p",
        "chroma=444",
        suffix=".jpg",
        quality=100,
        subsampling="4:4:4",
        exif=block.tobytes(),
    )
    photo = files.read_photo(turned(path.read_bytes(), quarters))
    expected = np.rot90(scene(), quarters).astype(float)  # anticlockwise
    shown = to_array(photo)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 3
    after = files.encode_photo(photo, ".png")
    with Image.open(io.BytesIO(after)) as read:
        assert read.getexif()[0x0112] == 1
        assert read.getexif()[0x010F] == "Maker"


def test_mirrored_one_is_mirrored(tmp_path: Path) -> None:
    data = turned(heic(tmp_path, *EXACT).read_bytes(), 0, axis=1)
    assert distance(files.read_photo(data), scene()[:, ::-1]) <= 1


def test_profile_and_exif_come_along(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    block = Image.Exif()
    block[0x010F] = "Maker"
    path = heic(
        tmp_path,
        "-q",
        "90",
        suffix=".jpg",
        quality=95,
        icc_profile=profile,
        exif=block.tobytes(),
    )
    photo = files.read_photo(path)
    assert bytes(photo.get("icc-profile-data")) == profile
    with Image.open(io.BytesIO(files.encode_photo(photo, ".png"))) as read:
        assert read.getexif()[0x010F] == "Maker"


def test_wide_colors_told_by_code_points_count(tmp_path: Path) -> None:
    data = bytearray(heic(tmp_path, *EXACT).read_bytes())
    words = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 12, 13, 6, 0x80)
    avif_boxes._insert_property(data, words)
    photo = files.read_photo(bytes(data))
    shown = photo.icc_transform("srgb", embedded=True, pcs="xyz")
    assert distance(photo, scene()) <= 1
    # Display P3's red is beyond sRGB's: a weaker red of P3 is a stronger one of sRGB.
    assert distance(shown, scene()) > 5


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_cut_off_file_is_an_error(share: float, tmp_path: Path) -> None:
    data = heic(tmp_path, "-q", "90").read_bytes()
    with pytest.raises(DecodeError, match=r"a\.heic: the HEIC data is damaged"):
        files.read_photo(data[: int(share * len(data))], name="a.heic")


def test_command_line_harmonizes_one(tmp_path: Path) -> None:
    path = heic(tmp_path, *EXACT)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[12:36, 16:48] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    output = tmp_path / "out.png"
    done = run_alone("harmonize", path, tmp_path / "mask.png", "-o", output)
    assert (done.code, done.messages) == (0, [])
    before, after = files.read_photo(path), files.read_photo(output)
    outside = mask == 0
    np.testing.assert_array_equal(to_array(after)[outside], to_array(before)[outside])
