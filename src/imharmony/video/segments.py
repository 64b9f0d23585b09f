"""Write clips in segments, so that an interrupted run can be resumed.

A folder beside the output, `OUTPUT.parts`, takes the segments, each whole or not at
all. When all are there, their packets are put one after another into the output, as
they are, and the folder goes.
"""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from imharmony.errors import UsageError
from imharmony.video.clips import Clip, Source, say_what_failed
from imharmony.video.encoding import (
    Encoding,
    Packet,
    copy_packets,
    encode,
    mux,
    open_output,
    tag_like,
)
from imharmony.video.frames import Frame
from imharmony.writing import replace_whole

__all__ = ["SEGMENT_FRAMES", "count_done", "write_in_segments"]

SEGMENT_FRAMES = 240
"""Frames of a segment: ten seconds of film."""

_OFFSET_S = 3600
"""Added to all times in a segment: times below 0 would move all of them."""


def write_in_segments(
    frames: Iterator[Frame],
    source: Source,
    target: Path,
    encoding: Encoding,
    *,
    key: str,
    overwrite: bool,
    segment_frames: int = SEGMENT_FRAMES,
) -> list[str]:
    """Write a clip segment by segment; those that are there are not encoded again.

    Parameters
    ----------
    frames : iterator of Frame
        All frames, also those of segments that are there.
    source : Source
        The input.
    target : Path
        The clip to write.
    encoding : Encoding
    key : str
        What the segments were made with: inputs and options. Those made with others
        are refused.
    overwrite : bool
        Whether an existing clip may be replaced.
    segment_frames : int
        Frames of a segment.

    Returns
    -------
    list of str
        What of the input could not be copied.

    Raises
    ------
    UsageError
        If the folder holds segments that were made otherwise.
    """
    folder = name_folder(target)
    _open_folder(folder, key)
    # VP9 and VP8 keep alpha beside their packets, which only Matroska has a place for.
    suffix = ".mkv" if encoding.has_alpha and "vpx" in encoding.codec else ".nut"
    paths: list[Path] = []
    for number in itertools.count():
        segment = itertools.islice(frames, segment_frames)
        path = folder / f"{number:06d}{suffix}"
        first = next(segment, None)
        if first is None:
            break
        whole = itertools.chain([first], segment)
        if path.exists():
            for _ in whole:  # they have been encoded
                pass
        else:
            with open_output(path, overwrite=False) as container:
                for packet in encode(container, whole, source, encoding):
                    offset = int(_OFFSET_S / packet.time_base)
                    packet.pts += offset
                    packet.dts += offset
                    container.mux(packet)
        paths.append(path)
    notes = _join(paths, source, target, encoding, overwrite=overwrite)
    shutil.rmtree(folder)
    return notes


def name_folder(target: Path) -> Path:
    """Return the folder that takes the segments of a clip."""
    return target.with_name(target.name + ".parts")


def count_done(target: Path, *, segment_frames: int = SEGMENT_FRAMES) -> int:
    """Count the frames in the segments that are there, from the first on."""
    folder = name_folder(target)
    existing = {
        path.stem for path in folder.glob("*.*") if path.suffix in (".nut", ".mkv")
    }
    names = (f"{number:06d}" for number in itertools.count())
    return segment_frames * sum(
        1 for _ in itertools.takewhile(existing.__contains__, names)
    )


def _open_folder(folder: Path, key: str) -> None:
    record = folder / "made-with.json"
    folder.mkdir(exist_ok=True)
    if not record.exists():
        with replace_whole(record) as file:
            file.write(json.dumps(key).encode())
        return
    if json.loads(record.read_bytes()) != key:
        msg = f"{folder}: holds segments that were made with other options"
        raise UsageError(f"{msg}; remove it to begin anew")


def _join(
    paths: list[Path],
    source: Source,
    target: Path,
    encoding: Encoding,
    *,
    overwrite: bool,
) -> list[str]:
    """Put the packets of all segments into one clip, with the rest of the input."""
    with open_output(target, overwrite=overwrite) as container:
        with av.open(str(paths[0])) as first:
            stream = _add_stream(container, first, encoding, source)
        others: Iterator[Packet] = iter(())
        notes: list[str] = []
        if isinstance(source, Clip):
            others, notes = copy_packets(container, source.path)

        delay = max(map(_find_delay, map(_read_packets, paths)))

        def video() -> Iterator[Packet]:
            for path in paths:
                packets = _read_packets(path)
                times = sorted(packet.pts for packet in packets)
                for packet, shown_at in zip(packets, times, strict=True):
                    offset = int(_OFFSET_S / packet.time_base)
                    packet.pts -= offset
                    packet.dts = shown_at - offset - delay
                    packet.stream = stream
                    yield packet

        mux(container, video(), others)
    return notes


def _add_stream(
    container: "av.container.OutputContainer",
    segment: "av.container.InputContainer",
    encoding: Encoding,
    source: Source,
) -> Any:
    """Add a stream for the packets of all segments, which are like the first."""
    template: Any = segment.streams.video[0]
    if template.metadata.get("alpha_mode") != "1":
        return container.add_stream_from_template(template)
    # A stream from a template would not say that there is alpha beside its packets.
    stream: Any = container.add_stream(encoding.codec, rate=source.rate)
    context = stream.codec_context
    context.height, context.width = source.size
    context.pix_fmt, context.options = encoding.pixel_format, dict(encoding.options)
    context.time_base = template.time_base
    tag_like(stream, next(segment.decode(template)))
    return stream


def _read_packets(path: Path) -> list[Packet]:
    """Read the packets of a segment, in the order in which they are decoded."""
    with say_what_failed(str(path)), av.open(str(path)) as segment:
        return [packet for packet in segment.demux(video=0) if packet.pts is not None]


def _find_delay(packets: list[Packet]) -> int:
    """Find how much sooner frames are decoded than shown, so that none is too late.

    The format of segments keeps only when they are shown.
    """
    times = sorted(packet.pts for packet in packets)
    pairs = zip(times, packets, strict=True)
    return max(int(shown_at - packet.pts) for shown_at, packet in pairs)
