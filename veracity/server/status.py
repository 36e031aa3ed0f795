"""What a server says of itself at its health port."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from veracity.server.health import ModelState
from veracity.server.repository import is_detector
from veracity_client import __version__, metrics
from veracity_client.metrics import Family

Phase = Literal["starting", "serving", "stopping", "broken"]  # broken: nothing supervises it any more
PHASES = {
    "starting": "the server is starting",
    "stopping": "the server is stopping",
    "broken": "the supervision ended: start the server again",
}
FOLDERS = re.compile(r"/[^\s:;,'\"]*/")  # of a path in one of Triton's reasons: callers learn the file's name at most
JSON = "application/json"


@dataclass(frozen=True)
class Status:
    """One moment of a server."""

    phase: Phase
    models: Mapping[str, ModelState]
    requests_in_flight: int

    @property
    def live(self) -> bool:
        """Whether it is under supervision; where it is not, only a new start helps."""
        return self.phase != "broken"

    @property
    def states(self) -> dict[str, ModelState]:
        """The models' states, each detector's with that of the models it calls: it is ready only while they are."""
        states = {name: replace(state, reason=FOLDERS.sub("", state.reason)) for name, state in self.models.items()}
        down = [name for name, state in states.items() if state.state == "failed" and not is_detector(name)]
        waiting = ModelState("failed", f"waits for {', '.join(down)}")
        return {
            name: waiting if down and is_detector(name) and state.state == "ready" else state
            for name, state in states.items()
        }

    @property
    def faults(self) -> list[str]:
        """What keeps it from being ready; a model that is not installed does not, since verdicts say so."""
        if self.phase != "serving":
            return [PHASES[self.phase]]
        return [f"{name}: {state.reason}" for name, state in self.states.items() if state.state == "failed"]


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP."""

    code: int
    kind: str
    body: bytes


class StatusPages:
    """The pages of the health port: of what ``read`` returns, the ``digests`` by model, the metrics of ``registry``."""

    def __init__(
        self, read: Callable[[], Status], digests: Callable[[], dict[str, str]], registry: CollectorRegistry
    ) -> None:
        self._read, self._digests, self._registry = read, digests, registry
        registry.register(_Gauges(read))
        self._pages = {
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/health": self._health,
            "/version": self._version,
            "/metrics": self._metrics,
        }

    def get(self, path: str) -> Answer:
        """Return the page at ``path``."""
        page = self._pages.get(path)
        return page() if page else Answer(404, JSON, b"{}")

    def _live(self) -> Answer:
        live = self._read().live
        return _json(200 if live else 503, {"live": live})

    def _ready(self) -> Answer:
        ready = not self._read().faults
        return _json(200 if ready else 503, {"ready": ready})

    def _health(self) -> Answer:
        status = self._read()
        models = {name: {"state": s.state, "reason": s.reason} for name, s in status.states.items()}
        return _json(
            503 if status.faults else 200,
            {
                "ready": not status.faults,
                "phase": status.phase,
                "faults": status.faults,
                "requests_in_flight": status.requests_in_flight,
                "models": models,
            },
        )

    def _version(self) -> Answer:
        return _json(200, {"version": __version__, "models": self._digests()})

    def _metrics(self) -> Answer:
        return Answer(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))


class _Gauges(Collector):
    def __init__(self, read: Callable[[], Status]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        status = self._read()
        yield gauge(metrics.BUILD, {("supervisor", __version__): 1.0})
        yield gauge(metrics.READY, {(): float(not status.faults)})
        yield gauge(metrics.IN_FLIGHT, {(): float(status.requests_in_flight)})
        installed = {name: state for name, state in status.states.items() if state.state != "missing"}
        yield gauge(metrics.MODEL_READY, {(name,): float(state.serves) for name, state in installed.items()})
        yield gauge(metrics.MODEL_LOADED, {(name,): float(state.state == "ready") for name, state in installed.items()})


def gauge(family: Family, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    """Return a gauge as it stands, by the values of its labels."""
    found = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        found.add_metric(labels, value)
    return found


def _json(code: int, content: dict[str, Any]) -> Answer:
    return Answer(code, JSON, json.dumps(content).encode())
