"""Settings of a server: limits, hosts, times."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """Limits and access of one server."""

    weights: Path | None = None
    """A weights file to offer instead of the bundled models."""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Names under which the server may be asked for, without the port."""
    origins: tuple[str, ...] = ()
    """Other sites whose scripts may use the API, such as `https://photos.example`."""
    root_path: str = ""
    """Prefix under which a proxy serves this, such as `/harmonize`."""
    token: str | None = None
    """What clients must send as `Authorization: Bearer`; None asks for nothing."""
    max_bytes: int = 2**28
    """Of one request, all its pictures together: 256 MiB."""
    max_pixels: int = 2**26
    """Of one picture: 8192 x 8192."""
    num_workers: int = 2
    """Processes, each doing one job at a time."""
    max_waiting: int = 32
    """Requests let in beyond those being worked on; more are refused with 503."""
    receive_s: float = 120.0
    """Time for all of a request to arrive."""
    idle_s: float = 15.0
    """Time for the next piece of it to arrive."""
    work_s: float = 60.0
    """Time for one job; then its process is ended."""
    send_s: float = 300.0
    """Time for an answer to be taken."""

    @property
    def num_places(self) -> int:
        """Requests let in at once; bounds the disk space in use."""
        return self.num_workers + self.max_waiting
