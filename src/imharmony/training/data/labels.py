"""What the foreground of each pair is: person, animal, food, vehicle or others.

As in the S²CRNet paper: pairs of HCOCO carry the id of a COCO annotation in their
name, and its category is theirs. Of the others, the composite is parsed into ADE20K's
150 classes, and the class that overlaps most with the mask is theirs. Differs from
the paper: the parser is a SegFormer (E. Xie et al., NeurIPS 2021) in place of
Zhou et al., 2018; and the paper does not say which class belongs to which label, so
the tables in `tables/` are ours.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imharmony.datasets.iharmony4 import PairFiles
from imharmony.errors import UsageError, WeightsError
from imharmony.evaluation.protocols.scene import load_picture
from imharmony.images import mask_files, photo
from imharmony.labels import LABELS
from imharmony.writing import write_whole

__all__ = [
    "LABELS_FILE",
    "Category",
    "LabeledPair",
    "Parser",
    "ade20k_categories",
    "coco_categories",
    "coco_category",
    "label_pairs",
    "read_coco",
    "read_labels",
    "vote",
    "write_labels",
]

UInt8Array = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.intp]
LABELS_FILE = "labels.csv"
"""Where in a data set its labels are looked for."""


class Category(NamedTuple):
    """What an object is, in a data set's words and in ours."""

    name: str
    """Such as "bus"; empty where several groups are equally likely."""
    semantic_label: int
    """Index into `LABELS`."""


@cache
def coco_categories() -> dict[int, Category]:
    """COCO's 80 categories by their id.

    Examples
    --------
    >>> coco_categories()[6]
    Category(name='bus', semantic_label=3)
    """
    return _read_table("coco_to_group.csv", "coco_category_id")


@cache
def ade20k_categories() -> dict[int, Category]:
    """ADE20K's 150 classes by the number that networks give them, from 0.

    Examples
    --------
    >>> ade20k_categories()[12]
    Category(name='person', semantic_label=0)
    """
    return _read_table("ade20k_to_group.csv", "index_0based")


def _read_table(name: str, key: str) -> dict[int, Category]:
    table = resources.files("imharmony.training.data") / "tables" / name
    return {
        int(row[key]): Category(row["name"], LABELS.index(row["group"].lower()))
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    }


def read_coco(instances: Path) -> Mapping[int, Mapping[str, Any]]:
    """Read the annotations of a COCO instances file by their id, with pycocotools.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no annotations.
    """
    from pycocotools.coco import COCO

    try:
        with redirect_stdout(io.StringIO()):  # pycocotools says how long it took
            annotations: dict[int, dict[str, Any]] = COCO(str(instances)).anns
    except (OSError, ValueError, KeyError) as error:
        msg = f"{instances}: expected a COCO instances file ({error})"
        raise UsageError(msg) from error
    if not annotations:
        raise UsageError(f"{instances}: expected a COCO instances file, no annotations")
    return annotations


def coco_category(
    name: str, annotations: Mapping[int, Mapping[str, Any]]
) -> Category | None:
    """Look up the annotation that an HCOCO composite is named after.

    Parameters
    ----------
    name : str
        `c<image id>_<annotation id>_<k>`.
    annotations : mapping
        As `read_coco` gives them.

    Returns
    -------
    Category or None
        None if the name is another, or there is no such annotation of that image.

    Examples
    --------
    >>> annotations = {1541299: {"image_id": 196, "category_id": 61}}
    >>> coco_category("c196_1541299_2", annotations)
    Category(name='cake', semantic_label=2)
    """
    image, _, rest = name.removeprefix("c").partition("_")
    number = rest.partition("_")[0]
    if not (name.startswith("c") and image.isdecimal() and number.isdecimal()):
        return None
    annotation = annotations.get(int(number))
    if annotation is None or annotation["image_id"] != int(image):
        return None
    return coco_categories().get(annotation["category_id"])


class Parser:
    """A SegFormer that was trained on ADE20K.

    Parameters
    ----------
    model : str
        A folder as Transformers saves models, or a name on the Hugging Face hub.

    Raises
    ------
    WeightsError
        If there is no such model, or it is another one.
    """

    # SegFormer's own preprocessing: 512×512, ImageNet's means and deviations.
    _SIZE = (512, 512)
    _MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(self, model: str) -> None:
        import torch
        from transformers import AutoConfig, SegformerForSemanticSegmentation
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would mix with ours
        wanted = ("segformer", len(ade20k_categories()))
        try:
            config = AutoConfig.from_pretrained(model)
            given = (config.model_type, config.num_labels)
            if given == wanted:
                network = SegformerForSemanticSegmentation.from_pretrained(model)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise WeightsError(f"{model}: cannot be loaded ({reason})") from error
        if given != wanted:
            msg = f"{model}: expected a segformer with 150 classes, got a {given[0]}"
            raise WeightsError(f"{msg} with {given[1]}")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.eval().to(self._device)

    def __call__(self, rgb: UInt8Array) -> Classes:
        """Find the class of each place of a picture.

        Parameters
        ----------
        rgb : ndarray of uint8, shape (H, W, 3)

        Returns
        -------
        ndarray of int, shape (128, 128)
            Of the whole picture, stretched; keys of `ade20k_categories`.
        """
        import torch

        from imharmony.training.data.pairs import resize

        levels = torch.from_numpy(resize(rgb, self._SIZE)).to(self._device)
        mean, deviation = torch.tensor((self._MEAN, self._DEVIATION))[..., None, None]
        x = (levels / 255 - mean.to(levels.device)) / deviation.to(levels.device)
        with torch.inference_mode():
            logits = self._network(pixel_values=x[None]).logits  # (1, 150, 128, 128)
        classes: Classes = logits[0].argmax(dim=0).cpu().numpy()
        return classes


