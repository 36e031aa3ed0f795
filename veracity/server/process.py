"""One tritonserver: its start, its end, and why it did not start."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from veracity.server import address, reaper
from veracity.server.binaries import Binaries
from veracity.server.launch import Launch, limits_http
from veracity.server.ports import Ports, choose, in_use, listening
from veracity.server.tritonlog import Sink, TritonLog
from veracity_client.errors import ServerUnavailable

REAPER = Path(reaper.__file__)
PORT_ATTEMPTS = 5  # another process can take a free port before Triton binds it
START_SECONDS = 60.0
POLL_SECONDS = 0.05
FLUSH_SECONDS = 0.2  # for the last answers to leave the sockets
ERROR = re.compile(r"^\S+ E \d")  # the severity in a line of Triton's
NO_GPU = re.compile("CUDA|CudaDriver|NVML|DCGM")  # errors that every machine without a GPU logs
PORT_IN_USE = re.compile(r"Socket '\S+:(\d+)' already in use")


class TritonProcess:
    """A tritonserver below its reaper. ``ports`` are those it listens on once :meth:`start` has returned."""

    def __init__(self, binaries: Binaries, launch: Launch, run_dir: Path, sink: Sink | None = None) -> None:
        self.log = TritonLog(run_dir / "triton.log", sink)
        self.ports = launch.ports
        self._binaries, self._launch, self._run_dir = binaries, launch, run_dir
        self._reaper: subprocess.Popen[bytes] | None = None
        self._limit_http = limits_http(binaries)

    @property
    def pid(self) -> int:
        """The process id of tritonserver itself."""
        return int((self._run_dir / reaper.PID_FILE).read_text())

    @property
    def grpc_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self.url(self.ports.grpc)

    def url(self, port: int) -> str:
        """Return ``host:port`` of one of the endpoints, as a client on this machine reaches it."""
        return address.url(self._launch.host, port)

    def start(self, stopping: Callable[[], bool]) -> None:
        """Start and wait until all three endpoints are open. A restart keeps the ports of the first start.

        Raises:
            ServerUnavailable: a port cannot be had, or Triton ended; the message has its last error.
        """
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.kill()  # of an attempt before; does nothing otherwise
            ports = choose(self._launch.host, self.ports)
            self.log.mark()
            self._spawn(ports)
            if self._wait_until_open(ports, stopping):
                self.ports = ports
                return
            printed = self.log.since_mark()
            if stopping() or attempt == PORT_ATTEMPTS or not self._lost_a_free_port(printed):
                self.kill()
                raise ServerUnavailable(explain(printed, ports))

    def poll(self) -> int | None:
        """Return None while tritonserver runs, else its exit status (128 + n for signal n)."""
        return 0 if (running := self._reaper) is None else running.poll()

    def terminate(self) -> None:
        """Tell tritonserver to end within the grace period; told again, it is killed. Returns at once."""
        if (running := self._reaper) is not None:
            running.terminate()

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

    def _spawn(self, ports: Ports) -> None:
        self._run_dir.mkdir(mode=0o700, exist_ok=True)
        grace = self._launch.exit_seconds + 1.0  # Triton counts whole seconds
        python = [sys.executable, "-I", "-S", str(REAPER), str(grace), str(self._run_dir)]
        command = self._launch.command(self._binaries, ports, self._run_dir, limit_http=self._limit_http)
        with self.log.path.open("ab") as log:
            self._reaper = subprocess.Popen(
                [*python, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._launch.environment(self._binaries),
                start_new_session=True,  # Ctrl-C at a terminal is for the supervisor alone
            )

    def _wait_until_open(self, ports: Ports, stopping: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.poll() is None and time.monotonic() < deadline and not stopping():
            with suppress(OSError, ValueError):  # the reaper has not written the process id yet
                if listening(self.pid).issuperset(ports):
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def _lost_a_free_port(self, printed: str) -> bool:
        """Return whether Triton failed for a port that was chosen here, so that another choice may do better."""
        taken = PORT_IN_USE.search(printed)
        return taken is not None and int(taken[1]) not in self.ports


def explain(printed: str, ports: Ports) -> str:
    """Return in one line why tritonserver did not start on ``ports``, from what it ``printed``."""
    if taken := PORT_IN_USE.search(printed):
        port = int(taken[1])
        return in_use(next((name for name, own in ports._asdict().items() if own == port), "http"), port)
    lines = [line for line in printed.splitlines() if line.strip() and not NO_GPU.search(line)]
    errors = [line for line in lines if ERROR.search(line)]
    usage = [line for line in lines if re.search("option|rror", line)]
    return f"tritonserver did not start: {(errors[-1:] or usage or lines or ['it printed nothing'])[0]}"
