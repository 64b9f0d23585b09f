"""Averages over images: per sub-set and foreground ratio, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imharmony.evaluation.methods.methods import COMPOSITE
from imharmony.evaluation.reports.scoring import Score
from imharmony.evaluation.reports.statistics import (
    Interval,
    bootstrap_means,
    take_interval,
)

__all__ = [
    "ALL",
    "BINS",
    "IHARMONY4_TEST",
    "METRICS",
    "Summary",
    "group_images",
    "ratio_bin",
    "summarize",
]

FloatArray = npt.NDArray[np.floating[Any]]

IHARMONY4_TEST = {"HCOCO": 4283, "HAdobe5k": 2160, "HFlickr": 828, "Hday2night": 133}
"""Images per sub-set of iHarmony4's test list, in the order of the papers' tables."""

BINS = {"0–5 %": 0.05, "5–15 %": 0.15, "15–100 %": 1.0}
"""Ranges of the foreground ratio with their upper bound, which belongs to the range;
the lower bound does not. DoveNet's."""

ALL = "all"
METRICS = ("mse", "psnr", "fmse", "ssim")


@dataclass(frozen=True)
class Summary:
    """One method over the images of one group."""

    num_images: int
    mse: Interval
    psnr: Interval
    fmse: Interval
    ssim: Interval
    """NaN where a picture is too small for SSIM's window."""
    median_mse: float
    median_psnr: float
    median_fmse: float
    harm_rate: Interval
    """Share of images whose MSE is larger than the untouched composite's."""


def ratio_bin(ratio: float) -> str | None:
    """Name the range of a foreground ratio; None for an empty foreground.

    Examples
    --------
    >>> ratio_bin(0.05), ratio_bin(0.0501), ratio_bin(0.0)
    ('0–5 %', '5–15 %', None)
    """
    if ratio <= 0:
        return None
    return next(name for name, top in BINS.items() if ratio <= top + 1e-12)


def group_images(scores: Sequence[Score]) -> dict[str, list[int]]:
    """Group one method's scores: all, each sub-set, each range of foreground ratio.

    Returns
    -------
    dict of str to list of int
        Positions in `scores`. A single sub-set is no group of its own; groups without
        images are left out.
    """
    groups: dict[str, list[int]] = {ALL: list(range(len(scores)))}
    known = [*IHARMONY4_TEST]
    subsets = sorted(
        {score.subset for score in scores},
        key=lambda name: (known.index(name) if name in known else len(known), name),
    )
    for subset in subsets if len(subsets) > 1 else []:
        groups[subset] = [i for i, score in enumerate(scores) if score.subset == subset]
    ranges = [ratio_bin(score.foreground_ratio) for score in scores]
    for name in BINS:
        groups[name] = [i for i, other in enumerate(ranges) if other == name]
    return {name: images for name, images in groups.items() if images}


def summarize(scores: Sequence[Score]) -> dict[str, dict[str, Summary]]:
    """Average over the images of each group.

    Parameters
    ----------
    scores : sequence of Score
        Of one protocol; every method, the composite among them, on the same images.

    Returns
    -------
    dict of str to dict of str to Summary
        By group, then by method. Intervals are bootstrapped over images, which are
        drawn alike for all methods.
    """
    by_method: dict[str, list[Score]] = {}
    for score in scores:
        by_method.setdefault(score.method, []).append(score)
    untouched = np.array([score.mse for score in by_method[COMPOSITE]])
    table = {
        method: np.array(
            [
                [*(getattr(score, metric) for metric in METRICS), score.mse > composite]
                for score, composite in zip(rows, untouched, strict=True)
            ]
        )
        for method, rows in by_method.items()
    }  # (N, 5) each
    return {
        group: _summarize_group({name: rows[images] for name, rows in table.items()})
        for group, images in group_images(by_method[COMPOSITE]).items()
    }


def _summarize_group(table: Mapping[str, FloatArray]) -> dict[str, Summary]:
    columns = len(METRICS) + 1
    means = bootstrap_means(np.concatenate(list(table.values()), axis=1))
    summaries = {}
    for number, (method, rows) in enumerate(table.items()):
        method_means = means[:, columns * number : columns * (number + 1)]
        mse, psnr, fmse, ssim, harm = (
            take_interval(float(mean), resampled)
            for mean, resampled in zip(rows.mean(axis=0), method_means.T, strict=True)
        )
        median = np.median(rows, axis=0)
        summaries[method] = Summary(
            num_images=len(rows),
            mse=mse,
            psnr=psnr,
            fmse=fmse,
            ssim=ssim,
            median_mse=float(median[0]),
            median_psnr=float(median[1]),
            median_fmse=float(median[2]),
            harm_rate=harm,
        )
    return summaries
