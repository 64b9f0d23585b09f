"""The process of a worker: it reads pickled jobs and writes pickled outcomes.

`workers.Workers` starts it and is the only one to talk to it, so what it unpickles
comes from its own parent.
"""

import os
import pickle
import signal
import sys
import warnings
from dataclasses import replace

import pyvips

from imharmony.batch.jobs import NO_JOB, Job, Settings
from imharmony.batch.work import do_job, load_harmonizer
from imharmony.errors import HarmonizeWarning

__all__ = ["main"]


def main() -> None:
    """Answer until the parent closes the pipe."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    warnings.simplefilter("ignore", HarmonizeWarning)  # outcomes hold them
    pyvips.cache_set_max(0)  # no picture is opened twice
    settings: Settings = pickle.load(sys.stdin.buffer)
    harmonizer = load_harmonizer(settings)
    while True:
        try:
            job: Job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        outcome = do_job(harmonizer, job, settings)
        # The parent has the job: arrays need not travel back.
        answers.write(pickle.dumps(replace(outcome, job=NO_JOB)))


def _end_with_parent() -> None:
    """Ask Linux for an end when the parent ends; elsewhere the pipe says it later.

    Strictly, when the thread ends that started this process. Those of `harmonize_many`
    end after their processes.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    PR_SET_PDEATHSIG = 1  # prctl(2)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it ended before that
        os._exit(1)


if __name__ == "__main__":
    main()
