"""Which files of a folder that fills are given, and when."""

from pathlib import Path

import numpy as np

from imharmony.batch.folders import find_jobs
from imharmony.batch.watch import watch
from tests.batch.pictures import composite, disc, save


def test_photo_waits_for_its_mask_and_is_given_once(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", composite())
    looks = watch(lambda: find_jobs([tmp_path], tmp_path / "out"), interval_s=0)
    assert [next(looks) for _ in range(4)] == [None] * 4
    save(tmp_path / "a_mask.png", disc())
    given = [job for job in (next(looks) for _ in range(6)) if job is not None]
    assert [job.mask for job in given] == [tmp_path / "a_mask.png"]


def test_photo_with_alpha_needs_no_mask(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.dstack([composite(), disc()]))
    looks = watch(lambda: find_jobs([tmp_path], tmp_path / "out"), interval_s=0)
    assert next(looks) is None  # seen, but maybe still growing
    job = next(looks)
    assert job is not None
    assert job.name == str(tmp_path / "a.png")


def test_file_that_grows_is_not_given(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.dstack([composite(), disc()]))
    looks = watch(lambda: find_jobs([tmp_path], tmp_path / "out"), interval_s=0)
    for _ in range(4):
        path.write_bytes(path.read_bytes() + b"more")
        assert next(looks) is None
