"""The ablation study of the paper's table 3: seven runs and a table.

Rows A to G of J. Liang et al., arXiv:2109.05750, differ in loss, encoder and curve
rendering module; each is a config of the package, `ablation-a` to `ablation-g`, on a
base that all share.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from imharmony.training.log import last_row
from imharmony.training.networks.s2crnet import build_s2crnet
from imharmony.training.settings import TrainSettings, read_settings
from imharmony.training.state import has_run
from imharmony.training.task import Devices, Progress, is_first_process, train
from imharmony.writing import write_whole

__all__ = ["PAPER", "TABLE", "Study", "ablate", "comparison", "table_rows"]

TABLE = "table.md"
"""Name of the table in the study's folder; `table.csv` holds the same."""

COMPOSITE = "-"
PAPER = {
    COMPOSITE: (172.47, 31.63),
    "A": (114.65, 32.11),
    "B": (46.79, 36.20),
    "C": (45.17, 36.27),
    "D": (79.73, 34.57),
    "E": (88.61, 33.88),
    "F": (44.08, 36.41),
    "G": (43.20, 36.45),
}
"""MSE and PSNR on iHarmony4 of the unharmonized composite and of each row."""

_ENCODERS = {
    "regions": "both regions",
    "foreground": "foreground only",
    "whole": "whole image",
}
_MODULES = {
    "s2crnet": "CRM",
    "s2crnet-s": "SCRM",
    "s2crnet-c": "cascaded CRM",
    "s2crnet-cs": "cascaded SCRM",
}

_COLUMNS = (
    "row",
    "pixel_loss",
    "adversarial_weight",
    "encoder",
    "module",
    "parameters",
    "steps",
    "last_loss",
    "mse",
    "psnr",
    "rank",
    "paper_mse",
    "paper_psnr",
    "paper_rank",
)


@dataclass(frozen=True)
class Study:
    """What the seven runs have in common."""

    base: str = "s2crnet-paper"
    """A config, as `read_settings` takes it."""
    num_steps: int | None = None
    """Of each run; None is the base's number."""
    trunk: Path | None = None
    """Weights to start the encoder from, in place of the base's."""

    @cached_property
    def runs(self) -> dict[str, TrainSettings]:
        """Settings of each row.

        Raises
        ------
        UsageError
            If the base cannot be used.
        """
        changes: dict[str, object] = {}
        if self.num_steps is not None:
            changes["num_steps"] = self.num_steps
        if self.trunk is not None:
            changes["trunk"] = str(self.trunk)
        rows = [row for row in PAPER if row != COMPOSITE]
        return {
            row: replace(
                read_settings(f"ablation-{row.lower()}", base=self.base),
                **changes,  # type: ignore[arg-type]
            )
            for row in rows
        }

    def steps_before(self, row: str) -> int:
        """Count the steps of the rows above one."""
        rows = list(self.runs)
        return sum(self.runs[name].num_steps for name in rows[: rows.index(row)])

    @property
    def total_steps(self) -> int:
        """Steps of all rows."""
        return sum(settings.num_steps for settings in self.runs.values())


def ablate(
    study: Study,
    data: Path,
    output: Path,
    *,
    photos: Path | None = None,
    devices: Devices | None = None,
) -> Iterator[tuple[str, Progress]]:
    """Train the rows one after the other, and write the table anew after each.

    Parameters
    ----------
    study : Study
    data, photos : Path
        See `train`.
    output : Path
        Folder for the runs `a` to `g`, `table.md` and `table.csv`. A run in it that
        was stopped goes on, one that is finished is not trained again.
    devices : Devices or None
        See `fit`.

    Yields
    ------
    tuple
        The row and where its run stands, after every step.

    Raises
    ------
    UsageError
        If a run in the folder was made with other settings; and see `train`.
    """
    for row, settings in study.runs.items():
        folder = output / row.lower()
        for progress in train(
            settings,
            data,
            folder,
            photos=photos,
            resume=has_run(folder),
            devices=devices,
        ):
            yield row, progress
        if is_first_process():
            _write_table(study, output)


def table_rows(study: Study, output: Path) -> list[dict[str, str]]:
    """Columns and scores of the composite and of each finished row, as text.

    Ranks are by PSNR, 1 the best, among the rows that are finished; the paper's are
    the same by MSE.
    """
    last_rows = {row: last_row(output / row.lower()) for row in study.runs}
    last_rows = {
        row: values
        for row, values in last_rows.items()
        if values.get("psnr") and int(values["step"]) == study.runs[row].num_steps
    }
    if not last_rows:
        return []
    psnr = {row: float(values["psnr"]) for row, values in last_rows.items()}
    any_row = next(iter(last_rows.values()))
    table = [
        {
            "row": COMPOSITE,
            "mse": f"{float(any_row['composite_mse']):.2f}",
            "psnr": f"{float(any_row['composite_psnr']):.2f}",
        }
    ]
    for row, values in last_rows.items():
        settings = study.runs[row]
        network = build_s2crnet(settings.variant, **settings.dimensions)
        weight = settings.adversarial_weight
        table.append(
            {
                "row": row,
                "pixel_loss": settings.pixel_loss,
                "adversarial_weight": f"{weight:g}" if weight else "",
                "encoder": _ENCODERS[network.dimensions.encoder_input],
                "module": _MODULES[settings.variant],
                "parameters": str(sum(p.numel() for p in network.parameters())),
                "steps": values["step"],
                "last_loss": f"{float(values['loss']):.4f}",
                "mse": f"{float(values['mse']):.2f}",
                "psnr": f"{psnr[row]:.2f}",
                "rank": str(_rank(row, psnr)),
            }
        )
    of_paper = {row: PAPER[row][1] for row in last_rows}
    for line in table:
        line["paper_mse"], line["paper_psnr"] = map("{:.2f}".format, PAPER[line["row"]])
        if line["row"] in last_rows:
            line["paper_rank"] = str(_rank(line["row"], of_paper))
    return table


def comparison(table: list[dict[str, str]]) -> str:
    """Say which rows come in another order than in the paper."""
    rows = [line for line in table if "rank" in line]
    swapped = [
        f"{above['row']} before {below['row']}"
        for above in sorted(rows, key=lambda line: int(line["rank"]))
        for below in rows
        if int(above["rank"]) < int(below["rank"])
        and int(above["paper_rank"]) > int(below["paper_rank"])
    ]
    if len(rows) < len(PAPER) - 1:
        start = f"{len(rows)} of {len(PAPER) - 1} rows are finished. "
    else:
        start = ""
    if not swapped:
        return f"{start}The order by PSNR is the paper's."
    return f"{start}By PSNR, other than in the paper: {', '.join(swapped)}."


def _rank(row: str, scores: dict[str, float]) -> int:
    return 1 + sum(score > scores[row] for score in scores.values())


def _write_table(study: Study, output: Path) -> None:
    table = table_rows(study, output)
    lines = [[column.replace("_", " ") for column in _COLUMNS]]
    lines.append(["---"] * len(_COLUMNS))
    lines += [[line.get(column, "") for column in _COLUMNS] for line in table]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, _COLUMNS)
    writer.writeheader()
    writer.writerows(table)
    for name, content in (
        (TABLE, f"{text}\n{comparison(table)}\n"),
        ("table.csv", written.getvalue()),
    ):
        write_whole(output / name, content, overwrite=True)
