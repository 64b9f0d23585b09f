"""Multipart bodies, parsed by Starlette; limits are checked while they arrive."""

import asyncio
import difflib
import shutil
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from imharmony.web.errors import ApiError
from imharmony.web.settings import Settings

__all__ = ["Upload", "receive", "receive_text"]

MAX_TEXT_BYTES = 1000
MAX_PART_BYTES = 2**16
"""Of a part without a file, while it arrives."""
MAX_PREAMBLE_BYTES = 2**16
MAX_SHOWN = 40
"""Characters shown of a name from a client."""

_MALFORMED = "the multipart body is malformed"


@dataclass(frozen=True)
class Upload:
    """A file that arrived, under a name of ours."""

    path: Path
    name: str = ""
    """What the client called it: to name its result, never to open anything."""


Part = str | Upload


async def receive(
    request: Request,
    folder: Path,
    names: Collection[str],
    settings: Settings,
    *,
    repeated: Mapping[str, int] | None = None,
) -> dict[str, Part | list[Part]]:
    """Receive a multipart body.

    Parameters
    ----------
    request : Request
    folder : Path
        Where files go, each under the name of its part. Names from clients are
        never used.
    names : collection of str
        Parts that may be there, each once.
    settings : Settings
    repeated : mapping of str to int, optional
        Parts that may be there several times, and how often at most.

    Returns
    -------
    dict
        Text or `Upload` by name; a list of them for the repeated.

    Raises
    ------
    ApiError
        `not_multipart`, `bad_request`, `bad_option`, `too_large`, `too_slow`.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if media_type != b"multipart/form-data" or not boundary:
        raise ApiError("not_multipart", "expected a multipart/form-data body")
    repeated = repeated or {}
    body = _Body(boundary)
    async with (
        aclosing(_receive_chunks(request, settings)) as chunks,
        aclosing(body.read(chunks)) as pieces,
    ):

        async def give() -> Message:
            piece = await anext(pieces, None)
            more = piece is not None
            return {"type": "http.request", "body": piece or b"", "more_body": more}

        # Without the application in its scope, Starlette raises what it found, and
        # not an answer of its own.
        scope = {"type": "http", "method": "POST", "headers": request.headers.raw}
        num_parts = len(names) + sum(repeated.values())
        try:
            form = await Request(scope, give).form(
                max_files=num_parts, max_fields=num_parts, max_part_size=MAX_PART_BYTES
            )
        except MultiPartException as error:
            if isinstance(error.__cause__, FormParserError):
                raise ApiError("bad_request", _MALFORMED) from error
            raise ApiError("bad_option", error.message) from error
    try:
        if not body.is_finished:
            raise ApiError("bad_request", "the multipart body ends too early")
        return await _sort(form, folder, names, repeated)
    finally:
        await form.close()


async def receive_text(request: Request, settings: Settings) -> dict[str, str]:
    """Receive a form without files, as browsers send it.

    Raises
    ------
    ApiError
        `bad_request`, `too_large`, `too_slow`.
    """
    async with aclosing(_receive_chunks(request, settings)) as chunks:
        body = b"".join([chunk async for chunk in chunks])
    return dict(parse_qsl(body.decode("ascii", errors="replace")))


async def _receive_chunks(
    request: Request, settings: Settings
) -> AsyncGenerator[bytes, None]:
    """Yield the body; end it where a limit is passed."""
    too_large = ApiError(
        "too_large", f"expected at most {settings.max_bytes} bytes, got more"
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > settings.max_bytes:
        raise too_large
    received = 0
    ends = asyncio.get_running_loop().time() + settings.receive_s
    async with aclosing(request.stream()) as stream:
        while True:
            left = ends - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(min(left, settings.idle_s)):
                    chunk = await anext(stream, None)
            except TimeoutError as error:
                raise ApiError("too_slow", "the request arrived too slowly") from error
            except ClientDisconnect as error:
                raise ApiError("bad_request", "the request ends too early") from error
            if chunk is None:
                return
            received += len(chunk)
            if received > settings.max_bytes:
                raise too_large
            yield chunk


class _Body:
    """A body on its way: drops what precedes the first boundary, and notes the last.

    RFC 2046 allows text before the first boundary and after the last; the parser takes
    neither. It also takes a body without a last boundary, which ended too early.

    Parameters
    ----------
    boundary : bytes
        From the header, without its two hyphens.
    """

    def __init__(self, boundary: bytes) -> None:
        self._first = b"\r\n--" + boundary
        self._last = self._first + b"--"
        self.is_finished = False
        """Whether the last boundary has come."""

    async def read(
        self, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the parts, from the first boundary to the last.

        Raises
        ------
        ApiError
            `bad_request`, if the first boundary does not come.
        """
        has_begun = False
        pending = b"\r\n"  # a boundary follows a line's end, or the body's beginning
        async for chunk in chunks:
            if self.is_finished:
                continue
            pending += chunk
            if not has_begun:
                start = pending.find(self._first)
                has_begun = start >= 0
                if not has_begun and len(pending) > MAX_PREAMBLE_BYTES:
                    raise ApiError("bad_request", _MALFORMED)
                if not has_begun:
                    continue
                pending = pending[start:]
            end = pending.find(self._last)
            self.is_finished = end >= 0
            if self.is_finished:
                yield pending[: end + len(self._last)]
                continue
            # What may be the beginning of the last boundary waits for the rest of it.
            num_ready = max(0, len(pending) - len(self._last) + 1)
            yield pending[:num_ready]
            pending = pending[num_ready:]
        if has_begun and not self.is_finished:
            yield pending  # for the parser to say what is wrong, if anything


