"""Do many jobs on all cores; outcomes come in order, and memory does not grow."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice

from imharmony.batch.jobs import Job, Outcome, Settings
from imharmony.batch.work import do_job, load_harmonizer
from imharmony.batch.workers import Workers, num_cores
from imharmony.errors import UsageError

__all__ = ["harmonize_many"]

SAME_FOR_ALL = Settings()

_FEW = 3
"""Jobs that are done sooner than other processes start."""


def harmonize_many(
    jobs: Iterable[Job | None],
    *,
    workers: int | None = None,
    settings: Settings = SAME_FOR_ALL,
) -> Iterator[Outcome]:
    """Harmonize many pictures at once.

    Parameters
    ----------
    jobs : iterable of Job
        Taken one by one, only a few ahead of the outcomes; may be endless. None
        among them is a pause: all outcomes so far come before the next job is taken.
    workers : int or None
        Processes that work side by side, each with a network of its own (90 MB).
        1 works in this process. None takes one for each core.
    settings : Settings
        Model, and what else all jobs have in common.

    Returns
    -------
    iterator of Outcome
        One for each job, in their order, also for jobs that failed. Closing it ends
        the processes.

    Raises
    ------
    UsageError, WeightsError
        If the settings are wrong. Nothing is raised for a picture that cannot be
        read, harmonized or written; its outcome says what is wrong.

    Warns
    -----
    HarmonizeWarning
        With one worker, as calling a `Harmonizer`. Outcomes hold the warnings too.

    Examples
    --------
    >>> import numpy as np
    >>> composite = np.full((8, 8, 3), 200, dtype=np.uint8)
    >>> jobs = (Job(composite, np.eye(8, dtype=bool)) for _ in range(3))
    >>> [outcome.status for outcome in harmonize_many(jobs)]
    ['done', 'done', 'done']
    """
    if workers is not None and workers < 1:
        raise UsageError(f"expected at least 1 worker, got {workers}")
    # Loaded here even where others do the work: wrong settings fail at once.
    harmonizer = load_harmonizer(settings)
    jobs = iter(jobs)
    first = list(islice(jobs, _FEW + 1)) if workers is None else []
    waiting = chain(first, jobs)
    if workers is None:
        workers = 1 if len(first) <= _FEW else num_cores()
    if workers == 1:
        return (do_job(harmonizer, job, settings) for job in waiting if job is not None)
    return _share_jobs(waiting, workers, settings)


def _share_jobs(
    jobs: Iterator[Job | None], num_workers: int, settings: Settings
) -> Iterator[Outcome]:
    """Keep all workers busy, a few jobs ahead of the caller."""
    running: deque[Future[Outcome]] = deque()
    workers = Workers(settings, num_workers)
    with ThreadPoolExecutor(num_workers, "imharmony-job") as threads:
        try:
            for job in jobs:
                if job is not None:
                    running.append(threads.submit(workers.do, job))
                while running and (job is None or len(running) >= 4 * num_workers):
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:  # Ctrl-C, or the caller wants no more
            for future in running:
                future.cancel()
            workers.end(at_once=True)
            raise
        workers.end(at_once=False)
