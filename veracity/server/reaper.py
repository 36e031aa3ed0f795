"""The process between the supervisor and tritonserver: when either ends, nothing of the server is left.

    supervisor ──stdin──▶ guard ──▶ tritonserver ──▶ model processes ──▶ ffmpeg

End of file on stdin means that the supervisor is gone, however it died: kill everything, remove the run directory.
SIGTERM is passed on to tritonserver, which drains; what still lives after the grace, or at a second SIGTERM, is
killed. Started by its path with ``python -I -S`` so that it costs a few MB and 20 ms; hence the standard library alone.

    guard.py GRACE_SECONDS RUN_DIRECTORY COMMAND…
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, where POSIX shared memory lives on Linux
PID_FILE = "tritonserver.pid"


def children(parent: int) -> set[int]:
    """Return the living children of a process, zombies aside."""
    return {pid for pid, (state, ppid) in _processes().items() if ppid == parent and state != "Z"}


def _processes() -> dict[int, tuple[str, int]]:
    found: dict[int, tuple[str, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            found[int(entry.name)] = (state, int(ppid))
    return found


def shared_memory_prefix(run_dir: Path) -> str:
    """Return what the names of this run's shared-memory files begin with: a leftover can be told by its directory."""
    return f"{run_dir.name}-"


def remove_shared_memory(run_dir: Path) -> None:
    """Remove this run's shared-memory files; Triton leaves them behind when it is killed or a model process died."""
    for path in SHARED_MEMORY.glob(shared_memory_prefix(run_dir) + "*"):
        path.unlink(missing_ok=True)


def remove_run(run_dir: Path) -> None:
    """Remove all that a run has left."""
    remove_shared_memory(run_dir)
    shutil.rmtree(run_dir, ignore_errors=True)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_guard() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Collect what ended: tritonserver, or an orphan that came to us as its reaper."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child.pid:
                child.returncode = os.waitstatus_to_exitcode(ended[1])


def _kill_descendants() -> None:
    """Kill until no child is left: grandchildren become ours when their parent dies."""
    while True:
        for pid in children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _watch(child: subprocess.Popen[bytes], wake: int, asked: Callable[[], int], grace: float) -> bool:
    """Wait for tritonserver's end, or until it has to be killed. Returns whether the supervisor is gone."""
    deadline: float | None = None
    while True:
        _reap(child)
        if asked() and deadline is None and child.returncode is None:
            child.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + grace
        left = None if deadline is None else deadline - time.monotonic()
        if child.returncode is not None or asked() > 1 or (left is not None and left <= 0):
            return False
        readable, _, _ = select.select([0, wake], [], [], left)
        if wake in readable:
            os.read(wake, 4096)
        if 0 in readable and not os.read(0, 4096):
            return True


def main(arguments: list[str]) -> int:
    """Run the command of the module's docstring; returns tritonserver's exit status, 128 + n for signal n."""
    grace, run_dir, command = float(arguments[0]), Path(arguments[1]), arguments[2:]
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    seen: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda n, _frame: seen.append(n))
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_guard)
    (run_dir / PID_FILE).write_text(str(child.pid))
    orphaned = _watch(child, wake, lambda: len(seen) - seen.count(signal.SIGCHLD), grace)
    _kill_descendants()
    remove_run(run_dir) if orphaned else remove_shared_memory(run_dir)
    status = -signal.SIGKILL if child.returncode is None else child.returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
