"""Every command of the recipes, of the pages of programs and of the examples is run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imharmony import cli

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.md"))
PROGRAMS = sorted((ROOT / "docs" / "programs").glob("*.md"))
PAGES = [path for path in (*RECIPES, *PROGRAMS) if path.name != "README.md"]
SHORT = {"-frames:v 240": "-frames:v 4"}
OTHERS = ("ffmpeg", "mkdir")


def commands(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [line[2:] for line in "".join(blocks).splitlines() if line.startswith("$ ")]


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a page: ours in this process, others as they stand."""
    for long, short in SHORT.items():
        command = command.replace(long, short)
    words = shlex.split(command)
    if words[0] != "imharmony":
        assert words[0] in OTHERS
        subprocess.run(words, check=True, capture_output=True, timeout=120)
        return
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0, command


def cases() -> list[object]:
    """Give each page a test; what needs ffmpeg is marked."""
    made: list[object] = []
    for page in PAGES:
        needs_ffmpeg = any(line.startswith("ffmpeg") for line in commands(page))
        marks = [pytest.mark.interop] if needs_ffmpeg else []
        name = f"{page.parent.name}/{page.name}"
        made.append(pytest.param(page, id=name, marks=marks))
    return made


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a clone."""
    ignored = shutil.ignore_patterns("*.md", "*.py")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*of 255 away from the curves")
@pytest.mark.parametrize("page", cases())
def test_the_commands_of_a_page_write_what_they_name(
    page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = commands(page)
    assert any(line.startswith("imharmony ") for line in lines)
    for line in lines:
        run(line, monkeypatch)
        words = shlex.split(line)
        if words[0] == "imharmony":
            assert (workplace / words[words.index("-o") + 1]).exists(), line


def test_the_bulk_recipe_makes_a_sheet_and_a_report(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in commands(ROOT / "docs" / "recipes" / "products.md"):
        run(line, monkeypatch)
    assert sorted(p.name for p in Path("done").iterdir()) == ["left.png", "right.png"]
    assert len(Path("done.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert Path("sheet.jpg").is_file()


@pytest.mark.parametrize("page", [*RECIPES, *PROGRAMS], ids=lambda page: page.name)
def test_a_page_links_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_each_recipe_shows_its_picture() -> None:
    for page in RECIPES:
        if page.name != "README.md":
            assert "![" in page.read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize(
    "script", sorted((ROOT / "examples" / "arrays").glob("*.py")), ids=lambda p: p.stem
)
def test_an_example_for_arrays_harmonizes(script: Path, tmp_path: Path) -> None:
    examples, output = ROOT / "examples", tmp_path / "out.png"
    files = [examples / "composite.png", examples / "mask.png", output]
    subprocess.run([sys.executable, script, *files], check=True, capture_output=True)
    before, mask, after = (
        np.asarray(Image.open(path).convert("RGB")).astype(int) for path in files
    )
    # scikit-image's example feathers the mask: look away from its edge.
    edge = np.abs(np.diff(mask, axis=1, prepend=0)) > 0
    far = np.asarray(Image.fromarray(np.uint8(255 * edge.any(-1))).resize((64, 43)))
    around = np.asarray(Image.fromarray(far).resize((640, 427))) == 0
    is_same = around & (mask[..., 0] == 0)
    assert np.abs(after - before)[is_same].max() <= 1
    assert np.abs(after - before)[mask[..., 0] == 255].mean() > 2
