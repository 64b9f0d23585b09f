"""The log of a run: a table of numbers, and TensorBoard with pictures."""

import csv
import io
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from imharmony.writing import write_whole

__all__ = ["COLUMNS", "RunLog", "last_row", "plot_curves", "side_by_side"]

COLUMNS = (
    "step",
    "loss",
    "adversarial",
    "discriminator",
    "plain_loss",
    "seam_loss",
    "scene_loss",
    "before_loss",
    "held_loss",
    "psnr",
    "composite_psnr",
    "mse",
    "composite_mse",
    "harm_rate",
    "paste_psnr",
    "paste_harm_rate",
    "no_seam_psnr",
    "no_seam_harm_rate",
)


class RunLog:
    """The table `log.csv` and the folder `tensorboard` of a run.

    Parameters
    ----------
    output : Path
        The run's folder.
    first : int
        Steps that the run keeps. Rows of later steps, of a stopped run, are dropped.
    """

    def __init__(self, output: Path, first: int) -> None:
        self._path = output / "log.csv"
        rows = [row for row in _read_rows(self._path) if int(row["step"]) <= first]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self._path, text.getvalue(), overwrite=True)
        self._board = SummaryWriter(str(output / "tensorboard"), purge_step=first + 1)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Append one row; `values` are named like columns."""
        rounded = {key: f"{value:.5f}" for key, value in values.items()}
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow({"step": step} | rounded)
        for key, value in values.items():
            self._board.add_scalar(key, value, step)

    def add_picture(self, step: int, name: str, picture: Tensor) -> None:
        """Show a picture, (3, H, W) uint8, on the board."""
        self._board.add_image(name, picture, step)

    def close(self) -> None:
        """Write what still waits in memory."""
        self._board.close()


def last_row(output: Path) -> dict[str, str]:
    """Newest row of a run's table, by column; empty where the table has none."""
    rows = _read_rows(output / "log.csv")
    return rows[-1] if rows else {}


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Complete rows of a table; a killed run may leave half a one."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return [{key: row.get(key) or "" for key in COLUMNS} for row in rows]


def side_by_side(*columns: Tensor) -> Tensor:
    """Lay out batches of pictures, one row per pair.

    Parameters
    ----------
    *columns : Tensor of float, shape (B, 3, H, W)
        RGB, sRGB-encoded; clipped to [0, 1].

    Returns
    -------
    Tensor of uint8, shape (3, B·H, C·W)

    Examples
    --------
    >>> side_by_side(torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5)).shape
    torch.Size([3, 8, 10])
    """
    rows = torch.cat(columns, dim=3).float().clamp(0, 1)  # (B, 3, H, C·W)
    return (torch.cat(list(rows), dim=1) * 255).round().to(torch.uint8)


def plot_curves(curves: Tensor) -> Tensor:
    """Draw the three curves of each picture in their color, on the identity in gray.

    Parameters
    ----------
    curves : Tensor of float, shape (B, 3, N + 1)
        Outputs for inputs 0, 1/N, …, 1; clipped to [0, 1].

    Returns
    -------
    Tensor of float, shape (B, 3, N, N)
        Input from left to right, output upwards; curves that lie on one another
        mix to black.

    Examples
    --------
    >>> plot_curves(torch.linspace(0, 1, 65).expand(2, 3, 65)).shape
    torch.Size([2, 3, 64, 64])
    """
    N = curves.shape[2] - 1
    heights = curves.clamp(0, 1) * (N - 1)  # in pixels from the lowest row
    identity = torch.linspace(0, N - 1, N + 1, device=curves.device).expand(
        len(curves), 1, N + 1
    )
    red, green, blue = _draw_ink(heights).unbind(dim=1)  # (B, N, N) each
    gray = 1 - 0.3 * _draw_ink(identity)  # (B, 1, N, N)
    light = torch.stack(
        [(1 - green) * (1 - blue), (1 - red) * (1 - blue), (1 - red) * (1 - green)],
        dim=1,
    )  # (B, 3, N, N)
    return gray * light


def _draw_ink(heights: Tensor) -> Tensor:
    """How much of a line, about a pixel wide, lies on each pixel: (B, C, N, N)."""
    left, right = heights[:, :, None, :-1], heights[:, :, None, 1:]  # (B, C, 1, N)
    N = heights.shape[2] - 1
    rows = torch.arange(N - 1, -1, -1, device=heights.device)[:, None]  # (N, 1)
    below = torch.minimum(left, right) - rows
    above = rows - torch.maximum(left, right)
    return (1.25 - torch.maximum(below, above).clamp(min=0)).clamp(0, 1)
