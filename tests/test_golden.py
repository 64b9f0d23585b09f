"""Pictures that people have looked at and approved: a folder per case in `golden`.

Each folder has inputs, `expected`, and a note with how the inputs were made and the
command. `pytest --update-golden` writes `expected` anew; look at every picture that
changes, and list the change under "Output changes" in CHANGELOG.md.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from imharmony import cli
from imharmony.images import files, photo

Pixels = npt.NDArray[Any]

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[1] / "examples"
CASES = sorted(path.parent for path in GOLDEN.glob("*/note.md"))

# In steps of 8 bit. ONNX Runtime's kernels differ between processors in the last bits
# of a slope, which can move a value across a rounding step, and libvips's thumbnails by
# a step.
MAX, MEAN = 3, 0.2


def read_command(case: Path) -> list[str]:
    """Read the command of a case from its note."""
    note = (case / "note.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ (imharmony .*)$", note, flags=re.MULTILINE)
    return shlex.split(command)


def run(
    case: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> Path:
    """Run the command of a case on copies of its inputs; return what it wrote."""
    command = read_command(case)
    if case.name == "astronaut":
        case = EXAMPLES
    for path in case.iterdir():
        if path.is_file() and path.suffix != ".md" and path.stem != "expected":
            shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [*command, *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    return folder / command[-1]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def pictures(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[pyvips.Image, pyvips.Image]:
    """What a case gives now, and what was approved."""
    written = run(request.param, tmp_path, monkeypatch)
    expected = request.param / written.name
    if request.config.getoption("--update-golden"):
        shutil.copy(written, expected)
    return files.read_photo(written), files.read_photo(expected)


def step(image: pyvips.Image) -> int:
    """Return how many values of the picture are a step of 8 bit."""
    return 257 if image.format == "ushort" else 1


def test_picture_is_as_approved(pictures: tuple[pyvips.Image, pyvips.Image]) -> None:
    made, expected = (photo.to_array(image).astype(float) for image in pictures)
    difference = np.abs(made - expected) / step(pictures[1])
    assert difference.max() <= MAX
    assert difference.mean() <= MEAN


def test_file_is_of_the_approved_sort(
    pictures: tuple[pyvips.Image, pyvips.Image],
) -> None:
    made, expected = ([image.format, image.bands] for image in pictures)
    assert made == expected
    profiles = [
        image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else None
        for image in pictures
    ]
    assert profiles[0] == profiles[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_approved_picture_is_not_the_input(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case in which the network changes nothing would test little."""
    unchanged = files.read_photo(run(case, tmp_path, monkeypatch, "--strength", "0"))
    expected = files.read_photo(case / read_command(case)[-1])
    before, after = (photo.to_array(x).astype(float) for x in (unchanged, expected))
    assert np.abs(after - before).max() / step(expected) > 3 * MAX
