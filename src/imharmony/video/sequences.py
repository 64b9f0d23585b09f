"""Write sequences of frames: one file each, whole or not at all."""

import re
from collections.abc import Iterator
from pathlib import Path

from imharmony.errors import Hint, UsageError
from imharmony.images import files
from imharmony.images.formats import SUFFIXES
from imharmony.video import exr
from imharmony.video.clips import NUMBER, Sequence, Source
from imharmony.video.frames import Frame

__all__ = ["check_sequence", "write_sequence"]

_DEFAULT_NAME = "%06d.png"


def check_sequence(
    output: Path, source: Source, *, overwrite: bool, resume: bool
) -> None:
    """Refuse before any work a sequence that could not be written.

    Raises
    ------
    UsageError
        If the extension is unknown, files are there already, or an input would be
        overwritten.
    """
    suffix = name_target(output, source, 0).suffix.lower()
    if suffix not in (*SUFFIXES, ".exr"):
        known = ", ".join((*SUFFIXES, ".exr"))
        raise UsageError(f"{output}: expected frames of {known}, got {suffix!r}")
    folder = name_target(output, source, 0).parent
    inputs = set(source.paths) if isinstance(source, Sequence) else set()
    if any(path.resolve().parent == folder.resolve() for path in inputs):
        input_paths = {path.resolve() for path in inputs}
        targets = (name_target(output, source, i) for i in range(len(inputs)))
        if any(target.resolve() in input_paths for target in targets):
            raise UsageError(f"{output}: the frames would overwrite the input's")
    if overwrite or resume or not folder.is_dir():
        return
    count = source.num_frames or 1
    for number in range(count):
        target = name_target(output, source, number)
        if target.exists():
            raise UsageError(f"{target}: exists already", hint=Hint.RESUME)


def name_target(output: Path, source: Source, number: int) -> Path:
    """Name the file of a frame: as in the input, or numbered from 1."""
    first = 1
    if isinstance(source, Sequence):
        first = int(re.findall(r"\d+", source.paths[0].name)[-1])
    if NUMBER.search(output.name):
        return output.with_name(output.name % (first + number))
    if isinstance(source, Sequence):
        return output / source.paths[number].name
    return output / (_DEFAULT_NAME % (first + number))


def write_sequence(
    frames: Iterator[Frame],
    source: Source,
    output: Path,
    *,
    overwrite: bool,
    resume: bool,
) -> None:
    """Write frames to files of their own.

    With `resume`, frames that are there are left as they are.
    """
    name_target(output, source, 0).parent.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        target = name_target(output, source, number)
        if resume and target.exists():
            continue
        image = frame.as_photo()
        if target.suffix.lower() == ".exr":
            exr.write(image, target, overwrite=overwrite)
        else:
            files.write_photo(image, target, overwrite=overwrite)
