"""Keep one tritonserver and its models alive until the stop, and drain it then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tritonclient.utils import InferenceServerException

from veracity import log
from veracity.server.control import Control, one_line
from veracity.server.drain import drain
from veracity.server.heals import Heals
from veracity.server.health import backoff
from veracity.server.live import LiveWatch
from veracity.server.models import Models
from veracity.server.process import TritonProcess
from veracity.server.repository import Contents
from veracity_client.errors import ServerUnavailable, VeracityError

TICK_SECONDS = 0.5  # between two checks of the processes, each of which reads /proc
STABLE_SECONDS = 60.0  # a tritonserver that ran so long starts with a fresh count of restarts

_log = log.get(__name__)


class Supervisor:
    """Looks after ``process`` and its ``models``, which are those that ``read_repository`` finds at each start."""

    def __init__(
        self,
        process: TritonProcess,
        models: Models,
        read_repository: Callable[[], Contents],
        stopping: threading.Event,
        heals: Heals,
    ) -> None:
        self._process, self._models = process, models
        self._read_repository, self._stopping = read_repository, stopping
        self._live = LiveWatch(process, models.loads, stopping)
        self._restarts, self._heals = 0, heals

    def load(self) -> None:
        """Load the models; raises ServerUnavailable when the stop begins meanwhile."""
        self._live.start()
        with Control(self._process.sockets.connect) as control:
            process = self._process
            self._models.load_all(
                control, self._read_repository(), process.pid, requests=process.requests, reloading=process.reloading
            )
        if self._stopping.is_set():
            raise ServerUnavailable("told to stop while starting")

    def run(self) -> None:
        """Supervise until the stop begins."""
        while not self._stopping.is_set():
            began = time.monotonic()
            self._check_until_it_ends()
            if not self._stopping.is_set():
                self._restart(time.monotonic() - began)

    def drain(self, seconds: float, skip: Callable[[], bool]) -> None:
        """Refuse new requests and give those in flight ``seconds`` to be answered; none once ``skip`` returns true."""
        deadline = time.monotonic() + seconds

        def give_up() -> bool:
            return skip() or time.monotonic() > deadline or self._process.poll() is not None

        if self._process.poll() is not None:
            return
        try:
            with Control(self._process.sockets.connect) as control:
                cut_off = drain(control, self._models.served_detectors(), self._process.requests_in_flight, give_up)
        except InferenceServerException as error:
            _log.warning("not drained", reason=one_line(error))
        else:
            if cut_off:
                _log.warning("requests were cut off", running=cut_off)

    def _check_until_it_ends(self) -> None:
        """Check the models until tritonserver ends or the stop begins."""
        with Control(self._process.sockets.connect) as control:
            while not self._stopping.wait(TICK_SECONDS) and self._process.poll() is None:
                try:
                    self._models.check(control, self._process.pid)
                except InferenceServerException as error:
                    if not self._stopping.is_set() and self._process.is_open and self._process.poll() is None:
                        _log.warning("models not checked", reason=one_line(error))
                except Exception:  # whatever it was, supervision goes on
                    _log.exception("a check of the models failed")
            self._models.end_checks()

    def _restart(self, uptime: float) -> None:
        """Start tritonserver again, after a pause that grows with each early end."""
        self._restarts = 1 if uptime > STABLE_SECONDS else self._restarts + 1
        pause = backoff(self._restarts)
        self._models.mark_all_failed("tritonserver ended and is being restarted")
        event = "tritonserver hung" if self._live.found_hung(self._process.pid) else "tritonserver ended"
        _log.error(event, status=self._process.poll(), restart=self._restarts, next_seconds=pause)
        if self._stopping.wait(pause):
            return
        try:
            self._process.start(self._stopping.is_set)
            self.load()
        except (VeracityError, InferenceServerException) as error:
            if not self._stopping.is_set():
                self._heals.failed("tritonserver")
                _log.error("restart failed", reason=str(error))
        else:
            self._heals.done("tritonserver")
            _log.warning("tritonserver restarted")
