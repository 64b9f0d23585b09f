"""The routes: the page, and the API under `/api/v1`."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError
from starlette.middleware.cors import CORSMiddleware

from imharmony.web import metrics, schemas
from imharmony.web.answers import Sent, SentStream, add_error_answers
from imharmony.web.batch import (
    MAX_PICTURES,
    Picture,
    pair_archive,
    pair_parts,
    stream_results,
)
from imharmony.web.errors import STATUS, ApiError
from imharmony.web.guard import Guard
from imharmony.web.messages import Answer, Job
from imharmony.web.metrics import Metrics
from imharmony.web.objects import describe_parts, limit_parts, split_fields
from imharmony.web.pool import Pool
from imharmony.web.record import REQUEST_ID, Record
from imharmony.web.reference import STYLE, write_reference
from imharmony.web.settings import Settings
from imharmony.web.uploads import Upload, receive

__all__ = ["create_app"]

API = "/api/v1"
MAX_BATCHES = 2
"""At once. Each may hold its smaller pictures in memory while it arrives."""
_PAGE = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
}
_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".avif": "image/avif",
}
_CURVES = {
    ".json": "application/json",
    ".cube": "text/plain",
    ".acv": "application/octet-stream",
    ".png": "image/png",
}

_GRIDS = {".json": "application/json"}
_TYPES = {"curves": _CURVES, "grid": _GRIDS}

_ANSWER_HEADERS = (
    *("Imharmony-Label", "Imharmony-Warnings"),
    *("Imharmony-Same-Scene", "Imharmony-Seam-Pairs"),
)

_Sent = Sent
F = TypeVar("F", bound=schemas.Form)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the ASGI application.

    Parameters
    ----------
    settings : Settings, optional
        Default: `Settings()`.

    Examples
    --------
    >>> create_app().title
    'imharmony'
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.start()
        yield
        await pool.stop()

    pool = Pool(settings)
    app = FastAPI(
        title="imharmony",
        version=_read_version(),
        description="Make a pasted object look as if it had been photographed in the "
        "scene.",
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    numbers = Metrics(app.version)
    numbers.add_gauge("workers", "Worker processes.", lambda: settings.num_workers)
    numbers.add_gauge("workers_busy", "Workers at work.", lambda: pool.num_busy)
    numbers.add_gauge("jobs_waiting", "Jobs in line.", lambda: pool.num_waiting)
    app.add_middleware(Guard, settings=settings)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", REQUEST_ID),
            expose_headers=(*_ANSWER_HEADERS, "Content-Disposition", REQUEST_ID),
        )
    app.add_middleware(Record, metrics=numbers, root_path=settings.root_path)
    add_error_answers(app)
    _add_page(app)
    _add_api(app, settings, pool)

    @app.get("/metrics", include_in_schema=False)
    async def read_metrics() -> Response:
        return Response(numbers.write(), media_type=metrics.CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def read_reference() -> Response:
        return HTMLResponse(write_reference(app.openapi()))

    @app.get("/docs/style.css", include_in_schema=False)
    async def read_style() -> Response:
        return Response(STYLE, media_type="text/css")

    return app


def _read_version() -> str:
    try:
        return metadata.version("imharmony")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "unknown"


def _add_page(app: FastAPI) -> None:
    folder = Path(str(resources.files(__package__).joinpath("page")))
    content = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in _PAGE
    }

    def serve(name: str) -> Response:
        headers = {"Cache-Control": "no-cache"}
        media_type = _PAGE[Path(name).suffix]
        return Response(content[name], media_type=media_type, headers=headers)

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return serve("index.html")

    @app.get("/page/{name:path}", include_in_schema=False)
    def page_file(name: str) -> Response:
        if name not in content:
            raise ApiError("not_found", "there is no such page")
        return serve(name)


def _add_api(app: FastAPI, settings: Settings, pool: Pool) -> None:
    @app.get(f"{API}/health", responses=_describe_errors("wrong_host"))
    async def health() -> schemas.Health:
        """Say whether the server works, and its limits."""
        limits = schemas.Limits(
            max_bytes=settings.max_bytes,
            max_pixels=settings.max_pixels,
            work_s=settings.work_s,
        )
        return schemas.Health(status="ok", version=app.version, limits=limits)

    @app.get(f"{API}/models", responses=_describe_errors("no_token", "wrong_host"))
    async def models() -> schemas.Models:
        """Say which networks can be asked for; the first is the default."""
        return schemas.Models.model_validate({"models": pool.models})

    async def work(request: Request, action: str, form_type: type[F]) -> Response:
        folder = tempfile.TemporaryDirectory(prefix="imharmony-request-")
        try:
            path = Path(folder.name)
            several = limit_parts(form_type)
            names = [name for name in form_type.model_fields if name not in several]
            fields = await receive(request, path, names, settings, repeated=several)
            forms = [_validate(form_type, one) for one in split_fields(fields)]
            job = _make_job(action, forms, path, pool, settings)
            answer = await _run(request, pool, job)
        except BaseException:
            folder.cleanup()
            raise
        types = _TYPES.get(action, _PICTURES)
        return Sent(answer, folder, types, settings.send_s)

    @app.post(f"{API}/harmonize", **_describe(schemas.HarmonizeForm, _PICTURES))
    async def harmonize(request: Request) -> Response:
        """Recolor the foreground so that it fits its background."""
        return await work(request, "harmonize", schemas.HarmonizeForm)

    num_batches = 0

    @app.post(f"{API}/batch", **_describe(schemas.BatchForm, {"": "application/zip"}))
    async def batch(request: Request) -> Response:
        """Harmonize many composites; the answer begins before all are done."""
        nonlocal num_batches
        if num_batches >= MAX_BATCHES:
            raise ApiError("busy", "too many batches at once; try again soon")
        num_batches += 1
        folder = tempfile.TemporaryDirectory(prefix="imharmony-request-")

        def end() -> None:
            nonlocal num_batches
            num_batches -= 1
            folder.cleanup()

        try:
            chunks = await _begin_batch(request, Path(folder.name), pool, settings)
        except BaseException:
            end()
            raise
        return SentStream(chunks, end, settings.send_s)

    @app.post(f"{API}/curves", **_describe(schemas.CurvesForm, _CURVES))
    async def curves(request: Request) -> Response:
        """Predict the color curves, or convert some to another format."""
        return await work(request, "curves", schemas.CurvesForm)

    @app.post(f"{API}/grid", **_describe(schemas.GridForm, _GRIDS))
    async def grid(request: Request) -> Response:
        """Predict a change of color that varies from place to place, for `render`."""
        return await work(request, "grid", schemas.GridForm)

    @app.post(f"{API}/render", **_describe(schemas.RenderForm, _PICTURES))
    async def render(request: Request) -> Response:
        """Apply color curves, or a grid, to a photo, at its own size and depth."""
        return await work(request, "render", schemas.RenderForm)


async def _begin_batch(
    request: Request, folder: Path, pool: Pool, settings: Settings
) -> AsyncIterator[bytes]:
    """Receive a batch and check its options; yield its results later."""
    several = ("composite", "mask")
    names = [name for name in schemas.BatchForm.model_fields if name not in several]
    repeated = dict.fromkeys(several, MAX_PICTURES)
    fields = await receive(request, folder, names, settings, repeated=repeated)
    form = _validate(schemas.BatchForm, fields)
    if form.archive is None:
        pictures = pair_parts(form.composite, form.mask)
    else:
        pictures = await asyncio.to_thread(
            pair_archive, form.archive.path, folder, settings.max_bytes
        )
    if not pictures:
        raise ApiError("bad_option", "archive: expected composites, found none")
    options = form.model_dump(exclude={*several, "archive"}, exclude_none=True)

    async def work(picture: Picture, place: Path) -> Answer:
        one = schemas.HarmonizeForm.model_validate(
            {**options, "composite": picture.composite, "mask": picture.mask}
        )
        return await pool.run(_make_job("harmonize", [one], place, pool, settings))

    # One worker is left to the others where there is more than one.
    num_ahead = max(1, settings.num_workers - 1)
    return stream_results(pictures, work, folder, num_ahead=num_ahead)


def _validate(form_type: type[F], fields: Mapping[str, Any]) -> F:
    try:
        return form_type.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        name = ".".join(str(part) for part in first["loc"][:1])
        if first["type"] == "is_instance_of":
            message = "expected a file, got text"
        elif first["type"] != "value_error":
            message = message[:1].lower() + message[1:]
        raise ApiError(
            "bad_option", f"{name}: {message}" if name else message
        ) from None


def _make_job(
    action: str,
    forms: Sequence[schemas.Form],
    folder: Path,
    pool: Pool,
    settings: Settings,
) -> Job:
    first, *others = [_sort_parts(form, pool) for form in forms]
    weights = None if settings.weights is None else str(settings.weights)
    return Job(
        action=action,
        folder=str(folder),
        files=first["files"],
        options=first["options"],
        max_pixels=settings.max_pixels,
        weights=weights,
        others=others,
    )


def _sort_parts(form: schemas.Form, pool: Pool) -> dict[str, dict[str, Any]]:
    """Tell the files of a form from its options."""
    options: dict[str, Any] = {}
    paths: dict[str, str] = {}
    for name in type(form).model_fields:
        value = getattr(form, name)
        if isinstance(value, Upload):
            paths[name] = str(value.path)
        else:
            options[name] = value
    if options.get("model", "") is None:
        options["model"] = pool.models[0]["name"]
    return {"files": paths, "options": options}


async def _run(request: Request, pool: Pool, job: Job) -> Answer:
    """Do a job; give up when the client has gone."""
    running = asyncio.create_task(pool.run(job))
    gone = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ApiError("bad_request", "the client has gone")
        return running.result()
    finally:
        for task in (running, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                await task


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _describe_errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    statuses = sorted({STATUS[code] for code in codes})
    return {status: {"model": schemas.ErrorAnswer} for status in statuses}


def _describe(form: type[schemas.Form], media_types: dict[str, str]) -> dict[str, Any]:
    """Say in OpenAPI what a route takes and gives."""
    content_types = dict.fromkeys(media_types.values())
    binary = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = {
        content_type: {"schema": {}} if content_type == "application/json" else binary
        for content_type in content_types
    }
    codes = (code for code in STATUS if code not in ("not_found", "not_allowed"))
    body = {"multipart/form-data": {"schema": describe_parts(form)}}
    return {
        "response_class": Response,
        "responses": _describe_errors(*codes) | {200: {"content": content}},
        "openapi_extra": {"requestBody": {"required": True, "content": body}},
    }
