"""The command line as `imharmony` and `python -m imharmony`; Ctrl-C ends it quietly.

The commands are imported inside, so that Ctrl-C ends that without a traceback, too.
"""

import os
import signal
import sys

__all__ = ["main"]

_STOPPED, _PIPE_CLOSED = 130, 141
"""What shells say of a program that ended by SIGINT, and by SIGPIPE."""


def main() -> None:
    """Run the command line."""
    try:
        from imharmony.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        if os.name == "posix":  # as `cli.stops` does, with nothing to tidy up
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        sys.exit(_STOPPED)
    except BrokenPipeError:
        # What is still to be flushed goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(_PIPE_CLOSED)


if __name__ == "__main__":
    main()
