"""Compare two per-image tables on their common images, or say why they cannot be.

Published tables look alike and are not. What was measured differently shows in the
numbers, since few tables say their protocol: the size of the pictures, the
peak that PSNR has against MSE, and whether MSE holds more error than the foreground.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imharmony.errors import UsageError
from imharmony.evaluation.protocols.protocol import Protocol
from imharmony.evaluation.reports.interchange import Table
from imharmony.evaluation.reports.statistics import (
    Interval,
    bootstrap_means,
    sign_flip_p,
    take_interval,
)
from imharmony.evaluation.reports.tables import Grid

__all__ = [
    "Comparison",
    "Difference",
    "Mismatch",
    "compare_tables",
    "comparison_tables",
]

FloatArray = npt.NDArray[np.float64]

METRICS = {"mse": "MSE", "psnr": "PSNR", "fmse": "fMSE", "ssim": "SSIM"}
DECIMALS = {"mse": 3, "psnr": 3, "fmse": 2, "ssim": 5}
BETTER_IF_LARGER = ("psnr", "ssim")

# MSE, PSNR and fMSE of some tables have two decimals: with an MSE of 1 and more,
# that is half a percent of it and a quarter of a percent of the peak.
MIN_MSE = 1.0
PEAK_TOLERANCE = 0.01
AREA_TOLERANCE = 0.01
# Error in the foreground as a share of all error; 1 where only that is counted.
INSIDE_TOLERANCE = 0.005


@dataclass(frozen=True)
class Mismatch:
    """Why metrics of two tables must not be compared."""

    metrics: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Difference:
    """One metric on the common images."""

    metric: str
    first: float
    """Mean of the first table."""
    second: float
    difference: Interval
    """Second minus first; the interval is bootstrapped over images."""
    p_value: float
    """Of the sign-flip test, two-sided."""
    better: float
    """Share of images on which the second table is strictly better."""


@dataclass(frozen=True)
class Comparison:
    """Two tables on their common images."""

    first: Table
    second: Table
    common: tuple[str, ...]
    """Names of the images in both."""
    differences: tuple[Difference, ...]
    mismatches: tuple[Mismatch, ...]


def compare_tables(first: Table, second: Table) -> Comparison:
    """Test the difference of two methods, image by image.

    Returns
    -------
    Comparison
        Metrics that both tables hold and that mean the same in both.

    Raises
    ------
    UsageError
        If no image is common, or no metric means the same in both; it says why.
    """
    common = tuple(sorted(set(first.rows) & set(second.rows)))
    if not common:
        msg = (
            f"{first.name} and {second.name} have no image in common: "
            f"{min(first.rows)} in one, {min(second.rows)} in the other"
        )
        raise UsageError(msg)
    a, b = _Columns(first, common), _Columns(second, common)
    mismatches = (
        *_compare_protocols(first.protocol, second.protocol),
        *_compare_numbers(a, b, common),
    )
    refused = {metric for mismatch in mismatches for metric in mismatch.metrics}
    usable = [name for name in METRICS if not np.isnan(a.get(name) + b.get(name)).any()]
    compared = [name for name in usable if name not in refused]
    if not compared:
        reasons = "; ".join(mismatch.reason for mismatch in mismatches)
        msg = f"{first.name} and {second.name} are not comparable: {reasons}"
        raise UsageError(msg)
    return Comparison(
        first,
        second,
        common,
        tuple(_measure_difference(name, a.get(name), b.get(name)) for name in compared),
        mismatches,
    )


class _Columns:
    """A table's columns over the common images."""

    def __init__(self, table: Table, common: tuple[str, ...]) -> None:
        self._rows = [table.rows[name] for name in common]

    def get(self, field: str) -> FloatArray:
        return np.array([getattr(row, field) for row in self._rows])

    @property
    def peak(self) -> FloatArray:
        """The peak that turns each MSE into its PSNR; NaN where too coarse to say."""
        mse = np.where(self.get("mse") >= MIN_MSE, self.get("mse"), np.nan)
        return np.sqrt(mse) * 10 ** (self.get("psnr") / 20)

    @property
    def inside(self) -> float:
        """Median share of the error that lies in the foreground; NaN if unknown."""
        mse = np.where(self.get("mse") >= MIN_MSE, self.get("mse"), np.nan)
        share = self.get("fmse") * self.get("mask_area")
        share /= mse * self.get("height") * self.get("width")
        known = share[np.isfinite(share)]
        return float(np.median(known)) if known.size else np.nan


