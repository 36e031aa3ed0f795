"""End a tritonserver that answers nothing or never ends a load, so that the supervisor starts it again."""

from __future__ import annotations

import threading
from contextlib import suppress

from tritonclient.utils import InferenceServerException

from veracity import log
from veracity.server.control import Control
from veracity.server.loads import Loads
from veracity.server.process import TritonProcess

INTERVAL_SECONDS = 0.5
TIMEOUT_SECONDS = 2.0  # an answer takes a millisecond, on a machine that is busy with analyses some tens of them
MISSES = 2  # in a row: a server that hangs is ended after 5 seconds

_log = log.get(__name__)


class LiveWatch:
    """Asks in a thread of its own, since whatever else the supervisor asks of a server that hangs waits for it."""

    def __init__(self, process: TritonProcess, loads: Loads, stopping: threading.Event) -> None:
        self._process, self._loads, self._stopping = process, loads, stopping
        self._hung: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="triton-live", daemon=True)

    def start(self) -> None:
        """Watch until the stop begins; does nothing if that began before."""
        if self._thread.ident is None:
            self._thread.start()

    def found_hung(self, server: int) -> bool:
        """Return whether the tritonserver of that process id was ended because it hung."""
        return server in self._hung

    def _run(self) -> None:
        missed = 0
        while not self._stopping.wait(INTERVAL_SECONDS):
            if not self._process.is_open:
                missed = 0
                continue
            missed = 0 if self._answers() else missed + 1
            if missed == MISSES or self._never_ends_a_load():
                self._end()
                missed = 0

    def _end(self) -> None:
        with suppress(OSError, ValueError):  # it ended meanwhile, and its process id is gone or being written anew
            if self._process.is_open and not self._stopping.is_set():
                self._hung.add(self._process.pid)
                self._process.end()

    def _never_ends_a_load(self) -> bool:
        model = ""
        with suppress(OSError, ValueError):
            model = self._loads.stuck(self._process.pid, self._process.backends_in_python)
        if model:
            _log.error("a load never ends: one of the model's processes died before it began", model=model)
        return bool(model)

    def _answers(self) -> bool:
        with Control(self._process.sockets.connect) as control:  # a new one: an old one backs off after failures
            try:
                return control.server_is_live(TIMEOUT_SECONDS)
            except InferenceServerException:
                return False
