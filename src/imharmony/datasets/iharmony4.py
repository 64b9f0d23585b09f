"""Find the pairs of a folder in iHarmony4 layout.

The layout is `<root>/<sub-set>/{composite_images,masks,real_images}/` with
composites named `<img>_<mask>_<k>`, masks `<img>_<mask>` and real photos `<img>`
(W. Cong et al., "DoveNet: Deep Image Harmonization via Domain Verification", CVPR
2020). `IHD_train.txt` and `IHD_test.txt` in the root name the composites of a split,
or a `<sub-set>_train.txt` and `<sub-set>_test.txt` in each sub-set.
"""

from dataclasses import dataclass
from pathlib import Path

from imharmony.errors import UsageError

__all__ = ["PairFiles", "find_pairs", "read_split"]


@dataclass(frozen=True)
class PairFiles:
    """Where one composite, its mask and its truth lie."""

    name: str
    """The composite's file name without its extension."""
    subset: str
    composite: Path
    mask: Path
    real: Path


def find_pairs(root: Path, *, split: str | None = None) -> list[PairFiles]:
    """List the pairs of a folder in iHarmony4 layout, sorted by sub-set and name.

    Parameters
    ----------
    root : Path
        The folder that holds the sub-sets, HCOCO and such.
    split : str or None
        "test" or "train": only what the lists of that split name. "all": everything.
        None: the test lists if there are any, otherwise everything.

    Raises
    ------
    UsageError
        If there is no such split, no sub-set folder, or no list of the split; a
        composite lacks its mask or real photo; a list names one that is not there.
    """
    if split not in (None, "test", "train", "all"):
        msg = f"split is one of test, train, all, got {split!r}"
        raise UsageError(msg)
    chosen = None if split == "all" else read_split(root, split or "test")
    if split in ("test", "train") and not chosen:
        msg = (
            f"{root}: expected a list of the split, IHD_{split}.txt or "
            f"<sub-set>/<sub-set>_{split}.txt, found none"
        )
        raise UsageError(msg)
    chosen = chosen or None
    pairs = []
    missing = set(chosen or ())
    for folder in sorted(root.glob("*/composite_images")):
        subset = folder.parent
        for composite in sorted(folder.glob("[!.]*")):
            if chosen is not None and (subset.name, composite.stem) not in chosen:
                continue
            image, _, rest = composite.stem.rpartition("_")
            mask_stem, image = image, image.rpartition("_")[0]
            if not image or not rest:
                msg = f"{composite}: expected a name like <img>_<mask>_<k>"
                raise UsageError(msg)
            mask = _find_only(subset / "masks", mask_stem)
            real = _find_only(subset / "real_images", image)
            pairs.append(PairFiles(composite.stem, subset.name, composite, mask, real))
    missing -= {(pair.subset, pair.name) for pair in pairs}
    if missing:
        first = "/composite_images/".join(min(missing))
        msg = (
            f"{root}: {len(missing)} composites of the list of the split "
            f"{split or 'test'} are not there, such as {first}"
        )
        raise UsageError(msg)
    if not pairs:
        msg = (
            f"{root}: expected iHarmony4 layout, a folder with "
            f"<sub-set>/composite_images, masks and real_images"
        )
        raise UsageError(msg)
    return pairs


def read_split(root: Path, split: str) -> set[tuple[str, str]]:
    """Read which composites a split holds.

    Returns
    -------
    set of (sub-set, name)
        Names without extension; empty where there is no list.

    Raises
    ------
    UsageError
        If a line of `IHD_<split>.txt` does not start with a sub-set's folder.
    """
    whole = root / f"IHD_{split}.txt"
    if not whole.is_file():
        lists = ((path.parent.name, path) for path in root.glob(f"*/*_{split}.txt"))
        return {
            (subset, Path(line).stem)
            for subset, path in lists
            if path.name == f"{subset}_{split}.txt"
            for line in _read_lines(path)
        }
    listed = set()
    for line in _read_lines(whole):
        parts = Path(line.replace("\\", "/")).parts
        if len(parts) < 2:
            msg = f"{whole}: expected lines like <sub-set>/<composite>, got {line!r}"
            raise UsageError(msg)
        listed.add((parts[0], Path(parts[-1]).stem))
    return listed


def _read_lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _find_only(folder: Path, stem: str) -> Path:
    for suffix in (".png", ".jpg"):
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    msg = f"{folder}: expected {stem}.png or {stem}.jpg"
    raise UsageError(msg)
