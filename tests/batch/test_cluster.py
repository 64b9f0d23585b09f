"""Manifests of any length: here, by URI, and on a real Ray cluster of several nodes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imharmony
from imharmony import harmonize
from imharmony.batch.jobs import Settings
from imharmony.errors import UsageError
from imharmony.harmonizer import Harmonizer
from tests.batch.pictures import Pixels, W, composite, disc, fill, load, save

pytestmark = pytest.mark.cluster

SOURCES = str(Path(imharmony.__file__).parents[1])
ROOT = str(Path(__file__).parents[2])


def read_report(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.dataset

    rows: list[dict[str, Any]] = pyarrow.dataset.dataset(folder).to_table().to_pylist()
    return rows


def write_manifest(folder: Path, count: int, suffix: str = ".jsonl") -> Path:
    fill(folder, count)
    rows = [
        {"composite": f"{n:03d}.png", "mask": f"{n:03d}_mask.png"} for n in range(count)
    ]
    path = folder / f"jobs{suffix}"
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix == ".csv":
        lines = ["composite,mask", *(f"{r['composite']},{r['mask']}" for r in rows)]
        path.write_text("\n".join(lines))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_manifest_is_done_here_and_what_is_done_is_skipped(
    tmp_path: Path, suffix: str
) -> None:
    from imharmony.batch.cluster import run_here

    manifest = write_manifest(tmp_path / "in", 3, suffix)
    (tmp_path / "in" / "001.png").write_bytes(b"poison")
    output, report = tmp_path / "out", tmp_path / "report"
    for expected in ("done", "skipped"):
        counts = run_here(
            str(manifest),
            str(output),
            settings=Settings(),
            report=str(report),
            workers=1,
        )
        assert counts == {expected: 2, "failed": 1}
        rows = read_report(report)
        assert [row["status"] for row in rows] == [expected, "failed", expected]
        assert "001.png: expected a JPEG" in rows[1]["error"]
    expected_pixels = harmonize(composite(2), disc()).image
    np.testing.assert_array_equal(load(output / "002.png"), expected_pixels)


def test_files_by_uri_come_and_go(tmp_path: Path) -> None:
    import fsspec

    from imharmony.batch.cluster import run_here

    manifest = write_manifest(tmp_path / "in", 2)
    with manifest.open("a") as file:
        file.write('{"composite": "absent.png"}\n{broken\n')
        file.write('{"composite": "", "mask": ""}\n')
    store = fsspec.filesystem("memory")
    shop = f"/{tmp_path.name}"
    store.put(f"{tmp_path}/in/", f"{shop}/in/", recursive=True)
    for expected in ("done", "skipped"):
        counts = run_here(
            f"memory:/{shop}/in/jobs.jsonl",
            f"memory:/{shop}/out",
            settings=Settings(),
            report=f"file://{tmp_path}/report",
            workers=1,
        )
        assert counts == {expected: 2, "failed": 3}
    rows = read_report(tmp_path / "report")
    assert rows[0]["output"] == f"memory:/{shop}/out/000.png"
    assert f"memory:/{shop}/in/absent.png: no such file" in rows[2]["error"]
    assert "line 4: expected a JSON object" in rows[3]["error"]
    assert "line 5: expected a composite, got none" in rows[4]["error"]
    (tmp_path / "000.png").write_bytes(store.cat_file(f"{shop}/out/000.png"))
    expected_pixels = harmonize(composite(0), disc()).image
    np.testing.assert_array_equal(load(tmp_path / "000.png"), expected_pixels)


def two_objects() -> list[Pixels]:
    """The disc cut in the middle."""
    left, right = disc(), disc()
    left[:, W // 2 :] = 0
    right[:, : W // 2] = 0
    return [left, right]


def expected_objects() -> Pixels:
    image: Pixels = Harmonizer().harmonize_objects(composite(1), two_objects()).image
    return image


def test_several_objects_by_uri(tmp_path: Path) -> None:
    import fsspec

    from imharmony.batch.cluster import run_here

    save(tmp_path / "in" / "photo.png", composite(1))
    for name, mask in zip(("left", "right"), two_objects(), strict=True):
        save(tmp_path / "in" / f"{name}.png", mask)
    shop = f"memory:/{tmp_path}"
    masks = [f"{shop}/in/{name}.png" for name in ("left", "right")]
    row = {"composite": f"{shop}/in/photo.png", "mask": masks}
    (tmp_path / "in" / "jobs.jsonl").write_text(json.dumps(row))
    store = fsspec.filesystem("memory")
    store.put(f"{tmp_path}/in/", f"{tmp_path}/in/", recursive=True)
    counts = run_here(
        f"{shop}/in/jobs.jsonl",
        f"{shop}/out",
        settings=Settings(),
        report=str(tmp_path / "report"),
        workers=1,
    )
    assert counts == {"done": 1}
    (tmp_path / "photo.png").write_bytes(store.cat_file(f"{tmp_path}/out/photo.png"))
    np.testing.assert_array_equal(load(tmp_path / "photo.png"), expected_objects())


def test_unusable_manifests_are_refused(tmp_path: Path) -> None:
    from imharmony.batch.cluster import run_here

    for name, message in (
        ("a.parquet", "cannot be read"),
        ("a.txt", "expected a manifest"),
        ("a.csv", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=message):
            run_here(
                str(tmp_path / name),
                str(tmp_path),
                settings=Settings(),
                report=str(tmp_path / "r"),
            )


def test_command_says_counts_and_where_the_report_is(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", 2)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "imharmony.cli",
            "batch",
            manifest,
            "-o",
            tmp_path / "out",
            "--workers",
            "1",
        ],
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "2 done\n")
    assert ended.stdout == f"{tmp_path}/out/_report\n"
    assert len(read_report(tmp_path / "out/_report")) == 2


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A head without cores, and two nodes with one each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((SOURCES, ROOT)))
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.filterwarnings(
    "ignore",  # Ray's own
    "error::ray.util.annotations.RayDeprecationWarning",  # of how it is called
)
def test_lost_node_costs_no_picture(tmp_path: Path, cluster: Any) -> None:
    import threading

    from imharmony.batch.cluster import run_on_cluster

    count = 120
    manifest = write_manifest(tmp_path / "in", count, ".csv")
    (tmp_path / "in" / "007.png").write_bytes(b"poison")
    save(tmp_path / "in" / "objects.png", composite(1))
    names = [f"file://{tmp_path}/in/{side}.png" for side in ("left", "right")]
    for name, mask in zip(names, two_objects(), strict=True):
        save(Path(name.removeprefix("file://")), mask)
    with manifest.open("a") as file:
        file.write(f"\nfile://{tmp_path}/in/objects.png,{'|'.join(names)}")
    output, report = tmp_path / "out", tmp_path / "report"
    lost: list[int] = []
    stamps: dict[str, tuple[int, int]] = {}

    def lose_a_node() -> None:
        end = time.monotonic() + 200
        while time.monotonic() < end:
            there = list(output.glob("*.png"))
            if len(there) >= 20:
                for path in there:
                    stat = path.stat()
                    stamps[path.name] = stat.st_ino, stat.st_mtime_ns
                node = cluster.list_all_nodes()[-1]
                cluster.remove_node(node, allow_graceful=False)
                lost.append(len(there))
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=lose_a_node)
    watcher.start()
    counts = run_on_cluster(
        str(manifest),
        str(output),
        address="auto",
        settings=Settings(),
        report=str(report),
        workers=2,
    )
    watcher.join()
    assert lost
    assert lost[0] < count - 10, "lost too late to matter"
    assert counts["failed"] == 1
    assert counts.total() == count + 1
    rows = read_report(report)
    assert sorted(row["input"].removeprefix("file://") for row in rows) == [
        *(str(tmp_path / "in" / f"{n:03d}.png") for n in range(count)),
        str(tmp_path / "in" / "objects.png"),
    ]
    np.testing.assert_array_equal(load(output / "objects.png"), expected_objects())
    expected = harmonize(composite(3), disc()).image
    np.testing.assert_array_equal(load(output / "003.png"), expected)
    assert sorted(path.name for path in output.iterdir()) == [
        *(f"{n:03d}.png" for n in range(count) if n != 7),
        "objects.png",
    ]
    for name, stamp in stamps.items():  # what was written before is not written again
        stat = (output / name).stat()
        assert (stat.st_ino, stat.st_mtime_ns) == stamp
