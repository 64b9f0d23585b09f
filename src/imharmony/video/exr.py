"""Frames of linear light, as compositing programs keep them: OpenEXR.

libvips as it comes in wheels reads no EXR; FFmpeg does, and what it gives is linear
light. Our curves are for sRGB-encoded values, so frames are encoded after reading and
decoded before writing; light above white stays above white.
"""

from pathlib import Path

import av
import numpy as np
import pyvips

from imharmony.colors import decode_srgb, encode_srgb
from imharmony.errors import DecodeError, ImageError
from imharmony.images import photo
from imharmony.writing import check_target, replace_whole

__all__ = ["read", "write"]


def read(path: Path) -> pyvips.Image:
    """Read RGB or RGBA of 16-bit or 32-bit float, sRGB-encoded.

    Raises
    ------
    DecodeError
        If the file is absent, damaged, or has no R, G and B.
    ImageError
        If it holds NaN or infinity.
    """
    if not path.exists():
        raise DecodeError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        reason = getattr(error, "strerror", None) or "no picture in it"
        raise DecodeError(f"{path}: cannot be decoded ({reason})") from error
    has_alpha = any(part.is_alpha for part in frame.format.components)
    name = "gbrapf32le" if has_alpha else "gbrpf32le"
    linear = np.array(frame.to_ndarray(format=name))
    colors = linear[..., :3]
    linear[..., :3] = np.sign(colors) * encode_srgb(np.abs(colors))
    return photo.from_array(linear.astype(np.float32), name=str(path))


def write(image: pyvips.Image, path: Path, *, overwrite: bool) -> None:
    """Write a frame that `read` gave, as 32-bit float, whole or not at all.

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
        pixels = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    colors = pixels[..., :3]
    pixels[..., :3] = np.sign(colors) * decode_srgb(np.abs(colors))
    name = "gbrapf32le" if pixels.shape[-1] == 4 else "gbrpf32le"
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = image.width, image.height, name
    encoder.options = {"compression": "zip16"}
    try:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), name)
        packets = [*encoder.encode(frame), *encoder.encode(None)]
    except av.FFmpegError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror})") from error
    with replace_whole(path, overwrite=overwrite) as file:
        for packet in packets:
            file.write(bytes(packet))