async def _sort(
    form: FormData,
    folder: Path,
    names: Collection[str],
    repeated: Mapping[str, int],
) -> dict[str, Part | list[Part]]:
    """Check the parts, and move the files among them to the folder."""
    single: dict[str, Part] = {}
    several: dict[str, list[Part]] = {name: [] for name in repeated}
    for name, value in form.multi_items():
        if name not in names and name not in repeated:
            raise ApiError("bad_option", _describe_unknown(name, [*names, *repeated]))
        if name in single:
            raise ApiError("bad_option", f"{name}: expected once, got twice")
        if name in names:
            single[name] = await _take(name, value, folder / name)
            continue
        number = len(several[name])
        if number >= repeated[name]:
            message = f"{name}: expected at most {repeated[name]}, got more"
            raise ApiError("bad_option", message)
        several[name].append(await _take(name, value, folder / f"{name}-{number}"))
    return {**single, **{name: parts for name, parts in several.items() if parts}}


async def _take(name: str, value: str | UploadFile, path: Path) -> Part:
    if isinstance(value, UploadFile):
        await asyncio.to_thread(_move, value, path)
        return Upload(path, value.filename or "")
    if len(value.encode()) > MAX_TEXT_BYTES:
        expected = f"expected a file or a text of at most {MAX_TEXT_BYTES} bytes"
        raise ApiError("bad_option", f"{name}: {expected}, got more text")
    return value


def _move(upload: UploadFile, path: Path) -> None:
    """Copy a file out of Starlette's temporary one, and end that one."""
    with path.open("xb") as file:
        shutil.copyfileobj(upload.file, file, 2**20)
    upload.file.close()


def _describe_unknown(name: str, known: Collection[str]) -> str:
    """Name a part that is not known, and the known one it may have meant.

    Examples
    --------
    >>> _describe_unknown("Label", ["label", "model"])
    "unknown part 'Label'; perhaps label was meant"
    >>> _describe_unknown("hue", ["label", "model"])
    "unknown part 'hue'; expected label, model"
    """
    quoted = ascii(name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…")
    near = difflib.get_close_matches(name.lower(), known, n=1)
    advice = f"perhaps {near[0]} was meant" if near else f"expected {', '.join(known)}"
    return f"unknown part {quoted}; {advice}"
