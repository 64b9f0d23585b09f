"""Work shared out among threads: each part once, errors raised, forks survived."""

import os
import threading
import time

import pytest

from imharmony import threads
from imharmony.errors import ImageError
from imharmony.threads import share_out


def test_work_is_shared_out_among_threads_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_count_cores", lambda: 3)
    meeting = threading.Barrier(3, timeout=10)
    done: list[int] = []

    def work(part: int) -> None:
        if part < 3:
            meeting.wait()  # only if all three are at work does it end
        done.append(part)

    share_out(work, range(10))
    assert sorted(done) == list(range(10))


def test_an_error_in_any_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_count_cores", lambda: 2)
    caller = threading.get_ident()
    meeting = threading.Barrier(2, timeout=10)

    def fail(part: int) -> None:
        if part < 2:
            meeting.wait()
        if threading.get_ident() != caller:
            raise ImageError("expected better")

    with pytest.raises(ImageError, match="expected better"):
        share_out(fail, range(6))


def test_work_is_not_kept_waiting_by_another_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_count_cores", lambda: 2)
    end = threading.Event()
    helpers = threads._get_helpers()
    others = [helpers.submit(end.wait, 10) for _ in range(3)]  # all are busy
    done: list[int] = []
    share_out(done.append, range(6))
    assert done == list(range(6))
    end.set()
    assert all(other.result() for other in others)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_helpers_are_there_after_a_fork() -> None:
    threads._get_helpers().submit(time.sleep, 0).result()
    child = os.fork()
    if not child:
        code = 1  # whatever happens, the child must not go on with the tests
        try:
            code = threads._get_helpers().submit(int, 7).result(timeout=10)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
