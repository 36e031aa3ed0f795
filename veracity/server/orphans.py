"""The processes of models that were loaded again: they may finish what they do, then they have to go.

Triton waits for all processes of an unloaded model, for ever when one of them died: the others would stay.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from veracity import log

_log = log.get(__name__)


class Orphans:
    """Processes and when each is killed, in seconds of ``time.monotonic``."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}

    def add(self, processes: Iterable[int], seconds: float) -> None:
        """Give processes so long to finish."""
        self._due |= dict.fromkeys(processes, time.monotonic() + seconds)

    def sweep(self, living: set[int]) -> None:
        """Kill what is due; forget what is not among ``living``, Triton's children, before its number is used again."""
        now = time.monotonic()
        due = [pid for pid, end in self._due.items() if pid in living and now >= end]
        self._due = {pid: end for pid, end in self._due.items() if pid in living and pid not in due}
        for pid in due:
            _log.warning("process of an unloaded model killed", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
