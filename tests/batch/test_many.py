"""Many jobs from Python."""

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imharmony import harmonize
from imharmony.batch import Job, Settings, harmonize_many
from imharmony.batch.workers import Workers
from imharmony.errors import UsageError, WeightsError
from tests.batch.pictures import composite, disc, fill, load, save

pytestmark = pytest.mark.filterwarnings(
    "ignore::imharmony.errors.HarmonizeWarning"  # outcomes are looked at instead
)


def test_one_picture_is_what_harmonize_gives(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", composite())
    (outcome,) = harmonize_many([Job(path, disc(), output=tmp_path / "b.png")])
    expected = harmonize(composite(), disc())
    np.testing.assert_array_equal(load(tmp_path / "b.png"), expected.image)
    assert (outcome.status, outcome.label) == ("done", expected.label)
    assert outcome.curves == expected.curves
    assert outcome.num_bytes == (tmp_path / "b.png").stat().st_size


def test_workers_give_what_one_process_gives_in_order() -> None:
    jobs = [Job(composite(seed), disc()) for seed in range(6)]
    alone = [outcome.image for outcome in harmonize_many(jobs, workers=1)]
    shared = [outcome.image for outcome in harmonize_many(jobs, workers=2)]
    assert len(alone) == len(shared) == 6
    for one, other in zip(alone, shared, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one, other)


def test_gray_array_without_an_axis_comes_back_so() -> None:
    (outcome,) = harmonize_many([Job(composite()[..., 0], disc())])
    assert outcome.image is not None
    assert outcome.image.shape == disc().shape


def test_alpha_is_the_mask_where_none_is_given() -> None:
    pixels = np.dstack([composite(), disc()])
    (outcome,) = harmonize_many([Job(pixels)])
    np.testing.assert_array_equal(outcome.image, harmonize(composite(), disc()).image)


def test_bad_picture_fails_alone(tmp_path: Path) -> None:
    paths = fill(tmp_path, 5)
    paths[2].write_bytes(paths[2].read_bytes()[:-400])
    jobs = [Job(path, disc(), output=path.with_suffix(".tif")) for path in paths]
    outcomes = list(harmonize_many(jobs, workers=2))
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == ["done", "done", "failed", "done", "done"]
    assert "damaged, truncated" in str(outcomes[2].error)
    assert not jobs[2].output or not jobs[2].output.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_wrong_settings_fail_at_once(workers: int) -> None:
    with pytest.raises(WeightsError, match=r"absent\.onnx"):
        harmonize_many(
            [], workers=workers, settings=Settings(weights=Path("absent.onnx"))
        )


def test_no_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 worker, got 0"):
        harmonize_many([], workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_endless_jobs_are_taken_a_few_ahead(workers: int) -> None:
    taken = itertools.count()

    def endless() -> Iterator[Job]:
        for _ in taken:
            yield Job(composite(), disc())

    outcomes = harmonize_many(endless(), workers=workers)
    for _ in range(10):
        assert next(outcomes).status == "done"
    outcomes.close()  # type: ignore[attr-defined]
    assert next(taken) <= 10 + 4 * workers + 1


def test_pause_gives_all_outcomes_so_far() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Job | None]:
        for number in range(3):
            yield Job(composite(number), disc())
        yield None
        asked.append(1)

    outcomes = harmonize_many(jobs(), workers=2)
    for _ in range(3):
        assert next(outcomes).status == "done"
    assert not asked


def test_process_that_ends_over_a_picture_fails_that_one_only() -> None:
    workers = Workers(Settings(), 1)
    try:
        job = Job(composite(), disc())
        assert workers.do(job).status == "done"
        (worker,) = workers._workers
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        outcome = workers.do(job)
        assert outcome.status == "failed"
        assert "the process that worked on it was ended by SIGKILL" in str(
            outcome.error
        )
        assert workers.do(job).status == "done"
    finally:
        workers.end(at_once=True)


def test_resuming_skips_what_is_whole_and_mends_what_is_not(tmp_path: Path) -> None:
    paths = fill(tmp_path, 3)
    jobs = [Job(path, disc(), output=path.with_suffix(".tif")) for path in paths]
    outputs = [path.with_suffix(".tif") for path in paths]
    list(harmonize_many(jobs))
    whole = outputs[0].read_bytes()
    outputs[0].write_bytes(whole[:100])
    outputs[2].unlink()
    stamp = outputs[1].stat()
    outcomes = list(harmonize_many(jobs, settings=Settings(resume=True)))
    assert [outcome.status for outcome in outcomes] == ["done", "skipped", "done"]
    assert outputs[0].read_bytes() == whole
    assert outputs[1].stat().st_ino == stamp.st_ino


def test_reported_size_spares_decoding(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"no picture")
    job = Job(composite(), disc(), output=output, num_bytes=10)
    (outcome,) = harmonize_many([job], settings=Settings(resume=True))
    assert outcome.status == "skipped"
    (outcome,) = harmonize_many(
        [replace(job, num_bytes=11)], settings=Settings(resume=True)
    )
    assert outcome.status == "done"


def test_existing_output_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"mine")
    (outcome,) = harmonize_many([Job(composite(), disc(), output=output)])
    assert outcome.error == f"{output}: exists already"
    assert output.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (Job(composite()), "no mask given and no alpha channel"),
        (Job(composite(), np.zeros((3, 4), np.uint8)), "expected shape (40, 56)"),
        (Job(composite(), disc(), label="chair"), "label is one of"),
        (Job(composite(), disc(), strength=-1), "expected a finite strength"),
        (Job(Path("absent.png"), disc()), "absent.png: no such file"),
        (
            Job(composite(), disc(), source="jobs.csv, line 3", error="no composite"),
            "jobs.csv, line 3: no composite",
        ),
        (
            Job(composite(), disc(), output=Path("/dev/full/out.png")),
            "File exists",
        ),
    ],
)
def test_outcome_says_what_is_wrong(job: Job, error: str) -> None:
    (outcome,) = harmonize_many([job])
    assert outcome.status == "failed"
    assert error in str(outcome.error)


def test_warnings_are_in_the_outcome() -> None:
    (outcome,) = harmonize_many([Job(composite(), np.zeros_like(disc()))])
    assert outcome.status == "done"
    assert list(outcome.warnings) == ["the mask is empty: nothing to harmonize"]
