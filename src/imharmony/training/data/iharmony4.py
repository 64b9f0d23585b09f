"""Pairs that lie on disk in iHarmony4 layout, to train with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imharmony.datasets.iharmony4 import find_pairs
from imharmony.errors import UsageError
from imharmony.evaluation.protocols.scene import load_scene
from imharmony.training.data.labels import LABELS_FILE, read_labels
from imharmony.training.data.pairs import (
    Pair,
    Scene,
    SinglePair,
    mask_limits,
    resize,
    stack,
)
from imharmony.training.data.pool import UNKNOWN_LABEL
from imharmony.training.data.seam import sample_seam

__all__ = ["IHarmony4"]


class IHarmony4:
    """The pairs of one split, read from disk whenever they are asked for.

    As in the paper's code both pictures and the box of the mask are resized as they
    are, whole and not mirrored; cropping and mirroring is the training's.

    Parameters
    ----------
    root : Path
        The folder that holds the sub-sets.
    split : str
        "train" or "test": what the lists of that split name.
    subsets : sequence of str
        Names of the sub-sets to use, such as "HCOCO"; none for all.
    labels : Path or None
        A table as `label_pairs` makes it. None: `labels.csv` in the root if there is
        one. Pairs that are not in it have no label.
    num_pairs : int
        Pairs of facing pixels of each composite; 0 for none.

    Raises
    ------
    UsageError
        If a list, a picture that it names or a sub-set is not there, or the table of
        labels cannot be used.
    """

    def __init__(
        self,
        root: Path,
        *,
        split: str = "train",
        subsets: Sequence[str] = (),
        labels: Path | None = None,
        num_pairs: int = 0,
    ) -> None:
        self._num_pairs = num_pairs
        listed = find_pairs(root, split=split)
        absent = set(subsets) - {files.subset for files in listed}
        if absent:
            msg = f"{root}: no pairs of split {split!r} in {', '.join(sorted(absent))}"
            raise UsageError(msg)
        self.files = [
            files for files in listed if not subsets or files.subset in subsets
        ]
        if labels is None and (root / LABELS_FILE).is_file():
            labels = root / LABELS_FILE
        self._labels = {} if labels is None else read_labels(labels)

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, indices: Sequence[int], size: tuple[int, int]) -> Pair:
        """Read the pairs of the given indices as thumbnails of a size (height, width).

        Raises
        ------
        ImageError
            If a picture cannot be read, or composite, real photo and mask differ in
            size.
        """
        return stack([self._thumbnails(index, size) for index in indices])

    def _thumbnails(self, index: int, size: tuple[int, int]) -> SinglePair:
        files = self.files[index]
        scene = load_scene(files)
        mask = scene.mask.astype(np.uint8, copy=False)
        rows, columns = mask_limits(mask)
        whole, crop = (
            Scene(
                *(
                    resize(picture[part], size) / np.float32(255)
                    for picture in (scene.composite, scene.real, mask)
                )
            )
            for part in (np.s_[:, :], np.s_[rows, columns])
        )
        label = self._labels.get((files.subset, files.name), UNKNOWN_LABEL)
        seam = sample_seam(scene.composite, mask, self._num_pairs)
        return SinglePair(whole, crop, label, seam)
