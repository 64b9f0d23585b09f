"""Comparing two tables: the paired test, and every way in which tables do not match."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imharmony.errors import UsageError
from imharmony.evaluation.protocols.protocol import (
    DCCF_FULL,
    DOVENET_256,
    FULL,
    PCT_FULL,
    Protocol,
)
from imharmony.evaluation.reports.comparison import (
    Comparison,
    compare_tables,
    comparison_tables,
)
from imharmony.evaluation.reports.interchange import Row, Table, read_table
from imharmony.evaluation.reports.tables import Grid, to_markdown

HEIGHT, WIDTH, AREA = 100, 200, 2000.0


def row(mse: float, *, peak: float = 255.0, outside: float = 0.0) -> Row:
    """One image whose foreground error spread over the picture is `mse`.

    `outside` is what the background adds to MSE.
    """
    total = mse + outside
    return Row(
        mse=total,
        psnr=10 * math.log10(peak**2 / total),
        fmse=mse * HEIGHT * WIDTH / AREA,
        se=mse * 3 * HEIGHT * WIDTH / 1e6,
        ssim=1 - mse / 1000,
        height=HEIGHT,
        width=WIDTH,
        mask_area=AREA,
    )


def table(
    name: str = "a",
    *,
    scale: float = 1.0,
    protocol: Protocol | None = None,
    peak: float = 255.0,
    outside: float = 0.0,
    num: int = 30,
) -> Table:
    """A table of images whose errors lie between 5 and 50, times `scale`."""
    errors = np.random.default_rng(0).uniform(5, 50, num)
    rows = {
        f"c{i}_1_1": row(scale * error, peak=peak, outside=outside)
        for i, error in enumerate(errors)
    }
    return Table(name, rows, protocol)


def compared(comparison: Comparison) -> list[str]:
    return [difference.metric for difference in comparison.differences]


def not_compared(comparison: Comparison) -> set[str]:
    return {name for mismatch in comparison.mismatches for name in mismatch.metrics}


# The test


def test_means_and_differences_are_those_of_the_common_images() -> None:
    first = Table("a", {"x": row(10), "y": row(20), "z": row(500)}, None)
    second = Table("b", {"x": row(8), "y": row(26), "w": row(900)}, None)
    comparison = compare_tables(first, second)
    mse = comparison.differences[0]
    assert comparison.common == ("x", "y")
    assert (mse.first, mse.second, mse.difference.mean) == (15, 17, 2)
    assert mse.better == 0.5


def test_a_clear_difference_is_found_in_every_metric() -> None:
    comparison = compare_tables(table(), table("b", scale=0.8))
    assert compared(comparison) == ["mse", "psnr", "fmse", "ssim"]
    for difference in comparison.differences:
        assert difference.p_value < 0.001
        assert difference.better == 1.0
        low, high = difference.difference.low, difference.difference.high
        assert (low > 0) == (high > 0)  # zero is outside


def test_larger_is_better_for_psnr_and_ssim() -> None:
    signs = {
        difference.metric: difference.difference.mean > 0
        for difference in compare_tables(table(), table("b", scale=0.8)).differences
    }
    assert signs == {"mse": False, "psnr": True, "fmse": False, "ssim": True}


def test_equal_tables_differ_in_nothing() -> None:
    for difference in compare_tables(table(), table("b")).differences:
        assert (difference.difference.low, difference.difference.high) == (0, 0)
        assert (difference.p_value, difference.better) == (1.0, 0.0)


def test_a_metric_that_one_table_lacks_is_left_out() -> None:
    rows = {name: replace(r, ssim=math.nan) for name, r in table().rows.items()}
    comparison = compare_tables(table(), Table("b", rows, None))
    assert compared(comparison) == ["mse", "psnr", "fmse"]


def test_tables_without_a_common_image_are_refused() -> None:
    other = Table("b", {"f9_1_1": row(5)}, None)
    with pytest.raises(
        UsageError, match="no image in common: c0_1_1 in one, f9_1_1 in the other"
    ):
        compare_tables(table(), other)


# Mismatches


def test_two_recorded_protocols_are_not_averaged_over() -> None:
    with pytest.raises(
        UsageError,
        match="comparable: protocols full and dovenet256 differ in size: none or 256",
    ):
        compare_tables(table(protocol=FULL), table("b", protocol=DOVENET_256))


def test_protocols_that_differ_in_the_peak_alone_leave_psnr_out() -> None:
    comparison = compare_tables(
        table(protocol=PCT_FULL), table("b", protocol=DCCF_FULL)
    )
    assert not_compared(comparison) == {"psnr"}
    assert compared(comparison) == ["mse", "fmse", "ssim"]


def test_the_same_recorded_protocol_is_no_mismatch() -> None:
    comparison = compare_tables(table(protocol=FULL), table("b", protocol=FULL))
    assert comparison.mismatches == ()


def test_pictures_of_another_size_are_not_compared() -> None:
    rows = {
        name: replace(r, height=256.0, width=256.0) for name, r in table().rows.items()
    }
    with pytest.raises(
        UsageError,
        match=r"30 of 30 images were measured at another size, such as c0_1_1 at "
        r"100x200 and 256x256 \(height x width\)",
    ):
        compare_tables(table(), Table("b", rows, None))


def test_another_peak_of_psnr_is_found_in_the_numbers() -> None:
    rows = dict(table().rows) | {"c7_1_1": row(12, peak=240)}
    comparison = compare_tables(table(), Table("b", rows, None))
    (mismatch,) = comparison.mismatches
    assert mismatch.metrics == ("psnr",)
    assert mismatch.reason == (
        "PSNR has another peak on 1 of 30 images, such as c7_1_1: 255.0 and 240.0"
    )


def test_rounded_numbers_are_no_other_peak() -> None:
    rows = {
        name: replace(
            r, mse=round(r.mse, 2), psnr=round(r.psnr, 2), fmse=round(r.fmse, 2)
        )
        for name, r in table().rows.items()
    }
    assert compare_tables(table(), Table("b", rows, None)).mismatches == ()


def test_a_tiny_error_says_nothing_of_the_peak() -> None:
    rows = dict(table().rows) | {"c7_1_1": replace(row(0.004), psnr=70.0)}
    assert compare_tables(table(), Table("b", rows, None)).mismatches == ()


def test_error_outside_the_mask_is_found_in_the_numbers() -> None:
    comparison = compare_tables(table(), table("b", outside=1.0))
    (mismatch,) = comparison.mismatches
    assert not_compared(comparison) == {"mse", "psnr", "ssim"}
    assert compared(comparison) == ["fmse"]
    assert mismatch.reason.startswith(
        "MSE counts the background in one table only: of its error, 100.0% and 9"
    )


def test_error_outside_the_mask_in_both_is_no_mismatch() -> None:
    first, second = table(outside=1.0), table("b", outside=2.0)
    assert compare_tables(first, second).mismatches == ()


def test_other_masks_are_found_in_the_numbers() -> None:
    rows = {
        name: replace(r, mask_area=1.2 * AREA, fmse=r.fmse / 1.2)
        for name, r in table().rows.items()
    }
    comparison = compare_tables(table(), Table("b", rows, None))
    assert not_compared(comparison) == {"fmse"}
    assert "such as c0_1_1 with 2000 and 2400 pixels" in comparison.mismatches[0].reason


def test_a_few_soft_masks_are_no_mismatch() -> None:
    rows = dict(table().rows)
    rows["c3_1_1"] = replace(rows["c3_1_1"], mask_area=1.02 * AREA)
    assert compare_tables(table(), Table("b", rows, None)).mismatches == ()


# From files to text


def test_peers_tables_are_compared_with_all_their_traps(tmp_path: Path) -> None:
    header = "Name,MSE,PSNR,fMSE,SE,SSIM,height,width,mask_area"
    ours, theirs = [header], [header]
    for number in range(20):
        r = row(10 + number)
        rest = f"{r.se},{r.ssim},{HEIGHT},{WIDTH},{AREA}"
        ours.append(f"c{number}_1_1,{r.mse},{r.psnr},{r.fmse},{rest}")
        r = row(12 + number, peak=250)
        ssim = f"\"tensor({r.ssim:.4f}, device='cuda:0')\""
        rest = f"{r.se},{ssim},{HEIGHT},{WIDTH},{AREA}"
        theirs.append(f"c{number}_1_1.jpg,{r.mse},{r.psnr},{r.fmse},{rest}")
    for name, lines in (("ours", ours), ("theirs", theirs)):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    comparison = compare_tables(
        read_table(tmp_path / "ours.csv"), read_table(tmp_path / "theirs.csv")
    )
    assert len(comparison.common) == 20
    assert compared(comparison) == ["mse", "fmse", "ssim"]
    assert comparison.differences[0].difference.mean == pytest.approx(2)


def test_the_text_names_tables_protocols_and_what_was_left_out() -> None:
    first, second = (
        table("ours", protocol=FULL, num=30),
        table("peer", peak=240, num=40),
    )
    text = to_markdown(comparison_tables(compare_tables(first, second)))
    assert text.startswith(
        "A is ours, protocol full; B is peer, protocol unknown. 30 images are in both, "
        "0 in A alone, 10 in B alone."
    )
    assert "Not compared: PSNR, because PSNR has another peak on 30 of 30" in text


def test_the_text_has_a_line_per_metric() -> None:
    parts = comparison_tables(compare_tables(table(), table("b", scale=0.5)))
    (grid,) = [part for part in parts if isinstance(part, Grid)]
    assert grid.head == ("metric", "A", "B", "B − A (95 %)", "p", "B better")
    assert [line[0] for line in grid.rows] == ["MSE", "PSNR", "fMSE", "SSIM"]
    assert grid.rows[1][3].startswith("+3.010 (+3.010 to +3.010)")  # 10·log10(2)
    assert grid.rows[1][4:] == ("0.0001", "100.0%")
