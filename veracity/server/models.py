"""Load the models of one tritonserver, check them, and reload those whose process died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from veracity import log
from veracity.catalog import provenance
from veracity.server import reaper, smoke_test
from veracity.server.control import Control, LoadFailed, ProbeResult
from veracity.server.health import QUICK_ATTEMPTS, ModelHealth, ModelState, backoff
from veracity.server.orphans import Orphans
from veracity.server.repository import Contents, is_detector

NO_FOLDER = "the repository has no such model"

_log = log.get(__name__)


@dataclass(frozen=True)
class Timeouts:
    """Seconds, each as the argument of :class:`veracity.server.Server` of the same name."""

    canary: float
    hang: float
    child_hang: float
    load: float

    def hang_of(self, model: str) -> float:
        """Return how long a model may give no sign of life: a child answers sooner than a detector."""
        return self.hang if is_detector(model) else self.child_hang


class Models:
    """The models of ``repository`` in one tritonserver. One thread loads and checks, any may read :meth:`states`."""

    def __init__(self, repository: Path, timeouts: Timeouts, stopping: Callable[[], bool]) -> None:
        self._repository, self._timeouts, self._stopping = repository, timeouts, stopping
        self._states: dict[str, ModelState] = {}
        self._health: dict[str, ModelHealth] = {}
        self._orphans = Orphans()
        self._lock = threading.Lock()

    def states(self) -> dict[str, ModelState]:
        """Return a copy: name to state, in the order of loading, then what is missing."""
        with self._lock:
            return dict(self._states)

    def load_all(self, control: Control, contents: Contents, server: int) -> None:
        """Load and test the children, then the detectors; a model that fails is noted and the others go on.

        ``server`` is the process id of tritonserver, here and below.
        """
        installed = contents.children + contents.detectors
        with self._lock:
            self._states = {name: ModelState("failed", "not loaded yet") for name in installed}
            self._states |= {name: ModelState("missing", reason) for name, reason in contents.missing.items()}
            self._states |= {name: ModelState("failed", NO_FOLDER) for name in contents.unknown}
        self._health, self._orphans = {}, Orphans()
        for name in installed:
            if self._stopping():
                return
            self._load_first(control, name, server)

    def mark_all_failed(self, reason: str) -> None:
        """Note that no model is served."""
        with self._lock:
            self._states |= {n: ModelState("failed", reason) for n, s in self._states.items() if s.state == "ready"}

    def check(self, control: Control, server: int) -> None:
        """Check each model that is due and reload what died. Costs a read of /proc when no model is due."""
        now, running = time.monotonic(), reaper.child_processes(server)
        self._orphans.kill_due(running)
        due = [health for health in self._health.values() if health.process_died(running) or now >= health.next_check]
        if not due:
            return
        successes = control.success_counts()
        for health in due:
            if self._stopping():
                return
            self._check(control, health, successes.get(health.name, 0), server)

    def in_drain_order(self) -> list[ModelHealth]:
        """Return the models that have to be empty before a stop, those with the fewest processes first.

        These are the detectors, which need their children until the end; without detectors, all models.
        """
        ready = [h for name, h in list(self._health.items()) if self.states()[name].state == "ready"]
        detectors = [health for health in ready if is_detector(health.name)]
        return sorted(detectors or ready, key=lambda health: len(health.processes))

    def _check(self, control: Control, health: ModelHealth, successes: int, server: int) -> None:
        if health.failed_attempts:  # it is down
            if time.monotonic() >= health.next_check:
                self._reload(control, health, server)
        elif health.process_died(reaper.child_processes(server)):
            self._on_death(control, health, "its process died", server)
        elif not health.mark_progress(successes, self._timeouts.canary):
            self._send_canary(control, health, server)

    def _send_canary(self, control: Control, health: ModelHealth, server: int) -> None:
        began, interval = time.monotonic(), self._timeouts.canary
        hang = self._timeouts.hang_of(health.name)
        result, reason = control.probe(health.name, 2 * interval)
        took = time.monotonic() - began
        if result is ProbeResult.DEAD:
            self._on_death(control, health, reason, server)
        elif result is not ProbeResult.TIMED_OUT:
            health.mark_alive(took, interval)
            health.successes += result is ProbeResult.ALIVE
        elif time.monotonic() - health.last_alive > hang:
            self._on_death(control, health, f"no answer for {hang:.0f} s", server)
        else:
            _log.warning("canary unanswered", model=health.name, reason=reason)
            health.schedule(took, interval)

    def _on_death(self, control: Control, health: ModelHealth, reason: str, server: int) -> None:
        if self._stopping():  # the stop ended it
            return
        _log.error("model died", model=health.name, reason=reason)
        self._set_state(health.name, ModelState("failed", reason))
        self._reload(control, health, server)

    def _reload(self, control: Control, health: ModelHealth, server: int) -> None:
        """Unload and load: loading alone leaves a dead process as it is."""
        health.failed_attempts += 1
        control.unload(health.name)
        self._orphans.add(health.processes, self._timeouts.hang_of(health.name))
        try:
            health.processes = self._load_and_test(control, health.name, server)
        except LoadFailed as error:
            self._load_failed(health, str(error))
        else:
            _log.warning("model reloaded", model=health.name, attempt=health.failed_attempts)
            health.successes = 0
            health.mark_alive(0.0, self._timeouts.canary)
            self._set_state(health.name, ModelState("ready"))

    def _load_failed(self, health: ModelHealth, reason: str) -> None:
        pause = backoff(health.failed_attempts + 1)
        health.mark_down(pause)
        self._set_state(health.name, ModelState("failed", reason))
        level = _log.critical if health.failed_attempts >= QUICK_ATTEMPTS else _log.error
        level("load failed", model=health.name, attempt=health.failed_attempts, reason=reason, next_seconds=pause)

    def _load_first(self, control: Control, name: str, server: int) -> None:
        began = time.monotonic()
        self._health[name] = health = ModelHealth(name)
        try:
            health.processes = self._load_and_test(control, name, server)
        except LoadFailed as error:
            health.failed_attempts = 1
            self._load_failed(health, str(error))
            return
        health.mark_alive(0.0, self._timeouts.canary)
        self._set_state(name, ModelState("ready"))
        _log.info("model ready", model=name, seconds=round(time.monotonic() - began, 2))

    def _load_and_test(self, control: Control, name: str, server: int) -> frozenset[int]:
        """Return the model's processes: those that came with its load. Raises :class:`LoadFailed`."""
        if error := provenance.integrity_error(self._repository / name):
            raise LoadFailed(error)
        before = reaper.child_processes(server)
        control.load(name, self._timeouts.load)
        processes = frozenset(reaper.child_processes(server) - before)
        if fault := smoke_test.fault(control, name, self._repository, self._timeouts.load):
            control.unload(name)
            raise LoadFailed(f"loaded, but its first inference failed: {fault}")
        return processes

    def _set_state(self, name: str, state: ModelState) -> None:
        with self._lock:
            self._states[name] = state
