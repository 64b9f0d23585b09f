"""A protocol's tables, with peers' published rows where that is fair.

The published numbers are in `published.csv`: as their authors printed them, or
computed from the per-image tables that they published.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from imharmony.evaluation.methods.methods import CEILING, COMPOSITE
from imharmony.evaluation.protocols.protocol import PROTOCOLS
from imharmony.evaluation.reports.scoring import Score
from imharmony.evaluation.reports.statistics import Interval
from imharmony.evaluation.reports.summary import (
    ALL,
    BINS,
    IHARMONY4_TEST,
    Summary,
    summarize,
)

__all__ = [
    "Grid",
    "Published",
    "is_iharmony4",
    "protocol_tables",
    "read_published",
    "to_markdown",
]

NOTHING = "–"
DECIMALS = {"mse": 2, "psnr": 2, "fmse": 1, "ssim": 4}
TITLES = {"mse": "MSE", "psnr": "PSNR", "fmse": "fMSE", "ssim": "SSIM"}

Groups = Mapping[str, Mapping[str, Summary]]


@dataclass(frozen=True)
class Published:
    """What a method's authors printed for one group; None where they did not."""

    method: str
    params: str
    group: str
    mse: float | None
    psnr: float | None
    fmse: float | None
    worse: float | None
    source: str


@dataclass(frozen=True)
class Grid:
    """A table: names of columns, and rows of cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def is_iharmony4(subsets: Sequence[str]) -> bool:
    """Whether images are as many per sub-set as in iHarmony4's test list."""
    return Counter(subsets) == IHARMONY4_TEST


def read_published(protocol: str) -> list[Published]:
    """Return peers' numbers on iHarmony4's test list, measured by one protocol.

    Examples
    --------
    >>> [row.psnr for row in read_published("pct-full") if row.method == "DCCF"]
    [38.71, 38.31, 33.63, 37.56, 38.01]
    """
    text = resources.files(__package__).joinpath("published.csv").read_text("utf-8")
    rows = []
    for row in csv.DictReader(text.splitlines()):
        if protocol in row["protocols"].split():
            mse, psnr, fmse, worse = (
                float(row[name]) if row[name] else None
                for name in ("mse", "psnr", "fmse", "worse")
            )
            rows.append(
                Published(
                    method=row["method"],
                    params=row["params"],
                    group=row["group"],
                    mse=mse,
                    psnr=psnr,
                    fmse=fmse,
                    worse=worse,
                    source=row["source"],
                )
            )
    return rows


def protocol_tables(scores: Sequence[Score]) -> list[str | Grid]:
    """Put one protocol's tables together, with what must be said of them.

    Parameters
    ----------
    scores : sequence of Score
        As for `summarize`.

    Returns
    -------
    list of str or Grid
        The protocol and its rules; MSE and PSNR per sub-set (the shape of table 1 of
        arXiv:2109.05750); MSE and fMSE per foreground ratio (its table 5); everything
        with medians and intervals. Peers' rows stand beside ours if the images are
        iHarmony4's test list, marked with a star.
    """
    protocol = PROTOCOLS[scores[0].protocol]
    groups = summarize(scores)
    subsets = [score.subset for score in scores if score.method == COMPOSITE]
    published = read_published(protocol.name) if is_iharmony4(subsets) else []
    in_subsets = [*(name for name in groups if name not in (*BINS, ALL)), ALL]
    in_ranges = [*(name for name in groups if name in BINS), ALL]
    parts: list[str | Grid] = [
        f"Protocol {protocol.name}: {protocol.describe()}. Means over {len(subsets)} "
        f"images, pooled over sub-sets. The rules of {protocol.source}.",
        f"MSE / PSNR in dB, protocol {protocol.name}:",
        _lay_out_two_metrics(groups, in_subsets, published, ("mse", "psnr")),
        f"MSE / fMSE by foreground ratio, protocol {protocol.name}:",
        _lay_out_two_metrics(groups, in_ranges, published, ("mse", "fmse")),
        f"Protocol {protocol.name}, with the 95 % intervals of a bootstrap over "
        "images. Worse is the share of images whose MSE grew over the composite's:",
        _lay_out_details(groups, published),
    ]
    if published:
        sources = dict.fromkeys(row.source for row in published)
        parts.append(f"* as published: {'; '.join(sources)}.")
    if CEILING in groups[ALL]:
        parts.append(
            "The ceiling is no method: it is the best curve per channel, made from the "
            "real photo."
        )
    return parts


