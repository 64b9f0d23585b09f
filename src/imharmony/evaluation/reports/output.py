"""Write an evaluation as a folder: tables per image, Markdown, the page."""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from imharmony.errors import UsageError
from imharmony.evaluation.reports.interchange import write_table
from imharmony.evaluation.reports.scoring import Score
from imharmony.evaluation.reports.tables import Grid, to_markdown

__all__ = ["check_new_folder", "write_folder"]


def check_new_folder(target: Path) -> None:
    """Refuse a folder that exists or cannot be made, before any work."""
    if target.exists():
        msg = f"{target}: exists; the results go to a new folder"
        raise UsageError(msg)
    if not target.parent.is_dir():
        msg = f"{target}: the folder {target.parent} does not exist"
        raise UsageError(msg)


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
    UsageError
        If the folder exists or cannot be made.
    """
    check_new_folder(target)
    draft = target.with_name(f".imharmony-{secrets.token_hex(8)}")
    try:
        draft.mkdir()
        text = "\n\n".join(
            f"## Protocol {protocol}\n\n{to_markdown(parts)}"
            for protocol, parts in tables.items()
        )
        (draft / "tables.md").write_text(text + "\n", encoding="utf-8")
        (draft / "report.html").write_text(page, encoding="utf-8")
        by_file: dict[tuple[str, str], list[Score]] = {}
        for score in scores:
            by_file.setdefault((score.protocol, score.method), []).append(score)
        for (protocol, method), rows in by_file.items():
            (draft / protocol).mkdir(exist_ok=True)
            path = draft / protocol / f"{method}.csv"
            write_table(rows, path, num_threads=num_threads)
        draft.rename(target)
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror or error})"
        raise UsageError(msg) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
