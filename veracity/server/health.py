"""How each loaded model is doing: its processes, its last sign of life, and when to check it again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from veracity.server.instances import Instances

State = Literal["ready", "missing", "failed"]
CANARY_SHARE = 20  # canaries of a slow model are so rare that they use at most 1/20 of one instance's time
QUICK_ATTEMPTS = 5  # then loading is tried less often, and logged as critical
LONGEST_BACKOFF = 60.0  # seconds


@dataclass(frozen=True)
class ModelState:
    """What callers are told of a model; ``reason`` says why it is not ready."""

    state: State
    reason: str = ""


def backoff(attempt: int) -> float:
    """Return the seconds before attempt ``attempt`` (from 1): 0, 1, 2, 4, 8, then the longest."""
    if attempt > QUICK_ATTEMPTS:
        return LONGEST_BACKOFF
    return 0.0 if attempt <= 1 else 2.0 ** (attempt - 2)


@dataclass
class ModelHealth:
    """What the supervisor knows of one model. Times are of ``time.monotonic``, ``interval`` is in seconds."""

    name: str
    processes: dict[int, str] = field(default_factory=dict)  # process id to the name of its instance
    instances: Instances | None = None  # as they were loaded
    successes: int = 0
    last_alive: float = field(default_factory=time.monotonic)
    next_check: float = 0.0
    failed_attempts: int = 0

    def process_died(self, running: set[int]) -> bool:
        """Return whether a process of the model is no longer among those ``running``."""
        return not self.processes.keys() <= running

    def mark_down(self, pause: float) -> None:
        """Note that the model is not served, and in how many seconds to load it again."""
        self.processes, self.next_check = {}, time.monotonic() + pause

    def mark_alive(self, took: float, interval: float) -> None:
        """Note a sign of life: an answer after ``took`` seconds."""
        self.last_alive, self.failed_attempts = time.monotonic(), 0
        self.schedule(took, interval)

    def mark_progress(self, successes: int, interval: float) -> bool:
        """Return whether requests were answered since the last check, which makes a canary unnecessary."""
        before, self.successes = self.successes, successes
        if successes <= before:
            return False
        self.mark_alive(0.0, interval)
        return True

    def schedule(self, took: float, interval: float) -> None:
        """Plan the next check after one of ``took`` seconds."""
        self.next_check = time.monotonic() + max(interval, took * CANARY_SHARE)
