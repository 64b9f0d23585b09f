"""Answers to requests that cannot be done, the same for every application here."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from imharmony.web.errors import STATUS, ApiError

__all__ = ["add_error_answers"]


def add_error_answers(app: FastAPI) -> None:
    """Let an application answer errors as JSON: a stable code and a sentence.

    Bugs are answered by `record.Record`, which logs them.
    """
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    request.state.code = error.code
    return JSONResponse(error.to_json(), error.status)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer for a path or a method that does not exist."""
    if not isinstance(error, HTTPException):
        raise error
    is_method = error.status_code == STATUS["not_allowed"]
    answered = (
        ApiError("not_allowed", "that method cannot be used here")
        if is_method
        else ApiError("not_found", "there is nothing under that address")
    )
    request.state.code = answered.code
    return JSONResponse(answered.to_json(), answered.status, headers=error.headers)
