"""Folders of photographs: which rows are used, and what is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from imharmony.errors import ShapeError, UsageError
from imharmony.images import files, photo
from imharmony.labels import LABELS
from imharmony.training.data.pool import read_pool


def write_index(root: Path, *lines: str) -> Path:
    (root / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_picture(path: Path, pixels: photo.PixelArray) -> None:
    files.write_photo(photo.from_array(pixels), path)


def test_a_split_keeps_its_rows(pool_folder: Path) -> None:
    names = [example.name for example in read_pool(pool_folder, split="val")]
    assert names == ["farm-e-mask", "farm-f-mask"]


def test_without_a_split_all_rows_are_kept(pool_folder: Path) -> None:
    assert len(read_pool(pool_folder)) == 6


def test_labels_are_numbers_and_other_is_others(pool_folder: Path) -> None:
    labels = [example.semantic_label for example in read_pool(pool_folder)]
    names = ["person", "person", "others", "animal", "animal"]
    assert labels == [*(LABELS.index(name) for name in names), -1]


def test_other_is_not_believed_of_unlabeled_sources(pool_folder: Path) -> None:
    pool = read_pool(pool_folder, unlabeled_sources=["web", "farm"])
    assert [e.semantic_label for e in pool] == [0, 0, -1, 1, 1, -1]


def test_two_columns_are_enough(tmp_path: Path) -> None:
    write_index(tmp_path, "photo,mask", "web/a.png,masks/a.png")
    (example,) = read_pool(tmp_path, split="train")
    assert (example.semantic_label, example.name) == (-1, "web-a")


def test_too_small_and_too_large_foregrounds_are_left_out(tmp_path: Path) -> None:
    rows = ["a.png,a.png,0.001", "b.png,b.png,0.3", "c.png,c.png,0.95", "d.png,d.png,"]
    write_index(tmp_path, "photo,mask,foreground_ratio", *rows)
    assert [example.photo.stem for example in read_pool(tmp_path)] == ["b", "d"]


def test_pixels_are_those_of_the_files(pool_folder: Path) -> None:
    pool = read_pool(pool_folder)
    rgb, mask = pool.pixels(0)
    stored = photo.to_array(files.read_photo(pool[0].photo))
    assert np.array_equal(rgb, stored)
    stored = photo.to_array(files.read_photo(pool_folder / "web/a-mask.png"))
    assert np.array_equal(mask, stored[..., 0])


def test_pixels_are_decoded_once(pool_folder: Path) -> None:
    pool = read_pool(pool_folder)
    assert pool.pixels(1)[0] is pool.pixels(1)[0]


def test_decoding_all_counts_every_example(pool_folder: Path) -> None:
    assert list(read_pool(pool_folder).decode_all()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_transparent_photographs_become_rgb(
    tmp_path: Path, channels: int
) -> None:
    pixels = np.arange(6 * channels, dtype=np.uint8).reshape(2, 3, channels)
    write_picture(tmp_path / "a.png", pixels)
    write_picture(tmp_path / "m.png", np.full((2, 3), 255, np.uint8))
    write_index(tmp_path, "photo,mask", "a.png,m.png")
    rgb, _ = read_pool(tmp_path).pixels(0)
    expected = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels[..., :3]
    assert np.array_equal(rgb, expected)


def test_a_photograph_of_16_bit_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "deep.png", np.zeros((2, 3, 3), np.uint16))
    write_index(tmp_path, "photo,mask", "deep.png,deep.png")
    message = r"deep\.png: training photographs are 8 bit, this one is uint16"
    with pytest.raises(UsageError, match=message):
        read_pool(tmp_path).pixels(0)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8))
    write_picture(tmp_path / "m.png", np.zeros((4, 3), np.uint8))
    write_index(tmp_path, "photo,mask", "a.png,m.png")
    with pytest.raises(ShapeError, match=r"m\.png: .* 2x3 .*, got 4x3"):
        read_pool(tmp_path).pixels(0)


def test_a_folder_without_index_and_photos_is_refused(tmp_path: Path) -> None:
    message = r"expected a folder with index\.csv .* or with the folders photos and mas"
    with pytest.raises(UsageError, match=message):
        read_pool(tmp_path)


def test_an_index_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path, "mask,split", "a.png,train")
    with pytest.raises(UsageError, match=r"index\.csv: column photo is missing"):
        read_pool(tmp_path)


def test_an_empty_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").touch()
    with pytest.raises(UsageError, match="column photo is missing"):
        read_pool(tmp_path)


def test_a_ratio_that_is_no_number_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path, "photo,mask,foreground_ratio", "a.png,a.png,much")
    with pytest.raises(UsageError, match="foreground_ratio 'much': could not"):
        read_pool(tmp_path)


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path, "photo,mask,semantic_label", "a.png,a.png,dragon")
    with pytest.raises(UsageError, match="label 'dragon' is not one of person, "):
        read_pool(tmp_path)


def test_a_split_without_rows_is_refused(pool_folder: Path) -> None:
    with pytest.raises(UsageError, match="no photograph has split 'test' and a usable"):
        read_pool(pool_folder, split="test")


# Photographs without masks


@pytest.mark.parametrize(
    ("lines", "masks"),
    [
        (("photo", "a.png"), [None]),
        (("photo,mask", "a.png,", "b.png,b-mask.png"), [None, "b-mask.png"]),
    ],
)
def test_a_mask_may_be_missing(
    tmp_path: Path, lines: tuple[str, ...], masks: list[str | None]
) -> None:
    write_index(tmp_path, *lines)
    found = [example.mask and example.mask.name for example in read_pool(tmp_path)]
    assert found == masks


def test_the_mask_of_an_example_without_one_is_empty(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", np.zeros((2, 3, 3), np.uint8))
    write_index(tmp_path, "photo", "a.png")
    rgb, mask = read_pool(tmp_path).pixels(0)
    assert (rgb.shape, mask.size) == ((2, 3, 3), 0)


def test_an_example_without_a_mask_is_named_after_its_photo(tmp_path: Path) -> None:
    write_index(tmp_path, "photo,source", "x/a.png,web")
    assert read_pool(tmp_path)[0].name == "web-a"


def test_a_pool_travels_without_its_pixels(pool_folder: Path) -> None:
    pool = read_pool(pool_folder)
    pool.pixels(0)
    sent = pickle.dumps(pool)
    assert len(sent) < 60 * 80 * 3
    received = pickle.loads(sent)
    assert list(received) == list(pool)
    assert np.array_equal(received.pixels(0)[0], pool.pixels(0)[0])


# Without an index


def write_folders(root: Path, photos: list[str], masks: list[str]) -> Path:
    for folder, names in (("photos", photos), ("masks", masks)):
        for name in names:
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def found(root: Path, split: str | None = None) -> list[tuple[str, str | None]]:
    def below(path: Path | None, folder: str) -> str | None:
        return None if path is None else path.relative_to(root / folder).as_posix()

    pool = read_pool(root, split=split)
    return [(str(below(e.photo, "photos")), below(e.mask, "masks")) for e in pool]


def test_masks_belong_to_the_photo_of_their_name(tmp_path: Path) -> None:
    photos = ["a.jpg", "b/c.JPG", "a_1.png", "d.webp"]
    masks = ["a.png", "a_2.png", "a_1.png", "b/c_x.png"]
    assert found(write_folders(tmp_path, photos, masks)) == [
        ("a.jpg", "a.png"),
        ("a.jpg", "a_2.png"),
        ("a_1.png", "a_1.png"),
        ("b/c.JPG", "b/c_x.png"),
        ("d.webp", None),
    ]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    write_folders(tmp_path, ["a.jpg", "notes.txt", ".b.jpg"], ["readme.md"])
    assert found(tmp_path) == [("a.jpg", None)]


def test_photos_alone_will_do(tmp_path: Path) -> None:
    assert found(write_folders(tmp_path, ["a.jpg"], [])) == [("a.jpg", None)]


def test_a_mask_without_a_photo_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path, ["a.jpg"], ["b_1.png"])
    with pytest.raises(UsageError, match=r"b_1\.png: no photograph of that name in"):
        read_pool(tmp_path)


def test_without_an_index_a_tenth_is_kept_for_validation(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(300)]
    write_folders(tmp_path, names, [f"{number}_1.png" for number in range(300)])
    train, val = found(tmp_path, "train"), found(tmp_path, "val")
    assert sorted(train + val) == sorted(found(tmp_path))
    assert 15 <= len(val) <= 45


def test_an_index_goes_before_folders(tmp_path: Path) -> None:
    write_folders(tmp_path, ["a.jpg"], [])
    write_index(tmp_path, "photo", "photos/b.jpg")
    assert [example.photo.name for example in read_pool(tmp_path)] == ["b.jpg"]


def test_sources_choose_the_rows(pool_folder: Path) -> None:
    only = read_pool(pool_folder, sources=["farm"])
    assert {example.source for example in only} == {"farm"}
    others = read_pool(pool_folder, without_sources=["farm"])
    assert len(only) + len(others) == 6
    assert "farm" not in {example.source for example in others}


def test_a_source_that_the_folder_lacks_is_refused(pool_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"sources, farm, web; got 'zoo'"):
        read_pool(pool_folder, sources=["farm", "zoo"])
