"""Synthesized pairs on disk, in iHarmony4 layout at the photographs' own size."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imharmony import files, photo
from imharmony.errors import UsageError
from imharmony.networks import LABELS
from imharmony.training.data.pool import read_pool
from imharmony.training.data.synthesis import LookSettings, Synthesis

__all__ = ["SUBSET", "write_pairs"]

SUBSET = "synthetic"


def write_pairs(
    data: Path,
    output: Path,
    *,
    split: str | None,
    num_pairs: int,
    seed: int,
    settings: LookSettings | None = None,
) -> Iterator[int]:
    """Write pairs `0 … num_pairs − 1` of a seed; yield the count after each.

    Parameters
    ----------
    data : Path
        A folder as `read_pool` takes it.
    output : Path
        Folder to make. Gets `synthetic/composite_images`, `masks`, `real_images`
        (all PNG), the list `IHD_test.txt` and `pairs.csv`, which says what each
        pair was made from.
    split : str or None
        Rows of the index to use; None takes all.
    num_pairs, seed : int
    settings : LookSettings or None
        None takes the defaults.

    Raises
    ------
    UsageError
        If the output exists or the data cannot be used.
    """
    if output.exists():
        msg = f"{output}: exists; synthesize writes a new folder"
        raise UsageError(msg)
    pool = read_pool(data, split=split)
    synthesis = Synthesis(pool, settings or LookSettings(), seed=seed)
    root = output / SUBSET
    for folder in ("composite_images", "masks", "real_images"):
        (root / folder).mkdir(parents=True)
    rows = []
    for index in range(num_pairs):
        example = synthesis.draw_example(index)
        rgb, mask = synthesis.draw_pixels(index, example)
        levels = np.ascontiguousarray(rgb.transpose(2, 0, 1))  # (3, H, W)
        real, changed = (
            look.apply(levels).clip(0, 1)
            for look in synthesis.draw_looks(index, example)
        )
        composite = real + (changed - real) * (mask / np.float32(255))
        stem = f"s{index:06d}"
        for pixels, path in (
            (composite, root / "composite_images" / f"{stem}_1_1.png"),
            (real, root / "real_images" / f"{stem}.png"),
        ):
            rounded = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
            picture = photo.from_array(np.ascontiguousarray(rounded))
            files.write_photo(picture, path)
        files.write_photo(photo.from_array(mask), root / "masks" / f"{stem}_1.png")
        label = pool[example].semantic_label
        rows.append([stem, pool[example].name, LABELS[label] if label >= 0 else ""])
        yield index + 1
    with (output / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["pair", "made_from", "semantic_label"])
        writer.writerows(rows)
    names = [f"{SUBSET}/composite_images/{row[0]}_1_1.png\n" for row in rows]
    (output / "IHD_test.txt").write_text("".join(names), encoding="utf-8")
