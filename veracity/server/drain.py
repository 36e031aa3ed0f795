"""Refuse new requests and wait for those in flight."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from veracity.server.control import Control
from veracity.server.health import ModelHealth
from veracity.server.tritonlog import TritonLog

FINALIZED = "TRITONBACKEND_ModelInstanceFinalize"  # in Triton's verbose log when an instance has no request any more
POLL_SECONDS = 0.05
POLLS_PER_INDEX = 10  # Triton's index is read less often: each read writes some lines into the log


def drain(control: Control, models: Sequence[ModelHealth], log: TritonLog, give_up: Callable[[], bool]) -> bool:
    """Unload the models one after the other; returns whether all requests in them were answered.

    Triton's count of requests in flight leaves out those inside the Python backend, and waiting until a model is
    unloaded takes a second per process, sometimes for ever. But Triton finalizes an instance only after its last answer
    and logs that. The log line does not name the model: one belongs to this model, rather than to one unloaded before
    it, when there are more lines than those have processes.
    """
    control.enable_verbose_log()
    log.mark()
    lines_of_others = 0
    for model in models:
        control.unload(model.name)
        if not _wait_until_empty(control, model.name, log, lines_of_others, give_up):
            return False
        lines_of_others += len(model.processes)
    return True


def _wait_until_empty(
    control: Control, model: str, log: TritonLog, lines_of_others: int, give_up: Callable[[], bool]
) -> bool:
    polls = 0
    while log.since_mark().count(FINALIZED) <= lines_of_others:
        if give_up():
            return False
        polls += 1
        if polls % POLLS_PER_INDEX == 0 and model not in control.unloading():
            return True
        time.sleep(POLL_SECONDS)
    return True
