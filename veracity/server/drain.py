"""Take no more requests and wait for those in flight."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from veracity.server.control import Control
from veracity.server.tritonlog import TritonLog
from veracity.server.watch import Watch

EMPTY = "TRITONBACKEND_ModelInstanceFinalize"  # Triton's verbose log, at each process of a model without requests
POLL_SECONDS = 0.05
INDEX_POLLS = 10  # asking Triton costs some lines of its log


def drain(control: Control, watches: Sequence[Watch], log: TritonLog, give_up: Callable[[], bool]) -> bool:
    """Unload the models one after the other; returns whether all requests in them were answered.

    Triton's in-flight count leaves out what runs in the Python backend, and to wait until a model is gone takes a
    second a process, sometimes for ever. But it begins to take a model apart, which it logs, only after the last
    answer. The line has no name: it is known whose it is by how many the models before may still write.
    """
    control.log_verbosely()
    log.mark()
    before = 0
    for watch in watches:
        control.unload(watch.name)
        if not _wait_empty(control, watch.name, partial(_logged, log, before), give_up):
            return False
        before += len(watch.processes)
    return True


def _logged(log: TritonLog, before: int) -> bool:
    return log.since_mark().count(EMPTY) > before


def _wait_empty(control: Control, model: str, logged: Callable[[], bool], give_up: Callable[[], bool]) -> bool:
    polls = 0
    while not logged():
        if give_up():
            return False
        polls += 1
        if polls % INDEX_POLLS == 0 and model not in control.unloading():
            return True
        time.sleep(POLL_SECONDS)
    return True
