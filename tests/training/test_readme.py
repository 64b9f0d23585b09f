"""Every command and every line of Python in the README is run, on files of our own."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from imharmony import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What a test replaces: the data a reader brings, and numbers that make it long.
SHORT = {
    "imharmony train s2crnet-seam": "imharmony train short.toml",
    "--num-pairs 500": "--num-pairs 3",
}
SHORT_CONFIG = """
base = "s2crnet-seam"
thumbnail_size = [32, 32]
num_steps = 2
batch_size = 2
validate_every = 1
validation_pairs = 2
"""


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[str]:
    joined = "".join(blocks("console", text)).replace("\\\n", " ")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


@pytest.fixture
def workplace(
    tmp_path: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder that looks like a clone, with a small pool."""
    examples = shutil.ignore_patterns("*.md")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=examples)
    for name in ("POOL", "POOL_MORE", "PHOTOS", "PHOTOS_MORE"):
        shutil.copytree(pool_folder, tmp_path / name)
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(
        ROOT / "checkpoints" / "s2crnet-cs-0.1.0.safetensors", tmp_path / "checkpoints"
    )
    for folder, name in (("photos", "composite"), ("masks", "mask")):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / "examples" / f"{name}.png", tmp_path / folder / "a.png")
    (tmp_path / "short.toml").write_text(SHORT_CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, short in SHORT.items():
        command = command.replace(text, short)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0, command


def test_the_commands_of_the_readme_do_their_work(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = [c for c in commands(README) if c.startswith("imharmony ")]
    assert len(ours) == 9
    for command in ours:
        run(command, monkeypatch)
    assert (workplace / "harmonized.png").is_file()
    assert (workplace / "done" / "a.png").is_file()
    assert (workplace / "pasted.png").is_file()
    assert "| reinhard |" in capsys.readouterr().out


def test_the_commands_not_run_here_install_something() -> None:
    others = [c for c in commands(README) if not c.startswith("imharmony ")]
    assert others == ["pip install ."]


def test_the_examples_are_made_by_the_command_they_name(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    (command,) = commands(text)
    made = [workplace / "examples" / name for name in ("composite.png", "mask.png")]
    before = [path.read_bytes() for path in made]
    for path in made:
        path.unlink()
    run(command, monkeypatch)
    # In words: pytest's difference of two files takes minutes.
    others = [
        p.name for p, old in zip(made, before, strict=True) if p.read_bytes() != old
    ]
    assert others == []


def test_the_python_of_the_readme_is_at_most_eight_lines_and_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = blocks("python", README)
    assert len([line for line in code.splitlines() if line.strip()]) <= 8
    exec(compile(code, "README.md", "exec"), {})
    assert "uint8" in capsys.readouterr().out
