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

from veracity.server.instances import processes

STUCK_SECONDS = 30.0  # Triton starts all processes of a model at once; of one that fails it says so within two seconds


@dataclass
class _Load:
    folder: Path
    due: int
    others: Collection[int]
    seen: frozenset[int] = frozenset()
    since: float = field(default_factory=time.monotonic)

    def is_stuck(self, server: int) -> bool:
        found = frozenset(processes(server, self.folder)).difference(self.others)
        if found != self.seen:
            self.seen, self.since = found, time.monotonic()
        return len(found) < self.due and time.monotonic() - self.since > STUCK_SECONDS


class Loads:
    """Loads of models whose processes can be counted. Any thread may load, one asks for those that are stuck."""

    def __init__(self) -> None:
        self._under_way: list[_Load] = []
        self._lock = threading.Lock()

    @contextmanager
    def under_way(self, folder: Path, due: int, others: Collection[int] = ()) -> Iterator[None]:
        """Count a load inside the block: of the model in ``folder``, to have ``due`` processes beside ``others``."""
        load = _Load(folder, due, others)
        with self._lock:
            self._under_way.append(load)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(load)

    def stuck(self, server: int) -> str:
        """Return the name of a model whose load never ends in that tritonserver, "" if there is none.

        It is one that has fewer processes than it needs, and for 30 seconds none came or went. Costs a read of /proc
        while something is loaded, to be paid at least every few seconds.
        """
        with self._lock:
            loads = list(self._under_way)
        return next((load.folder.name for load in loads if load.is_stuck(server)), "")
