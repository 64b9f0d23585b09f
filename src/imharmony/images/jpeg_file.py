"""What a JPEG file is made of: segments, frame, tables, scans, and what follows it.

ITU-T T.81, annex B. Pixels are not touched here.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imharmony.errors import DecodeError
from imharmony.images.exif_block import HEAD, has_resolution, make_true

__all__ = ["Component", "JpegFile", "Segment", "find_scans", "parse_jpeg"]

SOI, EOI, SOS, DQT, DHT, DRI, DNL, DAC = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xDC, 0xCC
APP0, APP1, APP2, APP14, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
PROGRESSIVE = 0xC2
_FRAMES = set(range(0xC0, 0xD0)) - {DHT, 0xC8, DAC}
# What ends a scan: a marker that is neither a stuffed zero, a restart nor a fill.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MPF_HEAD = b"MPF\0"

# T.81, figure A.6: natural order of the coefficients in the file.
ZIGZAG = np.array(
    [
        *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5),
        *(12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28),
        *(35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51),
        *(58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
    ]
)


@dataclass(frozen=True)
class Component:
    """A color component of the frame."""

    identifier: int
    across: int
    """Horizontal sampling factor."""
    down: int
    """Vertical sampling factor."""
    table: int
    """Number of its quantization table."""


@dataclass(frozen=True)
class Segment:
    """A marker with its parameters."""

    marker: int
    data: bytes
    """Without marker and length."""

    def encode(self) -> bytes:
        """Return the bytes as they lie in a file."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.data) + 2) + self.data


