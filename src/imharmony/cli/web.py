"""The command that serves the page and the HTTP API."""

from typing import Annotated

import typer

from imharmony.cli.arguments import Weights, needs_extra

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
        from imharmony.web.jobs import check_has_curves
        from imharmony.web.server import listen
        from imharmony.web.server import serve as run
        from imharmony.web.settings import Settings
    names = dict.fromkeys((*Settings.hosts, host, *(allow_host or ())))
    settings = Settings(
        weights=weights,
        hosts=tuple(f"[{n}]" if ":" in n and n[0] != "[" else n for n in names),
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
    is_local = host in ("127.0.0.1", "::1", "localhost")
    if not is_local and settings.token is None:
        typer.echo("warning: others on the network can use this server", err=True)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    if settings.token is not None:
        address += f"#token={settings.token}"
    typer.echo(address)
    if open_page:
        typer.launch(address)
    run(settings, listener)
