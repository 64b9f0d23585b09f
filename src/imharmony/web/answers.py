"""Answers to clients: results, which are deleted when sent, and errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from imharmony.web.errors import STATUS, ApiError
from imharmony.web.messages import Answer

__all__ = ["Sent", "SentStream", "add_error_answers"]


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


def _describe_objects(objects: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Write what is known of each object; nothing where nothing is known of any.

    Examples
    --------
    >>> _describe_objects([{"label": "food", "same_scene": 0.25, "seam_pairs": 7}])
    {'Imharmony-Label': 'food', 'Imharmony-Same-Scene': '0.2500', \
'Imharmony-Seam-Pairs': '7'}
    """
    labels = [one["label"] for one in objects]
    judged = [one["same_scene"] for one in objects]
    headers = {}
    if any(label is not None for label in labels):
        headers["Imharmony-Label"] = ", ".join(label or "unknown" for label in labels)
    if any(share is not None for share in judged):
        headers["Imharmony-Same-Scene"] = ", ".join(
            "unknown" if share is None else f"{share:.4f}" for share in judged
        )
        pairs = ", ".join(str(one["seam_pairs"]) for one in objects)
        headers["Imharmony-Seam-Pairs"] = pairs
    return headers


class Sent(FileResponse):
    """A result; its folder is removed when it has been sent, or could not be."""

    def __init__(
        self, answer: Answer, folder: Any, media_types: dict[str, str], send_s: float
    ) -> None:
        path = Path(answer.file)
        self._folder = folder
        self._send_s = send_s
        headers = {"Imharmony-Warnings": json.dumps(answer.warnings)}
        headers |= _describe_objects([asdict(answer), *answer.others])
        super().__init__(
            path,
            media_type=media_types[path.suffix],
            filename=path.name,
            headers=headers,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        # Ranges would be of a file that is gone by the next request.
        plain = [pair for pair in scope["headers"] if pair[0] != b"range"]
        try:
            async with asyncio.timeout(self._send_s):
                await super().__call__({**scope, "headers": plain}, receive, send)
        except TimeoutError:
            return  # nobody takes it; the server closes what was not finished
        finally:
            self._folder.cleanup()


class SentStream(StreamingResponse):
    """A zip that is sent while it is made; `end` is called whatever happens."""

    def __init__(
        self, chunks: AsyncIterator[bytes], end: Callable[[], None], send_s: float
    ) -> None:
        self._chunks = chunks
        self._end = end
        self._send_s = send_s
        headers = {"Content-Disposition": 'attachment; filename="harmonized.zip"'}
        super().__init__(chunks, media_type="application/zip", headers=headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it, as long as somebody takes it."""

        async def send_in_time(message: Any) -> None:
            async with asyncio.timeout(self._send_s):
                await send(message)

        try:
            async with aclosing(self._chunks):  # type: ignore[type-var]
                await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            return  # nobody takes it; the server closes what was not finished
        finally:
            self._end()
