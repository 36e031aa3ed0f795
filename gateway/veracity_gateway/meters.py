"""Counters and gauges for Prometheus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from veracity_gateway.jobs.queries import Filter
from veracity_gateway.jobs.tables import STATES, Job

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from veracity_gateway.gateway import Gateway

SECONDS_A_BYTE = 8e-6  # of video at 1 Mbit/s, until a job has ended here
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
        self._queued_bytes = Gauge("veracity_gateway_queued_bytes", "Bytes of jobs that wait", registry=self.registry)
        self._queued_video = Gauge(
            "veracity_gateway_queued_video_seconds",
            "Video of jobs that wait, in seconds: their bytes, at what a byte was of those that ended here",
            registry=self.registry,
        )
        self._ended_bytes = self._ended_seconds = 0.0
        self._under_way = Gauge("veracity_gateway_jobs_under_way", "Jobs this gateway works on", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def ended(self, _session: Session, job: Job) -> None:
        """Learn how long a file of so many bytes is."""
        seconds = json.loads(job.verdict)["input"]["seconds"] if job.verdict else None
        if seconds and job.bytes:
            self._ended_seconds += seconds
            self._ended_bytes += job.bytes

    def look(self, gateway: Gateway) -> None:
        """Read the gauges anew."""
        found = gateway.queries.states(Filter(None))
        for state in STATES:
            self._jobs.labels(state).set(found.get(state, 0))
        self._waiting.set(gateway.queries.waiting_seconds())
        queued = gateway.queries.waiting_bytes()
        self._queued_bytes.set(queued)
        a_byte = self._ended_seconds / self._ended_bytes if self._ended_bytes else SECONDS_A_BYTE
        self._queued_video.set(queued * a_byte)
        self._under_way.set(gateway.runner.under_way)
