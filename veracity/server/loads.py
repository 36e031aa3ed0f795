"""The loads that tritonserver works on, to find one that it will never end.

Triton 2.51 waits without limit for the first sign of a process that it started for a model. If that one is killed
before it, by the kernel for want of memory for instance, neither this load nor any other of the model ever ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from veracity.server.control import LoadTimedOut
from veracity.server.instances import processes

THREADS = 4  # in which Triton loads; further loads wait for one of them, and have no process until then
STUCK_SECONDS = 30.0  # Triton starts all processes of a model at once; of one that fails it says so within two seconds


@dataclass
class _Load:
    folder: Path
    backend: str
    due: int
    others: Collection[int]
    seen: frozenset[int] = frozenset()
    since: float = field(default_factory=time.monotonic)

    def is_stuck(self, server: int, *, may_wait: bool) -> bool:
        running = frozenset(processes(server, self.folder))
        found = running.difference(self.others)
        waits = (may_wait and not found) or found != running  # for a thread, or for an earlier load of the model to end
        if found != self.seen or waits:
            self.seen, self.since = found, time.monotonic()
        return len(found) < self.due and time.monotonic() - self.since > STUCK_SECONDS


class Loads:
    """Loads of models whose processes can be counted. Any thread may load, one asks for those that are stuck."""

    def __init__(self) -> None:
        self._under_way: list[_Load] = []
        self._given_up: set[Path] = set()
        self._lock = threading.Lock()

    @contextmanager
    def under_way(self, folder: Path, backend: str, due: int, others: Collection[int] = ()) -> Iterator[None]:
        """Count a load inside the block: of the model in ``folder``, to have ``due`` processes beside ``others``."""
        load = _Load(folder, backend, due, others)
        with self._lock:
            self._under_way.append(load)
        try:
            yield
            self._given_up.discard(folder)
        except LoadTimedOut:
            self._given_up.add(folder)
            raise
        finally:
            with self._lock:
                self._under_way.remove(load)

    def begin(self) -> None:
        """Forget the loads of an earlier tritonserver that took too long: a new one does not go on with them."""
        self._given_up.clear()

    def stuck(self, server: int, backends: Collection[str]) -> str:
        """Return the name of a model whose load never ends in that tritonserver, "" if there is none.

        Models of ``backends`` have processes of their own. It is one that has fewer of them than it needs, and for 30
        seconds none came or went. Costs a read of /proc while something is loaded, to be paid at least every few
        seconds.
        """
        with self._lock:
            loads = list(self._under_way)
        may_wait = len({load.folder for load in loads} | self._given_up) > THREADS
        watched = (load for load in loads if load.backend in backends)
        return next((load.folder.name for load in watched if load.is_stuck(server, may_wait=may_wait)), "")
