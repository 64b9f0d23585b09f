"""Help, the list of commands, and what they say without an extra."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from imharmony import cli
from tests.cli.commands import SOURCES, Refused, Run, contents

COMMANDS = (
    *("harmonize", "paste", "video", "batch", "serve"),
    *("curves", "apply"),
    *("synthesize", "train", "ablate", "export"),
    *("evaluate", "compare", "study", "benchmark", "data"),
)

# Help


def parameters() -> Iterator[tuple[str, Any]]:
    # Any: older versions of Typer use click's classes, newer ones their own.
    group: Any = typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        for parameter in command.params:
            yield f"{name} {parameter.name}", parameter


def test_commands_are_the_checked_in_list() -> None:
    group: Any = typer.main.get_command(cli.app)
    assert tuple(group.commands) == COMMANDS
    assert all(command.help for command in group.commands.values())


@pytest.mark.parametrize(
    "parameter", [p for _, p in parameters()], ids=[name for name, _ in parameters()]
)
def test_help_says_more_than_the_name(parameter: Any) -> None:
    said = set(re.findall(r"\w+", (parameter.help or "").lower()))
    name = set(re.findall(r"\w+", " ".join(parameter.opts).lower()))
    assert len(said - name) >= 2
    assert parameter.help.endswith(".")


@pytest.mark.parametrize(
    "parameter",
    [p for _, p in parameters() if p.opts[0].startswith("--")],
    ids=[name for name, p in parameters() if p.opts[0].startswith("--")],
)
def test_options_are_whole_words_and_short_only_for_output(parameter: Any) -> None:
    assert [name for name in parameter.opts if name[1] != "-"] in ([], ["-o"])


def test_help_groups_the_commands(run: Run) -> None:
    panels = [line for line in run("--help").out.decode().splitlines() if "─ " in line]
    assert [re.sub(r"[^A-Za-z]", "", line) for line in panels] == [
        "Options",
        *cli.PANELS,
    ]


def test_version_is_that_of_the_package(run: Run) -> None:
    finished = run("--version")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.decode().split() == ["imharmony", version("imharmony")]


@pytest.mark.parametrize("command", COMMANDS)
def test_short_flag_shows_help(command: str, run: Run) -> None:
    finished = run(command, "-h")
    assert (finished.code, finished.err) == (0, "")
    assert f"imharmony {command} [OPTIONS]".encode() in finished.out


def test_no_command_shows_help(run: Run) -> None:
    finished = run()
    assert finished.code == 2
    assert all(name in finished.out.decode() + finished.err for name in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from imharmony import cli
for command in {(*COMMANDS, "")!r}:
    sys.argv = ["imharmony", *command.split(), "--help"]
    try:
        cli.main()
    except SystemExit as stop:
        assert stop.code == 0
heavy = {{"numpy", "pyvips", "onnxruntime", "torch"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# Without the train extra


@pytest.mark.parametrize(
    "args",
    [
        ("export", "checkpoint.safetensors", "-o", "weights.onnx"),
        ("train", "s2crnet-cs", "data", "-o", "run"),
        ("synthesize", "data", "-o", "pairs"),
    ],
    ids=lambda args: args[0],
)
def test_training_without_torch_says_what_to_install(
    args: tuple[str, ...], folder: Path
) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
sys.argv = ["imharmony", *{args!r}]
from imharmony import cli
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: \w+ is not installed; pip install 'imharmony\[train\]'\s+", done.stderr
    )
    assert contents(folder) == {}


def test_export_writes_onnx_files_only(refused: Refused) -> None:
    message = refused(2, "export", "checkpoint.safetensors", "-o", "-")
    assert message.startswith("-: expected an extension of .onnx")
