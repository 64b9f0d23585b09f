"""Write clips: encode the frames, and copy all else of the input."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.sidedata.sidedata import Type

from imharmony.errors import ImageError, UsageError
from imharmony.images import photo
from imharmony.video.clips import Clip, Source
from imharmony.video.frames import ClipFrame, Frame, from_pixels, to_pixels
from imharmony.video.priority import keep_priority
from imharmony.writing import replace_whole

__all__ = [
    "CONTAINERS",
    "Encoding",
    "Packet",
    "choose_encoding",
    "copy_packets",
    "encode",
    "mux",
    "open_output",
    "tag_like",
    "write_clip",
]

Packet = Any
"""An `av.Packet` of any stream."""

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".mxf": "mxf",
    ".nut": "nut",
}
"""Extensions of clips, and what FFmpeg calls the format."""

_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "libdav1d": "libsvtav1",
    "prores": "prores_ks",
}
"""Encoders for what decoders are called; others have the same name."""

_FALLBACKS = ("libx264", "libopenh264", "libsvtav1", "libvpx-vp9", "mpeg4")
_CRF = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libvpx": 16, "libsvtav1": 24}
"""Encoders with a constant quality, and the one taken unless another is asked for."""

_UNUSABLE = {"libvpx-vp9": ("yuva422p", "yuva444p", "gbrap")}
"""Pixel formats that an encoder lists and then refuses: libvpx has alpha with 4:2:0."""

_COLOR_FIELDS = ("color_range", "colorspace", "color_primaries", "color_trc")


@dataclass(frozen=True)
class Encoding:
    """How frames are to be encoded."""

    codec: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_alpha(self) -> bool:
        """Whether frames are encoded with their alpha."""
        return _has_alpha(av.VideoFormat(self.pixel_format))


def choose_encoding(
    source: Source,
    output: Path,
    *,
    has_alpha: bool = False,
    codec: str | None = None,
    crf: float | None = None,
    pixel_format: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Encoding:
    """Choose codec and pixel format: those of the input, where they can be had.

    Parameters
    ----------
    source : Source
        The input.
    output : Path
        Its extension says the container.
    has_alpha : bool
        Whether the frames to be encoded have alpha.
    codec, pixel_format : str or None
        FFmpeg's names; None chooses.
    crf : float or None
        Constant quality, less is better.
    options : mapping or None
        Further options of the encoder.

    Raises
    ------
    UsageError
        If the codec is unknown, cannot hold the pixel format, or has no `crf`.
    """
    suffix = output.suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{output}: expected a clip ({known}), got {suffix!r}")
    if codec is None:
        codec = _choose_codec(source, suffix)
    encoder = _find_encoder(codec)
    wanted = pixel_format or _prefer_format(source, has_alpha)
    known_formats = [
        layout.name
        for layout in encoder.video_formats or ()
        if layout.name not in _UNUSABLE.get(codec, ())
    ]
    if pixel_format is not None and pixel_format not in known_formats:
        names = ", ".join(known_formats)
        msg = f"pixel format of {codec}: expected one of {names}"
        raise UsageError(f"{msg}, got {pixel_format}")
    chosen = _find_nearest_format(wanted, known_formats)
    all_options = dict(options or {})
    if crf is not None and codec not in _CRF:
        msg = f"codec {codec} has no constant quality; expected no crf"
        raise UsageError(f"{msg}, or one of {', '.join(_CRF)}")
    if codec in _CRF:
        all_options.setdefault("crf", f"{_CRF[codec] if crf is None else crf:g}")
    if codec in ("libvpx-vp9", "libvpx"):
        all_options.setdefault("b", "0")  # or the bit rate would rule
        all_options.setdefault("row-mt", "1")
    return Encoding(codec, chosen, all_options)


def _choose_codec(source: Source, suffix: str) -> str:
    if suffix == ".webm":
        return "libvpx-vp9"
    names: list[str] = []
    if isinstance(source, Clip):
        names.append(_ENCODERS.get(source.codec, source.codec))
    for name in (*names, *_FALLBACKS):
        try:
            _find_encoder(name)
        except UsageError:
            continue
        return name
    raise UsageError("this FFmpeg has no encoder that is known; name one")


def _find_encoder(name: str) -> av.Codec:
    try:
        encoder = av.Codec(name, "w")
    except (av.FFmpegError, ValueError) as error:
        msg = f"codec: expected an encoder of this FFmpeg, such as {_FALLBACKS[0]}"
        raise UsageError(f"{msg}, got {name!r}") from error
    if encoder.type != "video":
        raise UsageError(f"codec: expected one for video, got {name!r}")
    return encoder


def _prefer_format(source: Source, has_alpha: bool) -> str:
    if isinstance(source, Clip):
        name = source.pixel_format
        if source.has_alpha and not has_alpha:
            name = name.replace("yuva", "yuv").replace("rgba", "rgb24")
        return name
    frame = next(iter(source.frames()))
    is_deep = frame.as_photo().format != "uchar"
    base = "yuva444p" if has_alpha else "yuv420p"
    return f"{base}10le" if is_deep else base


def _find_nearest_format(wanted: str, known: Sequence[str]) -> str:
    """Choose the pixel format of an encoder that loses least."""
    if wanted in known or not known:
        return wanted
    target = av.VideoFormat(wanted)

    def loss(name: str) -> tuple[int, int, int, int]:
        layout = av.VideoFormat(name)
        depth, depth_wanted = _read_depth(layout), _read_depth(target)
        chroma = layout.chroma_width(64) * layout.chroma_height(64)
        chroma_wanted = target.chroma_width(64) * target.chroma_height(64)
        lacks_alpha = _has_alpha(target) and not _has_alpha(layout)
        return (
            int(lacks_alpha) + int(layout.is_rgb != target.is_rgb),
            max(0, depth_wanted - depth),
            max(0, chroma_wanted - chroma),
            abs(depth - depth_wanted) * 10_000 + abs(chroma - chroma_wanted),
        )

    plain = [name for name in known if not name.startswith(("yuvj", "nv", "gray"))]
    return min(plain or known, key=loss)


def _read_depth(layout: av.VideoFormat) -> int:
    return max(part.bits for part in layout.components)


def _has_alpha(layout: av.VideoFormat) -> bool:
    return any(part.is_alpha for part in layout.components)


def encode(
    container: "av.container.OutputContainer",
    frames: Iterator[Frame],
    source: Source,
    encoding: Encoding,
) -> Iterator[Packet]:
    """Encode frames with a new stream of a container, packet by packet.

    Colors are tagged as the first frame is, and turned as it is.
    """
    first = next(frames, None)
    if first is None:
        return
    native = first.native if isinstance(first, ClipFrame) else None
    stream: Any = container.add_stream(encoding.codec, rate=source.rate)
    height, width = source.size
    context = stream.codec_context
    context.width, context.height = width, height
    context.pix_fmt = encoding.pixel_format
    context.options = dict(encoding.options)
    time_base = source.time_base if isinstance(source, Clip) else 1 / source.rate
    context.time_base = time_base
    context.flags |= av.codec.context.Flags.global_header
    if native is not None:
        tag_like(stream, native)
    elif not av.VideoFormat(encoding.pixel_format).is_rgb:
        context.color_range, context.colorspace = 1, 1  # limited, BT.709
        context.color_primaries, context.color_trc = 1, 1
    with keep_priority():
        context.open(strict=False)
    for frame in chain([first], frames):
        yield from stream.encode(_to_native(frame, encoding, time_base))
    yield from stream.encode(None)


def tag_like(stream: Any, native: av.VideoFrame) -> None:
    """Give a new stream the color tags and the rotation of a decoded frame."""
    for name in _COLOR_FIELDS:
        setattr(stream.codec_context, name, int(getattr(native, name)))
    all_side_data: Any = native.side_data
    for side_data in all_side_data.keys():  # noqa: SIM118
        if side_data.type == Type.DISPLAYMATRIX:
            matrix = np.frombuffer(bytes(side_data), np.int32)
            stream.set_display_matrix([int(number) for number in matrix])


def _to_native(frame: Frame, encoding: Encoding, time_base: Fraction) -> av.VideoFrame:
    """Convert a frame to what the encoder takes, at its own moment."""
    if isinstance(frame, ClipFrame):
        native = frame.native
        pts, base = native.pts, native.time_base
        if native.format.name != encoding.pixel_format:
            native = from_pixels(to_pixels(native), native, encoding.pixel_format)
    else:
        pixels = photo.to_array(frame.image)
        native = from_pixels(pixels, None, encoding.pixel_format)
        pts, base = round(frame.time_s / time_base), time_base
    native.pict_type = 0  # or the encoder would make the same key frames
    native.pts, native.time_base = pts, base
    return native


def copy_packets(
    output: "av.container.OutputContainer", source: Path
) -> tuple[Iterator[Packet], list[str]]:
    """Add streams for sound, subtitles and attachments, to be copied as they are.

    Returns
    -------
    packets : iterator of av.Packet
        Ready to be muxed, in order.
    notes : list of str
        Which streams the container cannot hold.
    """
    notes: list[str] = []
    opened = av.open(str(source), metadata_errors="replace")
    targets = {}
    for stream in opened.streams:
        if stream.type not in ("audio", "subtitle"):
            continue
        context: Any = stream.codec_context  # None for what FFmpeg does not know
        name = "unknown" if context is None else context.name
        try:
            codec = av.Codec(name, "r").canonical_name
        except (av.FFmpegError, ValueError):
            codec = name
        if not {name, codec} & output.supported_codecs:
            notes.append(f"{stream.type} of kind {name} does not fit; it is left out")
            continue
        target = output.add_stream_from_template(stream)
        target.metadata.update(stream.metadata)
        target.disposition = stream.disposition
        targets[stream.index] = target
    output.metadata.update(opened.metadata)

    def packets() -> Iterator[Packet]:
        with opened:
            if not targets:
                return
            streams = [opened.streams[index] for index in targets]
            for packet in opened.demux(streams):
                if packet.dts is not None:
                    packet.stream = targets[packet.stream.index]
                    yield packet

    return packets(), notes


@contextmanager
def open_output(
    target: Path, *, overwrite: bool
) -> Iterator["av.container.OutputContainer"]:
    """Open a clip for writing that appears when it is whole."""
    try:
        with replace_whole(target, overwrite=overwrite) as file:
            container = av.open(
                _Unclosed(file), "w", format=CONTAINERS[target.suffix.lower()]
            )
            with container:
                yield container
    except av.FFmpegError as error:
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise ImageError(msg) from error


class _Unclosed:
    """A file that stays open when FFmpeg is done with it."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.seek, self.tell = file.write, file.seek, file.tell
        self.read = file.read


def write_clip(
    frames: Iterator[Frame],
    source: Source,
    target: Path,
    encoding: Encoding,
    *,
    overwrite: bool,
) -> list[str]:
    """Write frames as a clip, with all that belongs to the input; whole or not at all.

    Returns
    -------
    list of str
        What of the input could not be copied.
    """
    with open_output(target, overwrite=overwrite) as container:
        video = encode(container, frames, source, encoding)
        first = next(video, None)  # the stream comes first
        others: Iterator[Packet] = iter(())
        notes: list[str] = []
        if isinstance(source, Clip):
            others, notes = copy_packets(container, source.path)
        if first is not None:
            mux(container, chain([first], video), others)
    return notes


def mux(
    container: "av.container.OutputContainer",
    video: Iterator[Packet],
    others: Iterator[Packet],
) -> None:
    """Mux packets of two iterators in the order of their times."""
    waiting = next(others, None)
    for packet in video:
        while waiting is not None and _get_time(waiting) <= _get_time(packet):
            container.mux(waiting)
            waiting = next(others, None)
        container.mux(packet)
    while waiting is not None:
        container.mux(waiting)
        waiting = next(others, None)


def _get_time(packet: Packet) -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base or 0)
