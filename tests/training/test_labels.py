"""What the foreground is: tables, votes, COCO's ids, a parser, the table written."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from imharmony.datasets.iharmony4 import PairFiles, find_pairs
from imharmony.errors import UsageError, WeightsError
from imharmony.images import files, photo
from imharmony.labels import LABELS
from imharmony.training.data.labels import (
    Category,
    LabeledPair,
    Parser,
    ade20k_categories,
    coco_categories,
    coco_category,
    label_pairs,
    read_coco,
    read_labels,
    vote,
    write_labels,
)
from imharmony.training.data.looks import UInt8Array

PERSON, ANIMAL, FOOD, VEHICLE, OTHERS = range(5)
# ADE20K's numbers, from 0.
WALL, SKY, A_PERSON, CAR, BUS, DOG = 0, 2, 12, 20, 80, 126


# Tables


def test_labels_are_in_the_order_of_the_released_weights() -> None:
    assert LABELS == ("person", "animal", "food", "vehicle", "others")


@pytest.mark.parametrize(
    ("number", "category"),
    [
        (1, Category("person", PERSON)),
        (16, Category("bird", ANIMAL)),
        (53, Category("apple", FOOD)),
        (8, Category("truck", VEHICLE)),
        (90, Category("toothbrush", OTHERS)),
    ],
)
def test_coco_categories_go_by_their_sparse_id(number: int, category: Category) -> None:
    assert coco_categories()[number] == category


@pytest.mark.parametrize(
    ("number", "name", "label"),
    [
        (WALL, "wall", OTHERS),
        (A_PERSON, "person", PERSON),
        (CAR, "car", VEHICLE),
        (BUS, "bus", VEHICLE),
        (DOG, "animal", ANIMAL),
        (120, "food", FOOD),
        (149, "flag", OTHERS),
    ],
)
def test_ade20k_classes_go_by_their_number_from_0(
    number: int, name: str, label: int
) -> None:
    assert ade20k_categories()[number] == Category(name, label)


def test_coco_has_80_categories_by_super_category() -> None:
    counts = Counter(category.semantic_label for category in coco_categories().values())
    assert counts == {PERSON: 1, ANIMAL: 10, FOOD: 10, VEHICLE: 8, OTHERS: 51}


def test_ade20k_has_150_classes() -> None:
    assert sorted(ade20k_categories()) == list(range(150))
    counts = Counter(c.semantic_label for c in ade20k_categories().values())
    assert counts == {PERSON: 1, ANIMAL: 1, FOOD: 1, VEHICLE: 9, OTHERS: 138}


# Votes


def ask(
    classes: list[int], mask: list[int] | None = None, *, by_group: bool = False
) -> Category:
    weights = np.array([mask or [255] * len(classes)], np.uint8)
    return vote(np.array([classes]), weights, by_group=by_group)


def test_the_class_with_the_largest_overlap_wins() -> None:
    assert ask([WALL, A_PERSON, A_PERSON, CAR]) == Category("person", PERSON)


def test_only_the_foreground_votes() -> None:
    assert ask([SKY, SKY, SKY, CAR], [0, 0, 0, 255]) == Category("car", VEHICLE)


def test_soft_pixels_vote_in_part() -> None:
    found = ask([CAR, CAR, A_PERSON], [100, 100, 255])
    assert found == Category("person", PERSON)


def test_one_class_may_beat_a_group_that_is_larger() -> None:
    classes = [A_PERSON] * 3 + [CAR] * 2 + [BUS] * 2
    assert ask(classes) == Category("person", PERSON)


def test_a_group_votes_together_on_demand() -> None:
    classes = [A_PERSON] * 3 + [CAR] * 2 + [BUS] * 2
    assert ask(classes, by_group=True).semantic_label == VEHICLE


def test_a_group_is_named_after_its_largest_class() -> None:
    classes = [A_PERSON] * 3 + [CAR] * 2 + [BUS] * 3
    assert ask(classes, by_group=True) == Category("bus", VEHICLE)


def test_no_foreground_is_others() -> None:
    assert ask([CAR, CAR], [0, 0]) == Category("", OTHERS)


def test_a_draw_between_labels_is_others() -> None:
    assert ask([CAR, A_PERSON]) == Category("", OTHERS)


def test_a_draw_within_a_label_is_that_label() -> None:
    assert ask([CAR, BUS]).semantic_label == VEHICLE


# COCO

ANNOTATIONS = {
    1541299: {"id": 1541299, "image_id": 196, "category_id": 61},
    7: {"id": 7, "image_id": 196, "category_id": 1},
}


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    path = tmp_path / "instances.json"
    stored = {
        "images": [{"id": 196}],
        "categories": [{"id": 61, "name": "cake"}, {"id": 1, "name": "person"}],
        "annotations": [
            annotation | {"segmentation": [], "bbox": [0, 0, 1, 1]}
            for annotation in ANNOTATIONS.values()
        ],
    }
    path.write_text(json.dumps(stored))
    return path


def test_a_composite_has_the_category_of_its_annotation() -> None:
    assert coco_category("c196_7_1", ANNOTATIONS) == Category("person", PERSON)


@pytest.mark.parametrize(
    "name",
    ["c197_1541299_1", "c196_8_1", "a196_7_1", "c196_x_1", "cx_7_1", "196_7_1", "c196"],
)
def test_other_names_have_no_annotation(name: str) -> None:
    assert coco_category(name, ANNOTATIONS) is None


def test_annotations_are_read_by_pycocotools(
    instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read_coco(instances)
    assert coco_category("c196_1541299_2", found) == Category("cake", FOOD)
    assert capsys.readouterr().out == ""  # pycocotools prints


@pytest.mark.parametrize("text", ["no json", '{"images": []}'])
def test_another_file_is_no_coco(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"other\.json: expected a COCO instances fi"):
        read_coco(path)


def test_an_absent_file_is_no_coco(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: expected a COCO instances file"):
        read_coco(tmp_path / "none.json")


# A parser


def save_segformer(folder: Path, *, num_labels: int = 150, sees: int = CAR) -> Path:
    """A tiny SegFormer that finds one class everywhere."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    network = SegformerForSemanticSegmentation(
        SegformerConfig(
            num_labels=num_labels,
            hidden_sizes=[4, 4, 8, 8],
            depths=[1, 1, 1, 1],
            num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=8,
        )
    )
    with torch.no_grad():
        network.decode_head.classifier.weight.zero_()
        network.decode_head.classifier.bias.zero_()
        network.decode_head.classifier.bias[sees] = 1.0
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Parser:
    return Parser(str(save_segformer(tmp_path_factory.mktemp("segformer"))))


