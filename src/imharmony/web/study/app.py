"""The page of a study: two pictures, one question.

A plain form: it works with the keyboard and without the script, which adds arrow keys
and zoom. Nothing comes from elsewhere, no name of a method or file reaches the browser,
and no path from the browser is opened: pictures are asked for by random tokens.
"""

import asyncio
import html
import logging
import re
import secrets
import string
from collections.abc import Mapping
from functools import partial
from importlib import resources

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from imharmony.errors import UsageError
from imharmony.evaluation.study.study import KINDS, Study, Trial
from imharmony.web.errors import STATUS, ApiError, sentence
from imharmony.web.guard import POLICY, Guard
from imharmony.web.metrics import Metrics
from imharmony.web.record import Record
from imharmony.web.settings import Settings
from imharmony.web.uploads import receive_text

__all__ = ["create_study_app"]

MAX_FORM_BYTES = 1000
COOKIE = "voter"
COOKIE_S = 365 * 24 * 3600
_FILES = {"study.css": "text/css", "study.js": "text/javascript"}
_POLICY = POLICY.replace("form-action 'none'", "form-action 'self'").replace(
    "img-src 'self' blob:", "img-src 'self' data:"
)
_VOTER = re.compile(r"[A-Za-z0-9_-]{22}")

_log = logging.getLogger(__name__)


def create_study_app(
    study: Study,
    *,
    hosts: tuple[str, ...] = Settings.hosts,
    root_path: str = "",
    raters: Mapping[str, str] | None = None,
) -> FastAPI:
    """Make the ASGI application of a study.

    Parameters
    ----------
    study : Study
    hosts, root_path
        As in `Settings`.
    raters : mapping of str to str, optional
        Names of those who may vote by their token, which they bring along as
        `/join/TOKEN`. Without it everyone may, and a cookie tells them apart.
    """
    settings = Settings(hosts=hosts, root_path=root_path, max_bytes=MAX_FORM_BYTES)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, settings=settings, policy=_POLICY)
    app.add_middleware(Record, metrics=Metrics(""), root_path=root_path)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    folder = resources.files(__package__).joinpath("page")
    files = {name: folder.joinpath(name).read_bytes() for name in _FILES}

    @app.get("/")
    def show(request: Request) -> Response:
        token, voter = _identify(request, raters)
        if voter is None:
            return _make_page(request, "This study is by invitation", _INVITATION)
        trial = study.next_trial(voter)
        if trial is None:
            return _make_page(request, "Thank you", _THANKS)
        title = f"{trial.number} of {trial.num_trials}: which looks more real?"
        response = _make_page(request, title, _write_form(trial))
        _remember(response, token, root_path)
        return response

    @app.get("/join/{token}")
    def join(token: str) -> Response:
        if raters is None or token not in raters:
            raise ApiError("not_found", "this link is not one of this study's")
        # A relative address, since a proxy may have put a prefix before it.
        response = RedirectResponse("../", status_code=303)
        _remember(response, token, root_path)
        return response

    @app.get("/picture/{token}")
    def show_picture(token: str) -> Response:
        path = study.picture(token)
        if path is not None:
            try:
                body = path.read_bytes()
            except OSError as error:
                _log.error("%s: cannot be read (%s)", path, error)
            else:
                return Response(body, media_type=KINDS[path.suffix.lower()])
        raise ApiError("not_found", "this picture is not being shown")

    @app.post("/vote")
    async def vote(request: Request) -> Response:
        fields = await receive_text(request, settings)
        _, voter = _identify(request, raters)
        answer = fields.get("trial", ""), fields.get("choice", "")
        if voter is not None:
            try:
                # A form that was sent twice is no vote, and no error either.
                await asyncio.to_thread(partial(study.answer, voter, *answer))
            except UsageError as error:
                _log.error("%s", error)
                raise ApiError("failed", "the answer could not be kept") from error
        return RedirectResponse("./", status_code=303)

    @app.get("/page/{name}")
    def page_file(name: str) -> Response:
        if name not in files:
            raise ApiError("not_found", "there is no such page")
        return Response(files[name], media_type=_FILES[name])

    return app


