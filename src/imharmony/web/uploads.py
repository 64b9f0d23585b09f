"""Multipart bodies, streamed to disk with every limit checked while they arrive."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from imharmony.web.errors import ApiError
from imharmony.web.settings import Settings

__all__ = ["Upload", "receive"]

MAX_TEXT_BYTES = 1000


@dataclass(frozen=True)
class Upload:
    """A file that arrived, under a name of ours."""

    path: Path


async def receive(
    request: Request, folder: Path, names: Collection[str], settings: Settings
) -> dict[str, str | Upload]:
    """Receive a multipart body.

    Parameters
    ----------
    request : Request
    folder : Path
        Where files go, each under the name of its part. Names from clients are
        never used.
    names : collection of str
        Parts that may be there.
    settings : Settings

    Returns
    -------
    dict
        Text or `Upload` by name.

    Raises
    ------
    ApiError
        `not_multipart`, `bad_request`, `bad_option`, `too_large`, `too_slow`.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ApiError("not_multipart", "expected a multipart/form-data body")
    form = _Form(folder, names)
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": form.begin,
                "on_header_field": form.take_field,
                "on_header_value": form.take_value,
                "on_header_end": form.end_header,
                "on_headers_finished": form.open,
                "on_part_data": form.take,
                "on_part_end": form.end,
                "on_end": form.finish,
            },
        )
        async with aclosing(_chunks(request, settings)) as chunks:
            async for chunk in chunks:
                parser.write(chunk)
        parser.finalize()
    except (FormParserError, MultipartParseError) as error:
        raise ApiError("bad_request", "the multipart body is malformed") from error
    finally:
        form.close()
    if not form.is_finished:
        raise ApiError("bad_request", "the multipart body ends too early")
    return form.fields


async def _chunks(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
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


@dataclass
class _Form:
    """The parts of one body, as the parser reports them."""

    folder: Path
    names: Collection[str]
    fields: dict[str, str | Upload] = field(default_factory=dict)
    is_finished: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _header: tuple[bytes, bytes] = (b"", b"")
    _name: str = ""
    _text: bytes = b""
    _file: BinaryIO | None = None

    def begin(self) -> None:
        self._headers = {}
        self._text = b""

    def take_field(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + data[start:end], value)

    def take_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + data[start:end])

    def end_header(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = (b"", b"")

    def open(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name not in self.names:
            known = ", ".join(self.names)
            raise ApiError("bad_option", f"expected parts among {known}, got another")
        if self._name in self.fields:
            raise ApiError("bad_option", f"{self._name}: expected once, got twice")
        if b"filename" in options:
            upload = Upload(self.folder / self._name)
            self.fields[self._name] = upload
            self._file = upload.path.open("xb")

    def take(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_TEXT_BYTES:
            expected = f"expected a file or a text of at most {MAX_TEXT_BYTES} bytes"
            raise ApiError("bad_option", f"{self._name}: {expected}, got more text")

    def end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            self.fields[self._name] = self._text.decode()
        except UnicodeDecodeError as error:
            message = f"{self._name}: expected text in UTF-8"
            raise ApiError("bad_option", message) from error

    def finish(self) -> None:
        self.is_finished = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
