"""How each loaded model is doing: its processes, its last sign of life, and when to check it again."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from veracity.server.instances import Instances

State = Literal["ready", "unloaded", "missing", "failed"]  # unloaded: by intent, until it is needed
CANARY_SHARE = 20  # canaries of a slow model are so rare that they use at most 1/20 of one instance's time
QUICK_ATTEMPTS = 5  # then loading is tried less often, and logged as critical
LONGEST_BACKOFF = 60.0  # seconds


@dataclass(frozen=True)
class ModelState:
    """What callers are told of a model; ``reason`` says why it is not ready."""

    state: State
    reason: str = ""

    @property
    def serves(self) -> bool:
        """Whether whoever needs the model gets its answer."""
        return self.state in ("ready", "unloaded")


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
    lock: threading.Lock = field(default_factory=threading.Lock)  # of whoever loads, unloads or checks it

    @property
    def is_unloaded(self) -> bool:
        """Whether the model is not loaded, and nothing is to be done about that."""
        return self.next_check == math.inf

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
