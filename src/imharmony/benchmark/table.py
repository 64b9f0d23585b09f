"""A record of measurements as Markdown."""

from collections.abc import Sequence
from typing import Any

__all__ = ["to_table"]


def to_table(record: dict[str, Any]) -> str:
    """Lay a record out as Markdown, medians with quartiles in milliseconds."""
    shown_keys = ("date", "cpu", "cores", "threads", "load")
    lines = [", ".join(f"{key} {record[key]}" for key in shown_keys)]
    lines += [", ".join(f"{key} {value}" for key, value in record["versions"].items())]
    if record["idle_mb"] is not None:
        lines += [
            f"a process that has only loaded the network: {record['idle_mb']:.0f} MB"
        ]
    for way, title in (("arrays", "Array to array"), ("files", "File to file")):
        rows = [row for row in record["cases"] if row[way]]
        if rows:
            names = list(rows[0][way])
            lines += ["", f"{title}, milliseconds: median (quartiles)", ""]
            header = ["size", "bits", "box %", "mask", *names, "peak MB"]
            if way == "arrays":
                header += ["times the copy"]
            lines += [_format_line(header), _format_line(["---"] * len(header))]
            lines += [_format_line(_format_cells(row, way, names)) for row in rows]
    if any(record["baselines"].values()):
        lines += [
            "",
            "Baselines at 8 bit, milliseconds, and how many times harmonizing ",
        ]
        lines[-1] += "(soft mask, largest box up to 25 %) is quicker"
        lines.append("")
        lines += _format_baselines(record)
    lines += ["", "Pictures per second with one harmonizer, by calling threads: "]
    rates = record["pictures_per_second"].items()
    case = record.get("throughput_of", {})
    lines[-1] += ", ".join(f"{count}: {rate:.1f}" for count, rate in rates)
    lines[-1] += f" ({case.get('size')}, {case.get('depth')} bit)"
    if record["variants"]:
        header = ["variant", "parameters", "the paper's", "GMAC at 256"]
        lines += ["", _format_line(header), _format_line(["---"] * len(header))]
        for name, row in record["variants"].items():
            known = row["paper_params"]
            theirs = "not given" if known is None else f"{known / 1e6:.2f} M"
            cells = [name, f"{row['params']:,}", theirs, f"{row['macs'] / 1e9:.3f}"]
            lines.append(_format_line(cells))
    return "\n".join(lines)


def _format_cells(row: dict[str, Any], way: str, names: Sequence[str]) -> list[str]:
    times = row[way]
    peak = row["peak_mb"].get(way)
    cells = [str(row["size"]), str(row["depth"]), f"{row['box_percent']:g}"]
    cells += [row["mask"], *(_format_quartiles(times[name]) for name in names)]
    cells.append("" if peak is None else f"{peak:.0f}")
    if way == "arrays":
        cells.append(f"{times['whole']['median'] / times['copy']['median']:.1f}")
    return cells


def _format_baselines(record: dict[str, Any]) -> list[str]:
    listed = (name for row in record["baselines"].values() for name in row)
    names = [name for name in dict.fromkeys(listed) if name not in ("gmacs", "peak_mb")]
    header = ["size", *names]
    lines = [_format_line(header), _format_line(["---"] * len(header))]
    for size, row in record["baselines"].items():
        ours = _find_whole(record, int(size))
        cells = [size]
        for name in names:
            if name not in row:
                cells.append("")
                continue
            ratio = f", {row[name]['median'] / ours:.0f} x" if ours else ""
            cells.append(_format_quartiles(row[name]) + ratio)
        lines.append(_format_line(cells))
    return lines


def _find_whole(record: dict[str, Any], size: int) -> float | None:
    """Median of harmonizing at this size: 8 bit, soft, largest box up to 25 %."""
    by_box = [
        (row["box_percent"], row["arrays"]["whole"]["median"])
        for row in record["cases"]
        if (row["size"], row["depth"], row["mask"]) == (size, 8, "soft")
        and row["box_percent"] <= 25
    ]
    return max(by_box)[1] if by_box else None


def _format_quartiles(times: dict[str, Any]) -> str:
    low, middle, high = (
        _format_number(times[name]) for name in ("low", "median", "high")
    )
    return middle if times["runs"] == 1 else f"{middle} ({low}-{high})"


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _format_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
