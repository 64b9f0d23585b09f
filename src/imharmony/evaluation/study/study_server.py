"""The study's page, for this computer only.

Plain forms: it works with the keyboard, and without the script, which only adds the
arrow keys. Nothing comes from elsewhere, no name of a method or file reaches the
browser, and no path from the browser is opened: pictures are asked for by random
tokens.
"""

import http.cookies
import logging
import secrets
import string
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

from imharmony.errors import UsageError
from imharmony.evaluation.study.study import KINDS, Study, Trial

__all__ = ["HOST", "StudyServer"]

HOST = "127.0.0.1"
MAX_FORM_BYTES = 1000
TIMEOUT_S = 30
COOKIE = "voter"

_log = logging.getLogger(__name__)


class StudyServer(ThreadingHTTPServer):
    """Serves a study on 127.0.0.1; `serve_forever` runs it.

    Parameters
    ----------
    study : Study
    port : int
        0 takes a free one; see `address`.

    Raises
    ------
    UsageError
        If the port is taken.
    """

    daemon_threads = True

    def __init__(self, study: Study, *, port: int = 0) -> None:
        self.study = study
        page = resources.files(__package__).joinpath("study.html")
        self.page = string.Template(page.read_text("utf-8"))
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            msg = f"port {port}: cannot listen on it ({error.strerror or error})"
            raise UsageError(msg) from error

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        if not self._is_for_us():
            self._fail(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._show_trial()
        elif self.path.startswith("/picture/"):
            self._show_picture(self.path.removeprefix("/picture/"))
        else:
            self._fail(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_for_us():
            self._fail(HTTPStatus.FORBIDDEN)
        elif self.path != "/vote":
            self._fail(HTTPStatus.NOT_FOUND)
        elif not length.isdecimal() or int(length) > MAX_FORM_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            text = self.rfile.read(int(length)).decode("ascii", errors="replace")
            form = dict(urllib.parse.parse_qsl(text))
            self._take_answer(form.get("trial", ""), form.get("choice", ""))

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)

    def _is_for_us(self) -> bool:
        """Whether the request means this server, and comes from its own page.

        Another site's page can have a name of its own point here, and can send forms
        here; the Host and the Origin give it away.
        """
        port = self.server.server_port
        hosts = [f"{HOST}:{port}", f"localhost:{port}"]
        origin = self.headers.get("Origin")
        is_own = origin in (None, *(f"http://{host}" for host in hosts))
        return self.headers.get("Host") in hosts and is_own

    def _voter(self) -> str:
        """Name the voter by the cookie, or anew."""
        cookies = http.cookies.SimpleCookie()
        try:
            cookies.load(self.headers.get("Cookie", ""))
        except http.cookies.CookieError:
            cookies.clear()
        known = cookies[COOKIE].value if COOKIE in cookies else ""
        is_ours = len(known) == 22 and set(known) <= {
            *string.ascii_letters,
            *"-_0123456789",
        }
        return known if is_ours else secrets.token_urlsafe(16)

    def _show_trial(self) -> None:
        voter = self._voter()
        trial = self.server.study.next_trial(voter)
        nonce = secrets.token_urlsafe(16)
        page = self.server.page.substitute(
            nonce=nonce, body=_THANKS if trial is None else _form(trial)
        )
        headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; img-src 'self'; style-src 'nonce-{nonce}'; "
                f"script-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; "
                "frame-ancestors 'none'"
            ),
            "Set-Cookie": f"{COOKIE}={voter}; HttpOnly; SameSite=Strict; Path=/; "
            "Max-Age=31536000",
        }
        self._send(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8", headers)

    def _show_picture(self, token: str) -> None:
        path = self.server.study.picture(token)
        try:
            body = b"" if path is None else path.read_bytes()
        except OSError as error:
            _log.error("%s: cannot be read (%s)", path, error)
            path = None
        if path is None:
            self._fail(HTTPStatus.NOT_FOUND)
        else:
            self._send(HTTPStatus.OK, body, KINDS[path.suffix.lower()], {})

    def _take_answer(self, token: str, choice: str) -> None:
        """Keep the vote and go on; a form that was sent twice is no vote."""
        try:
            self.server.study.answer(self._voter(), token, choice)
        except UsageError as error:
            _log.error("%s", error)
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._send(HTTPStatus.SEE_OTHER, b"", "text/plain", {"Location": "/"})

    def _fail(self, status: HTTPStatus) -> None:
        self.close_connection = True  # what follows has not been read
        self._send(status, status.phrase.encode(), "text/plain", {})

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str, headers: dict[str, str]
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _form(trial: Trial) -> str:
    pictures = "".join(
        f'<button name="choice" value="{side}" aria-label="the {side} picture">'
        f'<img src="/picture/{token}" alt=""></button>'
        for side, token in zip(("left", "right"), trial.picture_tokens, strict=True)
    )
    return (
        "<h1>Which looks more real?</h1>"
        f"<p>{trial.number} of {trial.num_trials}. Click it, or press ← or →; ↓ if you "
        "cannot tell.</p>"
        '<form method="post" action="/vote">'
        f'<input type="hidden" name="trial" value="{trial.token}">{pictures}'
        '<button class="skip" name="choice" value="skip">I cannot tell</button></form>'
    )


_THANKS = "<h1>Thank you</h1><p>You have compared all pictures.</p>"
