"""How the GIMP plug-in calls the command; tests/gimp/run proves the rest in GIMP."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

PLUG_IN = Path(__file__).parents[2] / "integrations" / "gimp" / "imharmony"


@pytest.fixture(scope="module")
def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("command", PLUG_IN / "command.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_program(path: Path, code: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_command_is_found_on_the_path_and_beside_it(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path, at_home = tmp_path / "bin", tmp_path / "home" / ".local" / "bin"
    on_path.mkdir()
    at_home.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(on_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    theirs = write_program(at_home / "imharmony", "")
    assert command.find() == str(theirs)
    first = write_program(on_path / "imharmony", "")
    assert command.find() == str(first)
    assert command.find(str(theirs)) == str(theirs)


def test_a_missing_command_says_how_to_get_it(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if any(Path(f"{place}/imharmony").exists() for place in ("/usr/local/bin",)):
        monkeypatch.setattr(command.shutil, "which", lambda *_, **__: None)
    with pytest.raises(command.CommandError, match="pipx install imharmony"):
        command.find()
    with pytest.raises(command.CommandError, match="/nowhere: expected the command"):
        command.find("/nowhere")


def test_only_choices_that_are_no_defaults_are_passed_on(command: ModuleType) -> None:
    assert command.options(1.0, "guess", "auto") == ["--strength", "1"]
    assert command.options(0.5, "food", "trust") == [
        "--strength",
        "0.5",
        "--label",
        "food",
        "--seam",
        "trust",
    ]


def test_the_command_does_not_get_what_gimp_sets_for_its_own_python(
    command: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME_OF_OTHERS", "kept")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/gimp/lib")
    out = tmp_path / "environment"
    code = f"import os\nopen({str(out)!r}, 'w').write(' '.join(os.environ))\n"
    calls: list[int] = []
    program = write_program(tmp_path / "imharmony", code)
    command.run([program], waiting=lambda: calls.append(1))
    names = out.read_text(encoding="utf-8").split()
    assert "LD_LIBRARY_PATH" not in names
    assert "PYTHONHOME_OF_OTHERS" in names
    assert calls


def test_what_the_command_says_reaches_the_user_without_the_box(
    command: ModuleType, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "imharmony.cli", "curves", str(tmp_path / "no.png")]
    with pytest.raises(command.CommandError) as failed:
        command.run([*words, "-o", "look.json"], waiting=lambda: None)
    assert "no.png: no such file" in str(failed.value)
    with pytest.raises(command.CommandError) as failed:
        command.run([*words, "-o", "look.json", "--hue"], waiting=lambda: None)
    assert "No such option: --hue" in str(failed.value)
    assert not any(sign in str(failed.value) for sign in "│╭╰")


def test_a_running_command_can_be_stopped(command: ModuleType, tmp_path: Path) -> None:
    program = write_program(tmp_path / "imharmony", "import time\ntime.sleep(60)\n")
    work = command.Run([program])
    assert not work.is_done
    work.stop()
    assert work.is_done


def test_the_folder_is_what_gimp_loads() -> None:
    program = PLUG_IN / f"{PLUG_IN.name}.py"  # the folder's name, and executable
    assert os.access(program, os.X_OK)
    assert program.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
