"""A folder of photographs with one-object masks, held in memory.

The folder has an `index.csv` with the columns `photo` and `mask` (paths relative
to the folder; the mask may be missing) and, where known, `semantic_label`, `split`,
`source` and `foreground_ratio`. Or it has no index, but the folders `photos` and
`masks`: the masks of `photos/a/b.jpg` are `masks/a/b.png` and `masks/a/b_<n>.png`.
"""

import csv
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError
from imharmony.images import files, mask_files, photo
from imharmony.labels import LABELS

__all__ = ["Example", "Pool", "read_pool"]

UInt8Array = npt.NDArray[np.uint8]
UNKNOWN_LABEL = -1
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Example:
    """One row of the index, its pixels still on disk."""

    photo: Path
    mask: Path | None
    semantic_label: int
    """Index into `LABELS`, or `UNKNOWN_LABEL`."""
    source: str

    @property
    def name(self) -> str:
        """`<source>-<mask's or photo's stem>`, unique within a pool."""
        return f"{self.source}-{(self.mask or self.photo).stem}"


class Pool(Sequence[Example]):
    """The examples of one split; `pixels` decodes each photo once and keeps it."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = list(examples)
        self._photos: dict[Path, UInt8Array] = {}
        self._masks: dict[Path, UInt8Array] = {}

    def __getstate__(self) -> dict[str, object]:
        """Leave pixels behind: another process decodes what it needs."""
        return {"_examples": self._examples, "_photos": {}, "_masks": {}}

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        return self._examples[index]

    def pixels(self, index: int) -> tuple[UInt8Array, UInt8Array]:
        """Return photo (H, W, 3) and mask (H, W), both uint8.

        The mask has no rows where the example has none.
        """
        example = self._examples[index]
        if example.photo not in self._photos:
            self._photos[example.photo] = _read_rgb(example.photo)
        rgb = self._photos[example.photo]
        if example.mask is None:
            return rgb, np.empty((0, 0), np.uint8)
        if example.mask not in self._masks:
            mask = mask_files.read_mask(example.mask, size=rgb.shape[:2])
            self._masks[example.mask] = photo.to_array(mask)[..., 0]
        return rgb, self._masks[example.mask]

    def decode_all(self) -> Iterator[int]:
        """Decode everything, yielding after each example; two threads."""
        with ThreadPoolExecutor(2) as threads:
            for done, _ in enumerate(threads.map(self.pixels, range(len(self)))):
                yield done + 1


def _read_rgb(path: Path) -> UInt8Array:
    image, _ = photo.split_alpha(files.read_photo(path))
    pixels = photo.to_array(image)
    if pixels.dtype != np.uint8:
        msg = f"{path}: training photographs are 8 bit, this one is {pixels.dtype}"
        raise UsageError(msg)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def read_pool(
    root: Path,
    *,
    split: str | None = None,
    sources: Sequence[str] | None = None,
    without_sources: Sequence[str] = (),
    unlabeled_sources: Sequence[str] = (),
    foreground_ratio: tuple[float, float] = (0.005, 0.9),
) -> Pool:
    """List the examples of a folder; pixels are read later.

    Parameters
    ----------
    root : Path
        Folder with `index.csv`, or with the folders `photos` and `masks`.
    split : str or None
        Keep the rows whose `split` is this; None keeps all. An index without that
        column is kept whole; without an index, a tenth of the photographs, by a
        checksum of their names, are "val" and the others "train".
    sources : sequence of str or None
        Keep the examples of these sources only; None keeps all.
    without_sources : sequence of str
        Leave out the examples of these.
    unlabeled_sources : sequence of str
        Sources whose label "other" is not to be believed: it becomes unknown.
    foreground_ratio : tuple of float
        Smallest and largest share of the photo the object may fill, where the
        index has a column `foreground_ratio`.

    Returns
    -------
    Pool

    Raises
    ------
    UsageError
        If there is neither index nor photographs, a needed column is absent, a label
        or a source is unknown, a mask has no photograph, or no row is left.
    """
    index = root / "index.csv"
    if index.is_file():
        examples = list(_read_index(index, split, unlabeled_sources, foreground_ratio))
    elif (root / "photos").is_dir():
        examples = list(_read_folders(root, split))
    else:
        msg = (
            f"{root}: expected a folder with index.csv (columns photo, mask), or with "
            "the folders photos and masks"
        )
        raise UsageError(msg)
    known = {example.source for example in examples}
    for source in sources or ():
        if source not in known:
            msg = f"{root}: expected some of its sources, {', '.join(sorted(known))}"
            raise UsageError(f"{msg}; got {source!r}")
    examples = [
        example
        for example in examples
        if (sources is None or example.source in sources)
        and example.source not in without_sources
    ]
    if not examples:
        msg = f"{root}: no photograph has split {split!r} and a usable foreground ratio"
        raise UsageError(msg)
    return Pool(examples)


def _read_index(
    index: Path,
    split: str | None,
    unlabeled_sources: Sequence[str],
    foreground_ratio: tuple[float, float],
) -> Iterator[Example]:
    root, (low, high) = index.parent, foreground_ratio
    with index.open(newline="", encoding="utf-8") as rows:
        reader = csv.DictReader(rows)
        if "photo" not in (reader.fieldnames or ()):
            raise UsageError(f"{index}: column photo is missing")
        for row in reader:
            if split is not None and row.get("split", split) != split:
                continue
            try:
                ratio = float(row.get("foreground_ratio") or low)
            except ValueError as error:
                msg = f"{index}: foreground_ratio {row['foreground_ratio']!r}: {error}"
                raise UsageError(msg) from error
            if not low <= ratio <= high:
                continue
            source = row.get("source") or row["photo"].split("/")[0]
            label = row.get("semantic_label") or ""
            if label and label not in LABELS and label != "other":
                msg = f"{index}: label {label!r} is not one of {', '.join(LABELS)}"
                raise UsageError(msg)
            is_doubtful = label in ("other", "others") and source in unlabeled_sources
            number = (
                UNKNOWN_LABEL
                if not label or is_doubtful
                else LABELS.index("others" if label == "other" else label)
            )
            mask = root / row["mask"] if row.get("mask") else None
            yield Example(root / row["photo"], mask, number, source)


def _read_folders(root: Path, split: str | None) -> Iterator[Example]:
    photos = {
        path.relative_to(root / "photos").with_suffix(""): path
        for path in sorted((root / "photos").rglob("[!.]*"))
        if path.suffix.lower() in _PICTURES
    }
    masks: dict[Path, list[Path]] = {key: [] for key in photos}
    for path in sorted((root / "masks").rglob("[!.]*")):
        key = path.relative_to(root / "masks").with_suffix("")
        if key not in photos:
            key = key.with_name(key.name.rpartition("_")[0] or key.name)
        if path.suffix.lower() in _PICTURES:
            if key not in photos:
                msg = f"{path}: no photograph of that name in {root / 'photos'}"
                raise UsageError(msg)
            masks[key].append(path)
    for key, photo_path in photos.items():
        is_val = zlib.crc32(key.as_posix().encode()) % 10 == 0
        if split is None or split == ("val" if is_val else "train"):
            of_photo: list[Path | None] = [*masks[key]]
            for mask in of_photo or [None]:
                yield Example(photo_path, mask, UNKNOWN_LABEL, root.name)
