"""How a decoder is started, under its limits and isolated, and how its end is heard of."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress

from veracity.media.isolation import Grants, Level, confine, confined_from_within
from veracity_client.errors import VeracityError

ENVIRONMENT = {"LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1", "MALLOC_ARENA_MAX": "2"}  # each arena counts 64 MiB


class Launched:
    """A started process. It has a thread of its own, which starts it and waits for its end.

    The thread is confined and cannot be freed any more; and the death signal is that of the thread, not of the process.
    ``waiting`` are set when it has ended, as ``ended`` is.
    """

    def __init__(
        self, command: Sequence[str], limits: Mapping[str, object], isolation: Level, source: int, out: int, err: int,
        grants: Grants | None = None,
    ) -> None:  # fmt: skip
        """Raises OSError where no process, thread or memory is left."""
        self.ended = asyncio.Event()
        self.waiting: set[asyncio.Event] = {self.ended}
        self.status: int | None = None
        self._loop = asyncio.get_running_loop()
        self._program = shutil.which(command[0]) or command[0]
        self._isolated, self._environment = isolation != "off" and grants is None, ENVIRONMENT
        before = _launcher(limits)
        if grants is not None:
            self._environment = ENVIRONMENT | grants.environment
            before += confined_from_within(self._program, grants) if isolation != "off" else []
        self._command = [*before, *command]
        started: Future[subprocess.Popen[bytes]] = Future()
        thread = threading.Thread(target=self._run, args=(started, source, out, err), name="decoder", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread is left
            raise OSError(str(error)) from error
        self._process = started.result()

    def kill(self) -> None:
        """End the whole process group at once."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self, started: Future[subprocess.Popen[bytes]], source: int, out: int, err: int) -> None:
        try:
            if self._isolated:
                confine(self._program, source)
            process = subprocess.Popen(
                self._command, stdin=source, stdout=out, stderr=err,
                env=self._environment, cwd="/", start_new_session=True,
            )  # fmt: skip
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._bury)

    def _bury(self) -> None:
        """End what is left of its group, then let go of its number."""
        self.kill()
        self.status = self._process.wait()
        for event in self.waiting:
            event.set()


def _launcher(limits: Mapping[str, object]) -> list[str]:
    """Return the command in front of a decoder's: its limits, and that it dies with us."""
    found = {name: shutil.which(name) for name in ("prlimit", "setpriv")}
    if missing := [name for name, path in found.items() if path is None]:
        raise VeracityError(f"{missing[0]} is missing, no media is decoded without it: apt-get install util-linux")
    bounds = (f"--{name}={value}" for name, value in limits.items())
    return [f"{found['prlimit']}", *bounds, "--", f"{found['setpriv']}", "--pdeathsig", "KILL", "--"]
