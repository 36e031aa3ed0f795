"""What ended or hung while the server ran, and was started again: counters for Prometheus."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry

from veracity_client import metrics
from veracity_client._meters import counter

Part = Literal["tritonserver", "proxy", "model", "process"]  # process: one of several of a model


class Heals:
    """Counts of one server; any thread may count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._done = counter(metrics.HEALS, registry)
        self._failed = counter(metrics.FAILED_HEALS, registry)
        for part in ("tritonserver", "proxy"):  # from 0 on, so that Prometheus sees the first
            self._done.labels(part, "")
            self._failed.labels(part, "")

    def done(self, part: Part, model: str = "") -> None:
        """Count one that succeeded; ``model`` is its name where ``part`` is a model or a process of one."""
        self._done.labels(part, model).inc()

    def failed(self, part: Part, model: str = "") -> None:
        """Count one that did not; the next attempt follows after a pause."""
        self._failed.labels(part, model).inc()
