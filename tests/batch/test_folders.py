"""Which files of a folder are jobs, and what becomes of their names."""

from dataclasses import replace
from pathlib import Path

import pytest

from imharmony.batch.folders import Naming, find_jobs
from imharmony.batch.jobs import NO_JOB
from imharmony.errors import UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_masks_beside_photos_belong_to_them(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_mask.png", "b.png", "notes.txt", "c_mask.png", ".d.png")
    jobs = find_jobs([tmp_path], tmp_path / "out")
    found = {Path(job.name).name: job.mask for job in jobs}
    # c_mask.png has no c.*: it may be a composite of that name.
    assert found == {
        "a.jpg": tmp_path / "a_mask.png",
        "b.png": None,
        "c_mask.png": None,
    }
    assert jobs[0].output == tmp_path / "out" / "a.jpg"


def test_masks_of_a_folder_are_found_by_name(tmp_path: Path) -> None:
    touch(
        tmp_path, "in/a.jpg", "in/sub/b.JPG", "m/a.png", "m/sub/b_mask.png", "in/c.png"
    )
    jobs = find_jobs(
        [tmp_path / "in"], tmp_path / "o", masks=tmp_path / "m", recursive=True
    )
    found = {Path(job.name).name: (job.mask, job.error) for job in jobs}
    assert found["a.jpg"] == (tmp_path / "m/a.png", None)
    assert found["b.JPG"] == (tmp_path / "m/sub/b_mask.png", None)
    mask, error = found["c.png"]
    assert mask is None
    assert (
        error == f"{tmp_path}/in/c.png: expected a mask c.* in {tmp_path}/m, got none"
    )


def test_recursion_keeps_folders_and_leaves_out_the_output(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "deep/er/b.png", "out/a.png", "masks/a.png", "masks/b.png")
    jobs = find_jobs([tmp_path], tmp_path / "out", recursive=True)
    outputs = [job.output for job in jobs]
    assert tmp_path / "out/deep/er/b.png" in outputs
    assert tmp_path / "out/out/a.png" not in outputs
    assert len(find_jobs([tmp_path], tmp_path / "out")) == 1


def test_output_that_is_an_input_fails_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    naming = Naming("{stem}.png")
    jobs = find_jobs([tmp_path], tmp_path, naming=naming)
    assert all("would overwrite an input" in str(job.error) for job in jobs)


def test_two_outputs_of_one_name_are_not_written_twice(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/a.jpg")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "o", naming=Naming("{stem}.png"))
    errors = [job.error for job in jobs]
    assert errors[0] is None
    assert "a.jpg is written to" in str(errors[1])


def test_common_options_reach_all(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    common = replace(NO_JOB, label="food", strength=0.5)
    (job,) = find_jobs([tmp_path], tmp_path / "o", common=common)
    assert (job.label, job.strength) == ("food", 0.5)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{stem", "expected '}'"),
        ("{size}{stem}", "got {size}"),
        ("fixed.png", "expected {stem} in it"),
    ],
)
def test_bad_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Naming(pattern)
    assert message in str(caught.value)


def test_absent_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_jobs([tmp_path / "absent"], tmp_path / "o")
    with pytest.raises(UsageError, match="expected pictures"):
        find_jobs([tmp_path], tmp_path / "o")
    touch(tmp_path, "a.png")
    with pytest.raises(UsageError, match="expected a folder of masks, got none"):
        find_jobs([tmp_path], tmp_path / "o", masks=tmp_path / "absent")
