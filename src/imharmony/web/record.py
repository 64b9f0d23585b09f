"""A line in the log and a number in the metrics for each request."""

import json
import logging
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imharmony.web.errors import ApiError
from imharmony.web.guard import HEADERS
from imharmony.web.metrics import Metrics

__all__ = ["REQUEST_ID", "JsonFormatter", "Record", "TextFormatter"]

REQUEST_ID = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")

_log = logging.getLogger(__name__)


@dataclass
class Entry:
    """What is known of a request. No address of the client, no path, no file name."""

    request_id: str
    method: str
    route: str | None = None
    """The route's pattern; None where none was asked for, or where it was refused."""
    status: int = 0
    """0 where the client left before the answer."""
    milliseconds: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    code: str | None = None
    """Of the error that was answered."""


class Record:
    """Numbers, times, counts and logs requests; the outermost layer.

    It also answers `HEAD` wherever `GET` is answered, puts the prefix of a proxy aside,
    and turns a bug into an answer.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    root_path : str
        Prefix under which a proxy serves the application, such as `/harmonize`. A
        proxy may take it off the address or leave it there.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, root_path: str = "") -> None:
        self._app = app
        self._metrics = metrics
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get(REQUEST_ID, "")
        entry = Entry(
            request_id if _WELL_FORMED.fullmatch(request_id) else secrets.token_hex(8),
            scope["method"] if scope["method"] in _METHODS else "other",
        )
        scope = self._prepare(scope, entry)

        async def count_received() -> Message:
            message = await receive()
            entry.received_bytes += len(message.get("body", b""))
            return message

        async def count_sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                MutableHeaders(raw=message["headers"])[REQUEST_ID] = entry.request_id
            elif entry.method != "HEAD":
                entry.sent_bytes += len(message.get("body", b""))
            await send(message)

        started = time.perf_counter()
        with self._metrics.in_progress.track_inprogress():
            try:
                await self._app(scope, count_received, count_sent)
            except Exception:
                extra = {"request_id": entry.request_id}
                _log.exception("a bug ended a request", extra=extra)
                if entry.status:
                    raise  # part of an answer has been sent
                await _answer_bug(scope, count_received, count_sent)
            finally:
                seconds = time.perf_counter() - started
                entry.route = getattr(scope.get("route"), "path", None)
                entry.milliseconds = round(1000 * seconds, 1)
                entry.code = scope["state"].get("code")
                self._metrics.observe(entry, seconds)
                _log.info("request", extra=asdict(entry))

    def _prepare(self, scope: Scope, entry: Entry) -> Scope:
        path: str = scope["path"]
        if self._root_path and not path.startswith(f"{self._root_path}/"):
            path = self._root_path + path
        state = {**scope.get("state", {}), "request_id": entry.request_id}
        return {
            **scope,
            "method": "GET" if scope["method"] == "HEAD" else scope["method"],
            "path": path,
            "root_path": self._root_path,
            "state": state,
        }


async def _answer_bug(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError("failed", "something went wrong here; the server's log says what")
    response = JSONResponse(error.to_json(), error.status, headers=HEADERS)
    scope["state"]["code"] = error.code
    await response(scope, receive, send)


class JsonFormatter(logging.Formatter):
    """Writes a log record as one line of JSON, with what was attached to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key in _ATTACHED}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Writes a log record for people who look at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        if record.name != __name__ or record.msg != "request":
            return f"{clock} {record.levelname.lower()}: {super().format(record)}"
        fields = vars(record)
        return (
            f"{clock} {fields['status']} {fields['method']} {fields['route'] or '-'} "
            f"{fields['milliseconds']:.0f} ms, {fields['received_bytes']} bytes in, "
            f"{fields['sent_bytes']} out, {fields['request_id']}"
        )


_ATTACHED = (*Entry.__dataclass_fields__, "request_id")
