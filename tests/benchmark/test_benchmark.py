"""The benchmark: what it measures, how it counts, what it writes. No times."""

import json
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imharmony import cli
from imharmony.benchmark import measure, memory
from imharmony.benchmark.baselines import reference_loop
from imharmony.benchmark.cases import Case, list_cases, make_inputs, write_inputs
from imharmony.benchmark.table import to_table
from imharmony.curves import Curves
from imharmony.errors import ImageError, UsageError
from imharmony.harmonizer import Harmonizer
from imharmony.images.files import read_photo
from imharmony.images.mask_files import read_mask
from imharmony.inference.models import MODELS

QUARTILES = {"low": 1.0, "median": 2.0, "high": 3.5, "runs": 5}


@pytest.fixture(scope="session")
def harmonizer() -> Harmonizer:
    return Harmonizer(num_threads=1)


# Cases


def test_cases_are_all_combinations() -> None:
    cases = list_cases([512, 256], [8, 16], [5, 25, 100], ["soft", "hard"])
    assert len(set(cases)) == 24
    assert [case.size for case in cases] == [256] * 12 + [512] * 12


@pytest.mark.parametrize(
    ("sizes", "depths", "boxes", "masks", "message"),
    [
        ([8], [8], [25], ["soft"], r"^sizes are 16 or more, got \[8\]$"),
        ([64], [12], [25], ["soft"], r"^depths are 8 and 16, got \[12\]$"),
        ([64], [8], [0], ["soft"], r"^boxes are percents above 0, up to 100, got \[0"),
        ([64], [8], [25], ["round"], r"^masks are soft and hard, got \['round'\]$"),
        ([], [8], [25], ["soft"], r"^sizes are 16 or more, got none$"),
    ],
)
def test_impossible_cases(
    sizes: list[int],
    depths: list[int],
    boxes: list[int],
    masks: list[str],
    message: str,
) -> None:
    with pytest.raises(UsageError, match=message):
        list_cases(sizes, depths, boxes, masks)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize(("percent", "side"), [(1, 10), (25, 50), (100, 100)])
def test_box_of_the_mask_has_the_share_asked_for(
    percent: int, side: int, kind: str
) -> None:
    _, mask = make_inputs(Case(100, 8, percent, kind))
    assert [int(mask.any(axis=axis).sum()) for axis in (0, 1)] == [side, side]


def test_hard_masks_are_hard_and_soft_ones_are_not() -> None:
    _, hard = make_inputs(Case(100, 8, 25, "hard"))
    _, soft = make_inputs(Case(1000, 8, 25, "soft"))
    assert set(np.unique(hard)) == {0, 255}
    assert len(np.unique(soft)) > 20


@pytest.mark.parametrize("depth", [8, 16])
def test_inputs_use_the_depth_and_are_the_same_every_time(depth: int) -> None:
    composite, mask = make_inputs(Case(300, depth, 25, "soft"))
    again, _ = make_inputs(Case(300, depth, 25, "soft"))
    assert composite.max() > 0.7 * np.iinfo(f"uint{depth}").max
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(composite, again)


def test_written_inputs_are_the_inputs(tmp_path: Path) -> None:
    case = Case(64, 16, 25, "soft")
    composite, mask, target = write_inputs(case, tmp_path)
    expected = make_inputs(case)
    np.testing.assert_array_equal(read_photo(composite).numpy(), expected[0])
    np.testing.assert_array_equal(read_mask(mask, size=(64, 64)).numpy(), expected[1])
    assert not target.exists()


# Counting and baselines


def test_a_figure_is_repeated_as_often_as_asked() -> None:
    calls: list[int] = []
    times = measure.repeat(lambda: calls.append(1), runs=4)
    assert (len(calls), times["runs"]) == (5, 4)  # one to warm up
    assert 0 <= times["low"] <= times["median"] <= times["high"]


def test_what_prepares_a_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    times = measure.repeat(lambda: pass_time(1), runs=3, prepare=lambda: pass_time(100))
    assert (times["low"], times["high"]) == (1000, 1000)


