"""Undo the change of priority that an encoder makes to the process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["keep_priority"]

_TASKS = Path("/proc/self/task")


@contextmanager
def keep_priority() -> Iterator[None]:
    """Let no thread come out of the block with another kind of priority.

    SVT-AV1, opened by root, makes the caller and its own threads real-time threads
    (SCHED_FIFO, 99): they, and every process started later, go before all others, so
    that the machine hardly answers. Elsewhere than on Linux nothing is done.
    """
    if not hasattr(os, "sched_getscheduler") or not _TASKS.exists():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in _TASKS.iterdir():
            with suppress(ProcessLookupError):  # a thread that has ended
                if os.sched_getscheduler(int(task.name)) != policy:
                    os.sched_setscheduler(int(task.name), policy, parameters)
