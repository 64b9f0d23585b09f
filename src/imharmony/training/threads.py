"""Give torch another number of processor threads for some work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["num_threads"]


@contextmanager
def num_threads(count: int | None) -> Iterator[None]:
    """Let torch compute on so many threads; None leaves them as they are.

    Results of another number of threads differ by rounding.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with num_threads(1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
