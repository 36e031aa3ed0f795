"""Counters and gauges for Prometheus."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from sqlalchemy.orm import Session

from veracity_client import metrics
from veracity_client._meters import Analyses, counter, gauge, histogram
from veracity_client.metrics import of_error, of_verdict
from veracity_client.verdict import Verdict
from veracity_gateway.jobs.queries import Filter
from veracity_gateway.jobs.tables import STATES, Job

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from veracity_gateway.gateway import Gateway

SECONDS_A_BYTE = 8e-6  # of video at 1 Mbit/s, until a job has ended here


class Meters:
    """The gateway's own; the servers have theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._analyses = Analyses("gateway", self.registry)
        self._requests = counter(metrics.REQUESTS, self.registry)
        self._seconds = histogram(metrics.REQUEST_TIME, self.registry)
        self._jobs = gauge(metrics.JOBS, self.registry)
        self._waiting = gauge(metrics.WAITING, self.registry)
        self._queued_bytes = gauge(metrics.QUEUED_BYTES, self.registry)
        self._queued_video = gauge(metrics.QUEUED_VIDEO, self.registry)
        self._ended_bytes = self._ended_seconds = 0.0
        self._under_way = gauge(metrics.UNDER_WAY, self.registry)
        gauge(metrics.BUILD, self.registry).labels("gateway", version("veracity-gateway")).set(1)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def job_ended(self, _session: Session, job: Job) -> None:
        """Count what a job came to, but for one that was answered from the store or cancelled."""
        seconds = (job.finished or job.created) - job.created
        if job.verdict and not job.answered_from:
            verdict = Verdict.from_json(job.verdict)
            self._learn_length(verdict.input.seconds, job.bytes)
            self._analyses.take(of_verdict(verdict, seconds))
        elif job.error:
            self._analyses.take(of_error(json.loads(job.error)["type"].rpartition(":")[2], seconds))

    def _learn_length(self, seconds: float | None, size: int | None) -> None:
        """Learn how long a file of so many bytes is."""
        if seconds and size:
            self._ended_seconds += seconds
            self._ended_bytes += size

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
