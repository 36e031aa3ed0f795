"""Load the models of one tritonserver, look after them, and heal those whose process died."""

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
from veracity.server.orphans import Orphans
from veracity.server.repository import Contents, is_detector
from veracity.server.watch import QUICK_ATTEMPTS, ModelState, Watch, back_off

NO_FOLDER = "the repository has no such model"

_log = log.get(__name__)


@dataclass(frozen=True)
class Timeouts:
    """Seconds, each as the argument of :class:`veracity.server.Server` of the same name."""

    canary: float
    hang: float
    child_hang: float
    load: float

    def with_hang(self, model: str) -> float:
        """Return how long a model may give no sign of life: a child answers sooner than a detector."""
        return self.hang if is_detector(model) else self.child_hang


class Models:
    """The state of every model of ``repository``; one thread loads and looks, any may ask for :meth:`states`."""

    def __init__(self, repository: Path, patience: Timeouts, stopping: Callable[[], bool]) -> None:
        self._repository, self._patience, self._stopping = repository, patience, stopping
        self._states: dict[str, ModelState] = {}
        self._watches: dict[str, Watch] = {}
        self._leftovers = Orphans()
        self._lock = threading.Lock()

    def states(self) -> dict[str, ModelState]:
        """Return a copy: name to state, in the order of loading, then what is missing."""
        with self._lock:
            return dict(self._states)

    def load_all(self, control: Control, contents: Contents, server: int) -> None:
        """Load and warm the children, then the detectors; what fails is noted and the rest goes on."""
        installed = contents.children + contents.detectors
        with self._lock:
            self._states = {name: ModelState("failed", "not loaded yet") for name in installed}
            self._states |= {name: ModelState("missing", reason) for name, reason in contents.missing.items()}
            self._states |= {name: ModelState("failed", NO_FOLDER) for name in contents.unknown}
        self._watches, self._leftovers = {}, Orphans()
        for name in installed:
            if self._stopping():
                return
            self._load_first(control, name, server)

    def all_lost(self, reason: str) -> None:
        """Note that no model is served."""
        with self._lock:
            self._states |= {n: ModelState("failed", reason) for n, s in self._states.items() if s.state == "ready"}

    def look(self, control: Control, server: int) -> None:
        """Look at each model once; heal what died. Costs a read of /proc unless a canary is due."""
        now, living = time.monotonic(), reaper.children(server)
        self._leftovers.sweep(living)
        due = [watch for watch in self._watches.values() if watch.lost(living) or now >= watch.next_look]
        if not due:
            return
        successes = control.successes()
        for watch in due:
            if self._stopping():
                return
            self._look_at(control, watch, successes.get(watch.name, 0), server)

    def to_drain(self) -> list[Watch]:
        """Return what has to be empty before a stop: the detectors, who need their children until the end.

        Those of the fewest processes come first.
        """
        ready = [w for name, w in list(self._watches.items()) if self.states()[name].state == "ready"]
        return sorted([w for w in ready if is_detector(w.name)] or ready, key=lambda watch: len(watch.processes))

    def _look_at(self, control: Control, watch: Watch, successes: int, server: int) -> None:
        if watch.attempts:  # it is down: its plan says when to try again
            if time.monotonic() >= watch.next_look:
                self._heal(control, watch, server)
        elif watch.lost(reaper.children(server)):
            self._lost(control, watch, "its process died", server)
        elif not watch.progressed(successes, self._patience.canary):
            self._canary_through(control, watch, server)

    def _canary_through(self, control: Control, watch: Watch, server: int) -> None:
        began, least, hang = time.monotonic(), self._patience.canary, self._patience.with_hang(watch.name)
        pulse, words = control.probe(watch.name, 2 * least)
        took = time.monotonic() - began
        if pulse is ProbeResult.DEAD:
            self._lost(control, watch, words, server)
        elif pulse is not ProbeResult.SILENT:
            watch.answered(took, least)
            watch.successes += pulse is ProbeResult.ALIVE
        elif time.monotonic() - watch.alive > hang:
            self._lost(control, watch, f"no answer for {hang:.0f} s", server)
        else:
            _log.warning("canary unanswered", model=watch.name, reason=words)
            watch.looked(took, least)

    def _lost(self, control: Control, watch: Watch, reason: str, server: int) -> None:
        if self._stopping():  # it went because it was told to
            return
        _log.error("model died", model=watch.name, reason=reason)
        self._note(watch.name, ModelState("failed", reason))
        self._heal(control, watch, server)

    def _heal(self, control: Control, watch: Watch, server: int) -> None:
        """Unload and load: loading alone leaves a dead process as it is."""
        watch.attempts += 1
        control.unload(watch.name)
        self._leftovers.add(watch.processes, self._patience.with_hang(watch.name))
        try:
            watch.processes = self._load_and_warm(control, watch.name, server)
        except LoadFailed as error:
            self._not_healed(watch, str(error))
        else:
            _log.warning("model healed", model=watch.name, attempt=watch.attempts)
            watch.successes = 0
            watch.answered(0.0, self._patience.canary)
            self._note(watch.name, ModelState("ready"))

    def _not_healed(self, watch: Watch, reason: str) -> None:
        pause = back_off(watch.attempts + 1)
        watch.down(pause)
        self._note(watch.name, ModelState("failed", reason))
        level = _log.critical if watch.attempts >= QUICK_ATTEMPTS else _log.error
        level("healing failed", model=watch.name, attempt=watch.attempts, reason=reason, next_seconds=pause)

    def _load_first(self, control: Control, name: str, server: int) -> None:
        began = time.monotonic()
        self._watches[name] = watch = Watch(name)
        try:
            watch.processes = self._load_and_warm(control, name, server)
        except LoadFailed as error:
            watch.attempts = 1
            self._not_healed(watch, str(error))
            return
        watch.answered(0.0, self._patience.canary)
        self._note(name, ModelState("ready"))
        _log.info("model ready", model=name, seconds=round(time.monotonic() - began, 2))

    def _load_and_warm(self, control: Control, name: str, server: int) -> frozenset[int]:
        """Return the model's processes: those that came with its load. Raises :class:`LoadFailed`."""
        if objection := provenance.integrity_error(self._repository / name):
            raise LoadFailed(objection)
        before = reaper.children(server)
        control.load(name, self._patience.load)
        processes = frozenset(reaper.children(server) - before)
        if fault := smoke_test.fault(control, name, self._repository, self._patience.load):
            control.unload(name)
            raise LoadFailed(f"loaded, but its first inference failed: {fault}")
        return processes

    def _note(self, name: str, state: ModelState) -> None:
        with self._lock:
            self._states[name] = state
