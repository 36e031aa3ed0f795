"""Processes of models that were loaded again: each may finish its request, then it has to end.

Triton waits for all processes of an unloaded model, for ever when one of them died: without this the others would stay.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from veracity import log

_log = log.get(__name__)


class Orphans:
    """Process ids and the time of ``time.monotonic`` at which each is killed."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._lock = threading.Lock()

    def add(self, processes: Iterable[int], seconds: float) -> None:
        """Give processes ``seconds`` to finish."""
        with self._lock:
            self._deadlines |= dict.fromkeys(processes, time.monotonic() + seconds)

    def kill_due(self, running: set[int]) -> None:
        """Kill what is due. ``running`` are Triton's children: other ids are forgotten, before they are used again."""
        now = time.monotonic()
        with self._lock:
            due = [pid for pid, deadline in self._deadlines.items() if pid in running and now >= deadline]
            self._deadlines = {pid: end for pid, end in self._deadlines.items() if pid in running and pid not in due}
        for pid in due:
            _log.warning("process of an unloaded model killed", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
