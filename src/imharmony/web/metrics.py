"""Numbers about a running server, in the text form that Prometheus reads."""

from collections.abc import Callable
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class _Entry(Protocol):
    method: str
    route: str | None
    status: int
    received_bytes: int
    sent_bytes: int


class Metrics:
    """Counts of one application; another application in the process has its own.

    Parameters
    ----------
    version : str
        Of imharmony.

    Examples
    --------
    >>> metrics = Metrics("1.0")
    >>> metrics.add_gauge("workers", "Worker processes.", lambda: 2)
    >>> print(metrics.write().decode())  # doctest: +ELLIPSIS
    # HELP imharmony_info The version.
    # TYPE imharmony_info gauge
    imharmony_info{version="1.0"} 1.0
    ...
    imharmony_workers 2.0
    <BLANKLINE>
    """

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._gauge("info", "The version.", "version").labels(version).set(1)
        self.in_progress = self._gauge("requests_in_progress", "Requests underway.")
        self._requests = Counter(
            "imharmony_requests",
            "Answered requests; status 0 where the client left before.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "imharmony_request_seconds",
            "From a request's head to the end of its answer.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._received = self._count("received_bytes", "Bytes of requests' bodies.")
        self._sent = self._count("sent_bytes", "Bytes of answers' bodies.")

    def add_gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a number that is read when it is asked for."""
        self._gauge(name, text).set_function(read)

    def observe(self, entry: _Entry, seconds: float) -> None:
        """Count a request that has ended."""
        route = entry.route or "none"
        self._requests.labels(entry.method, route, str(entry.status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._received.inc(entry.received_bytes)
        self._sent.inc(entry.sent_bytes)

    def write(self) -> bytes:
        """Write all numbers."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"imharmony_{name}", text, labels, registry=self._registry)

    def _count(self, name: str, text: str) -> Counter:
        return Counter(f"imharmony_{name}", text, registry=self._registry)