@dataclass(frozen=True)
class JpegFile:
    """A JPEG file in parts."""

    segments: tuple[Segment, ...]
    """Those before the first scan, in order."""
    scans: bytes
    """From the first start of scan up to and without the end of the image."""
    trailer: bytes
    """What follows the end of the image: further pictures, or a maker's data."""
    process: int
    """Marker of the frame: 0xC0 baseline, 0xC1 sequential, 0xC2 progressive."""
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]
    tables: dict[int, npt.NDArray[np.uint16]]
    """Quantization tables by number, 64 entries in rows of frequencies."""

    def find_segments(self, *markers: int) -> list[Segment]:
        """List the segments of some markers."""
        return [segment for segment in self.segments if segment.marker in markers]

    @property
    def is_rgb(self) -> bool:
        """Whether the components are red, green and blue, judged as libjpeg does."""
        if len(self.components) != 3:
            return False
        if any(s.data.startswith(b"JFIF\0") for s in self.find_segments(APP0)):
            return False
        for segment in self.find_segments(APP14):
            if segment.data.startswith(b"Adobe") and len(segment.data) >= 12:
                return segment.data[11] == 0
        identifiers = bytes(c.identifier for c in self.components)
        return identifiers == b"RGB"

    @property
    def sampling(self) -> tuple[int, int]:
        """Rows and columns of pixels that one block of the coarsest component spans."""
        return (
            max(c.down for c in self.components),
            max(c.across for c in self.components),
        )

    @property
    def is_progressive(self) -> bool:
        """Whether the file refines the whole picture scan by scan."""
        return self.process == PROGRESSIVE

    @property
    def restart_interval(self) -> int:
        """Units between restart markers; 0 without any; T.81, B.2.4.4."""
        segments = self.find_segments(DRI)
        return int.from_bytes(segments[-1].data[:2], "big") if segments else 0

    @property
    def has_resolution(self) -> bool:
        """Whether JFIF (T.871, 10.1) or EXIF says one."""
        jfif_heads = [
            s.data for s in self.find_segments(APP0) if s.data.startswith(b"JFIF\0")
        ]
        return any(data[7:8] not in (b"", b"\0") for data in jfif_heads) or any(
            has_resolution(segment.data[len(HEAD) :])
            for segment in self.find_segments(APP1)
            if segment.data.startswith(HEAD)
        )

    def grid(self, component: Component) -> tuple[int, int]:
        """Count a component's blocks: rows, columns; T.81, A.1.1 and A.2.4."""
        down, across = self.sampling
        rows = -(-self.height * component.down // (down * 8))
        columns = -(-self.width * component.across // (across * 8))
        return rows, columns

    @property
    def holds_pictures(self) -> bool:
        """Whether a multi-picture index (CIPA DC-007) points to further pictures."""
        return any(s.data.startswith(_MPF_HEAD) for s in self.find_segments(APP2))

    def encode(self, *, fill_to: int | None = None) -> bytes:
        """Put the parts together.

        Parameters
        ----------
        fill_to : int, optional
            Length of the image without its trailer, reached by fill bytes before the
            last marker (T.81, B.1.1.2) where the image is shorter.
        """
        head = b"\xff\xd8" + b"".join(segment.encode() for segment in self.segments)
        size = len(head) + len(self.scans) + 2
        fill = b"" if fill_to is None else b"\xff" * (fill_to - size)
        return b"".join((head, self.scans, fill, b"\xff\xd9", self.trailer))

    @property
    def size(self) -> int:
        """Bytes of the image without its trailer."""
        return len(self.encode()) - len(self.trailer)

    def without_preview(self) -> "JpegFile":
        """Unlink the small picture in EXIF, which shows the file as it was.

        All else in EXIF stays where it is.
        """
        segments = tuple(
            replace(
                segment, data=HEAD + make_true(segment.data[6:], keep_orientation=True)
            )
            if segment.marker == APP1 and segment.data.startswith(HEAD)
            else segment
            for segment in self.segments
        )
        return replace(self, segments=segments)

    def with_moved_pictures(self, distance: int) -> "JpegFile":
        """Correct a multi-picture index after the first picture has grown."""
        segments = tuple(
            replace(segment, data=_move_entries(segment.data, distance))
            if segment.marker == APP2 and segment.data.startswith(_MPF_HEAD)
            else segment
            for segment in self.segments
        )
        return replace(self, segments=segments)


def parse_jpeg(data: bytes) -> JpegFile:
    """Take a JPEG file apart.

    Raises
    ------
    DecodeError
        If it is none, or is built in a way that no usual encoder does.
    """
    segments: list[Segment] = []
    at = 2
    try:
        while True:
            while data[at + 1] == 0xFF:  # fill
                at += 1
            if data[at] != 0xFF:
                raise DecodeError("expected a marker of a JPEG, got other bytes")
            marker = data[at + 1]
            if marker == SOS:
                break
            (length,) = struct.unpack_from(">H", data, at + 2)
            segments.append(Segment(marker, bytes(data[at + 4 : at + 2 + length])))
            at += 2 + length
        end = _end_of_scans(data, at)
        frames = [segment for segment in segments if segment.marker in _FRAMES]
        if len(frames) != 1:
            raise DecodeError(f"expected a JPEG of one frame, got {len(frames)}")
        frame = frames[0].data
        precision, height, width, count = struct.unpack_from(">BHHB", frame)
        components = tuple(
            Component(frame[i], frame[i + 1] >> 4, frame[i + 1] & 15, frame[i + 2])
            for i in range(6, 6 + 3 * count, 3)
        )
        tables = _read_quantization([s.data for s in segments if s.marker == DQT])
    except (IndexError, struct.error) as error:
        raise DecodeError("the JPEG's header is cut off") from error
    return JpegFile(
        segments=tuple(segments),
        scans=data[at:end],
        trailer=data[end + 2 :],
        process=frames[0].marker,
        precision=precision,
        height=height,
        width=width,
        components=components,
        tables=tables,
    )


def find_scans(scans: bytes) -> list[int]:
    """Find where the headers of the scans start, in `JpegFile.scans`."""
    return [at for at, marker in _walk_scans(scans + b"\xff\xd9", 0) if marker == SOS]


def _end_of_scans(data: bytes, at: int) -> int:
    """Find the end-of-image marker that belongs to the scan at `at`."""
    *_, (end, _) = _walk_scans(data, at)
    return end


def _walk_scans(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """List markers from a scan's on, with their places, to the end of the image."""
    while True:
        marker = data[at + 1]
        yield at, marker
        if marker == EOI:
            return
        if marker not in (SOS, DHT):
            raise DecodeError(f"expected a scan, got the marker {marker:#x} after one")
        (length,) = struct.unpack_from(">H", data, at + 2)
        following = _NEXT_MARKER.search(data, at + 2 + length)
        if following is None:
            raise DecodeError("the JPEG has no end")
        at = following.start()


def _read_quantization(segments: list[bytes]) -> dict[int, npt.NDArray[np.uint16]]:
    """Read quantization tables; T.81, B.2.4.1."""
    tables: dict[int, npt.NDArray[np.uint16]] = {}
    for data in segments:
        at = 0
        while at < len(data):
            number, wide = data[at] & 15, data[at] >> 4
            dtype = ">u2" if wide else "u1"
            size = 128 if wide else 64
            if at + 1 + size > len(data):
                raise IndexError
            table = np.zeros(64, np.uint16)
            table[ZIGZAG] = np.frombuffer(data, dtype, 64, at + 1)
            tables[number] = table
            at += 1 + size
    return tables


def _move_entries(data: bytes, distance: int) -> bytes:
    """Move the pictures after the first one in an index; CIPA DC-007, 5.2.3."""
    start = len(_MPF_HEAD)
    order = ">" if data[start : start + 2] == b"MM" else "<"
    (directory,) = struct.unpack_from(order + "I", data, start + 4)
    (count,) = struct.unpack_from(order + "H", data, start + directory)
    moved = bytearray(data)
    for i in range(count):
        entry = start + directory + 2 + 12 * i
        tag, _, size, place = struct.unpack_from(order + "HHII", data, entry)
        if tag != 0xB002:  # MPEntry
            continue
        for at in range(start + place, start + place + size, 16):
            length, offset = struct.unpack_from(order + "II", data, at + 4)
            if offset == 0:
                struct.pack_into(order + "I", moved, at + 4, length + distance)
            else:
                struct.pack_into(order + "I", moved, at + 8, offset + distance)
    return bytes(moved)
