"""A process between the supervisor and tritonserver: when either ends, no process of the server is left.

    supervisor ──stdin──▶ reaper ──▶ tritonserver ──▶ model processes ──▶ ffmpeg

Should the reaper itself be killed, the kernel kills tritonserver and its process group: they have the reading end of a
pipe whose only writer is the reaper, and the signal for its end is SIGKILL.

End of file on stdin means that the supervisor has ended, however it died: kill everything, remove the run directory.
SIGTERM is passed on to tritonserver; what still runs after the grace period, or at a second SIGTERM, is killed. The
reaper is started by its path with ``python -I -S``, which costs a few MB and 20 ms, so it uses the standard library
alone.

    reaper.py GRACE_SECONDS RUN_DIRECTORY COMMAND…
"""

from __future__ import annotations

import ctypes
import fcntl
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
F_SETSIG = 10  # asm-generic/fcntl.h
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, where POSIX shared memory lives on Linux
PID_FILE = "pid"  # of the command


def child_processes(parent: int) -> set[int]:
    """Return the running children of a process, without zombies."""
    return {pid for pid, (state, ppid) in _processes().items() if ppid == parent and state != "Z"}


def is_running(pid: int) -> bool:
    """Return whether a process runs: a zombie does not."""
    return _processes().get(pid, ("Z", 0))[0] != "Z"


def _processes() -> dict[int, tuple[str, int]]:
    found: dict[int, tuple[str, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            found[int(entry.name)] = (state, int(ppid))
    return found


def shared_memory_prefix(run_dir: Path) -> str:
    """Return the prefix of this run's shared-memory files, which names its run directory."""
    return f"{run_dir.name}-"


def remove_shared_memory(run_dir: Path) -> None:
    """Remove this run's shared-memory files; Triton leaves them when it is killed or a model process died."""
    for path in SHARED_MEMORY.glob(shared_memory_prefix(run_dir) + "*"):
        path.unlink(missing_ok=True)


def remove_run(run_dir: Path) -> None:
    """Remove what a run left behind."""
    remove_shared_memory(run_dir)
    shutil.rmtree(run_dir, ignore_errors=True)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own that does not outlive this process."""
    reader, _ = os.pipe()  # the writing end is closed when this process ends, and not before
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_reaper, pass_fds=[reader]
    )
    fcntl.fcntl(reader, fcntl.F_SETOWN, -child.pid)
    fcntl.fcntl(reader, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_RDONLY | os.O_ASYNC)
    os.close(reader)
    return child


def _die_with_reaper() -> None:
    """Have the kernel kill tritonserver itself, which may close what it inherits."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Collect the exit status of what ended: tritonserver, or an orphan whose parent this process became."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child.pid:
                child.returncode = os.waitstatus_to_exitcode(ended[1])


def _kill_descendants() -> None:
    """Kill until no child is left: grandchildren become children when their parent dies."""
    while True:
        for pid in child_processes(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _wait(child: subprocess.Popen[bytes], wake: int, stops: Callable[[], int], grace: float) -> bool:
    """Wait until tritonserver ends or has to be killed. Returns whether the supervisor has ended.

    ``wake`` becomes readable at each signal, ``stops`` counts those that told it to stop.
    """
    deadline: float | None = None
    while True:
        _reap(child)
        if stops() and deadline is None and child.returncode is None:
            child.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + grace
        left = None if deadline is None else deadline - time.monotonic()
        if child.returncode is not None or stops() > 1 or (left is not None and left <= 0):
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
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda n, _frame: received.append(n))
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = _spawn(command)
    (run_dir / PID_FILE).write_text(str(child.pid))
    orphaned = _wait(child, wake, lambda: len(received) - received.count(signal.SIGCHLD), grace)
    _kill_descendants()
    remove_run(run_dir) if orphaned else remove_shared_memory(run_dir)
    status = -signal.SIGKILL if child.returncode is None else child.returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
