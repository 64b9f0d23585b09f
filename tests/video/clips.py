"""Small clips of our own, made by FFmpeg in this process."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from imharmony.video.frames import from_pixels, to_pixels
from imharmony.video.priority import keep_priority

Pixels = npt.NDArray[Any]

H, W = 64, 96
RATE = Fraction(24)


def scene(number: int = 0, *, light: float = 1.0, pan: float = 0.0) -> Pixels:
    """A smooth scene, float RGB in [0, 1]; `pan` moves the camera, in pixels."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:H, :W].astype(float)
    x = x + pan
    waves = [
        0.5 + 0.3 * np.sin(x / rng.uniform(6, 15) + y / rng.uniform(6, 15) + channel)
        for channel in range(3)
    ]
    pixels: Pixels = (light * np.stack(waves, axis=-1)).clip(0, 1)
    return pixels


def disc(left: float = W / 2) -> Pixels:
    y, x = np.mgrid[:H, :W]
    mask: Pixels = (16.5 - np.hypot(y - H / 2, x - left)).clip(0, 1)
    return mask


def paste(pixels: Pixels, mask: Pixels, gray: float = 0.35) -> Pixels:
    """Put a gray, warm disc with some shape on a scene."""
    y, x = np.mgrid[:H, :W]
    shade = gray + 0.1 * np.sin(x / 4) * np.cos(y / 5)
    warm = np.stack([shade + 0.1, shade, shade - 0.1], axis=-1)
    pasted: Pixels = pixels * (1 - mask[..., None]) + warm * mask[..., None]
    return pasted


def composites(count: int, **options: Any) -> list[Pixels]:
    return [paste(scene(**options), disc())] * count


def write_clip(
    path: Path,
    frames: Iterable[Pixels],
    *,
    codec: str = "ffv1",
    pixel_format: str = "yuv444p",
    colors: tuple[int, int, int, int] = (1, 1, 1, 1),
    times: Sequence[int] | None = None,
    rate: Fraction = RATE,
    options: dict[str, str] | None = None,
    matrix: Sequence[int] | None = None,
    sound: bool = False,
) -> Path:
    """Write float frames of [0, 1] as a clip.

    `colors` are the numbers of range, matrix, primaries and transfer of ITU-T H.273,
    `times` the moments of frames, in 1/1000 s.
    """
    deep = max(c.bits for c in av.VideoFormat(pixel_format).components) > 8
    dtype, top = (np.uint16, 65535) if deep else (np.uint8, 255)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        context = stream.codec_context
        context.pix_fmt = pixel_format
        context.options = options or {}
        context.time_base = Fraction(1, 1000) if times is not None else 1 / rate
        (
            context.color_range,
            context.colorspace,
            context.color_primaries,
            context.color_trc,
        ) = colors
        if matrix is not None:
            stream.set_display_matrix(matrix)
        tone = container.add_stream("aac", rate=44100) if sound else None
        like = av.VideoFrame(16, 16, "yuv420p")
        like.color_range, like.colorspace = colors[0], colors[1]
        like.color_primaries, like.color_trc = colors[2], colors[3]
        for number, pixels in enumerate(frames):
            if number == 0:
                context.height, context.width = pixels.shape[:2]
            whole = np.rint(pixels * top).astype(dtype)
            frame = from_pixels(whole, like, pixel_format)
            frame.pts = number if times is None else times[number]
            frame.time_base = context.time_base
            with keep_priority():
                packets = stream.encode(frame)
            container.mux(packets)
        container.mux(stream.encode(None))
        if tone is not None:
            samples = np.zeros((1, 44100), np.float32)
            samples[0] = np.sin(np.arange(44100) / 20)
            audio = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            audio.sample_rate = 44100
            fifo = av.AudioFifo()
            fifo.write(audio)
            for part in fifo.read_many(1024):
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def write_masks(path: Path, masks: Iterable[Pixels], **options: Any) -> Path:
    frames = (np.repeat(mask[..., None], 3, axis=2) for mask in masks)
    return write_clip(path, frames, **options)


def read_clip(path: Path) -> list[Pixels]:
    """Decode all frames to RGB."""
    with av.open(str(path)) as container:
        return [to_pixels(frame) for frame in container.decode(video=0)]