def clock(patch: pytest.MonkeyPatch, step_s: float) -> None:
    """Let every run take the same time."""
    ticks = count(0, step_s)
    patch.setattr(time, "perf_counter", lambda: next(ticks))


def test_no_run_is_started_after_the_time_but_three_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock(monkeypatch, 0.5)
    times = measure.repeat(lambda: None, runs=50, seconds=0.6)
    assert times == {"low": 500, "median": 500, "high": 500, "runs": 3}


def test_what_is_much_slower_than_the_time_is_run_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock(monkeypatch, 7)
    calls: list[int] = []
    times = measure.repeat(lambda: calls.append(1), runs=50, seconds=1)
    assert (len(calls), times["runs"], times["median"]) == (1, 1, 7000)


def test_reference_loop_is_the_curves() -> None:
    rng = np.random.default_rng(0)
    params = rng.uniform(0.5, 2, (2, 3, 64)).astype(np.float32)
    composite = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.full((20, 30), 255, np.uint8)
    mask[:10] = 0
    first, second = map(Curves.from_params, params)
    table = first.then(second).table(np.uint8)
    expected = np.stack([table[c][composite[..., c]] for c in range(3)], axis=-1)
    expected[:10] = composite[:10]
    found = reference_loop(composite, mask, params)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_masked_points_are_recolored_as_the_frame_is() -> None:
    torch = pytest.importorskip("torch")
    from imharmony.benchmark.torch_masked_points import recolor_points

    composite, mask = make_inputs(Case(40, 8, 25, "soft"))
    params = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 64)).astype(np.float32)
    found = recolor_points(composite, mask, torch.from_numpy(params))
    expected = reference_loop(composite, mask, params)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != composite).any()


def test_masked_points_are_timed_in_a_process_of_their_own() -> None:
    pytest.importorskip("torch")
    from imharmony.benchmark.torch_masked_points import time_masked_points

    case = Case(64, 8, 25, "soft")
    times = time_masked_points(case, num_threads=1, runs=3)
    assert times["runs"] == 3
    assert 0 < times["low"] <= times["high"]


@pytest.mark.skipif(not memory.STATUS.exists(), reason="only Linux has /proc")
def test_failure_in_a_fresh_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.onnx: cannot read weights"):
        memory.peak_mb(
            Case(64, 8, 25, "soft"),
            "idle",
            weights=tmp_path / "none.onnx",
            num_threads=1,
        )


@pytest.mark.skipif(not memory.STATUS.exists(), reason="only Linux has /proc")
def test_peak_of_files_is_measured(tmp_path: Path) -> None:
    peak = memory.peak_mb(
        Case(64, 8, 25, "soft"),
        "files",
        weights=MODELS["s2crnet-cs"],
        num_threads=1,
        folder=tmp_path,
    )
    assert peak is not None
    assert 20 < peak < 1000  # a Python with NumPy and a network
    assert (tmp_path / "harmonized.jpg").exists()


def test_without_proc_there_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", Path("/nowhere/status"))
    case = Case(64, 8, 25, "soft")
    assert memory.peak_mb(case, "idle", weights=Path("x"), num_threads=1) is None


