"""Compare what the plug-in made in GIMP with what the command line makes of the same.

python tests/gimp/compare.py FOLDER, after GIMP ran cases.py there. Prints a table and
ends with 1 if anything is farther off than its limit.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.images import files
from imharmony.images.photo import from_array, to_array

# Largest difference in 8-bit steps, of what is seen for 8 bit, of the layer for more:
# GIMP's own flattening of images in other color spaces is not that exact. A linear
# image is converted to encoded values and back.
LIMITS = {
    "8-bit-mask": 1.0,
    "8-bit-alpha": 1.0,
    "8-bit-selection": 1.0,
    "8-bit-group": 1.0,
    "8-bit-hidden-above": 1.0,
    "8-bit-half": 1.0,
    "16-bit-mask": 0.02,
    "16-bit-linear-mask": 0.2,
    "16-bit-adobe-rgb": 0.02,
    "float-mask": 0.02,
    "float-linear-mask": 0.2,
}
OPTIONS = {"8-bit-half": ["--strength", "0.5", "--label", "food"]}
REFUSALS = {
    "refuses-whole": "This layer covers everything",
    "refuses-no-command": "/nowhere/imharmony: expected the command imharmony",
    "refuses-no-scene": "There is nothing visible below this layer",
}


def read(path: Path) -> npt.NDArray[np.float64]:
    """Read a file in 8-bit steps."""
    pixels = to_array(files.read_photo(path))
    full = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return pixels[..., :3].astype(np.float64) * (255 / full)


def call(*words: str | Path) -> None:
    """Run the command line."""
    whole = ["imharmony", *map(str, words), "--overwrite"]
    subprocess.run(whole, check=True, capture_output=True)


def compare(folder: Path, mask: Path) -> str:
    """Compare one case; give a line of the table, or raise with what is wrong."""
    name = folder.name
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    if name in REFUSALS:
        assert facts["status"] == "execution-error", facts
        assert REFUSALS[name] in facts["said"], facts
        assert facts["layers_added"] == 0, facts
        return f"{name:20} refused: {facts['said'].splitlines()[0]}"
    assert facts["status"] == "success", facts
    assert facts["old_is_hidden"], facts
    assert facts["name"] == "object harmonized", facts
    start = "" if name.startswith("8-bit") else "layer-"
    source, look = folder / f"{start}before.tif", folder / "look.json"
    expected = folder / "expected.tif"
    call("curves", folder / "before.tif", mask, "-o", look, *OPTIONS.get(name, []))
    call("apply", look, source, mask, "-o", expected)
    before, after, wanted = map(read, (source, folder / f"{start}after.tif", expected))
    inside = to_array(files.read_photo(mask))[..., 0] == 255
    difference = np.abs(after - wanted)
    changed = np.abs(wanted - before)[inside].mean()
    seen = [read(folder / part) for part in ("before.tif", "after.tif")]
    around = np.abs(seen[1] - seen[0])[~inside].max()
    depth = to_array(files.read_photo(folder / "after.tif")).dtype
    line = (
        f"{name:20} {depth!s:8} changed by {changed:5.2f}, off by at most "
        f"{difference[inside].max():.4f}, {difference[inside].mean():.4f} on average; "
        f"around it {around:.4f}"
    )
    assert difference[inside].max() <= LIMITS[name], line
    assert around == 0, line
    assert changed > 1, line
    return line


def main() -> int:
    """Compare all cases."""
    root = Path(sys.argv[1])
    mask = root / "hard.png"
    pixels = to_array(files.read_photo(root / "mask.png"))
    hard = np.where(pixels > 127, 255, 0).astype(np.uint8)
    files.write_photo(from_array(hard), mask, overwrite=True)
    failed = 0
    for name in [*LIMITS, *REFUSALS]:
        try:
            print(compare(root / name, mask))
        except (AssertionError, OSError) as error:
            failed += 1
            print(f"{name:20} FAILED: {error}")
    print(f"{failed} of {len(LIMITS) + len(REFUSALS)} cases failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
