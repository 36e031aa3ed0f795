"""Counters and gauges for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veracity_gateway.jobs.queries import Filter
from veracity_gateway.jobs.tables import STATES

if TYPE_CHECKING:
    from veracity_gateway.gateway import Gateway

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Meters:
    """The gateway's own; the servers have theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "veracity_gateway_requests", "Requests by route and status", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "veracity_gateway_request_seconds", "Seconds to the beginning of the answer", ["method", "route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._jobs = Gauge("veracity_gateway_jobs", "Jobs that are kept, by state", ["state"], registry=self.registry)
        self._waiting = Gauge(
            "veracity_gateway_waiting_seconds", "How long the oldest job waits", registry=self.registry
        )
        self._under_way = Gauge("veracity_gateway_jobs_under_way", "Jobs this gateway works on", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def look(self, gateway: Gateway) -> None:
        """Read the gauges anew."""
        found = gateway.queries.states(Filter(None))
        for state in STATES:
            self._jobs.labels(state).set(found.get(state, 0))
        self._waiting.set(gateway.queries.waiting_seconds())
        self._under_way.set(gateway.runner.under_way)
