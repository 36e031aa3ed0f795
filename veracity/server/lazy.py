"""Models that are loaded when they are first needed, within a memory that not all of them need fit into."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from veracity import log
from veracity.in_flight import Requests
from veracity.reloading import Reloading
from veracity.server.control import Control, LoadFailed
from veracity.server.health import ModelHealth, ModelState, backoff
from veracity.server.memory import Memory
from veracity.server.models import Models
from veracity.server.process import TritonProcess
from veracity.server.repository import Contents
from veracity.server.residency import Residency
from veracity_client.errors import AnalysisTimeout, ModelUnavailable

UNLOADED = ModelState("unloaded", "is loaded when it is needed")

_log = log.get(__name__)


class LazyModels(Models):
    """The models of a tritonserver, of which the detectors alone are always loaded.

    This object alone loads and unloads the others. Model processes that use one hold it (:meth:`held`); a model that
    is held stays. A model whose loading failed counts as failed, and is tried again as others are. With ``test_all``
    each is loaded once at the start. ``sizes`` returns the bytes that models take, by name.
    """

    def __init__(
        self,
        memory: Memory,
        sizes: Callable[[Iterable[str]], Mapping[str, int]],
        process: Callable[[], TritonProcess],
        *more: Any,
        test_all: bool = False,
    ) -> None:
        super().__init__(*more)
        self._memory, self._sizes, self._process, self._test_all = memory, sizes, process, test_all
        self._children: tuple[str, ...] = ()
        self._residency: Residency | None = None

    def load_all(
        self, control: Control, contents: Contents, server: int, *, requests: Requests, reloading: Reloading
    ) -> None:
        """Load the detectors, and with ``test_all`` each other model once, before them and one after another."""
        self._begin(contents, requests, reloading)
        self._children = contents.children
        sizes = self._sizes(contents.children)
        self._residency = Residency(sizes, self._memory.budget, self._load_needed, self._unload)
        for name in contents.children:
            self._health[name] = health = ModelHealth(name)
            health.mark_down(math.inf)
            self._set_state(name, UNLOADED)
            if self._test_all and not self._stopping() and self._residency.acquire(name, math.inf):
                self._residency.release(name)
        self._load_side_by_side(control, contents.detectors, server)

    def mark_all_failed(self, reason: str) -> None:
        """Note that no model is served, once nothing is being loaded any more."""
        if self._residency is not None:
            self._residency.close()
        super().mark_all_failed(reason)

    def check(self, control: Control, server: int) -> None:
        """Check the models that are loaded, and begin to unload those that nobody used for long."""
        super().check(control, server)
        if self._residency is not None and (idle := self._residency.take_idle(self._memory.idle_seconds)):
            for name in idle:  # each takes a second
                self._threads.submit(self._residency.let_go, [name])

    @contextmanager
    def held(self, model: str, seconds: float, gone: Callable[[], bool]) -> Iterator[str]:
        """Keep a model loaded inside the block, and yield its state; with 0 ``seconds`` only if it is loaded now.

        Raises :class:`ModelUnavailable` for a model that is not served, :class:`AnalysisTimeout` without memory for it
        within that time.
        """
        residency = self._residency
        if residency is None or model not in self._children:
            raise ModelUnavailable(f"{model} is not served here")
        if seconds <= 0:
            held = residency.acquire_loaded(model)
        elif not (held := residency.acquire(model, seconds, gone)):
            if not gone():
                _log.warning("no memory for a model", model=model, waited_seconds=seconds, used=residency.used_bytes())
            raise AnalysisTimeout(
                f"{model} found no room in the server's memory within the deadline: models in use fill "
                "VERACITY_MEMORY_BUDGET; ask again later, or allow more time or memory"
            )
        state = self.states()[model].state
        try:
            yield state if held or state == "failed" else UNLOADED.state
        finally:
            if held:
                residency.release(model, used=seconds > 0)

    def _load_needed(self, model: str) -> None:
        """Load a model that somebody waits for; one that does not load is noted as failed."""
        health, process, began = self._health[model], self._process(), time.monotonic()
        with health.lock, Control(process.sockets.connect) as control:
            try:
                processes = self._loader.load(control, health, process.pid)
            except LoadFailed as error:
                if health.failed_attempts:
                    self._heals.failed("model", model)
                health.failed_attempts += 1
                self._load_failed(health, str(error))
            else:
                if health.failed_attempts:
                    self._heals.done("model", model)
                self._served(health, processes)
                _log.info("model loaded", model=model, seconds=round(time.monotonic() - began, 2))

    def _unload(self, model: str) -> None:
        """Unload a model that nobody uses; one that is down takes no memory, and is tried again as it is."""
        health, process = self._health[model], self._process()
        with health.lock:
            if health.failed_attempts:
                return
            self._set_state(model, UNLOADED)
            with Control(process.sockets.connect) as control:
                control.unload(model, completely=True)
            self._orphan(health, health.processes)
            health.mark_down(math.inf)
            _log.info("model unloaded", model=model)

    def _reload(self, control: Control, health: ModelHealth, server: int) -> None:
        """Load again what is down: where it has no memory, as somebody who needs it would, if there is room."""
        residency = self._residency
        if residency is None or health.name not in self._children or health.name in residency:
            super()._reload(control, health, server)
            return
        self._threads.submit(self._retry, residency, health)

    def _retry(self, residency: Residency, health: ModelHealth) -> None:
        try:
            if residency.acquire(health.name, 0.0):
                residency.release(health.name, used=False)
                return
            with health.lock:
                if health.failed_attempts:  # nobody else loaded it meanwhile
                    health.mark_down(backoff(health.failed_attempts + 1))
        except ModelUnavailable:  # tritonserver ended
            return
