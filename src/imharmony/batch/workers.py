"""Worker processes that harmonize in parallel. One that a picture kills is replaced.

Threads of one process do not do: Python's lock and libvips's own let two of them do
1.1 times what one does. A process of its own also means that a picture that makes a
decoder crash takes nothing else down.
"""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from queue import SimpleQueue
from typing import IO

from imharmony.batch.jobs import Job, Outcome, Settings
from imharmony.batch.work import report_failure

__all__ = ["Workers", "num_cores"]


def num_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A number of processes, each with a loaded network; `end` them when done.

    Parameters
    ----------
    settings : Settings
        Of all jobs.
    num_workers : int
        Processes; each starts with its first job.
    """

    def __init__(self, settings: Settings, num_workers: int) -> None:
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(settings) for _ in range(num_workers)]
        for worker in self._workers:
            self._idle.put(worker)

    def do(self, job: Job) -> Outcome:
        """Let an idle worker do a job; to be called from as many threads."""
        worker = self._idle.get()
        try:
            return worker.do(job)
        finally:
            self._idle.put(worker)

    def end(self, *, at_once: bool) -> None:
        """End all processes: at once, or after the jobs they are at."""
        for worker in self._workers:
            worker.end(at_once=at_once)


class _Worker:
    """One process; started anew after it has ended over a job."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def do(self, job: Job) -> Outcome:
        """Do a job; if the process ends over it, the job has failed."""
        process = self._process = self._process or _start(self._settings)
        try:
            pickle.dump(job, _take_pipe(process.stdin))
            _take_pipe(process.stdin).flush()
            outcome: Outcome = pickle.load(_take_pipe(process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError):
            self.end(at_once=False)
            how = _describe_end(process.returncode)
            return report_failure(
                job, f"{job.name}: the process that worked on it {how}"
            )
        return replace(outcome, job=job)

    def end(self, *, at_once: bool) -> None:
        """Close the pipes, which ends the process, or kill it."""
        process, self._process = self._process, None
        if process is None:
            return
        if at_once:
            process.kill()
        process.communicate()


def _start(settings: Settings) -> "subprocess.Popen[bytes]":
    # Small pictures: libvips's own threads would only get in each other's way.
    environment = {"VIPS_CONCURRENCY": "1", "OMP_NUM_THREADS": "1"} | os.environ
    process = subprocess.Popen(
        [sys.executable, "-m", "imharmony.batch.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    pickle.dump(settings, _take_pipe(process.stdin))
    return process


def _take_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe that `_start` has asked for."""
    if pipe is None:
        raise TypeError("expected a pipe, got None")
    return pipe


def _describe_end(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
