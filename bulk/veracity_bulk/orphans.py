"""Ends the orphaned processes of a Ray whose starter is gone, also by SIGKILL: Ray's agents outlive that.

Run as a program, ``orphans.py FOLDER``, it waits for the end of its standard input, which its starter holds. Then it
ends every process that has a file of FOLDER open or in its command line, and deletes FOLDER. The standard library is
all that it wants.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "veracity-ray-"
GRACE_SECONDS = 2.0  # in which they end by themselves
END_SECONDS = 30.0
POLL_SECONDS = 0.2


@contextlib.contextmanager
def ended(place: str = "/tmp") -> Iterator[str]:  # noqa: S108 - Ray's sockets want a short name, and mkdtemp a place
    """Yield a new folder for Ray's session, whose processes end with the block or with this process."""
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    command = [sys.executable, "-I", "-S", __file__, folder]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        assert reaper.stdin
        reaper.stdin.close()
        reaper.wait()


def main(folder: str) -> None:
    """Wait for the starter's end, and clean up."""
    ours = {os.getpid(), os.getppid()}
    sys.stdin.read()
    began = time.monotonic()
    while (found := _processes(folder) - ours) and time.monotonic() - began < END_SECONDS:
        if time.monotonic() - began >= GRACE_SECONDS:
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _processes(folder: str) -> set[int]:
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return {pid for pid in pids if _is_of(pid, folder)}


def _is_of(pid: int, folder: str) -> bool:
    """Ray's workers and agents write their own titles over their command lines; their logs they keep open."""
    try:
        if folder.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return True
        return any(str(link.readlink()).startswith(folder) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it ended, or is another user's
        return False


if __name__ == "__main__":
    main(sys.argv[1])
