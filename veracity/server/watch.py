"""How each loaded model is doing: which processes it has, when it answered last, when to look again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ready", "missing", "failed"]
CANARY_SHARE = 20  # canaries of a slow model come seldom enough to use at most 1/20 of one instance's time
QUICK_ATTEMPTS = 5  # then healing goes on, seldom and loudly
LONGEST_BACK_OFF = 60.0  # seconds


@dataclass(frozen=True)
class ModelState:
    """What a caller is told of a model; ``reason`` says why it is not ready."""

    state: State
    reason: str = ""


def back_off(attempt: int) -> float:
    """Return the seconds before attempt ``attempt`` (from 1): 0, 1, 2, 4, 8, then the longest."""
    if attempt > QUICK_ATTEMPTS:
        return LONGEST_BACK_OFF
    return 0.0 if attempt <= 1 else 2.0 ** (attempt - 2)


@dataclass
class Watch:
    """The supervisor's notes on one model. Times are of ``time.monotonic``."""

    name: str
    processes: frozenset[int] = frozenset()
    successes: int = 0
    alive: float = field(default_factory=time.monotonic)
    next_look: float = 0.0
    attempts: int = 0

    def down(self, pause: float) -> None:
        """Note that it is not served, and when to try to load it again."""
        self.processes, self.next_look = frozenset(), time.monotonic() + pause

    def lost(self, living: set[int]) -> bool:
        """Return whether a process of the model has died."""
        return not self.processes <= living

    def looked(self, took: float, least: float) -> None:
        """Plan the next canary after one of ``took`` seconds."""
        self.next_look = time.monotonic() + max(least, took * CANARY_SHARE)

    def progressed(self, successes: int, least: float) -> bool:
        """Return whether requests were answered since the last look, which makes a canary needless."""
        before, self.successes = self.successes, successes
        if successes <= before:
            return False
        self.answered(0.0, least)
        return True

    def answered(self, took: float, least: float) -> None:
        """Note a sign of life."""
        self.alive, self.attempts = time.monotonic(), 0
        self.looked(took, least)
