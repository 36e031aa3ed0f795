"""Processes of models that were loaded again: each may finish its requests, then it has to end.

Triton waits for all processes of an unloaded model, for ever when one of them died: without this the others would stay.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from veracity import log
from veracity.in_flight import Requests

IDLE_SECONDS = 5.0  # without a request, after which none is on its way to a process any more

_log = log.get(__name__)


@dataclass
class _Orphan:
    """When a process is killed, by ``time.monotonic``; ``busy`` is when it last had a request."""

    deadline: float
    busy: float


class Orphans:
    """Process ids, each with its time; ``requests`` are those that detectors work on."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._orphans: dict[int, _Orphan] = {}
        self._lock = threading.Lock()

    def add(self, processes: Iterable[int], seconds: float, *, counted: bool) -> None:
        """Give processes ``seconds`` to finish; those whose requests are ``counted`` only until they have none."""
        now = time.monotonic()
        with self._lock:
            self._orphans |= {pid: _Orphan(now + seconds, now if counted else math.inf) for pid in processes}

    def kill_due(self, running: set[int]) -> None:
        """Kill what is due. ``running`` are Triton's children: other ids are forgotten, before they are used again."""
        now = time.monotonic()
        with self._lock:
            self._orphans = {pid: orphan for pid, orphan in self._orphans.items() if pid in running}
            for pid, orphan in self._orphans.items():
                orphan.busy = max(orphan.busy, now if self._requests.count({pid}) else 0.0)
            due = [pid for pid, one in self._orphans.items() if now >= min(one.deadline, one.busy + IDLE_SECONDS)]
            for pid in due:
                del self._orphans[pid]
        for pid in due:
            _log.warning("process of an unloaded model killed", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
