"""Check a data set in iHarmony4 layout: which files exist, and whether they fit.

The layout and its lists are those of `datasets.iharmony4`. All problems are listed in
the report; none is raised.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.datasets.iharmony4 import PairFiles, read_split
from imharmony.errors import HarmonizeError, UsageError
from imharmony.evaluation.protocols.scene import load_scene

__all__ = [
    "PUBLISHED",
    "TOLERANCE",
    "Report",
    "Row",
    "background_difference",
    "check_files",
    "check_pixels",
    "sample_pairs",
]

UInt8Array = npt.NDArray[np.uint8]

PUBLISHED = {
    ("HCOCO", "train"): 38_545,
    ("HCOCO", "test"): 4_283,
    ("HAdobe5k", "train"): 19_437,
    ("HAdobe5k", "test"): 2_160,
    ("HFlickr", "train"): 7_449,
    ("HFlickr", "test"): 828,
    ("Hday2night", "train"): 311,
    ("Hday2night", "test"): 133,
}
"""Number of pairs of iHarmony4's sub-sets."""

SPLITS = ("train", "test")

TOLERANCE = 8.0
"""In 8-bit steps, for `background_difference`. Measured on 60 photographs: a JPEG of
quality 50 stays below 6.1, of 75 below 4.2; a mask of another object gave 20."""

_BLOCK = 16  # pixels: JPEG with subsampled chroma, too, stores each on its own


@dataclass
class Row:
    """One sub-set and split."""

    subset: str
    split: str
    complete: list[PairFiles] = field(default_factory=list)
    missing: int = 0
    """Listed pairs of which a file is missing or misnamed."""
    compared: int = 0
    differing: int = 0

    @property
    def published(self) -> int | None:
        """Number of pairs in iHarmony4; None for other data sets."""
        return PUBLISHED.get((self.subset, self.split))


@dataclass
class Report:
    """What `check_files` and `check_pixels` found."""

    rows: list[Row] = field(default_factory=list)
    unlisted: dict[str, int] = field(default_factory=dict)
    """Per sub-set, composites that are in no list, so that nobody reads them."""
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Lay the rows out as plain text, columns apart."""
        lines = [_HEADINGS]
        lines += [
            (
                row.subset,
                row.split,
                str(len(row.complete)),
                str(row.missing),
                "-" if row.published is None else str(row.published),
                str(row.compared),
                str(row.differing),
            )
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.ljust(width) if number < 2 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        text += [
            f"{subset}: {count} composites are in no list"
            for subset, count in self.unlisted.items()
            if count
        ]
        return "\n".join(text)


_HEADINGS = (
    "sub-set",
    "split",
    "complete",
    "missing",
    "published",
    "compared",
    "differing",
)


def check_files(root: Path) -> Report:
    """Compare the lists of a data set with its files.

    Parameters
    ----------
    root : Path
        The folder that holds the sub-sets.

    Returns
    -------
    Report
        Its problems: lists, folders and files that are missing; names that differ in
        case or extension from what is expected, or are not `<img>_<mask>_<k>`; pairs
        in both lists; sub-sets of iHarmony4 whose lists have another length than the
        published ones.

    Raises
    ------
    UsageError
        If the root is no folder.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: expected a folder that holds sub-sets, found none")
    report = Report()
    listed = {split: _read_lists(root, split, report.problems) for split in SPLITS}
    is_published = any((root / subset).is_dir() for subset, _ in PUBLISHED)
    report.problems += [
        f"missing: {root / f'IHD_{split}.txt'}"
        for split in SPLITS
        if not listed[split] and (is_published or not any(listed.values()))
    ]
    subsets = {path.parent.name for path in root.glob("*/composite_images")}
    subsets |= {subset for names in listed.values() for subset, _ in names}
    if not subsets:
        report.problems.append(f"missing: {root} holds no sub-set and no list")
    for subset in sorted(subsets):
        files = _Files(root / subset, report.problems)
        for split in SPLITS:
            names = sorted(name for s, name in listed[split] if s == subset)
            row = Row(subset, split)
            for name in names:
                pair = files.find(name)
                if pair is None:
                    row.missing += 1
                else:
                    row.complete.append(pair)
            if names or row.published:
                report.rows.append(row)
            if row.published not in (None, len(names)):
                report.problems.append(
                    f"missing: {subset} has {row.published} published {split} pairs, "
                    f"the list has {len(names)}"
                )
        known = {name for s, name in listed["train"] | listed["test"] if s == subset}
        unlisted = files.composites.keys() - known
        report.unlisted[subset] = len(unlisted)
        report.problems += [
            f"misnamed: {root / subset / 'composite_images' / files.composites[name]} "
            "is not <img>_<mask>_<k>"
            for name in sorted(unlisted)
            if _split_name(name) is None
        ]
    report.problems += [
        f"twice: {subset}/{name} is in the lists of train and of test"
        for subset, name in sorted(listed["train"] & listed["test"])
    ]
    return report


def _read_lists(root: Path, split: str, problems: list[str]) -> set[tuple[str, str]]:
    """Read the lists of a split; empty if there is none, or a line is wrong."""
    try:
        names = read_split(root, split)
    except UsageError as error:
        problems.append(f"misnamed: {error}")
        return set()
    if not names and (root / f"{split}.txt").is_file():
        problems.append(f"misnamed: {root / split}.txt should be IHD_{split}.txt")
    return names


