"""Clips and sequences: opened, described, and read frame by frame."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import pyvips

from imharmony.errors import DecodeError, Hint, ImageError, ShapeError, UsageError
from imharmony.images import files, mask_files, photo
from imharmony.images.formats import SUFFIXES
from imharmony.images.masks import alpha_mask
from imharmony.video.frames import (
    ClipFrame,
    Frame,
    StillFrame,
    check_pixel_format,
    to_pixels,
)

__all__ = [
    "NUMBER",
    "Clip",
    "Sequence",
    "Source",
    "Still",
    "is_sequence",
    "open_source",
    "read_mask",
    "say_what_failed",
    "split_cutout",
]

STILL_SUFFIXES = tuple(SUFFIXES)
DEFAULT_RATE = Fraction(24)
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha channel, which FFmpeg's own do not."""


class Source(Protocol):
    """Where frames come from."""

    name: str
    size: tuple[int, int]
    rate: Fraction
    num_frames: int | None

    def frames(self) -> Iterator[Frame]:
        """Read all frames from the first on; may be called again."""


@contextmanager
def say_what_failed(name: str) -> Iterator[None]:
    """Turn FFmpeg's errors into ours."""
    try:
        yield
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise DecodeError(f"{name}: cannot be decoded ({reason})") from error


class Clip:
    """A file that holds a clip.

    Parameters
    ----------
    path : Path
        Anything that FFmpeg decodes.

    Raises
    ------
    DecodeError
        If it is absent, damaged, or holds no video.
    ImageError
        If its pixels are of a kind that cannot be worked on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        with self._open() as (_, stream):
            context = stream.codec_context
            if context.pix_fmt is None:
                raise DecodeError(f"{self.name}: the kind of its pixels is unknown")
            self.pixel_format: str = context.pix_fmt
            self.size = (context.height, context.width)
            rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
            self.rate = Fraction(rate)
            self.num_frames: int | None = stream.frames or None
            """As the container says; None where it does not."""
            self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
            self.codec = context.name
            self._duration_s = _find_duration(stream)
            parts = av.VideoFormat(self.pixel_format).components
            has_alpha = any(part.is_alpha for part in parts)
            self.has_alpha = has_alpha or stream.metadata.get("alpha_mode") == "1"
        check_pixel_format(self.pixel_format)

    def frames(self) -> Iterator[Frame]:
        """Decode all frames, in order of time.

        Raises
        ------
        DecodeError
            If a frame is damaged, or the stream ends before its container says.
        """
        count = 0
        end_s = 0.0
        with say_what_failed(self.name), self._open() as (container, stream):
            for native in self._decode(container, stream):
                count += 1
                if native.is_corrupt:
                    raise DecodeError(f"{self.name}: frame {count} is damaged")
                if native.pts is None:
                    native.pts = round((count - 1) / self.rate / self.time_base)
                    native.time_base = self.time_base
                time_s = float(native.pts * (native.time_base or self.time_base))
                end_s = time_s + float(1 / self.rate)
                yield ClipFrame(native, time_s)
        self._check_end(count, end_s)

    def _decode(
        self, container: "av.container.InputContainer", stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        own = _ALPHA_DECODERS.get(self.codec) if self.has_alpha else None
        if own is None:
            stream.thread_type = "AUTO"
            yield from container.decode(stream)
            return
        decoder: Any = av.CodecContext.create(own, "r")
        for packet in container.demux(stream):
            for native in decoder.decode(packet if packet.size else None):
                native.time_base = self.time_base
                yield native

    def _check_end(self, count: int, end_s: float) -> None:
        if self.num_frames is not None:
            is_short = count < self.num_frames
            expected = f"{self.num_frames} frames"
        else:
            duration_s = self._duration_s or 0.0
            is_short = end_s < duration_s - max(0.5, 3 / float(self.rate))
            expected = f"{duration_s:.2f} s"
        if is_short or count == 0:
            msg = f"{self.name}: ends early, after {count} frames ({end_s:.2f} s)"
            raise DecodeError(f"{msg}; its header says {expected}")

    @contextmanager
    def _open(self) -> Iterator[tuple["av.container.InputContainer", av.VideoStream]]:
        if not self.path.exists():
            raise DecodeError(f"{self.name}: no such file")
        with (
            say_what_failed(self.name),
            av.open(str(self.path), metadata_errors="replace") as container,
        ):
            pictures = [s for s in container.streams.video if not _is_cover(s)]
            if not pictures:
                raise DecodeError(f"{self.name}: expected a clip, got no video in it")
            yield container, pictures[0]


def _is_cover(stream: av.VideoStream) -> bool:
    """Whether a stream is the picture of a record's cover, not a clip."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _find_duration(stream: av.VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    container: Any = stream.container
    whole = container.duration  # in microseconds
    # That of the longest stream; with sound it says little about the video.
    is_alone = len(container.streams) == 1
    return whole / av.time_base if whole is not None and is_alone else None


