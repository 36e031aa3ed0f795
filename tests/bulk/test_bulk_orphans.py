"""The orphans of a Ray whose starter is gone: processes with an open file or an argument in its folder."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from veracity_bulk import orphans

STARTER = """
import subprocess, sys
from veracity_bulk import orphans
with orphans.ended() as folder:
    held = open(folder + "/log", "w")
    log = subprocess.Popen(["sleep", "1000"], stdout=held, start_new_session=True)
    named = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", folder], start_new_session=True)
    print(folder, log.pid, named.pid, flush=True)
    sys.stdin.read()
"""
WAIT_SECONDS = 60.0


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "Z (" not in status.read_text()


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_nothing_is_left(end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        folder, *pids = starter.stdout.readline().split()
        assert Path(folder).name.startswith(orphans.PREFIX)
        assert all(alive(int(pid)) for pid in pids)
        if end == "killed":
            starter.kill()
        starter.communicate("")
    deadline = time.monotonic() + WAIT_SECONDS
    while any(alive(int(pid)) for pid in pids) or Path(folder).exists():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    assert starter.returncode == (-signal.SIGKILL if end == "killed" else 0)
