"""The command that serves the page and the HTTP API."""

import sys
from typing import Annotated

import typer

from imharmony.cli.arguments import Weights, needs_extra
from imharmony.cli.hosts import (
    describe_address,
    is_local,
    name_hosts,
    parse_origin,
    parse_root_path,
)
from imharmony.errors import UsageError

__all__ = ["serve"]


def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any.")
    ] = 8000,
    open_page: Annotated[
        bool, typer.Option("--open", help="Show the page in the browser.")
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="IMHARMONY_TOKEN",
            help="Answer only those who send this token.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name under which browsers reach this server, such as "
            "photos.example.org; may be repeated.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Another site whose scripts may use the API, such as "
            "https://photos.example.org; may be repeated.",
            show_default=False,
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            help="Prefix under which a proxy serves this, such as /harmonize.",
            show_default=False,
        ),
    ] = "",
    log: Annotated[
        str | None,
        typer.Option(
            help="Line for each request on standard error: json, text or none. "
            "Default: text on a terminal, else json.",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    max_megabytes: Annotated[
        int, typer.Option(min=1, help="Refuse requests of more than this many MiB.")
    ] = 256,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse pictures of more than this many pixels.")
    ] = 2**26,
    max_seconds: Annotated[
        float,
        typer.Option(min=0.1, help="End work on a request after this many seconds."),
    ] = 60.0,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes, each doing one request at a time.")
    ] = 2,
    max_waiting: Annotated[
        int,
        typer.Option(
            min=0, help="Requests that may wait for a process; more are refused."
        ),
    ] = 32,
) -> None:
    """Serve a page to harmonize on, and an HTTP API."""
    with needs_extra("web"):
        from imharmony.web.app import create_app
        from imharmony.web.jobs import check_has_curves
        from imharmony.web.server import LOGS, end_cleanly_on_signals, listen
        from imharmony.web.server import serve as run
        from imharmony.web.settings import Settings
    end_cleanly_on_signals()
    log = log or ("text" if sys.stderr.isatty() else "json")
    if log not in LOGS:
        raise UsageError(f"--log: expected {', '.join(LOGS)}, got {log!r}")
    settings = Settings(
        weights=weights,
        hosts=name_hosts(host, allow_host),
        origins=tuple(parse_origin(text) for text in allow_origin or ()),
        root_path=parse_root_path(root_path),
        token=token or None,
        max_bytes=max_megabytes * 2**20,
        max_pixels=max_pixels,
        work_s=max_seconds,
        num_workers=workers,
        max_waiting=max_waiting,
    )
    if weights is not None:
        from imharmony.harmonizer import Harmonizer

        # To refuse a wrong file here.
        check_has_curves(Harmonizer(weights=weights), str(weights))
    listener = listen(host, port)
    if not is_local(host) and settings.token is None:
        typer.echo("warning: others on the network can use this server", err=True)
    address = f"{describe_address(host, listener.getsockname()[1])}/"
    if settings.token is not None:
        address += f"#token={settings.token}"
    typer.echo(address)
    if open_page:
        typer.launch(address)
    run(create_app(settings), listener, log=log)