class Sequence:
    """Frames in files of their own, in the order of their numbers.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    rate : Fraction
        Frames a second.

    Raises
    ------
    DecodeError, ImageError
        If the first frame cannot be read.
    """

    def __init__(self, paths: tuple[Path, ...], rate: Fraction) -> None:
        self.paths = paths
        self.rate = rate
        self.name = str(paths[0].parent)
        self.num_frames: int | None = len(paths)
        first = _read_still(paths[0])
        self.size = (first.height, first.width)

    def frames(self) -> Iterator[Frame]:
        """Read all frames."""
        for number, path in enumerate(self.paths):
            image = _read_still(path)
            if (image.height, image.width) != self.size:
                height, width = self.size
                msg = f"{path}: expected a frame of {height}x{width} (height x width)"
                msg = f"{msg}, as {self.paths[0].name} is"
                raise ShapeError(f"{msg}, got {image.height}x{image.width}")
            yield StillFrame(image, float(number / self.rate))


class Still:
    """One picture that stands for every frame.

    Parameters
    ----------
    path : Path
    rate : Fraction
        Frames a second.

    Raises
    ------
    DecodeError, ImageError
        If it cannot be read.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path = path
        self.name = str(path)
        self.rate = rate
        self.num_frames: int | None = None
        self._image = _read_still(path)
        self.size = (self._image.height, self._image.width)

    def frames(self) -> Iterator[Frame]:
        """Give the same picture again and again, without end."""
        while True:
            yield StillFrame(self._image, 0.0)


def is_sequence(path: Path) -> bool:
    """Whether a path names frames in files of their own: a folder, or a pattern.

    Examples
    --------
    >>> is_sequence(Path("frames/%04d.png")), is_sequence(Path("clip.mp4"))
    (True, False)
    """
    return path.is_dir() or NUMBER.search(path.name) is not None


NUMBER = re.compile(r"%0?\d*d")


def open_source(path: Path, *, rate: Fraction | None = None) -> Source:
    """Open a clip, a sequence or a still picture.

    Parameters
    ----------
    path : Path
        A clip; a folder of frames, or a pattern such as `frames/%04d.png`; or a
        picture, which stands for every frame.
    rate : Fraction or None
        Frames a second of a sequence; None takes 24.

    Raises
    ------
    DecodeError, ImageError, UsageError
        If it cannot be used.
    """
    if is_sequence(path):
        return Sequence(_find_frames(path), rate or DEFAULT_RATE)
    if path.suffix.lower() in (*STILL_SUFFIXES, ".exr"):
        return Still(path, rate or DEFAULT_RATE)
    return Clip(path)


def _find_frames(path: Path) -> tuple[Path, ...]:
    known = (*STILL_SUFFIXES, ".exr")
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    pattern = re.compile(r"(\d+)\.[^.]+$")
    if not path.is_dir():
        before, after = NUMBER.split(path.name, maxsplit=1)
        pattern = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}$")
    by_number: dict[int, Path] = {}
    for entry in folder.iterdir():
        match = pattern.search(entry.name)
        if match and entry.suffix.lower() in known and not entry.name.startswith("."):
            number = int(match[1])
            if number in by_number:
                msg = f"{folder}: two frames of number {number}"
                raise UsageError(f"{msg}, {by_number[number].name} and {entry.name}")
            by_number[number] = entry
    if not by_number:
        raise UsageError(f"{path}: expected frames with numbers, got none")
    numbers = sorted(by_number)
    for expected, number in enumerate(numbers, start=numbers[0]):
        if number != expected:
            raise UsageError(f"{folder}: frame {expected} is missing")
    return tuple(by_number[number] for number in numbers)


def _read_still(path: Path) -> pyvips.Image:
    """Read one frame's file; EXR is turned from linear light to sRGB's encoding."""
    if path.suffix.lower() != ".exr":
        return files.read_photo(path)
    from imharmony.video import exr

    return exr.read(path)


def read_mask(
    frame: Frame, size: tuple[int, int], name: str, *, resize: bool
) -> pyvips.Image:
    """Turn a frame of a clip of masks into a mask.

    Values that compression has moved a little from black and white are taken as
    those.

    Raises
    ------
    ShapeError
        If the mask has another size and `resize` is false.
    """
    if isinstance(frame, StillFrame):
        return mask_files.as_mask(frame.image, size, resize=resize, name=name)
    green = to_pixels(frame.native)[..., 1]
    if green.dtype != np.uint8:
        green = (green >> 8).astype(np.uint8)
    clean = np.clip((green.astype(np.float32) - 16) * (255 / 223), 0, 255)
    mask = photo.from_array(np.rint(clean).astype(np.uint8))
    if (mask.height, mask.width) == size:
        return mask
    if not resize:
        raise ShapeError(
            f"{name}: expected masks of the clip's size, {size[0]}x{size[1]} (height "
            f"x width), got {mask.height}x{mask.width}",
            hint=Hint.RESIZE_MASK,
        )
    return photo.stretch(mask, size).copy_memory()


def split_cutout(frame: Frame, name: str) -> tuple[pyvips.Image, pyvips.Image]:
    """Separate a frame with alpha into colors and mask.

    Raises
    ------
    ImageError
        If it has no alpha.
    """
    image = photo.straighten(frame.as_photo())
    color, alpha = photo.split_alpha(image)
    if alpha is None:
        msg = f"{name}: expected frames with an alpha channel, since no masks are given"
        raise ImageError(f"{msg}; got none")
    return color, alpha_mask(alpha)