def test_a_parser_gives_a_class_to_every_place(parser: Parser) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    classes = parser(rgb)
    assert classes.shape == (128, 128)
    assert (classes == CAR).all()


def test_a_parser_sees_normalized_pixels_of_its_own_size(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    network = parser._network

    def noted(*, pixel_values: torch.Tensor) -> object:
        seen.append(pixel_values)
        return network(pixel_values=pixel_values)

    monkeypatch.setattr(parser, "_network", noted)
    parser(np.full((40, 70, 3), (124, 0, 255), np.uint8))
    assert seen[0].shape == (1, 3, 512, 512)
    # ImageNet's means and deviations, by hand.
    expected = [(124 / 255 - 0.485) / 0.229, -0.456 / 0.224, (1 - 0.406) / 0.225]
    assert seen[0][0, :, 5, 5].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_network_with_other_classes_is_refused(tmp_path: Path) -> None:
    save_segformer(tmp_path, num_labels=21, sees=0)
    with pytest.raises(WeightsError, match="expected a segformer with 150 classes, "):
        Parser(str(tmp_path))


def test_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match="got a bert with 2"):
        Parser(str(tmp_path))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="none: cannot be loaded"):
        Parser(str(tmp_path / "none"))


# Pairs


@pytest.fixture
def pairs(tmp_path: Path) -> list[PairFiles]:
    """Two of HCOCO, of which COCO knows one, and one of HFlickr."""
    for subset, name in (
        ("HCOCO", "c196_1541299_1"),
        ("HCOCO", "c196_9_1"),
        ("HFlickr", "f1_1_1"),
    ):
        mask = name.rpartition("_")[0]
        for part, stem in (
            ("composite_images", name),
            ("masks", mask),
            ("real_images", mask.rpartition("_")[0]),
        ):
            path = tmp_path / subset / part / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (20, 30) if part == "masks" else (20, 30, 3)
            picture: UInt8Array = np.full(shape, 200, np.uint8)
            if not path.exists():
                files.write_photo(photo.from_array(picture), path)
    return find_pairs(tmp_path)


KNOWN = LabeledPair("HCOCO/composite_images/c196_1541299_1.png", "food", "cake", "coco")


def test_coco_goes_before_the_parser(pairs: list[PairFiles], parser: Parser) -> None:
    rows = list(label_pairs(pairs, annotations=ANNOTATIONS, parser=parser))
    assert rows == [
        KNOWN,
        LabeledPair("HCOCO/composite_images/c196_9_1.png", "vehicle", "car", "ade20k"),
        LabeledPair("HFlickr/composite_images/f1_1_1.png", "vehicle", "car", "ade20k"),
    ]


def test_without_a_parser_others_have_no_label(pairs: list[PairFiles]) -> None:
    rows = list(label_pairs(pairs, annotations=ANNOTATIONS))
    assert rows[0] == KNOWN
    assert [row.semantic_label for row in rows[1:]] == ["", ""]


def test_names_of_other_sub_sets_are_no_coco_ids(pairs: list[PairFiles]) -> None:
    (pair,) = (p for p in pairs if p.subset == "HFlickr")
    renamed = PairFiles("c196_7_1", "HFlickr", pair.composite, pair.mask, pair.real)
    (row,) = label_pairs([renamed], annotations=ANNOTATIONS)
    assert row.semantic_label == ""


# The table


def test_the_table_has_a_row_per_pair(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_labels([KNOWN], path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {
            "composite": "HCOCO/composite_images/c196_1541299_1.png",
            "semantic_label": "food",
            "category": "cake",
            "source": "coco",
        }
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    unknown = LabeledPair("HFlickr/composite_images/f1_1_1.jpg", "")
    write_labels([KNOWN, unknown], path)
    assert read_labels(path) == {("HCOCO", "c196_1541299_1"): FOOD}
    assert [p.name for p in tmp_path.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("composite,label\n", "column semantic_label is missing"),
        ("", "column composite, semantic_label is missing"),
        ("composite,semantic_label\na/b/c,dragon\n", "label 'dragon' is not one of"),
        (
            "composite,semantic_label\nc.jpg,food\n",
            "expected <sub-set>/.*, got 'c.jpg'",
        ),
    ],
)
def test_another_table_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(lines)
    with pytest.raises(UsageError, match=message):
        read_labels(path)


def test_an_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read"):
        read_labels(tmp_path / "none.csv")
