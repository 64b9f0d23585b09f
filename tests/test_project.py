"""What is built, pinned and documented: the wheel, the oldest versions, the guides."""

import ast
import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from imharmony import cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GUIDES = [ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder))
    return zipfile.ZipFile(path)


def test_wheel_holds_the_package_but_not_the_checkpoints(
    wheel: zipfile.ZipFile,
) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "imharmony").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "imharmony/weights/s2crnet-cs.safetensors" in sources
    assert held == {name for name in sources if not name.endswith(".safetensors")}


def test_wheel_says_its_license(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


# Pins


def test_oldest_versions_are_the_bounds_of_the_base_install() -> None:
    bounds = {}
    for line in PROJECT["project"]["dependencies"]:
        name, bound = re.findall(r"^([\w-]+).*?>=([\d.]+)", line)[0]
        bounds[name] = ".".join(f"{bound}.0".split(".")[:2])
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins == {name: f"{bound}.*" for name, bound in bounds.items()}


def test_every_package_that_tests_need_is_pinned() -> None:
    lines = (ROOT / "tests" / "constraints.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([\w.-]+)==", lines, flags=re.MULTILINE))
    groups = [
        *PROJECT["project"]["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
        PROJECT["project"]["dependencies"],
    ]
    wanted = {re.split(r"[\[>=<;]", line)[0] for group in groups for line in group}
    assert {normal(name) for name in wanted} <= {normal(name) for name in pinned}


def normal(name: str) -> str:
    """Spell a package's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_citation_names_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['project']['version']}\n" in citation


# The guides


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a clone."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_tutorial_do_their_work(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tutorial,) = (path for path in GUIDES if path.stem == "tutorial")
    lines = "".join(blocks("console", tutorial.read_text(encoding="utf-8")))
    commands = re.findall(r"^\$ (.*)$", lines, flags=re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        monkeypatch.setattr("sys.argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, command
        assert (
            clone / shlex.split(command)[shlex.split(command).index("-o") + 1]
        ).exists()


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_python_of_the_guides_runs(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code in blocks("python", path.read_text(encoding="utf-8")):
        exec(compile(code, str(path), "exec"), {})
        assert capsys.readouterr().out


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_options_that_the_guides_name_exist(path: Path) -> None:
    import typer.main

    group = typer.main.get_command(cli.app)
    commands: dict[str, object] = getattr(group, "commands")  # noqa: B009
    known = {
        name
        for command in commands.values()
        for parameter in getattr(command, "params", ())
        for name in parameter.opts
    }
    named = set(re.findall(r"`(--[a-z-]+)", path.read_text(encoding="utf-8")))
    assert named - known - {"--version"} == set()


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their name alone, and would leave the second one out."""
    root = Path(__file__).parent
    names = [path.name for path in root.rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []


BASE_TEST = {
    *("numpy", "onnxruntime", "pyvips", "tifftools", "jpeglib", "typer", "rich"),
    *("pytest", "hypothesis", "PIL", "tifffile", "imagecodecs", "cv2"),
    *("imharmony", "tests"),
}
"""What the base install and the group base-test bring along."""


def imported_at_once(path: Path) -> set[str]:
    """List the modules that a file imports when it is loaded."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def test_what_needs_no_extra_imports_none() -> None:
    recipe = (ROOT / "Makefile").read_text().split("test-base:\n")[1].split("\n\n")[0]
    words = recipe.replace("\\\n", " ").split()
    ignored = {w.partition("=")[2] for w in words if w.startswith("--ignore=")}
    waiting = {
        path
        for word in words
        if word.startswith("tests/")
        for path in [ROOT / word, *(ROOT / word).rglob("*.py")]
        if path.suffix == ".py" and str(path.relative_to(ROOT)) not in ignored
    }
    assert len(waiting) > 30
    done: set[Path] = set()
    while waiting:
        path = waiting.pop()
        done.add(path)
        names = imported_at_once(path)
        foreign = {name.partition(".")[0] for name in names}
        foreign -= BASE_TEST | set(sys.stdlib_module_names)
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"
        helpers = {ROOT / (name.replace(".", "/") + ".py") for name in names}
        waiting |= {helper for helper in helpers if helper.exists()} - done
