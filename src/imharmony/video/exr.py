"""Frames of linear light, as compositing programs keep them: OpenEXR.

Our curves are for sRGB-encoded values, so frames are encoded after reading and decoded
before writing; light above white stays above white. Primaries are those the file tells
(`chromaticities`), else those of BT.709. OpenEXR stores colors multiplied by alpha, in
linear light; it is divided out meanwhile. All else of a frame goes from file to file:
other channels, attributes, the depth of its numbers.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
import pyvips

from imharmony.colors import decode_srgb, encode_srgb
from imharmony.errors import DecodeError, ImageError
from imharmony.images import photo
from imharmony.images.color_tags import from_gamma, make_profile
from imharmony.writing import check_target, replace_whole

__all__ = ["read", "write"]

_FIELD = "imharmony-exr-file"
"""Field of a photo: the file that it was read from."""
_CHROMATICITIES = "chromaticities"

FloatArray = npt.NDArray[np.float32]


def read(path: Path) -> pyvips.Image:
    """Read RGB or RGBA of 16-bit or 32-bit float, sRGB-encoded.

    Raises
    ------
    DecodeError
        If the file is absent, damaged, has several parts, or no R, G and B.
    ImageError
        If it holds NaN or infinity.
    """
    header, channels = _open(path)
    light = np.stack([channels[name] for name in _name_colors(channels)], axis=-1)
    image = photo.from_array(_encode(light), name=str(path)).copy()
    if _CHROMATICITIES in header:
        x_y = tuple(map(float, header[_CHROMATICITIES]))  # red, green, blue, white
        tags = from_gamma(None, (*x_y[6:], *x_y[:6]))
        if not tags.is_srgb:
            try:
                profile = make_profile(tags, is_gray=False)
            except ValueError as error:
                raise ImageError(f"{path}: {error}, got {x_y}") from error
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.set_type(pyvips.GValue.gstr_type, _FIELD, str(path))
    return image


def write(image: pyvips.Image, path: Path, *, overwrite: bool) -> None:
    """Write a frame whole or not at all.

    Of a frame that `read` gave, values that are as they were are written bit for bit,
    with all else that its file holds. Another frame is written as 32-bit float.

    Raises
    ------
    UsageError
        As `write_photo`.
    ImageError
        If it cannot be written.
    """
    check_target(path, (".exr",), overwrite=overwrite)
    pixels = photo.to_array(photo.to_rgb(image))
    if pixels.dtype != np.float32:
        pixels = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    header: dict[str, Any] = {"compression": OpenEXR.ZIP_COMPRESSION}
    channels: dict[str, npt.NDArray[Any]] = {}
    if image.get_typeof(_FIELD):
        stored_header, stored = _open(Path(image.get(_FIELD)))
        old = np.stack([stored[name] for name in _name_colors(stored)], axis=-1)
        if old.shape == pixels.shape:  # else a picture of another size was made of it
            header, channels = stored_header, stored
            same = _encode(old) == pixels
    light = _decode(pixels)
    for number, name in enumerate("RGBA"[: pixels.shape[2]]):
        channel = light[..., number]
        if name in channels:
            before = channels[name]
            channel = np.where(same[..., number], before, channel.astype(before.dtype))
        channels[name] = np.ascontiguousarray(channel)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "frame.exr"
        try:
            OpenEXR.File(header, channels).write(str(draft))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ImageError(f"{path}: cannot be written ({error})") from error
        with replace_whole(path, overwrite=overwrite) as file:
            file.write(draft.read_bytes())


def _open(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read the header and the channels of a file of one part."""
    if not path.exists():
        raise DecodeError(f"{path}: no such file")
    try:
        file = OpenEXR.File(str(path), separate_channels=True)
        parts = file.parts
    except (RuntimeError, ValueError, TypeError) as error:
        raise DecodeError(f"{path}: cannot be decoded ({error})") from error
    if len(parts) != 1:
        msg = f"{path}: expected a file of one part, got {len(parts)}"
        raise DecodeError(f"{msg}; write the one to harmonize to a file of its own")
    channels = {name: part.pixels for name, part in file.channels().items()}
    if not {"R", "G", "B"} <= channels.keys():
        got = ", ".join(channels) or "none"
        raise DecodeError(f"{path}: expected channels R, G and B, got {got}")
    sizes = {channels[name].shape for name in _name_colors(channels)}
    if len(sizes) != 1:
        raise DecodeError(f"{path}: expected channels of one size, got {sizes}")
    return dict(file.header()), channels


def _name_colors(channels: dict[str, npt.NDArray[Any]]) -> str:
    return "RGBA" if "A" in channels else "RGB"


def _encode(light: npt.NDArray[Any]) -> FloatArray:
    """Encode linear light (H, W, C) as sRGB; a fourth channel is alpha, divided out."""
    encoded = light.astype(np.float32)
    colors = encoded[..., :3]
    if encoded.shape[2] == 4:
        colors = colors / _make_divisor(encoded[..., 3:])
    encoded[..., :3] = np.sign(colors) * encode_srgb(np.abs(colors))
    return encoded


def _decode(encoded: FloatArray) -> FloatArray:
    light = encoded.copy()
    colors = encoded[..., :3]
    light[..., :3] = np.sign(colors) * decode_srgb(np.abs(colors))
    if encoded.shape[2] == 4:
        light[..., :3] *= _make_divisor(encoded[..., 3:])
    return light


def _make_divisor(alpha: FloatArray) -> FloatArray:
    """Alpha, and 1 where there is none: light without a surface, such as a glow."""
    return np.where(alpha > 0, alpha, np.float32(1))