def to_markdown(parts: Sequence[str | Grid]) -> str:
    """Write paragraphs and tables as Markdown.

    Examples
    --------
    >>> print(to_markdown(["Two:", Grid(("a", "b"), (("1", "2"),))]))
    Two:
    <BLANKLINE>
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    texts = []
    for part in parts:
        if isinstance(part, Grid):
            lines = [part.head, ("---",) * len(part.head), *part.rows]
            texts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        else:
            texts.append(part)
    return "\n\n".join(texts)


def _lay_out_two_metrics(
    groups: Groups,
    names: Sequence[str],
    published: Sequence[Published],
    metrics: tuple[str, str],
) -> Grid:
    """One line per method, one column per group, two metrics in a cell."""
    rows = [
        [
            method,
            *([NOTHING] if published else []),
            *(
                " / ".join(_mean(groups[name][method], metric) for metric in metrics)
                for name in names
            ),
        ]
        for method in groups[ALL]
    ]
    by_method: dict[str, dict[str, Published]] = {}
    for row in published:
        by_method.setdefault(row.method, {})[row.group] = row
    for method, by_subset in by_method.items():
        cells = [
            " / ".join(_format_value(by_subset.get(name), metric) for metric in metrics)
            for name in names
        ]
        if any(set(cell) - {*NOTHING, *" /"} for cell in cells):
            params = next(
                (row.params for row in by_subset.values() if row.params), NOTHING
            )
            rows.append([f"{method} *", params, *cells])
    head = ["method", *(["params"] if published else []), *names]
    return Grid(tuple(head), tuple(map(tuple, rows)))


def _lay_out_details(groups: Groups, published: Sequence[Published]) -> Grid:
    head = ["group", "images", "method", *TITLES.values(), "median MSE", "median PSNR"]
    head += ["median fMSE", "worse"]
    rows = []
    for group, methods in groups.items():
        for method, summary in methods.items():
            rows.append(
                [
                    group,
                    str(summary.num_images),
                    method,
                    *(
                        _format_interval(getattr(summary, name), name)
                        for name in TITLES
                    ),
                    f"{summary.median_mse:.2f}",
                    f"{summary.median_psnr:.2f}",
                    f"{summary.median_fmse:.1f}",
                    _format_share(summary.harm_rate),
                ]
            )
        rows += [
            [
                group,
                str(methods[COMPOSITE].num_images),
                f"{row.method} *",
                *(_format_value(row, name) for name in ("mse", "psnr", "fmse")),
                *([NOTHING] * 4),
                NOTHING if row.worse is None else f"{row.worse:.1%}",
            ]
            for row in published
            if row.group == group
        ]
    return Grid(tuple(head), tuple(map(tuple, rows)))


def _mean(summary: Summary, metric: str) -> str:
    interval: Interval = getattr(summary, metric)
    return f"{interval.mean:.{DECIMALS[metric]}f}"


def _format_value(row: Published | None, metric: str) -> str:
    value = None if row is None else getattr(row, metric)
    return NOTHING if value is None else f"{value:.{DECIMALS[metric]}f}"


def _format_interval(interval: Interval, metric: str) -> str:
    if math.isnan(interval.mean):
        return NOTHING
    mean, low, high = (
        f"{value:.{DECIMALS[metric]}f}"
        for value in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} ({low}–{high})"


def _format_share(interval: Interval) -> str:
    return f"{interval.mean:.1%} ({interval.low:.1%}–{interval.high:.1%})"
