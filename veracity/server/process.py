"""One run of tritonserver: its command line, its ports, its beginning and its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from veracity.server import address, reaper
from veracity.server.binaries import Binaries
from veracity.server.ports import Ports, choose, in_use, listening
from veracity.server.tritonlog import Sink, TritonLog
from veracity_client.errors import ServerUnavailable

GUARD = Path(reaper.__file__)
PORT_ATTEMPTS = 5  # a free port can be taken by another before Triton binds it
START_SECONDS = 60.0
POLL_SECONDS = 0.05
FLUSH_SECONDS = 0.2  # for the last answers to leave the sockets
ERROR = re.compile(r"^\S+ E \d")  # the severity in a line of Triton's
CHATTER = re.compile("CUDA|CudaDriver|NVML|DCGM")  # what every machine without a GPU says
TAKEN = re.compile(r"Socket '\S+:(\d+)' already in use")


@dataclass(frozen=True)
class Launch:
    """How tritonserver is started. Sizes are bytes, times are seconds."""

    repository: Path
    host: str
    ports: Ports
    exit_seconds: int
    http_max_input_size: int
    env: Mapping[str, str] = field(default_factory=dict)
    model_config: str = ""  # of configs/<name>.pbtxt, which a model uses where it has one


class Process:
    """A tritonserver under its guard. ``ports`` holds what it listens on once :meth:`start` has returned."""

    def __init__(self, binaries: Binaries, launch: Launch, run_dir: Path, sink: Sink | None = None) -> None:
        self.log = TritonLog(run_dir / "triton.log", sink)
        self.ports = launch.ports
        self._binaries, self._launch, self._run_dir = binaries, launch, run_dir
        self._guard: subprocess.Popen[bytes] | None = None
        self._bounds_http = _knows(binaries, "--http-max-input-size")

    @property
    def pid(self) -> int:
        """The process id of tritonserver itself."""
        return int((self._run_dir / reaper.PID_FILE).read_text())

    @property
    def grpc_url(self) -> str:
        """``host:port`` as tritonclient takes it."""
        return self.url(self.ports.grpc)

    def url(self, port: int) -> str:
        """Return ``host:port`` of one of the doors, as a client on this machine reaches it."""
        return address.url(self._launch.host, port)

    def start(self, stopping: Callable[[], bool]) -> None:
        """Start and wait until all three doors are open. A restart keeps the ports of the first start.

        Raises:
            ServerUnavailable: a port that was asked for is taken, or Triton ended; the message has its last words.
        """
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.kill()  # of an attempt before; does nothing otherwise
            ports = choose(self._launch.host, self.ports)
            self.log.mark()
            self._spawn(ports)
            if self._wait_open(ports, stopping):
                self.ports = ports
                return
            said = self.log.since_mark()
            if stopping() or attempt == PORT_ATTEMPTS or not self._by_chance(said):
                self.kill()
                raise ServerUnavailable(explain(said, ports))

    def poll(self) -> int | None:
        """Return None while tritonserver runs, else its exit status (128 + n for signal n)."""
        return 0 if (keeper := self._guard) is None else keeper.poll()

    def terminate(self) -> None:
        """Tell tritonserver to end within the grace; told again, it is killed. Returns at once."""
        if (keeper := self._guard) is not None:
            keeper.terminate()

    def stop(self) -> None:
        """End tritonserver, once the last answers have left. Another thread's :meth:`start` comes back too.

        Triton alone would go on to take its models apart, which takes seconds and gains nothing.
        """
        self.terminate()
        if (keeper := self._guard) is not None and keeper.poll() is None:
            time.sleep(FLUSH_SECONDS)
            keeper.terminate()
            keeper.wait()  # its input still open: at the end of that it would remove the run directory, and the log

    def kill(self) -> None:
        """End tritonserver and all below it now: the guard does so when its standard input is closed."""
        if self._guard is None:
            return
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
        self._guard = None

    @property
    def _grace(self) -> float:
        return self._launch.exit_seconds + 1.0  # Triton counts whole seconds

    def _spawn(self, ports: Ports) -> None:
        self._run_dir.mkdir(mode=0o700, exist_ok=True)
        keep = [sys.executable, "-I", "-S", str(GUARD), str(self._grace), str(self._run_dir)]
        with self.log.path.open("ab") as log:
            self._guard = subprocess.Popen(
                [*keep, *self._command(ports)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._binaries.environment, **self._launch.env},
                start_new_session=True,  # Ctrl-C at a terminal is the supervisor's to handle
            )

    def _command(self, ports: Ports) -> list[str]:
        launch, prefix = self._launch, reaper.shared_memory_prefix(self._run_dir)
        options: dict[str, object] = {
            "model-repository": launch.repository,
            "backend-directory": self._binaries.backends,
            "model-control-mode": "explicit",
            "strict-readiness": "true",
            "exit-timeout-secs": launch.exit_seconds,
            "http-address": address.for_http(launch.host),
            "grpc-address": address.for_grpc(launch.host),
            "metrics-address": address.for_http(launch.host),
            "http-port": ports.http,
            "grpc-port": ports.grpc,
            "metrics-port": ports.metrics,
            "backend-config": f"python,shm-region-prefix-name={prefix}",
            "log-format": "ISO8601",
        }
        if self._bounds_http:
            options["http-max-input-size"] = launch.http_max_input_size
        if launch.model_config:
            options["model-config-name"] = launch.model_config
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [str(self._binaries.server), "--disable-auto-complete-config", *flags]  # ours are written by hand

    def _wait_open(self, ports: Ports, stopping: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.poll() is None and time.monotonic() < deadline and not stopping():
            with suppress(OSError, ValueError):  # the reaper has not written the process id yet
                if listening(self.pid).issuperset(ports):
                    return True
            time.sleep(POLL_SECONDS)
        return False

    def _by_chance(self, said: str) -> bool:
        """Return whether Triton failed for a port that we chose ourselves: another choice may do better."""
        taken = TAKEN.search(said)
        return taken is not None and int(taken[1]) not in self.ports


def _knows(binaries: Binaries, option: str) -> bool:
    """Return whether this tritonserver has an option; raises ServerUnavailable when it cannot even say its help."""
    env = {**os.environ, **binaries.environment}
    run = subprocess.run([binaries.server, "--help"], env=env, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    if "--model-repository" not in said:
        raise ServerUnavailable(f"tritonserver does not start: {said.strip()[-300:]}")
    return option in said


def explain(said: str, ports: Ports) -> str:
    """Return why tritonserver did not start on ``ports``, from what it ``said``, in one line."""
    if taken := TAKEN.search(said):
        port = int(taken[1])
        return in_use(next((name for name, own in ports._asdict().items() if own == port), "http"), port)
    lines = [line for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not CHATTER.search(line)]
    severe = [line for line in lines if ERROR.search(line)]
    usage = [line for line in lines if re.search("option|rror", line)]
    return f"tritonserver did not start: {(severe[-1:] or usage or lines or ['it said nothing'])[0]}"