def test_whole_holds_the_stages_once(
    harmonizer: Harmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_once(run: Callable[[], object], **_: object) -> measure.Times:
        run()
        return QUARTILES

    monkeypatch.setattr(measure, "repeat", run_once)
    times = measure.time_files(
        harmonizer, Case(64, 8, 25, "soft"), runs=3, seconds=None
    )
    assert set(times) == {
        *("whole", "decode", "thumbnails", "network", "curve"),
        *("render and encode", "encode", "libvips alone"),
    }


# The command


def run(*arguments: str | Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "argv", ["imharmony", "benchmark", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_quick_run_writes_json_and_prints_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "speed.json"
    run("--quick", "--output", target, patch=monkeypatch)
    record = json.loads(target.read_text())
    assert {"date", "cpu", "cores", "threads", "versions", "model"} <= set(record)
    (case,) = record["cases"]
    assert (case["size"], case["depth"], case["mask"]) == (64, 8, "soft")
    for times in (*case["arrays"].values(), *case["files"].values()):
        assert 0 < times["low"] <= times["median"] <= times["high"]
    assert record["baselines"]["64"]["loop, NumPy"]["median"] > 0
    assert set(record["pictures_per_second"]) == {"1", "2"}
    output = capsys.readouterr()
    assert "| size | bits | box % | mask | copy | whole |" in output.out
    assert str(target) in output.err


def test_existing_output_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "speed.json"
    target.write_text("mine")
    monkeypatch.setattr(
        sys, "argv", ["imharmony", "benchmark", "--quick", "-o", str(target)]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, target.read_text()) == (2, "mine")


@pytest.mark.parametrize("sizes", ["large", "64,", "1"])
def test_sizes_that_are_none(sizes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["imharmony", "benchmark", "--sizes", sizes])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2


def record_of(sizes: list[int]) -> dict[str, Any]:
    arrays = {"copy": QUARTILES | {"median": 0.5}, "whole": QUARTILES}
    return {
        "date": "2026-01-02",
        "cpu": "abacus",
        "cores": 2,
        "threads": 2,
        "load": 0,
        "versions": {"python": "3"},
        "idle_mb": 90.0,
        "cases": [
            {
                "size": n,
                "depth": 8,
                "box_percent": 25,
                "mask": "soft",
                "arrays": arrays,
                "files": {},
                "peak_mb": {"arrays": 140.4},
            }
            for n in sizes
        ],
        "baselines": {
            str(n): {
                "loop, NumPy": QUARTILES | {"median": 100.0},
                "whole photo, torch": QUARTILES,
                "gmacs": {"thumbnails": 0.6, "whole": 2.4},
                "peak_mb": 300.0,
            }
            for n in sizes
        },
        "pictures_per_second": {"1": 100.0, "2": 150.0},
        "variants": {
            "s2crnet-cs": {"params": 948480, "macs": 606e6, "paper_params": 950e3}
        },
    }


def test_table_gives_quartiles_and_ratios() -> None:
    table = to_table(record_of([256])).splitlines()
    assert "| 256 | 8 | 25 | soft | 0.5 (1-3.5) | 2 (1-3.5) | 140 | 4.0 |" in table
    assert "| 256 | 100 (1-3.5), 50 x | 2 (1-3.5), 1 x |" in table
    assert "| s2crnet-cs | 948,480 | 0.95 M | 0.606 |" in table


def test_table_leaves_empty_what_was_not_measured() -> None:
    record = record_of([256, 512])
    record["baselines"]["512"] = {"masked points, torch": QUARTILES | {"median": 41.0}}
    table = to_table(record).splitlines()
    names = ["size", "loop, NumPy", "whole photo, torch", "masked points, torch"]
    assert f"| {' | '.join(names)} |" in table
    assert "| 256 | 100 (1-3.5), 50 x | 2 (1-3.5), 1 x |  |" in table
    assert "| 512 |  |  | 41 (1-3.5), 20 x |" in table


def test_plot_has_time_memory_and_multiplications() -> None:
    pytest.importorskip("matplotlib")
    from imharmony.benchmark.cost_plots import draw

    figure = draw(record_of([256, 512]))
    assert [axes.get_title() for axes in figure.axes] == [
        *("time, ms", "peak memory, MB", "GMAC of the network"),
    ]
    drawn = [
        {str(line.get_label()): list(line.get_ydata()) for line in axes.lines}  # type: ignore[arg-type]
        for axes in figure.axes
    ]
    ours, plus = "Ours: thumbnails in", "Ours+: full resolution in"
    assert drawn[0][ours] == [2, 2]
    assert drawn[1] == {ours: [140.4, 140.4], plus: [300, 300]}
    assert drawn[2] == {ours: [0.6, 0.6], plus: [2.4, 2.4]}
