"""Fixtures of the command line; commands run in this process, ten times as fast as
in a new one."""

import io
import sys
import warnings
from pathlib import Path

import pytest

from imharmony import cli
from imharmony.harmonizer import Harmonizer
from tests.cli.commands import (
    Finished,
    Inputs,
    Refused,
    Run,
    contents,
    cutout,
    disc,
    pixels,
    save,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the commands; outputs go there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inputs(folder: Path) -> Inputs:
    return Inputs(
        composite=save(folder / "composite.png", pixels()),
        mask=save(folder / "mask.png", disc()),
        cutout=save(folder / "cutout.png", cutout()),
        small=save(folder / "small.png", pixels()[:10, :16]),
        small_mask=save(folder / "small-mask.png", cutout()[..., 3]),
    )


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Run a command in this process."""

    def run(*args: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "argv", ["imharmony", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                cli.main()
                code: object = 0
            except SystemExit as stop:
                code = stop.code
        captured = capfdbinary.readouterr()
        return Finished(int(str(code or 0)), captured.out, captured.err.decode())

    return run


@pytest.fixture
def refused(run: Run, folder: Path) -> Refused:
    """Run a command that must fail and touch nothing; return its one message."""

    def refused(code: int, *args: str | Path, stdin: bytes = b"") -> str:
        before = contents(folder)
        finished = run(*args, stdin=stdin)
        assert contents(folder) == before
        assert (finished.code, finished.out) == (code, b"")
        (message,) = finished.messages
        assert message.startswith("error: ")
        return message.removeprefix("error: ")

    return refused
