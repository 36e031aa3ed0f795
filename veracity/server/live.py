"""End a tritonserver that runs and answers nothing, so that the supervisor starts it again."""

from __future__ import annotations

import threading

from tritonclient.utils import InferenceServerException

from veracity.server.control import Control
from veracity.server.process import TritonProcess

INTERVAL_SECONDS = 0.5
TIMEOUT_SECONDS = 2.0  # an answer takes a millisecond, on a machine that is busy with analyses some tens of them
MISSES = 2  # in a row: a server that hangs is ended after 5 seconds


class LiveWatch:
    """Asks in a thread of its own, since whatever else the supervisor asks of a server that hangs waits for it."""

    def __init__(self, process: TritonProcess, stopping: threading.Event) -> None:
        self._process, self._stopping = process, stopping
        self._hung: set[int] = set()

    def start(self) -> None:
        """Watch until the stop begins."""
        threading.Thread(target=self._run, name="triton-live", daemon=True).start()

    def found_hung(self, server: int) -> bool:
        """Return whether the tritonserver of that process id was ended because it hung."""
        return server in self._hung

    def _run(self) -> None:
        missed = 0
        while not self._stopping.wait(INTERVAL_SECONDS):
            if not self._process.is_open or self._answers():
                missed = 0
                continue
            missed += 1
            if missed == MISSES and self._process.is_open and not self._stopping.is_set():
                self._hung.add(self._process.pid)
                self._process.end()
                missed = 0

    def _answers(self) -> bool:
        with Control(self._process.sockets.connect) as control:  # a new one: an old one backs off after failures
            try:
                return control.server_is_live(TIMEOUT_SECONDS)
            except InferenceServerException:
                return False
