"""Many composites in one request: paired with masks, harmonized, sent as a zip.

The answer begins while later pictures are still worked on. A picture that cannot be
done is named in the report at its end; the others go on.
"""

import asyncio
import errno
import json
import re
import shutil
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from imharmony.web.errors import ApiError
from imharmony.web.messages import Answer
from imharmony.web.uploads import Upload

__all__ = ["MAX_PICTURES", "Picture", "pair_archive", "pair_parts", "stream_results"]

MAX_PICTURES = 500
MAX_DIRECTORY_BYTES = 2**20
"""Of the list of files at the end of an archive, which is read in one piece."""
CHUNK_BYTES = 2**16
REPORT = "report.jsonl"

_END_OF_DIRECTORY = b"PK\5\6"
_END_BYTES = 22 + 2**16  # with the longest comment
_LARGE_ARCHIVE = b"PK\6\7"
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError)
"""What `zipfile` raises for a damaged archive."""
_UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Picture:
    """A composite and its mask; without a mask its alpha is the mask."""

    composite: Upload
    mask: Upload | None = None


@dataclass(frozen=True)
class _Line:
    """A line of the report."""

    composite: str
    """What the client called it."""
    file: str | None = None
    """Name of the result in the archive; None where there is none."""
    label: str | None = None
    same_scene: float | None = None
    seam_pairs: int = 0
    warnings: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None


def pair_parts(composites: Sequence[Upload], masks: Sequence[Upload]) -> list[Picture]:
    """Pair the parts of a form in the order in which they came.

    Raises
    ------
    ApiError
        `bad_option`, if there are some masks, but not one for each composite.
    """
    if masks and len(masks) != len(composites):
        expected = f"expected a mask for each of {len(composites)} composites, or none"
        raise ApiError("bad_option", f"{expected}; got {len(masks)} masks")
    paired: Sequence[Upload | None] = masks or [None] * len(composites)
    return [Picture(*pair) for pair in zip(composites, paired, strict=True)]


def pair_archive(archive: Path, folder: Path, max_bytes: int) -> list[Picture]:
    """Unpack a zip, and pair its files by their names.

    A mask is called `NAME_mask.*`, or lies in a folder `masks` and is called as its
    composite is.

    Parameters
    ----------
    archive : Path
    folder : Path
        Where files go, under names of ours.
    max_bytes : int
        Of all files together, unpacked.

    Raises
    ------
    ApiError
        `bad_request`, `bad_option`, `too_large`.
    """
    _check_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if _is_file(entry)]
            if len(entries) > 2 * MAX_PICTURES:
                expected = f"expected at most {MAX_PICTURES} composites and their masks"
                raise ApiError("bad_option", f"archive: {expected}, got more files")
            uploads = []
            for number, entry in enumerate(entries):
                path = folder / f"entry-{number}"
                max_bytes -= _unpack(opened, entry, path, max_bytes)
                uploads.append(Upload(path, entry.filename))
    except _DAMAGES as error:
        raise ApiError("bad_request", f"archive: damaged ({error})") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # it does not lead out of the file
            raise
        raise ApiError("bad_request", "archive: damaged") from error
    return _pair_names(uploads)


def _check_directory(archive: Path) -> None:
    """Refuse an archive whose list of files would fill the memory."""
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
    start = end.rfind(_END_OF_DIRECTORY)
    if start < 0 or len(end) < start + 22:
        raise ApiError("bad_request", "archive: expected a zip archive")
    (directory_bytes,) = struct.unpack_from("<I", end, start + 12)
    if _LARGE_ARCHIVE in end[:start][-20:] or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ApiError("too_large", "archive: it lists too many files")


def _is_file(entry: zipfile.ZipInfo) -> bool:
    """Leave out folders, and what systems add by themselves."""
    parts = PurePosixPath(entry.filename).parts
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not entry.is_dir() and not is_hidden


def _unpack(
    opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, max_bytes: int
) -> int:
    if entry.flag_bits & 1 or entry.compress_type not in _UNPACKED:
        expected = "expected files that are stored or deflated, without a password"
        raise ApiError("bad_option", f"archive: {expected}")
    written = 0
    with opened.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK_BYTES):
            written += len(chunk)
            # What an archive says about its sizes may be wrong.
            if written > max_bytes:
                raise ApiError("too_large", "archive: its files are too large together")
            target.write(chunk)
    return written


