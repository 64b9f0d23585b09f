"""An encoder that makes real-time threads when root opens it."""

import os
from pathlib import Path

import pytest

from tests.video.clips import composites, disc, write_clip, write_masks
from tests.video.test_harmonize_video import harmonize

pytestmark = pytest.mark.linux


def policies() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {os.sched_getscheduler(int(task.name)) for task in tasks}


def test_encoding_av1_leaves_the_priority_as_it_was(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    assert policies() == {before}
    masks = write_masks(tmp_path / "m.mkv", [disc()] * 3)
    clip = write_clip(
        tmp_path / "a.mp4",
        composites(3),
        codec="libsvtav1",
        pixel_format="yuv420p10le",
    )
    harmonize(clip, masks, tmp_path / "b.mp4")
    assert policies() == {before}