def _compare_protocols(
    first: Protocol | None, second: Protocol | None
) -> list[Mismatch]:
    """Find what two protocols, where the tables say them, measure differently."""
    if first is None or second is None or first == second:
        return []
    rules = first.differences(second)
    touched = {rule.partition(":")[0] for rule in rules}
    metrics: tuple[str, ...] = tuple(METRICS)
    if touched <= {"peak", "epsilon"}:
        metrics = ("psnr",)
    elif touched <= {"fmse", "area"}:
        metrics = ("fmse",)
    reason = f"protocols {first.name} and {second.name} differ in {', '.join(rules)}"
    return [Mismatch(metrics, reason)]


def _compare_numbers(
    a: _Columns, b: _Columns, common: tuple[str, ...]
) -> list[Mismatch]:
    """Find what the numbers show to be measured differently."""
    mismatches: list[Mismatch] = []
    is_other = (a.get("height") != b.get("height")) | (a.get("width") != b.get("width"))
    is_other &= ~np.isnan(a.get("height") + b.get("height"))
    if is_other.any():
        at = int(is_other.argmax())
        sizes = " and ".join(
            f"{side.get('height')[at]:.0f}x{side.get('width')[at]:.0f}"
            for side in (a, b)
        )
        reason = (
            f"{is_other.sum()} of {len(common)} images were measured at another size, "
            f"such as {common[at]} at {sizes} (height x width)"
        )
        return [Mismatch(tuple(METRICS), reason)]
    gap = np.abs(a.get("mask_area") - b.get("mask_area"))
    is_other = gap > np.maximum(1, AREA_TOLERANCE * b.get("mask_area"))
    if is_other.mean() > 0.5:
        at = int(is_other.argmax())
        areas = " and ".join(f"{side.get('mask_area')[at]:.0f}" for side in (a, b))
        reason = (
            f"the masks differ: {is_other.sum()} of {len(common)} foregrounds have "
            f"another area, such as {common[at]} with {areas} pixels"
        )
        mismatches.append(Mismatch(("fmse",), reason))
    inside = [side.inside for side in (a, b)]
    is_local = [abs(share - 1) < INSIDE_TOLERANCE for share in inside]
    if not np.isnan(inside).any() and is_local[0] != is_local[1]:
        shares = " and ".join(f"{share:.1%}" for share in inside)
        reason = (
            f"MSE counts the background in one table only: of its error, {shares} lies "
            "in the foreground (median)"
        )
        mismatches.append(Mismatch(("mse", "psnr", "ssim"), reason))
    peaks = a.peak, b.peak
    is_other = np.abs(peaks[0] / peaks[1] - 1) > PEAK_TOLERANCE  # False for NaN
    if is_other.any():
        at = int(is_other.argmax())
        reason = (
            f"PSNR has another peak on {is_other.sum()} of {len(common)} images, such "
            f"as {common[at]}: {peaks[0][at]:.1f} and {peaks[1][at]:.1f}"
        )
        mismatches.append(Mismatch(("psnr",), reason))
    return mismatches


def _measure_difference(metric: str, a: FloatArray, b: FloatArray) -> Difference:
    differences = b - a
    means = bootstrap_means(differences[:, np.newaxis])[:, 0]
    better = differences > 0 if metric in BETTER_IF_LARGER else differences < 0
    return Difference(
        metric=metric,
        first=float(a.mean()),
        second=float(b.mean()),
        difference=take_interval(float(differences.mean()), means),
        p_value=sign_flip_p(differences),
        better=float(better.mean()),
    )


def comparison_tables(comparison: Comparison) -> list[str | Grid]:
    """Put a comparison together: a table, and what was not compared and why."""
    first, second = comparison.first, comparison.second
    protocols = [
        table.protocol.name if table.protocol else "unknown"
        for table in (first, second)
    ]
    num_common = len(comparison.common)
    rows = []
    for row in comparison.differences:
        digits, gap = DECIMALS[row.metric], row.difference
        means = [f"{mean:.{digits}f}" for mean in (row.first, row.second)]
        mean, low, high = (
            f"{value:+.{digits}f}" for value in (gap.mean, gap.low, gap.high)
        )
        rows.append(
            (
                METRICS[row.metric],
                *means,
                f"{mean} ({low} to {high})",
                f"{row.p_value:.4f}",
                f"{row.better:.1%}",
            )
        )
    head = ("metric", "A", "B", "B − A (95 %)", "p", "B better")
    return [
        f"A is {first.name}, protocol {protocols[0]}; B is {second.name}, protocol "
        f"{protocols[1]}. {num_common} images are in both, "
        f"{len(first.rows) - num_common} in A alone, "
        f"{len(second.rows) - num_common} in B alone.",
        Grid(head, tuple(rows)),
        *(
            f"Not compared: {', '.join(METRICS[name] for name in mismatch.metrics)}, "
            f"because {mismatch.reason}."
            for mismatch in comparison.mismatches
        ),
    ]
