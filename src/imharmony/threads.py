"""Share work out among threads.

The threads are kept: to start one takes as long as a megabyte of work.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

__all__ = ["share_out"]

T = TypeVar("T")

_MAX_THREADS = 4  # memory is busy with fewer


def share_out(work: Callable[[T], object], parts: Sequence[T]) -> None:
    """Do some work on each part, in up to as many threads as there are cores.

    For work that lets go of the interpreter's lock, as NumPy and libvips do. There are
    at least two parts for a thread; waking one for fewer is not worth it.

    Examples
    --------
    >>> done = []
    >>> share_out(done.append, [1, 2, 3])
    >>> sorted(done)
    [1, 2, 3]
    """
    num_threads = min((len(parts) + 1) // 2, _count_cores(), _MAX_THREADS)
    left = iter(parts)

    def take() -> None:
        for part in left:  # threads take turns at it
            work(part)

    if num_threads < 2:
        take()
        return
    others = [_get_helpers().submit(take) for _ in range(num_threads - 1)]
    try:
        take()
    finally:
        # Helpers that are busy with another caller's work need not come any more.
        late = [other for other in others if not other.cancel()]
        wait(late)
    for other in late:
        other.result()


@cache
def _get_helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS - 1, thread_name_prefix="imharmony")


if hasattr(os, "register_at_fork"):  # the threads do not come along
    os.register_at_fork(after_in_child=_get_helpers.cache_clear)


def _count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