def _split_name(name: str) -> tuple[str, str] | None:
    """Split `<img>_<mask>_<k>` into `<img>_<mask>` and `<img>`."""
    mask, _, number = name.rpartition("_")
    image = mask.rpartition("_")[0]
    return (mask, image) if image and number else None


class _Files:
    """The files of one sub-set, listed once."""

    def __init__(self, folder: Path, problems: list[str]) -> None:
        self._folder, self._problems = folder, problems
        self._names: dict[str, dict[str, str]] = {}  # by folder and stem
        for part in ("composite_images", "masks", "real_images"):
            paths = sorted((folder / part).glob("[!.]*"))
            self._names[part] = {path.stem: path.name for path in paths}
            if not paths:
                problems.append(f"missing: all of {folder / part}")
        self.composites = self._names["composite_images"]
        self._folded = {
            part: {stem.lower(): name for stem, name in names.items()}
            for part, names in self._names.items()
        }

    def find(self, name: str) -> PairFiles | None:
        """Find the three files of a listed composite; tell which are not there."""
        parts = _split_name(name)
        if parts is None:
            self._problems.append(
                f"misnamed: {self._folder.name}/{name} in the list is not "
                "<img>_<mask>_<k>"
            )
            return None
        pictures = [
            self._find("composite_images", name, (".jpg", ".png")),
            self._find("masks", parts[0], (".png", ".jpg")),
            self._find("real_images", parts[1], (".jpg", ".png")),
        ]
        composite, mask, real = pictures
        if composite is None or mask is None or real is None:
            return None
        return PairFiles(name, self._folder.name, composite, mask, real)

    def _find(self, part: str, stem: str, suffixes: tuple[str, str]) -> Path | None:
        folder = self._folder / part
        stored = self._names[part].get(stem) or self._folded[part].get(stem.lower())
        if stored is not None and stored in [stem + suffix for suffix in suffixes]:
            return folder / stored
        if stored is not None:
            self._problems.append(
                f"misnamed: {folder / stored}, expected {stem}{suffixes[0]}"
            )
        elif self._names[part]:
            expected = f"{stem}{suffixes[0]} or {suffixes[1]}"
            self._problems.append(f"missing: {folder / expected}")
        return None


def sample_pairs(report: Report, count: int) -> list[tuple[Row, PairFiles]]:
    """Choose up to so many complete pairs per row, evenly spread; 0 chooses all."""
    chosen = []
    for row in report.rows:
        total = len(row.complete)
        num_chosen = min(count, total) or total
        chosen += [
            (row, row.complete[i * total // num_chosen]) for i in range(num_chosen)
        ]
    return chosen


def check_pixels(
    report: Report,
    chosen: Sequence[tuple[Row, PairFiles]],
    *,
    tolerance: float = TOLERANCE,
    workers: int = 2,
) -> Iterator[int]:
    """Compare composites and real photos outside the mask; yield the count after each.

    Adds to the report's rows and problems: pictures that cannot be read, differ in
    size or, by more than `tolerance`, in their background, and masks without
    foreground.
    """
    with ThreadPoolExecutor(workers) as threads:
        results = threads.map(lambda item: _compare(item[1]), chosen)
        for count, ((row, pair), result) in enumerate(
            zip(chosen, results, strict=True), 1
        ):
            row.compared += 1
            if isinstance(result, str):
                report.problems.append(f"unusable: {result}")
            elif result > tolerance:
                report.problems.append(
                    f"differs: {pair.composite} from its real photo outside the mask, "
                    f"by up to {result:.1f} 8-bit steps"
                )
            row.differing += isinstance(result, str) or result > tolerance
            yield count


def _compare(pair: PairFiles) -> float | str:
    try:
        scene = load_scene(pair)
    except HarmonizeError as error:
        return str(error)
    mask = scene.mask.astype(np.uint8, copy=False)
    if not mask.any():
        return f"{pair.mask}: no foreground"
    return background_difference(scene.composite, scene.real, mask)


def background_difference(
    composite: UInt8Array, real: UInt8Array, mask: UInt8Array
) -> float:
    """Measure how much two pictures differ where there is no foreground.

    Parameters
    ----------
    composite, real : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB-encoded.
    mask : ndarray of uint8, shape (H, W)
        Background where 0.

    Returns
    -------
    float
        The largest difference, in 8-bit steps, between the means of blocks of 16×16
        pixels of one channel. JPEG hardly changes these means, another photo or a
        mask elsewhere does. Where no whole block is background, the difference of
        the means of all background pixels; 0 where there are none.

    Examples
    --------
    One pixel of 256 differs by 128:

    >>> real = np.zeros((32, 16, 3), np.uint8)
    >>> composite, mask = real.copy(), np.zeros((32, 16), np.uint8)
    >>> composite[3, 5, 1] = 128
    >>> background_difference(composite, real, mask)
    0.5
    """
    height, width = (length // _BLOCK * _BLOCK for length in mask.shape)
    blocks = (height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    part = np.s_[:height, :width]
    change = composite[part].astype(np.int16) - real[part]  # (H, W, 3)
    means = np.abs(change.reshape(*blocks, 3).mean(axis=(1, 3)))
    is_background = ~mask[part].reshape(blocks).any(axis=(1, 3))
    if is_background.any():
        return float(means[is_background].max())
    outside = composite[mask == 0].astype(np.int16) - real[mask == 0]  # (N, 3)
    return float(np.abs(outside.mean(axis=0)).max()) if len(outside) else 0.0
