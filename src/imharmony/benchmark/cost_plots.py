"""Time, memory and multiplications against resolution, as figure 5 of the paper."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

Row = dict[str, Any]


def draw(record: dict[str, Any]) -> "Figure":
    """Draw a record: thumbnails in ("Ours") against full resolution in ("Ours+").

    "Ours" is a median over all boxes and masks at 8 bit, array to array, with the
    weights in use. "Ours+" is S²CRNet-CS in torch on the photo itself, network only;
    without torch it is left out, and so are the multiplications.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    baselines = {int(size): row for size, row in record["baselines"].items()}
    cases: dict[int, list[Row]] = {}
    for row in record["cases"]:
        if row["depth"] == record["cases"][0]["depth"]:
            cases.setdefault(row["size"], []).append(row)
    whole = {n: _find_median(rows, _read_whole_ms) for n, rows in cases.items()}
    peak = {
        n: _find_median(rows, lambda r: r["peak_mb"].get("arrays"))
        for n, rows in cases.items()
    }
    macs = {n: row.get("gmacs", {}) for n, row in baselines.items()}
    plus = {n: r.get("whole photo, torch", {}) for n, r in baselines.items()}
    _draw_panel(
        panels[0],
        "time, ms",
        whole,
        {n: times.get("median") for n, times in plus.items()},
        {n: r.get("loop, NumPy", {}).get("median") for n, r in baselines.items()},
    )
    _draw_panel(
        panels[1],
        "peak memory, MB",
        peak,
        {n: r.get("peak_mb") for n, r in baselines.items()},
    )
    _draw_panel(
        panels[2],
        "GMAC of the network",
        {n: m.get("thumbnails") for n, m in macs.items()},
        {n: m.get("whole") for n, m in macs.items()},
    )
    for axes in panels:
        axes.set_xticks(sorted(cases))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.tick_params(axis="x", labelrotation=60, labelsize=7)
    panels[0].legend(fontsize=7)
    return figure


def _draw_panel(
    axes: "Axes",
    title: str,
    ours: dict[int, float | None],
    plus: dict[int, float | None],
    loop: dict[int, float | None] | None = None,
) -> None:
    lines = (
        ("Ours: thumbnails in", ours, "#1f6fb4", "o"),
        ("Ours+: full resolution in", plus, "#c0392b", "s"),
        ("curve as 64 steps, NumPy", loop or {}, "#777777", "^"),
    )
    for label, values, color, marker in lines:
        points = sorted((n, value) for n, value in values.items() if value is not None)
        if points:
            sizes, heights = zip(*points, strict=True)
            axes.plot(
                sizes, heights, color=color, marker=marker, markersize=4, label=label
            )
    axes.set(title=title, xlabel="height and width, pixels", yscale="log")
    axes.set_xscale("log", base=2)
    axes.minorticks_off()


def _read_whole_ms(row: Row) -> float | None:
    return float(row["arrays"]["whole"]["median"])


def _find_median(
    rows: list[Row], measure: Callable[[Row], float | None]
) -> float | None:
    known = sorted(value for row in rows if (value := measure(row)) is not None)
    return known[len(known) // 2] if known else None
