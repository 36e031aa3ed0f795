"""What ended or hung while the server ran, and was started again: counters for Prometheus."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter

Part = Literal["tritonserver", "proxy", "model", "process"]  # process: one of several of a model


class Heals:
    """Counts of one server; any thread may count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("part", "model")
        what = "times that tritonserver, the proxy, a model or one process of a model"
        self._done = Counter("veracity_heals", f"{what} was started again", labels, registry=registry)
        self._failed = Counter("veracity_failed_heals", f"{what} did not start again", labels, registry=registry)

    def done(self, part: Part, model: str = "") -> None:
        """Count one that succeeded; ``model`` is its name where ``part`` is a model or a process of one."""
        self._done.labels(part, model).inc()

    def failed(self, part: Part, model: str = "") -> None:
        """Count one that did not; the next attempt follows after a pause."""
        self._failed.labels(part, model).inc()
