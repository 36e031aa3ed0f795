"""A private directory for each run, and the removal of what crashed runs left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from veracity import log
from veracity.server.reaper import remove_run

PREFIX = "veracity-server-"
LOCK = "lock"
ADDRESS = "address"  # of the run's gRPC port, for whoever looks for it by that

_log = log.get(__name__)


@dataclass(frozen=True)
class RunDir:
    """A directory of mode 0700 whose lock the kernel releases when its owner dies, however that happens."""

    path: Path
    lock: BinaryIO  # closed twice, a bare descriptor would close what has its number by then

    def remove(self) -> None:
        """Remove the directory and this run's shared-memory files. May be called twice."""
        remove_run(self.path)
        self.lock.close()


def create() -> RunDir:
    """Make a run directory, after removing those of our own runs that are dead.

    A lock tells which are, not a process id: ids are used again, and differ between containers that share ``/tmp``.
    """
    remove_stale()
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    hidden = path / f".{LOCK}"
    lock = hidden.open("xb", buffering=0)
    fcntl.flock(lock, fcntl.LOCK_EX)
    hidden.rename(path / LOCK)  # so that no lock is ever seen under this name before it is held
    return RunDir(path, lock)


def live() -> list[Path]:
    """Return the directories of our own runs that are under way."""
    locks = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}")
    return [path.parent for path in locks if path.stat().st_uid == os.getuid() and not _is_free(path)]


def remove_stale() -> list[Path]:
    """Remove the run directories whose owner died without doing so; returns them."""
    locks = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}")
    stale = [path.parent for path in locks if _is_free(path)]
    for path in stale:
        _kill_orphans(path.name)
        remove_run(path)
        _log.info("removed a crashed run", run=path.name)
    return stale


def _kill_orphans(run: str) -> None:
    """Kill the model processes of a dead run; one that waits for a lock its server died with would wait for ever."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended, or belongs to another user
            program, *arguments = entry.read_text(errors="replace").split("\0")
            if Path(program).name.startswith(("triton", "envoy")) and run in program + " ".join(arguments):
                os.kill(int(entry.parent.name), signal.SIGKILL)


def _is_free(lock: Path) -> bool:
    try:
        if lock.stat().st_uid != os.getuid():
            return False
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or another start was faster
        return False
    return True