def vote(classes: Classes, mask: UInt8Array, *, by_group: bool = False) -> Category:
    """Choose what most of the foreground is.

    Parameters
    ----------
    classes : ndarray of int, shape (h, w)
        Keys of `ade20k_categories`.
    mask : ndarray of uint8, shape (h, w)
        0 background, 255 foreground; values between count in part.
    by_group : bool
        Whether to take the label whose classes have the largest overlap together, which
        is steadier where an object falls into several classes, rather than the label
        of the one class with the largest overlap, as the paper does.

    Returns
    -------
    Category
        "others" where there is no foreground, or two labels come out equal.

    Examples
    --------
    >>> classes = np.array([[12, 12, 126, 80, 80, 20, 20, 20]])  # person … bus, car
    >>> vote(classes, np.full((1, 8), 255, np.uint8))
    Category(name='car', semantic_label=3)
    """
    known = ade20k_categories()
    overlap = np.bincount(classes.ravel(), mask.ravel(), len(known))  # (150,)
    groups = np.array([known[number].semantic_label for number in range(len(known))])
    shares = np.zeros(len(LABELS))
    for group in range(len(LABELS)):
        of_group = overlap[groups == group]
        shares[group] = of_group.sum() if by_group else of_group.max()
    winners = np.flatnonzero(shares == shares.max())
    if len(winners) > 1:
        return Category("", LABELS.index("others"))
    largest = np.where(groups == winners[0], overlap, -1).argmax()
    return known[int(largest)]


@dataclass(frozen=True)
class LabeledPair:
    """A row of the table."""

    composite: str
    """`<sub-set>/composite_images/<file>`, as in the lists."""
    semantic_label: str
    """One of `LABELS`; empty if unknown."""
    category: str = ""
    """The word of the data set that the label comes from."""
    source: str = ""
    """"coco", "ade20k", or empty."""


def label_pairs(
    pairs: Sequence[PairFiles],
    *,
    annotations: Mapping[int, Mapping[str, Any]] | None = None,
    parser: Parser | None = None,
    by_group: bool = False,
) -> Iterator[LabeledPair]:
    """Label pairs one after another: HCOCO's by COCO where possible, others by parsing.

    Parameters
    ----------
    pairs : sequence of PairFiles
    annotations : mapping or None
        As `read_coco` gives them.
    parser : Parser or None
        Without one, pairs that COCO does not know get no label.
    by_group : bool
        As for `vote`.

    Raises
    ------
    ImageError
        If a picture that is to be parsed cannot be read.
    """
    for pair in pairs:
        composite = f"{pair.subset}/composite_images/{pair.composite.name}"
        category, source = None, "coco"
        if pair.subset == "HCOCO" and annotations is not None:
            category = coco_category(pair.name, annotations)
        if category is None and parser is not None:
            category, source = _parse(pair, parser, by_group), "ade20k"
        if category is None:
            yield LabeledPair(composite, "")
        else:
            label = LABELS[category.semantic_label]
            yield LabeledPair(composite, label, category.name, source)


def _parse(pair: PairFiles, parser: Parser, by_group: bool) -> Category:
    from imharmony.training.data.pairs import resize

    rgb = load_picture(pair.composite)
    mask = photo.to_array(mask_files.read_mask(pair.mask, size=rgb.shape[:2]))[..., 0]
    classes = parser(rgb)
    return vote(classes, resize(mask, classes.shape)[0], by_group=by_group)


_COLUMNS = ("composite", "semantic_label", "category", "source")


def write_labels(rows: Sequence[LabeledPair], target: Path) -> None:
    """Write a table of labels, whole or not at all.

    Columns: composite, semantic_label, category, source.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(row, c) for c in _COLUMNS] for row in rows)
    write_whole(target, table.getvalue(), overwrite=True)


def read_labels(table: Path) -> dict[tuple[str, str], int]:
    """Read a table of labels: index into `LABELS` by sub-set and composite's name.

    Needs the columns composite and semantic_label; empty labels are left out.

    Raises
    ------
    UsageError
        If the file is absent, a column is, a label is unknown, or a composite is not
        given as `<sub-set>/composite_images/<file>`.
    """
    known = {}
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            absent = set(_COLUMNS[:2]) - set(reader.fieldnames or ())
            if absent:
                missing = ", ".join(sorted(absent))
                raise UsageError(f"{table}: column {missing} is missing")
            for row in reader:
                composite = Path(row["composite"].replace("\\", "/"))
                label = row["semantic_label"]
                if label not in ("", *LABELS):
                    msg = f"{table}: label {label!r} is not one of {', '.join(LABELS)}"
                    raise UsageError(msg)
                if len(composite.parts) < 2:
                    msg = f"{table}: expected <sub-set>/composite_images/<file>, got "
                    raise UsageError(f"{msg}{row['composite']!r}")
                if label:
                    key = (composite.parts[0], composite.stem)
                    known[key] = LABELS.index(label)
    except OSError as error:
        msg = f"{table}: cannot be read ({error.strerror or error})"
        raise UsageError(msg) from error
    return known
