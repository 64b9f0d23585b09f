"""Synthesized pairs on disk, in iHarmony4 layout at the photographs' own size."""

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from imharmony.errors import UsageError
from imharmony.images import files, photo
from imharmony.labels import LABELS
from imharmony.training.data.labels import LABELS_FILE, LabeledPair, write_labels
from imharmony.training.data.look_settings import LookSettings
from imharmony.training.data.looks import FloatArray, Look, UInt8Array
from imharmony.training.data.pairs import mask_limits, positions
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import Synthesis
from imharmony.training.data.transfers import regrain
from imharmony.writing import fill_folder

__all__ = ["SUBSET", "write_pairs"]

SUBSET = "synthetic"


def write_pairs(
    data: Path,
    output: Path,
    *,
    split: str | None,
    sources: Sequence[str] | None = None,
    num_pairs: int,
    seed: int,
    settings: LookSettings | None = None,
    jpeg: bool = False,
    workers: int = 2,
) -> Iterator[int]:
    """Write pairs `0 … num_pairs − 1` of a seed; yield the count after each.

    Parameters
    ----------
    data : Path
        A folder as `read_pool` takes it.
    output : Path
        Folder to make. Gets `synthetic/composite_images`, `masks` and `real_images`,
        a list, `labels.csv` as `read_labels` takes it, and `pairs.csv`, which says
        what each pair was made from. It appears when all is written.
    split : str or None
        Rows of the index to use; None takes all. The list of "train" is
        `IHD_train.txt`, any other's `IHD_test.txt`.
    sources : sequence of str or None
        Sources of the index to use; None takes all.
    num_pairs, seed : int
    settings : LookSettings or None
        None takes the defaults.
    jpeg : bool
        Write composites and real photos as JPEG of quality 95, as code written for
        iHarmony4 expects; their backgrounds then differ a little. Masks are PNG.
    workers : int
        Threads; the pairs are the same for any number.

    Raises
    ------
    UsageError
        If the output exists or the data cannot be used.
    """
    if output.exists():
        msg = f"{output}: exists; synthesize writes a new folder"
        raise UsageError(msg)
    pool = read_pool(data, split=split, sources=sources)
    synthesis = Synthesis(pool, settings or LookSettings(), seed=seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with fill_folder(output) as folder:
        root = folder / SUBSET
        for name in ("composite_images", "masks", "real_images"):
            (root / name).mkdir(parents=True)
        made_from, labels = [], []
        with ThreadPoolExecutor(workers) as threads:
            written = threads.map(
                lambda index: _write_pair(
                    synthesis, index, root, "jpg" if jpeg else "png"
                ),
                range(num_pairs),
            )
            for count, (row, label) in enumerate(written, 1):
                made_from.append(row)
                labels.append(label)
                yield count
        with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["pair", "made_from", "semantic_label", *_LOOK_COLUMNS])
            writer.writerows(made_from)
        write_labels(labels, folder / LABELS_FILE)
        names = [f"{label.composite}\n" for label in labels]
        part = "train" if split == "train" else "test"
        (folder / f"IHD_{part}.txt").write_text("".join(names), encoding="utf-8")


_LOOK_COLUMNS = ("real_look", "foreground_look")


def _write_pair(
    synthesis: Synthesis, index: int, root: Path, suffix: str
) -> tuple[list[str], LabeledPair]:
    example = synthesis.draw_example(index)
    rgb, mask = synthesis.draw_pixels(index, example)
    levels = np.ascontiguousarray(rgb.transpose(2, 0, 1))  # (3, H, W)
    looks = synthesis.draw_looks(index, example)
    place = None
    if looks[1].needs_place:
        whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        place = positions(mask_limits(mask), whole, mask.shape)
    real = looks[0].apply(levels).clip(0, 1)
    changed = looks[1].apply(levels, place).clip(0, 1)
    changed = _regrain(levels, changed, mask, looks[1])
    composite = real + (changed - real) * (mask / np.float32(255))
    stem = f"s{index:06d}"
    name = f"{stem}_1_1.{suffix}"
    for pixels, path in (
        (composite, root / "composite_images" / name),
        (real, root / "real_images" / f"{stem}.{suffix}"),
    ):
        rounded = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
        picture = photo.from_array(np.ascontiguousarray(rounded))
        files.write_photo(picture, path)
    files.write_photo(photo.from_array(mask), root / "masks" / f"{stem}_1.png")
    number = synthesis.pool[example].semantic_label
    label = LABELS[number] if number >= 0 else ""
    families = [look.family for look in looks]
    return (
        [stem, synthesis.pool[example].name, label, *families],
        LabeledPair(f"{SUBSET}/composite_images/{name}", label),
    )


def _regrain(
    levels: UInt8Array, changed: FloatArray, mask: UInt8Array, look: Look
) -> FloatArray:
    """Give the foreground its own grain back where the look may have changed it."""
    if look.is_grainy:
        part = (slice(None), *mask_limits(mask))
        original = levels[part] / np.float32(255)
        changed[part] = regrain(original, changed[part], mask[part[1:]]).clip(0, 1)
    return changed
