"""Settings all tests share."""

import os

import pytest
from hypothesis import settings

# In CI the same examples every time; at a desk new ones, to find more.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write expected pictures anew"
    )