def _identify(
    request: Request, raters: Mapping[str, str] | None
) -> tuple[str, str | None]:
    """Return the token in the cookie, or a new one, and the voter it stands for."""
    token = request.cookies.get(COOKIE, "")
    if raters is not None:
        return token, raters.get(token)
    token = token if _VOTER.fullmatch(token) else secrets.token_urlsafe(16)
    return token, token


def _remember(response: Response, token: str, root_path: str) -> None:
    # "lax", since a link in a mail is followed from another site.
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_S,
        path=root_path or "/",
        httponly=True,
        samesite="lax",
    )


def _make_page(
    request: Request, title: str, body: str, status: int = 200
) -> HTMLResponse:
    template = resources.files(__package__).joinpath("page/study.html")
    # The page is at the root of the study; only errors are shown under longer paths.
    depth = request.url.path.count("/") - request.scope["root_path"].count("/") - 1
    text = string.Template(template.read_text("utf-8")).substitute(
        title=html.escape(title), root="../" * depth, body=body
    )
    return HTMLResponse(text, status)


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        is_method = error.status_code == STATUS["not_allowed"]
        code = "not_allowed" if is_method else "not_found"
        error = ApiError(code, "there is nothing under that address")
    if not isinstance(error, ApiError):
        raise error
    request.state.code = error.code
    title = sentence(error.message)
    text = "<p>Try it once more. If it goes on, tell whoever sent you here.</p>"
    return _make_page(request, title, _write_message(title, text), error.status)


def _write_form(trial: Trial) -> str:
    """Write the question, the two pictures and the answers."""
    choices = "".join(
        f'<button class="choice" name="choice" value="{side}">'
        f'<span class="frame"><img src="picture/{token}" alt=""></span>'
        f'<span><span class="beside">{side.capitalize()} looks more real</span>'
        f'<span class="stacked">{above} looks more real</span>{_write_key(key)}</span>'
        "</button>"
        for side, above, key, token in zip(
            ("left", "right"),
            ("Upper", "Lower"),  # where a phone has one above the other
            "←→",
            trial.picture_tokens,
            strict=True,
        )
    )
    done = trial.number - 1
    return (
        '<header><h1 tabindex="-1" autofocus>Which looks more real?</h1>'
        f'<p>{trial.number} of {trial.num_trials} <progress aria-label="Compared" '
        f'value="{done}" max="{trial.num_trials}">{done}</progress></p></header>'
        '<form method="post" action="vote">'
        f'<input type="hidden" name="trial" value="{trial.token}">'
        f'<div class="pair">{choices}</div>'
        '<footer><button name="choice" value="skip">'
        f"I cannot tell{_write_key('↓')}</button>"
        '<div id="zoom" role="group" aria-label="Zoom" hidden>'
        '<button type="button" id="zoom-out" title="Zoom out (−)">−</button>'
        '<output aria-label="Zoom">100 %</output>'
        '<button type="button" id="zoom-in" title="Zoom in (+)">+</button>'
        '<button type="button" id="zoom-fit" title="Whole picture (0)">Fit</button>'
        '<button type="button" id="zoom-pixels" title="One pixel of the picture for '
        'one of the screen (1)">Pixels</button></div></footer></form>'
    )


def _write_key(key: str) -> str:
    """Write a key for eyes alone: it is no part of a button's name."""
    return f'<kbd aria-hidden="true">{key}</kbd>'


def _write_message(title: str, text: str) -> str:
    return (
        f'<div class="message"><h1 tabindex="-1" autofocus>{html.escape(title)}</h1>'
        f"{text}</div>"
    )


_THANKS = _write_message(
    "Thank you", "<p>You have compared all pictures. You may close this page.</p>"
)
_INVITATION = _write_message(
    "This study is by invitation", "<p>Open the link that you were sent.</p>"
)
