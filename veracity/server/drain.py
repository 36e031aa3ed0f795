"""Refuse new requests and wait for those in flight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from veracity.server.control import Control

POLL_SECONDS = 0.1
EMPTY_POLLS = 3  # in a row: a request that leaves Triton's queue is in no count for some milliseconds


def drain(control: Control, models: Iterable[str], in_flight: Callable[[], int], give_up: Callable[[], bool]) -> int:
    """Unload models, whose queues Triton goes on to serve; returns how many requests ``give_up`` cut off."""
    for model in models:
        control.unload(model)
    empty = 0
    while empty < EMPTY_POLLS:
        left = in_flight()
        empty = 0 if left else empty + 1
        if give_up():
            return left
        time.sleep(POLL_SECONDS)
    return 0
