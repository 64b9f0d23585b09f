"""Write an evaluation as a folder: tables per image, Markdown, the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from imharmony.evaluation.reports.interchange import write_table
from imharmony.evaluation.reports.scoring import Score
from imharmony.evaluation.reports.tables import Grid, to_markdown
from imharmony.writing import fill_folder

__all__ = ["write_folder"]


def write_folder(
    target: Path,
    *,
    tables: Mapping[str, Sequence[str | Grid]],
    scores: Sequence[Score],
    page: str,
    num_threads: int,
) -> None:
    """Write everything into a new folder, which appears when it is complete.

    Parameters
    ----------
    target : Path
        Gets `tables.md`, `report.html` and for each protocol a folder with one
        `<method>.csv` and `.json` per method, as `write_table` makes them.
    tables : mapping of str to sequence of str or Grid
        By protocol.
    scores : sequence of Score
    page : str
        HTML.
    num_threads : int
        To be noted.

    Raises
    ------
    UsageError, ImageError
        As `fill_folder`.
    """
    with fill_folder(target) as folder:
        text = "\n\n".join(
            f"## Protocol {protocol}\n\n{to_markdown(parts)}"
            for protocol, parts in tables.items()
        )
        (folder / "tables.md").write_text(text + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page, encoding="utf-8")
        by_file: dict[tuple[str, str], list[Score]] = {}
        for score in scores:
            by_file.setdefault((score.protocol, score.method), []).append(score)
        for (protocol, method), rows in by_file.items():
            (folder / protocol).mkdir(exist_ok=True)
            path = folder / protocol / f"{method}.csv"
            write_table(rows, path, num_threads=num_threads)
