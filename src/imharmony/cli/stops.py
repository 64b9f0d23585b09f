"""Ctrl-C and SIGTERM: a command that is stopped tidies up, and ends by that signal.

One rule. A command with an end of its own (a picture, a folder, a clip) has not done
what was asked when it is stopped, so it must not say 0. It ends by the signal itself,
after tidying up: a shell shows 130 or 143 and leaves its own loop, and a supervisor
such as systemd sees that the end was asked for, which exit code 143 would not say.
What runs until it is stopped (`serve`, `study`, `--watch`) is done then: 0.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["end_by_signal"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stopped(KeyboardInterrupt):
    """Goes through all that tidies up after Ctrl-C, whichever the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def end_by_signal() -> Iterator[None]:
    """Within, a stop is a `KeyboardInterrupt`; if nothing takes it, the process ends.

    Who takes it (`--watch`) goes on to an end of its own. Outside the main thread, as
    in tests, signals are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, _stop_again(sys.unraisablehook)
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a shell does so in the background
            signal.signal(number, _stop)
    try:
        yield
    except BaseException as error:
        stop = _find_stop(error)
        if stop is None:
            raise
        _end_by(stop.number)
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_again(hook: Callable[..., object]) -> Callable[..., object]:
    """Wrap the hook for exceptions that nobody can catch, such as in a C callback.

    A stop that arrives while libvips calls us is lost there, so it is sent again.
    """

    def report(unraisable: "sys.UnraisableHookArgs") -> None:
        stop = unraisable.exc_value
        if isinstance(stop, _Stopped):
            again = threading.Timer(0.02, os.kill, (os.getpid(), stop.number))
            again.daemon = True
            again.start()
        else:
            hook(unraisable)

    return report


def _stop(number: int, _: FrameType | None) -> None:
    raise _Stopped(number)


def _find_stop(error: BaseException | None) -> _Stopped | None:
    """Find the stop that an error comes from; libraries make others of it."""
    while error is not None:
        if isinstance(error, _Stopped):
            return error
        error = error.__cause__ or error.__context__
    return None


def _end_by(number: int) -> None:
    """Let Python end, and at the end of that the signal end the process."""
    sys.stderr.write("stopped\n")
    _ending.number = number
    sys.exit(128 + number)


class _Ending:
    """The last exit function to run, as it is the first that is registered."""

    def __init__(self) -> None:
        self.number: int | None = None
        atexit.register(self)

    def __call__(self) -> None:
        if self.number is None or os.name != "posix":
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)


_ending = _Ending()
