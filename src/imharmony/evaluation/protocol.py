"""Score models on folders in iHarmony4 layout, by a named protocol.

The layout is `<root>/<sub-set>/{composite_images,masks,real_images}/` with
composites named `<img>_<mask>_<k>`, masks `<img>_<mask>` and real photos `<img>`
(W. Cong et al., "DoveNet: Deep Image Harmonization via Domain Verification", CVPR
2020).

Protocol `full`: native size, no resampling; mask as stored, > 127 is foreground;
prediction rounded to 8 bit and blended over the composite; PSNR against a peak of
255; means over images.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony import files, photo
from imharmony.errors import ImageError, UsageError
from imharmony.evaluation.baselines import reinhard
from imharmony.harmonizer import Harmonizer

__all__ = [
    "PROTOCOL", "Metrics", "Pair", "Score", "find_pairs", "measure", "score_pairs",
    "summary", "write_scores",
]  # fmt: skip

PROTOCOL = "full"
MAX_PSNR = 100.0  # of identical pictures, whose PSNR would be infinite

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """Where one composite, its mask and its truth lie."""

    name: str
    subset: str
    composite: Path
    mask: Path
    real: Path


@dataclass(frozen=True)
class Metrics:
    """How far a picture is from the real one, in 8-bit steps."""

    mse: float
    """Mean over all pixels and channels of the squared difference."""
    psnr: float
    """10·log10(255² / mse), at most 100."""
    fmse: float
    """Mean over the foreground's pixels and channels only; 0 without foreground."""


@dataclass(frozen=True)
class Score:
    """One image under one method."""

    name: str
    subset: str
    method: str
    mse: float
    psnr: float
    fmse: float
    composite_mse: float


def find_pairs(root: Path) -> list[Pair]:
    """List the pairs of a folder in iHarmony4 layout, sorted by name.

    Raises
    ------
    UsageError
        If there is no sub-set folder, or a composite lacks its mask or real photo.
    """
    pairs = []
    for folder in sorted(root.glob("*/composite_images")):
        subset = folder.parent
        for composite in sorted(folder.glob("[!.]*")):
            image, _, rest = composite.stem.rpartition("_")
            mask_stem, image = image, image.rpartition("_")[0]
            if not image or not rest:
                msg = f"{composite}: expected a name like <img>_<mask>_<k>"
                raise UsageError(msg)
            mask = _only(subset / "masks", mask_stem)
            real = _only(subset / "real_images", image)
            pairs.append(Pair(composite.stem, subset.name, composite, mask, real))
    if not pairs:
        msg = (
            f"{root}: expected iHarmony4 layout, a folder with "
            f"<sub-set>/composite_images, masks and real_images"
        )
        raise UsageError(msg)
    return pairs


def _only(folder: Path, stem: str) -> Path:
    for suffix in (".png", ".jpg"):
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    msg = f"{folder}: expected {stem}.png or {stem}.jpg"
    raise UsageError(msg)


def measure(picture: UInt8Array, real: UInt8Array, mask: UInt8Array) -> Metrics:
    """Compare a picture with the real one.

    Parameters
    ----------
    picture, real : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB-encoded.
    mask : ndarray of uint8, shape (H, W)
        Foreground where > 127.

    Returns
    -------
    Metrics

    Examples
    --------
    One of four pixels is off by 6 in each channel:

    >>> real = np.zeros((2, 2, 3), np.uint8)
    >>> picture, mask = real.copy(), np.zeros((2, 2), np.uint8)
    >>> picture[0, 0], mask[0, 0] = 6, 255
    >>> measure(picture, real, mask)
    Metrics(mse=9.0, psnr=38.58837851428585, fmse=36.0)
    """
    squares = np.square(picture.astype(np.int32) - real)  # (H, W, 3)
    mse = float(squares.mean())
    psnr = MAX_PSNR if mse == 0 else min(MAX_PSNR, 10 * np.log10(255**2 / mse))
    inside = squares[mask > 127]
    return Metrics(mse, float(psnr), float(inside.mean()) if inside.size else 0.0)


def score_pairs(
    pairs: Sequence[Pair], *, model: str, weights: Path | None = None
) -> Iterator[list[Score]]:
    """Score composite, Reinhard's transfer and a model, image by image.

    Yields
    ------
    list of Score
        One per method.
    """
    harmonizer = Harmonizer(model, weights=weights)
    ours = model if weights is None else weights.stem
    methods: dict[str, Callable[[UInt8Array, UInt8Array], Any]] = {
        "composite": lambda composite, _: composite,
        "reinhard": reinhard,
        ours: lambda composite, mask: harmonizer(composite, mask).image,
    }
    for pair in pairs:
        composite, real = (_read(path) for path in (pair.composite, pair.real))
        if composite.shape != real.shape:
            msg = (
                f"{pair.composite}: is {composite.shape[0]}x{composite.shape[1]}, its "
                f"real photo {real.shape[0]}x{real.shape[1]} (height x width)"
            )
            raise ImageError(msg)
        size = (composite.shape[0], composite.shape[1])
        stored = photo.to_array(files.read_mask(pair.mask, size=size))[..., 0]
        mask = np.where(stored > 127, 255, 0).astype(np.uint8)
        untouched = measure(composite, real, mask).mse
        row = []
        for method, run in methods.items():
            metrics = measure(run(composite, mask), real, mask)
            row.append(
                Score(
                    pair.name, pair.subset, method, **asdict(metrics),
                    composite_mse=untouched,
                )
            )  # fmt: skip
        yield row


def _read(path: Path) -> UInt8Array:
    pixels = photo.to_array(photo.split_alpha(files.read_photo(path))[0])
    if pixels.dtype != np.uint8:
        msg = f"{path}: expected 8 bit, got {pixels.dtype}"
        raise ImageError(msg)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def summary(scores: Sequence[list[Score]]) -> str:
    """Write the table: means over images, per method, overall and per sub-set.

    Returns
    -------
    str
        Markdown. "Worse" is the share of images whose MSE grew.
    """
    lines = [
        f"Protocol {PROTOCOL}, means over images.",
        "",
        "| sub-set | images | method | MSE | PSNR | median PSNR | fMSE | worse |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    subsets = sorted({row[0].subset for row in scores})
    groups = [("all", scores)] if len(subsets) == 1 else [("all", scores)] + [
        (name, [row for row in scores if row[0].subset == name]) for name in subsets
    ]  # fmt: skip
    for name, rows in groups:
        for method in zip(*rows, strict=True):
            psnr = [score.psnr for score in method]
            worse = np.mean([score.mse > score.composite_mse for score in method])
            lines.append(
                f"| {name} | {len(method)} | {method[0].method} "
                f"| {np.mean([score.mse for score in method]):.2f} "
                f"| {np.mean(psnr):.2f} | {np.median(psnr):.2f} "
                f"| {np.mean([score.fmse for score in method]):.1f} "
                f"| {worse:.1%} |"
            )
    return "\n".join(lines)


def write_scores(scores: Sequence[list[Score]], target: Path) -> None:
    """Write one CSV row per image and method."""
    partial = target.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Score)])
        writer.writeheader()
        writer.writerows(asdict(score) for row in scores for score in row)
    partial.replace(target)
