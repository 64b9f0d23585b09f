"""Pairs on disk in iHarmony4 layout as training sees them."""

from collections.abc import Sized
from pathlib import Path

import numpy as np
import pytest
import torch

from imharmony.errors import ImageError, UsageError
from imharmony.images import files, photo
from imharmony.training.data.iharmony4 import IHarmony4
from imharmony.training.data.looks import UInt8Array

SIZE = (12, 16)
NAMES = {"HCOCO": ["c1_7_1", "c1_7_2", "c2_8_1"], "Hday2night": ["d64-131_1_1"]}
TRAIN = ["HCOCO/c1_7_1", "HCOCO/c2_8_1", "Hday2night/d64-131_1_1"]


def write_picture(path: Path, pixels: UInt8Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        files.write_photo(photo.from_array(pixels), path)


def pixels_of(name: str) -> UInt8Array:
    """A picture of its own for every name."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def mask_of(name: str) -> UInt8Array:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 2 : 6 + len(name)] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pairs in two sub-sets, three to train with and one to test, as PNG."""
    for subset, names in NAMES.items():
        for name in names:
            mask = name.rpartition("_")[0]
            real = mask.rpartition("_")[0]
            folder = tmp_path / subset
            composite = folder / "composite_images" / f"{name}.png"
            write_picture(composite, pixels_of(name))
            write_picture(folder / "masks" / f"{mask}.png", mask_of(mask))
            write_picture(folder / "real_images" / f"{real}.png", pixels_of(real))
    lines = [line.replace("/", "/composite_images/") + ".jpg\n" for line in TRAIN]
    (tmp_path / "IHD_train.txt").write_text("".join(lines))
    (tmp_path / "IHD_test.txt").write_text("HCOCO/composite_images/c1_7_2.jpg\n")
    return tmp_path


def names(data: IHarmony4) -> list[str]:
    return [f"{pair.subset}/{pair.name}" for pair in data.files]


def test_a_split_holds_what_its_list_names(root: Path) -> None:
    assert names(IHarmony4(root)) == TRAIN
    assert names(IHarmony4(root, split="test")) == ["HCOCO/c1_7_2"]


def test_its_length_is_that_of_the_list(root: Path) -> None:
    data = IHarmony4(root)
    assert isinstance(data, Sized)
    assert len(data) == 3


def test_sub_sets_can_be_chosen(root: Path) -> None:
    assert names(IHarmony4(root, subsets=["Hday2night"])) == TRAIN[2:]


def test_a_sub_set_that_is_not_there_is_refused(root: Path) -> None:
    message = "no pairs of split 'test' in HFlickr, Hday2night"
    with pytest.raises(UsageError, match=message):
        IHarmony4(root, split="test", subsets=["HCOCO", "Hday2night", "HFlickr"])


def test_a_batch_at_the_pictures_size_holds_their_pixels(root: Path) -> None:
    batch = IHarmony4(root).batch([1], SIZE)
    for tensor, stored in (
        (batch.composite, pixels_of("c2_8_1")),
        (batch.real, pixels_of("c2")),
        (batch.mask, mask_of("c2_8")[..., None]),
    ):
        expected = stored.transpose(2, 0, 1)[None] / np.float32(255)
        np.testing.assert_array_equal(tensor, expected)


def test_the_crop_is_the_masks_box(root: Path) -> None:
    batch = IHarmony4(root).batch([1], (6, 8))
    box = np.s_[3:9, 2:10]  # 6 by 8: not resized
    for tensor, stored in (
        (batch.foreground, pixels_of("c2_8_1")),
        (batch.foreground_real, pixels_of("c2")),
    ):
        expected = stored[box].transpose(2, 0, 1)[None] / np.float32(255)
        np.testing.assert_array_equal(tensor, expected)
    assert (batch.foreground_mask == 1).all()


def test_a_batch_has_the_size_asked_for(root: Path) -> None:
    batch = IHarmony4(root).batch([2, 0], (20, 24))
    shapes = [tuple(tensor.shape) for tensor in batch[:6]]
    assert shapes == [(2, 3, 20, 24), (2, 3, 20, 24), (2, 1, 20, 24)] * 2
    assert {tensor.dtype for tensor in batch[:6]} == {torch.float32}


def test_pairs_come_in_the_order_asked_for(root: Path) -> None:
    data = IHarmony4(root)
    together = data.batch([2, 0], SIZE).composite
    alone = [data.batch([index], SIZE).composite[0] for index in (2, 0)]
    assert torch.equal(together, torch.stack(alone))


def test_pairs_without_a_label_say_so(root: Path) -> None:
    assert IHarmony4(root).batch([0, 1, 2], SIZE).semantic_label.tolist() == [-1] * 3


def write_labels(path: Path) -> Path:
    rows = ["HCOCO/composite_images/c2_8_1.jpg,food", "HCOCO/x/c1_7_1.jpg,"]
    path.write_text("\n".join(["composite,semantic_label", *rows]) + "\n")
    return path


def test_labels_in_the_root_are_found(root: Path) -> None:
    write_labels(root / "labels.csv")
    labels = IHarmony4(root).batch([0, 1, 2], SIZE).semantic_label
    assert labels.tolist() == [-1, 2, -1]


def test_labels_from_elsewhere_are_used(root: Path, tmp_path: Path) -> None:
    table = write_labels(tmp_path / "elsewhere.csv")
    labels = IHarmony4(root, labels=table).batch([1], SIZE).semantic_label
    assert labels.tolist() == [2]


def test_without_a_list_of_the_split_there_is_nothing(root: Path) -> None:
    (root / "IHD_train.txt").unlink()
    with pytest.raises(UsageError, match=r"IHD_train\.txt"):
        IHarmony4(root)


def test_pictures_of_different_size_are_refused(root: Path) -> None:
    path = root / "HCOCO" / "real_images" / "c2.png"
    path.unlink()
    write_picture(path, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ImageError, match=r"c2_8_1\.png: is 12x16, its real photo 8x8"):
        IHarmony4(root).batch([1], SIZE)
