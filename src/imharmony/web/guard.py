"""Checks that every request passes before it is worked on."""

import asyncio
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imharmony.web.errors import ApiError
from imharmony.web.settings import Settings

__all__ = ["HEADERS", "Guard", "route_path"]

RETRY_AFTER_S = 2
LINGER_S = 5.0

_OPEN = ("/api/v1/health", "/api/v1/openapi.json")
"""Under `/api/`, what needs no token."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
    "blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""What a browser may load for the page, and from where."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # With no-referrer, a browser hides the origin of a form too: it sends null.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Checks host, origin and token, and bounds how many requests are let in.

    Another site's page can have a name of its own point at this computer, and can
    send forms here; the Host and the Origin give it away.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
    policy : str
        The content security policy of its pages.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, *, policy: str = POLICY
    ) -> None:
        self._app = app
        self._settings = settings
        self._headers = HEADERS | {"Content-Security-Policy": policy}
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._settings.max_bytes, self._headers)
        try:
            self._check(Headers(scope=scope), route_path(scope))
        except ApiError as error:
            await _refuse(error, scope, exchange)
            return
        if scope["method"] != "POST":
            await self._app(scope, exchange.receive, exchange.send)
            return
        if self._taken >= self._settings.num_places:
            busy = ApiError("busy", "too many requests at once; try again soon")
            await _refuse(busy, scope, exchange)
            return
        self._taken += 1
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            self._taken -= 1

    def _check(self, headers: Headers, path: str) -> None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_ours(host):
            raise ApiError("wrong_host", "this server does not go by that name")
        origins = [origin.lower() for origin in headers.getlist("origin")]
        invited = [origin for origin in origins if origin in self._settings.origins]
        for origin in origins:
            if urlsplit(origin).netloc != host.lower() and origin not in invited:
                raise ApiError("wrong_origin", "other sites may not use this server")
        is_closed = path.startswith("/api/") or path == "/metrics"
        is_from_elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_closed and is_from_elsewhere and not invited:
            raise ApiError("wrong_origin", "other sites may not use this server")
        token = self._settings.token
        if token is None or not is_closed or path in _OPEN:
            return
        header = headers.get("authorization", "")
        if not secrets.compare_digest(header.encode(), f"Bearer {token}".encode()):
            raise ApiError("no_token", "expected the server's token")

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or not (port.isdecimal() and port.isascii()):
            name = host
        return name.lower() in (known.lower() for known in self._settings.hosts)


def route_path(scope: Scope) -> str:
    """Return a request's path without the prefix of a proxy.

    Examples
    --------
    >>> route_path({"path": "/prefix/api/v1/health", "root_path": "/prefix"})
    '/api/v1/health'
    """
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _refuse(error: ApiError, scope: Scope, exchange: "_Exchange") -> None:
    response = JSONResponse(error.to_json(), error.status)
    scope.setdefault("state", {})["code"] = error.code
    if error.code == "no_token":
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.code == "busy":
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    await response(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer: adds headers, and ends the connection politely.

    An answer to a request that was not read to its end is followed by some reading:
    a connection closed at once is reset, and the client may never see the answer.
    """

    def __init__(
        self, receive: Receive, send: Send, max_bytes: int, headers: dict[str, str]
    ) -> None:
        self._receive = receive
        self._send = send
        self._bytes_left = max_bytes
        self._headers = headers
        self._has_more = True
        self._is_error = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._has_more = message["type"] == "http.request" and message.get(
            "more_body", False
        )
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in self._headers.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            self._is_error = message["status"] >= 400
            if self._is_error and self._has_more:
                headers["Connection"] = "close"
        elif self._is_error and self._has_more and not message.get("more_body"):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                while self._has_more and self._bytes_left > 0:
                    message = await self.receive()
                    self._bytes_left -= len(message.get("body", b""))
        except TimeoutError:
            return
