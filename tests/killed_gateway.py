"""A gateway of its own process that dies in the middle of its work."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_server import NOWHERE

SETTINGS = {"FETCH_PRIVATE": "true", "JOBS_AT_ONCE": "1", "LEASE_SECONDS": "2"}


@contextmanager
def killed_at_the_end(folder: Path) -> Iterator[str]:
    """Serve from a folder until the end of the block, and no longer: SIGKILL."""
    command = [sys.executable, "-m", "veracity.cli", "gateway", "--url", NOWHERE, "--port", "0", "--data", str(folder)]
    env = os.environ | {f"VERACITY_GATEWAY_{name}": value for name, value in SETTINGS.items()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[1]
        finally:
            process.send_signal(signal.SIGKILL)
