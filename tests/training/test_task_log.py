"""What a run tells: its table, TensorBoard, plots of curves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]
    event_accumulator,
)

from imharmony.training.log import RunLog, last_row, plot_curves, side_by_side


@pytest.fixture
def written(tmp_path: Path) -> Path:
    log = RunLog(tmp_path, 0)
    log.add(1, {"loss": 0.5})
    log.add(2, {"loss": 0.25, "psnr": 30.0})
    log.add_picture(2, "curves", torch.full((3, 6, 8), 200, dtype=torch.uint8))
    log.close()
    return tmp_path


def board(output: Path) -> Any:
    events = event_accumulator.EventAccumulator(str(output / "tensorboard"))
    events.Reload()
    return events


def test_the_table_has_all_columns_and_empty_cells(written: Path) -> None:
    assert (written / "log.csv").read_text(encoding="utf-8").splitlines() == [
        "step,loss,adversarial,discriminator,plain_loss,seam_loss,scene_loss,"
        "before_loss,held_loss,"
        "psnr,composite_psnr,mse,composite_mse,harm_rate,"
        "paste_psnr,paste_harm_rate,no_seam_psnr,no_seam_harm_rate",
        "1,0.50000,,,,,,,,,,,,,,,,",
        "2,0.25000,,,,,,,,30.00000,,,,,,,,",
    ]


def test_the_last_row_is_found(written: Path) -> None:
    row = last_row(written)
    assert (row["step"], row["loss"], row["mse"]) == ("2", "0.25000", "")


def test_a_folder_without_a_table_has_no_last_row(tmp_path: Path) -> None:
    assert last_row(tmp_path) == {}


def test_a_table_of_fewer_columns_gets_the_new_ones(tmp_path: Path) -> None:
    old = "step,loss,psnr,composite_psnr,harm_rate\n5,0.1,30.0,29.0,0.2\n"
    (tmp_path / "log.csv").write_text(old, encoding="utf-8")
    RunLog(tmp_path, 5).close()
    row = last_row(tmp_path)
    assert (row["psnr"], row["harm_rate"], row["mse"]) == ("30.0", "0.2", "")


def test_rows_after_the_kept_steps_are_dropped(written: Path) -> None:
    RunLog(written, 1).close()
    assert last_row(written)["step"] == "1"


def test_the_board_shows_scalars(written: Path) -> None:
    found = [(event.step, event.value) for event in board(written).Scalars("loss")]
    assert found == [(1, 0.5), (2, 0.25)]


def test_the_board_shows_pictures(written: Path) -> None:
    (picture,) = board(written).Images("curves")
    assert (picture.step, picture.width, picture.height) == (2, 8, 6)


def test_the_board_forgets_what_a_stopped_run_told_of_later_steps(
    written: Path,
) -> None:
    log = RunLog(written, 1)
    log.add(2, {"loss": 0.75})
    log.close()
    found = [(event.step, event.value) for event in board(written).Scalars("loss")]
    assert found == [(1, 0.5), (2, 0.75)]


# Pictures


def test_columns_stand_beside_each_other_and_pairs_below() -> None:
    gray = torch.tensor([0.0, 0.2])[:, None, None, None].expand(2, 3, 4, 5)
    picture = side_by_side(gray, gray + 0.4)
    assert picture.dtype == torch.uint8
    cells = picture[:, ::4, ::5]
    assert cells[0].tolist() == [[0, 102], [51, 153]]


def test_values_out_of_range_are_clipped() -> None:
    picture = side_by_side(torch.tensor([-1.0, 2.0]).expand(1, 3, 1, 2))
    assert picture[0].tolist() == [[0, 255]]


def test_curves_that_lie_on_each_other_are_black_and_the_rest_is_white() -> None:
    plot = plot_curves(torch.linspace(0, 1, 65).expand(1, 3, 65))[0]
    # Output 0.25 of input 0.25 is black, output 0.75 of it untouched.
    column, low, high = 16, 63 - 16, 63 - 48
    assert plot[:, low, column].tolist() == [0, 0, 0]
    assert plot[:, high, column].tolist() == [1, 1, 1]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_each_curve_has_its_color(channel: int) -> None:
    curves = torch.full((1, 3, 65), -1.0)  # along the lower edge
    curves[:, channel] = 2.0  # along the upper edge
    plot = plot_curves(curves)[0]
    expected = [float(c == channel) for c in range(3)]
    assert plot[:, 0, 10].tolist() == expected
    assert plot[:, 63, 40].tolist() == [0, 0, 0]  # two curves


def test_a_steep_curve_has_no_gaps() -> None:
    curves = torch.zeros(1, 3, 65)
    curves[:, :, 33:] = 1.0  # a step in column 32
    plot = plot_curves(curves)[0]
    assert plot[:, :, 32].max() == 0


def test_the_identity_is_shown_in_gray() -> None:
    plot = plot_curves(torch.zeros(1, 3, 65))[0]
    assert plot[:, 63 - 32, 32].tolist() == pytest.approx([0.7, 0.7, 0.7])