def _pair_names(uploads: Sequence[Upload]) -> list[Picture]:
    masks: dict[str, Upload] = {}
    composites: dict[str, Upload] = {}
    for upload in uploads:
        path = PurePosixPath(upload.name)
        is_mask = path.stem.lower().endswith("_mask") or path.parent.name == "masks"
        stem = path.stem[:-5] if path.stem.lower().endswith("_mask") else path.stem
        named = masks if is_mask else composites
        if stem in named:
            quoted = ascii(stem)
            raise ApiError("bad_option", f"archive: several files are called {quoted}")
        named[stem] = upload
    if lonely := sorted(masks.keys() - composites.keys()):
        raise ApiError("bad_option", f"archive: no composite for mask {lonely[0]!a}")
    return [Picture(upload, masks.get(stem)) for stem, upload in composites.items()]


async def stream_results(
    pictures: Sequence[Picture],
    work: Callable[[Picture, Path], Coroutine[Any, Any, Answer]],
    folder: Path,
    *,
    num_ahead: int,
) -> AsyncIterator[bytes]:
    """Yield the bytes of a zip of all results, and of a report.

    Parameters
    ----------
    pictures : sequence of Picture
    work : callable
        Harmonizes a picture into a folder.
    folder : Path
        Each result has a folder in it until it is sent.
    num_ahead : int
        How many pictures are worked on at the same time.
    """
    sink = _Sink()
    lines: list[_Line] = []
    names = _Names()
    running: deque[tuple[Picture, Path, asyncio.Task[Answer]]] = deque()
    waiting = deque(enumerate(pictures))
    try:
        with zipfile.ZipFile(sink, "w") as archive:
            while waiting or running:
                while waiting and len(running) < num_ahead:
                    number, picture = waiting.popleft()
                    place = folder / f"result-{number}"
                    place.mkdir()
                    task = asyncio.create_task(work(picture, place))
                    running.append((picture, place, task))
                picture, place, task = running[0]
                called = picture.composite.name
                try:
                    answer = await task
                except ApiError as error:
                    lines.append(_Line(called, error=error.to_json()["error"]))
                else:
                    path = Path(answer.file)
                    name = names.choose(called, path.suffix)
                    fields = asdict(answer) | {"composite": called, "file": name}
                    del fields["others"]  # one object a picture
                    lines.append(_Line(**fields))
                    with (
                        path.open("rb") as source,
                        archive.open(zipfile.ZipInfo(name), "w") as target,
                    ):
                        while chunk := source.read(CHUNK_BYTES):
                            target.write(chunk)
                            yield sink.take()
                running.popleft()
                await asyncio.to_thread(_forget, picture, place)
                yield sink.take()
            report = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
            archive.writestr(zipfile.ZipInfo(REPORT), report)
        yield sink.take()
    finally:
        for _, _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, _, task in running), return_exceptions=True)


def _forget(picture: Picture, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    for upload in (picture.composite, picture.mask):
        if upload is not None:
            upload.path.unlink(missing_ok=True)


class _Sink:
    """A file that cannot go back: keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes, /) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        """Nothing to close."""

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data


class _Names:
    """Chooses names for results, like those of their composites, no two the same."""

    def __init__(self) -> None:
        self._taken: set[str] = {REPORT}

    def choose(self, composite: str, suffix: str) -> str:
        """Choose the name of a result.

        Examples
        --------
        >>> names = _Names()
        >>> names.choose("C:/photos/cup.jpeg", ".jpg"), names.choose("cup.png", ".jpg")
        ('cup.jpg', 'cup (2).jpg')
        >>> names.choose("../../etc/pass?wd", ".jpg"), names.choose("..", ".jpg")
        ('pass_wd.jpg', 'picture.jpg')
        """
        stem = PurePosixPath(composite.replace("\\", "/")).stem
        stem = re.sub(r"[^\w .()+-]", "_", stem)[:100].strip(" .") or "picture"
        name, count = f"{stem}{suffix}", 1
        while name.lower() in self._taken:
            count += 1
            name = f"{stem} ({count}){suffix}"
        self._taken.add(name.lower())
        return name
