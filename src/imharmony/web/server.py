"""uvicorn, made not to wait for clients who never finish a request's head."""

import asyncio
import logging
import signal
import socket
import sys
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from imharmony.errors import UsageError
from imharmony.web.record import JsonFormatter, TextFormatter

__all__ = ["LOGS", "end_cleanly_on_signals", "listen", "serve"]

LOGS = ("json", "text", "none")

HEAD_S = 10.0
HEAD_BYTES = 2**14
MAX_CONNECTIONS = 512


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on.

    Raises
    ------
    UsageError
        If the address does not exist or is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)  # from now on who comes early waits
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise UsageError(f"{host} port {port}: cannot listen ({reason})") from error
    return listener


def serve(app: ASGIApp, listener: socket.socket, *, log: str = "none") -> None:
    """Serve until stopped by Ctrl-C or SIGTERM; both are a clean end.

    Parameters
    ----------
    app : ASGI application
    listener : socket
        From `listen`.
    log : str
        One of `LOGS`: how to write a line for each request to standard error; "none"
        leaves errors only.
    """
    _set_up_log(log)
    end_cleanly_on_signals()
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


def end_cleanly_on_signals() -> None:
    """Make Ctrl-C and SIGTERM an ordinary end with exit code 0, at any time.

    uvicorn handles them while it runs, and then raises them again.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


def _set_up_log(log: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("imharmony").setLevel(
        logging.WARNING if log == "none" else logging.INFO
    )
    # What it says of bodies is said in the answer.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


class _Protocol(H11Protocol):
    """Closes a connection whose next request takes too long to begin."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()
