"""Damaged files of every format, a few hundred of each."""

import pytest

from tests.images import fuzz

COUNT = 200
"""Of each format in every run. 10,000 of each were tried once."""


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff"])
def test_damage_is_an_error_or_reads_as_elsewhere(kind: str) -> None:
    ended, _ = fuzz.run(kind, COUNT)
    assert sum(ended.values()) == COUNT
    assert ended["refused"] > 0
    assert ended["same"] > 0
    assert not [how for how in ended if how.startswith(("DIFFERENT", "SLOW"))]
