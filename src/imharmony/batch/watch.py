"""Watch a folder: give a job when all of its files have arrived."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyvips

from imharmony.batch.jobs import Job

__all__ = ["watch"]

_Stamp = tuple[int, int]


def watch(
    find: Callable[[], list[Job]], *, interval_s: float = 1.0
) -> Iterator[Job | None]:
    """Give jobs as their files arrive, and None while there is nothing new.

    The folder is looked at again and again: that works on network drives and on every
    system, and an idle look at a thousand files takes some milliseconds.

    Parameters
    ----------
    find : callable
        Lists the jobs that the folder holds now.
    interval_s : float
        Seconds from one look to the next. A job is given when its files have been
        the same for two looks, so that no file is read while it is written.

    Yields
    ------
    Job or None
        None asks `harmonize_many` for the outcomes so far. A job that cannot be tried
        waits until it can, such as a photo without alpha whose mask is missing.
    """
    yielded_stamps: dict[Path, tuple[_Stamp, ...]] = {}
    last_stamps: dict[Path, tuple[_Stamp, ...]] = {}
    while True:
        for job in find():
            path = Path(job.name)
            stamps = _read_stamps(job)
            is_settled = last_stamps.get(path) == stamps
            last_stamps[path] = stamps
            if is_settled and yielded_stamps.get(path) != stamps and _can_be_tried(job):
                yielded_stamps[path] = stamps
                yield job
        yield None
        time.sleep(interval_s)


def _can_be_tried(job: Job) -> bool:
    """Whether a job has all that it needs, as far as the photo's head can tell."""
    if job.error is not None:
        return False
    if job.mask is not None:
        return True
    try:
        return bool(pyvips.Image.new_from_file(job.name).hasalpha())
    except pyvips.Error:  # trying it will say what is wrong
        return True


def _read_stamps(job: Job) -> tuple[_Stamp, ...]:
    """Return size and time of a job's files."""
    stamps = []
    for path in (job.composite, *job.masks):
        if isinstance(path, Path):
            try:
                stat = path.stat()
            except OSError:  # it has just gone
                continue
            stamps.append((stat.st_size, stat.st_mtime_ns))
    return tuple(stamps)
