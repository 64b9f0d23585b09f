"""`imharmony harmonize` with folders and manifests, as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imharmony
from imharmony import Harmonizer, harmonize
from imharmony.batch.report import read_report
from imharmony.batch.work import is_whole
from tests.batch.pictures import composite, disc, fill, load, save

SOURCES = str(Path(imharmony.__file__).parents[1])
CLI = (sys.executable, "-m", "imharmony.cli")


def run(*args: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*CLI, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": SOURCES},
        check=False,
        **options,
    )


def start(*args: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*CLI, *map(str, args)],
        env=os.environ | {"PYTHONPATH": SOURCES},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(is_true: Callable[[], bool], limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_folder_is_harmonized_as_its_photos_are(tmp_path: Path) -> None:
    fill(tmp_path / "in", 5)
    report, sheet = tmp_path / "r.jsonl", tmp_path / "sheet.jpg"
    ended = run(
        "harmonize",
        tmp_path / "in",
        "-o",
        tmp_path / "out",
        "--report",
        report,
        "--sheet",
        sheet,
        "--name",
        "{stem}-done{suffix}",
    )
    assert (ended.returncode, ended.stderr) == (0, "5 done\n")
    outputs = [tmp_path / "out" / f"{number:03d}-done.png" for number in range(5)]
    assert ended.stdout.split() == list(map(str, outputs))
    for number, output in enumerate(outputs):
        expected = harmonize(composite(number), disc()).image
        np.testing.assert_array_equal(load(output), expected)
    rows = read_report(report)
    assert [row["status"] for row in rows] == ["done"] * 5
    assert all(row["milliseconds"] > 0 and row["change"] >= 0 for row in rows)
    assert is_whole(sheet)


def test_bad_picture_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = fill(tmp_path / "in", 4)
    paths[1].write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    ended = run("harmonize", tmp_path / "in", "-o", tmp_path / "out")
    assert ended.returncode == 1
    assert f"error: {paths[1]}: the PNG data is damaged" in ended.stderr
    assert ended.stderr.endswith("3 done, 1 failed\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "000.png",
        "002.png",
        "003.png",
    ]


def test_manifest_has_a_job_a_row(tmp_path: Path) -> None:
    save(tmp_path / "a.png", composite())
    save(tmp_path / "m.png", disc())
    table = tmp_path / "jobs.csv"
    table.write_text(
        "composite,mask,label,strength,output\n"
        "a.png,m.png,animal,0,none.png\na.png,m.png,plane,,x.png\na.png,m.png,,,b.tif\n"
    )
    ended = run("harmonize", "--manifest", table, "-o", tmp_path / "out")
    assert ended.returncode == 1
    assert f"error: {table}, line 3: expected a label of person" in ended.stderr
    np.testing.assert_array_equal(load(tmp_path / "out/none.png"), composite())
    assert (tmp_path / "out/b.tif").exists()


def test_what_is_done_is_refused_before_any_work(tmp_path: Path) -> None:
    fill(tmp_path / "in", 3)
    save(tmp_path / "out/001.png", composite())
    ended = run("harmonize", tmp_path / "in", "-o", tmp_path / "out")
    assert ended.returncode == 2
    assert "exists already, as do 0 other outputs" in ended.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["in", "-o", "x.png", "--resume"], "expected a folder for several pictures"),
        (["in", "-", "-o", "out"], "- is for one photo"),
        (["in", "-o", "out", "--resume", "--overwrite"], "--resume keeps what is done"),
        (["in", "-o", "out", "--strip", "s.png"], "--strip is for one photo"),
        (["in", "absent", "-o", "out"], "absent: no such file or folder"),
        (["in", "-o", "out", "--masks", "absent"], "expected a folder of masks"),
        (["in", "-o", "out", "--manifest", "j.csv"], "--manifest says which files"),
        (["in", "-o", "in/000.tif", "--resume"], "expected a folder for several"),
        (["-o", "out.png"], "expected a composite, got none"),
        (["in/000.png", "-o", "out", "--watch"], "expected a folder to watch"),
    ],
)
def test_wrong_usage_is_refused(tmp_path: Path, args: list[str], message: str) -> None:
    fill(tmp_path / "in", 1)
    ended = run("harmonize", *args, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_pipe_gets_a_line_every_hundred(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.dstack([composite(), disc()])[:4, :4])
    table = tmp_path / "jobs.jsonl"
    rows = ({"composite": "a.png", "output": f"{n}.png"} for n in range(201))
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run("harmonize", "--manifest", table, "-o", tmp_path / "out")
    lines = [line for line in ended.stderr.splitlines() if "a second" in line]
    assert [line.split(",")[0] for line in lines] == ["100 pictures", "200 pictures"]


def test_watched_folder_is_harmonized_as_it_fills(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    process = start("harmonize", tmp_path / "in", "-o", tmp_path / "out", "--watch")
    try:
        fill(tmp_path / "in", 1)
        wait_for((tmp_path / "out/000.png").exists)
        with (tmp_path / "in/late.png").open("wb") as file:  # slowly
            encoded = (tmp_path / "in/000.png").read_bytes()
            file.write(encoded[:99])
            file.flush()
            time.sleep(0.7)
            save(tmp_path / "in/late_mask.png", disc())
            file.write(encoded[99:])
        wait_for((tmp_path / "out/late.png").exists)
        np.testing.assert_array_equal(
            load(tmp_path / "out/late.png"), load(tmp_path / "out/000.png")
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


def test_several_objects_are_harmonized_in_one_pass(tmp_path: Path) -> None:
    left, right = disc().copy(), disc().copy()
    left[:, 28:], right[:, :28] = 0, 0
    pixels = composite()
    expected = Harmonizer().harmonize_objects(pixels, [left, right]).image
    image = save(tmp_path / "c.png", pixels)
    one, other = save(tmp_path / "a.png", left), save(tmp_path / "b.png", right)
    ended = run(
        "harmonize", image, "--mask", one, "--mask", other, "-o", tmp_path / "o.png"
    )
    assert (ended.returncode, ended.stdout) == (0, f"{tmp_path}/o.png\n")
    assert ended.stderr.count("object ") == 2
    np.testing.assert_array_equal(load(tmp_path / "o.png"), expected)
    numbers = (3 * (left > 0) + 9 * (right > 0)).astype(np.uint8)
    values = save(tmp_path / "v.png", numbers)
    ended = run("harmonize", image, values, "--labels", "-o", tmp_path / "p.png")
    assert ended.returncode == 0
    hard = [255 * (mask > 0).astype(np.uint8) for mask in (left, right)]
    expected = Harmonizer().harmonize_objects(pixels, hard).image
    np.testing.assert_array_equal(load(tmp_path / "p.png"), expected)
    ended = run("harmonize", image, "--labels", "-o", tmp_path / "q.png")
    assert "--labels: expected one mask that holds all objects, got 0" in ended.stderr


def check_kills(folder: Path, num_kills: int, seed: int) -> int:
    """Kill a job again and again; count the runs that were killed at work."""
    rng = np.random.default_rng(seed)
    fill(folder / "in", 60)
    num_killed = 0
    round_number = 0
    while num_killed < num_kills:
        round_number += 1
        out = folder / f"out{round_number}"
        report = folder / f"{round_number}.jsonl"
        args = ("harmonize", folder / "in", "-o", out, "--resume", "--report", report)
        first_seen: dict[str, tuple[int, int]] = {}
        while True:
            process = start(*args, "--workers", 2)
            if num_killed < num_kills:
                wait_for(partial(_is_ahead, process, out, len(first_seen)))
                time.sleep(rng.uniform(0, 0.12))
                process.kill()
                num_killed += 1
            code = process.wait(timeout=60)
            for path in sorted(out.iterdir()):
                assert is_whole(path), f"{path} is damaged"
                stat = path.stat()
                stamp = stat.st_ino, stat.st_mtime_ns
                assert first_seen.setdefault(path.name, stamp) == stamp, "done twice"
            if code == 0:
                break
            assert code == -signal.SIGKILL
        assert len(first_seen) == 60
        rows = read_report(report)
        assert sorted(row["output"] for row in rows) == [
            str(out / f"{number:03d}.png") for number in range(60)
        ]
        assert all(row["status"] in ("done", "skipped") for row in rows)
    return num_killed


def _is_ahead(process: "subprocess.Popen[bytes]", out: Path, count: int) -> bool:
    """Whether more outputs are there, or the process has ended."""
    is_more = out.exists() and len(list(out.iterdir())) > count
    return is_more or process.poll() is not None


def test_killed_job_is_resumed_without_damage(tmp_path: Path) -> None:
    assert check_kills(tmp_path, num_kills=3, seed=1) == 3


@pytest.mark.slow
def test_job_killed_a_hundred_times_is_resumed_without_damage(tmp_path: Path) -> None:
    assert check_kills(tmp_path, num_kills=100, seed=2) == 100
