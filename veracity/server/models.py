"""Load the models of one tritonserver, check them in parallel, and heal those that died."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tritonclient.utils import InferenceServerException

from veracity import log
from veracity.in_flight import Requests
from veracity.install.signing import Signer
from veracity.reloading import Reloading
from veracity.server import reaper
from veracity.server.control import Control, LoadFailed, ProbeResult, one_line
from veracity.server.heals import Heals
from veracity.server.health import QUICK_ATTEMPTS, ModelHealth, ModelState, backoff
from veracity.server.loading import Loader
from veracity.server.loads import Loads
from veracity.server.orphans import Orphans
from veracity.server.repository import Contents, is_detector

NO_FOLDER = "the repository has no such model"
THREADS = 32  # more than any profile has models

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
    """The models of ``repository`` in one tritonserver. One thread loads and checks, any may read :meth:`states`.

    Each check of a model runs in a thread of its own, so that a slow or dead model delays no other's.
    """

    def __init__(
        self,
        repository: Path,
        timeouts: Timeouts,
        stopping: Callable[[], bool],
        heals: Heals,
        model_config: str,
        env: Mapping[str, str],
        signer: Signer | None = None,
    ) -> None:
        self._timeouts, self._stopping, self._heals = timeouts, stopping, heals
        self._loader = Loader(repository, model_config, timeouts.load, env, signer)
        self._states: dict[str, ModelState] = {}
        self._health: dict[str, ModelHealth] = {}
        self._requests: Requests
        self._reloading: Reloading
        self._orphans: Orphans
        self._lock = threading.Lock()
        self._abandoned = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, "model-check")
        self._under_way: dict[str, Future[None]] = {}

    @property
    def loads(self) -> Loads:
        """The loads under way."""
        return self._loader.loads

    def states(self) -> dict[str, ModelState]:
        """Return a copy: name to state, in the order of loading, then what is missing."""
        with self._lock:
            return dict(self._states)

    def load_all(
        self, control: Control, contents: Contents, server: int, *, requests: Requests, reloading: Reloading
    ) -> None:
        """Load and test the children, then the detectors; a model that fails is noted and the others go on.

        ``server`` is the process id of tritonserver, here and below; ``requests`` are those that detectors work on, who
        learn from ``reloading`` which models are worth to wait for.
        """
        self._begin(contents, requests, reloading)
        for names in (contents.children, contents.detectors):
            self._load_side_by_side(control, names, server)

    def _begin(self, contents: Contents, requests: Requests, reloading: Reloading) -> None:
        """Forget what an earlier tritonserver served."""
        self._requests, self._reloading, self._loader.children = requests, reloading, contents.children
        with self._lock:
            self._states = {name: ModelState("failed", "not loaded yet") for name in contents.installed}
            self._states |= {name: ModelState("missing", reason) for name, reason in contents.missing.items()}
            self._states |= {name: ModelState("failed", NO_FOLDER) for name in contents.unknown}
        self._health, self._orphans = {}, Orphans(requests)
        self.loads.begin()
        self._abandoned.clear()

    def _load_side_by_side(self, control: Control, names: Iterable[str], server: int) -> None:
        wait([self._threads.submit(self._load_first, control, name, server) for name in names])

    def mark_all_failed(self, reason: str) -> None:
        """Note that no model is served."""
        with self._lock:
            self._states |= {n: ModelState("failed", reason) for n, s in self._states.items() if s.serves}

    def end_checks(self) -> None:
        """Wait for the checks under way; each ends soon after tritonserver."""
        self._abandoned.set()
        wait(self._under_way.values())

    def check(self, control: Control, server: int) -> None:
        """Begin to check each model that is due, and to heal what died; does not wait for that.

        Costs a read of /proc when no model is due. Raises InferenceServerException where Triton does not answer.
        """
        now, running = time.monotonic(), reaper.child_processes(server)
        if not reaper.is_running(server):
            return
        self._orphans.kill_due(running)
        idle = [h for name, h in self._health.items() if name not in self._under_way or self._under_way[name].done()]
        due = [health for health in idle if health.process_died(running) or now >= health.next_check]
        if not due:
            return
        successes = control.success_counts()
        for health in due:
            self._under_way[health.name] = self._threads.submit(
                self._check, control, health, successes.get(health.name, 0), server
            )

    def served_detectors(self) -> list[str]:
        """Return the detectors that are served: what they call has to be there until they are done."""
        return [name for name, state in self.states().items() if state.state == "ready" and is_detector(name)]

    def _gone(self) -> bool:
        return self._stopping() or self._abandoned.is_set()

    def _check(self, control: Control, health: ModelHealth, successes: int, server: int) -> None:
        with health.lock:
            if not health.is_unloaded:
                self._look_after(control, health, successes, server)

    def _look_after(self, control: Control, health: ModelHealth, successes: int, server: int) -> None:
        try:
            self._kill_hung(health)
            if health.failed_attempts:  # it is down
                self._reload(control, health, server)
            elif health.process_died(reaper.child_processes(server)):
                self._on_death(control, health, "its process died", server)
            elif not health.mark_progress(successes, self._timeouts.canary):
                self._send_canary(control, health, server)
        except InferenceServerException as error:
            if not self._gone():
                _log.warning("model not checked", model=health.name, reason=one_line(error))
        except Exception:  # whatever it was, supervision goes on
            _log.exception("a check failed", model=health.name)

    def _kill_hung(self, health: ModelHealth) -> None:
        """Kill the processes that answer nothing any more: canaries go to those beside them, which are free."""
        hang = self._timeouts.hang_of(health.name)
        for process in health.processes:
            if self._requests.seconds(process) > hang and reaper.is_running(process):
                _log.error("process hangs", model=health.name, pid=process, seconds=hang)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

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
            health.schedule(took, interval)
            if not self._gone():
                _log.warning("canary unanswered", model=health.name, reason=reason)

    def _on_death(self, control: Control, health: ModelHealth, reason: str, server: int) -> None:
        if self._gone() or not reaper.is_running(server):  # the stop ended it, or it ended with the server
            return
        dead = health.processes.keys() - reaper.child_processes(server)
        self._reloading.begun(health.name)
        _log.error("model died", model=health.name, reason=reason, processes=sorted(dead))
        if not dead or dead == health.processes.keys():
            self._set_state(health.name, ModelState("failed", reason))
        if dead and self._replace(control, health, dead, server):
            return
        self._set_state(health.name, ModelState("failed", reason))
        self._reload(control, health, server)

    def _replace(self, control: Control, health: ModelHealth, dead: set[int], server: int) -> bool:
        """Replace dead processes; the model's others go on meanwhile. Returns whether that was possible.

        It is not where one died over a request. Triton 2.51 keeps a thread for each model that worked for it, and that
        waits for ever for the dead to take the answer: then neither this load would end nor any other of the model.
        """
        if self._requests.count(dead):
            return False
        try:
            processes = self._loader.replace(control, health, dead, server)
        except LoadFailed as error:
            self._heals.failed("process", health.name)
            _log.error("process not replaced", model=health.name, reason=str(error))
            return False
        if processes is None:
            return False
        self._heals.done("process", health.name)
        _log.warning("model healed", model=health.name, replaced=len(dead))
        self._orphan(health, health.processes.keys() - processes.keys())
        self._served(health, processes)
        return True

    def _reload(self, control: Control, health: ModelHealth, server: int) -> None:
        """Unload and load: loading alone leaves a dead process as it is."""
        health.failed_attempts += 1
        control.unload(health.name)
        self._orphan(health, health.processes)
        try:
            processes = self._loader.load(control, health, server)
        except LoadFailed as error:
            self._heals.failed("model", health.name)
            self._load_failed(health, str(error))
        else:
            self._heals.done("model", health.name)
            _log.warning("model reloaded", model=health.name, attempt=health.failed_attempts)
            self._served(health, processes)

    def _orphan(self, health: ModelHealth, processes: Iterable[int]) -> None:
        self._orphans.add(processes, self._timeouts.hang_of(health.name), counted=is_detector(health.name))

    def _served(self, health: ModelHealth, processes: dict[int, str]) -> None:
        health.processes, health.successes = processes, 0
        health.mark_alive(0.0, self._timeouts.canary)
        self._set_state(health.name, ModelState("ready"))
        self._reloading.done(health.name)

    def _load_failed(self, health: ModelHealth, reason: str) -> None:
        pause = backoff(health.failed_attempts + 1)
        health.mark_down(pause)
        given_up = health.failed_attempts >= QUICK_ATTEMPTS
        rarely = f" (given up after {health.failed_attempts} attempts, tried again every {pause:.0f} s)"
        self._set_state(health.name, ModelState("failed", reason + rarely * given_up))
        (self._reloading.given_up if given_up else self._reloading.begun)(health.name)
        if self._gone():
            return
        level = _log.critical if given_up else _log.error
        level("load failed", model=health.name, attempt=health.failed_attempts, reason=reason, next_seconds=pause)

    def _load_first(self, control: Control, name: str, server: int) -> None:
        if self._stopping():
            return
        began = time.monotonic()
        self._health[name] = health = ModelHealth(name)
        try:
            self._served(health, self._loader.load(control, health, server))
        except LoadFailed as error:
            health.failed_attempts = 1
            self._load_failed(health, str(error))
            return
        _log.info("model ready", model=name, seconds=round(time.monotonic() - began, 2))

    def _set_state(self, name: str, state: ModelState) -> None:
        with self._lock:
            self._states[name] = state
