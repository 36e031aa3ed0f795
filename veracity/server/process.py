"""One tritonserver: its start, its end, and why it did not start."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from veracity import in_flight, log, reloading, residency
from veracity.in_flight import Requests
from veracity.reloading import Reloading
from veracity.server import counted, reaper
from veracity.server.binaries import Binaries
from veracity.server.launch import Launch, known_options
from veracity.server.sockets import Sockets
from veracity.server.tritonlog import Sink, TritonLog
from veracity_client.errors import ServerUnavailable

REAPER = Path(reaper.__file__)
START_SECONDS = 60.0
POLL_SECONDS = 0.05
FLUSH_SECONDS = 0.2  # for the last answers to leave the sockets
ERROR = re.compile(r"^\S+ E \d")  # the severity in a line of Triton's
NO_GPU = re.compile("CUDA|CudaDriver|NVML|DCGM")  # errors that every machine without a GPU logs

_log = log.get(__name__)


class TritonProcess:
    """A tritonserver below its reaper, listening on ``sockets``."""

    def __init__(self, binaries: Binaries, launch: Launch, sockets: Sockets, sink: Sink | None = None) -> None:
        self.log = TritonLog(sockets.directory / "triton.log", sink)
        self.sockets = sockets
        self._binaries, self._launch, self._run_dir = binaries, launch, sockets.directory
        self._reaper: subprocess.Popen[bytes] | None = None
        self._newer = known_options(binaries)
        self.counts = sockets.directory / "counts"
        self.requests = Requests(sockets.directory / "in_flight")
        self.reloading = Reloading(sockets.directory / "reloading")
        self.is_open = False  # from a start that succeeded to the next

    @property
    def backends_in_python(self) -> set[str]:
        """The backends whose models have processes of their own."""
        return self._binaries.backends_in_python

    @property
    def pid(self) -> int:
        """The process id of tritonserver itself."""
        return int((self._run_dir / reaper.PID_FILE).read_text())

    def start(self, stopping: Callable[[], bool]) -> None:
        """Start and wait until all sockets are open.

        Raises:
            ServerUnavailable: Triton ended; the message has its last error.
        """
        self.is_open = False
        self.kill()  # what is left of the one before
        reaper.remove_shared_memory(self._run_dir)  # where the reaper was killed itself
        self._run_dir.mkdir(mode=0o700, exist_ok=True)
        self.sockets.prepare()
        self.log.mark()
        began = time.monotonic()
        self._spawn()
        if not self._wait_until_open(stopping):
            printed = self.log.since_mark()
            self.kill()
            raise ServerUnavailable(explain(printed))
        self.is_open = True
        _log.info("tritonserver started", seconds=round(time.monotonic() - began, 2))

    def requests_in_flight(self) -> int:
        """Return how many requests the detectors work on."""
        return self.requests.count(reaper.child_processes(self.pid))

    def poll(self) -> int | None:
        """Return None while tritonserver runs, else its exit status (128 + n for signal n)."""
        return 0 if (running := self._reaper) is None else running.poll()

    def terminate(self) -> None:
        """Tell tritonserver to end within the grace period; told again, it is killed. Returns at once."""
        if (running := self._reaper) is not None:
            running.terminate()

    def end(self) -> None:
        """Have tritonserver and all processes below it killed; the run directory stays. Returns at once."""
        if (running := self._reaper) is not None:
            self.is_open = False
            running.send_signal(signal.SIGTERM)
            running.send_signal(signal.SIGINT)  # the second signal kills; two equal ones could arrive as one

    def stop(self) -> None:
        """End tritonserver, once the last answers have left. Another thread's :meth:`start` returns too.

        Triton alone would go on to unload its models, which takes seconds and gains nothing.
        """
        self.terminate()
        if (running := self._reaper) is not None and running.poll() is None:
            time.sleep(FLUSH_SECONDS)
            running.terminate()
            running.wait()  # with its input open: at the end of that it would remove the run directory, and the log

    def kill(self) -> None:
        """End tritonserver and all processes below it now: the reaper does so when its standard input is closed."""
        if self._reaper is None:
            return
        if self._reaper.stdin is not None:
            self._reaper.stdin.close()
        self._reaper.wait()
        self._reaper = None

    def _spawn(self) -> None:
        folders = {in_flight.FOLDER: self.requests.folder, reloading.FOLDER: self.reloading.folder}
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)  # of processes that are no more
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders[counted.FOLDER] = self.counts
        if self._launch.lazy:
            folders[residency.SOCKET] = self.sockets.residency
        self.counts.mkdir(mode=0o700, exist_ok=True)  # counts go on
        grace = self._launch.exit_seconds + 1.0  # Triton counts whole seconds
        python = [sys.executable, "-I", "-S", str(REAPER), str(grace), str(self._run_dir)]
        with self.log.path.open("ab") as log:
            self._reaper = subprocess.Popen(
                [*python, *self._launch.command(self._binaries, self.sockets, self._newer)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._launch.environment(self._binaries) | {name: str(path) for name, path in folders.items()},
                start_new_session=True,  # Ctrl-C at a terminal is for the supervisor alone
            )

    def _wait_until_open(self, stopping: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        waiting = {self.sockets.http, self.sockets.grpc, self.sockets.metrics}
        while self.poll() is None and time.monotonic() < deadline and not stopping():
            waiting = {path for path in waiting if not _is_open(path)}
            if not waiting:
                return True
            time.sleep(POLL_SECONDS)
        return False


def _is_open(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(bytes(path)) == 0


def explain(printed: str) -> str:
    """Return in one line why tritonserver did not start, from what it ``printed``."""
    lines = [line for line in printed.splitlines() if line.strip() and not NO_GPU.search(line)]
    errors = [line for line in lines if ERROR.search(line)]
    usage = [line for line in lines if re.search("option|rror", line)]
    return f"tritonserver did not start: {(errors[-1:] or usage or lines or ['it printed nothing'])[0]}"
