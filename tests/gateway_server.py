"""A gateway as ``veracity gateway`` serves it, on a free port, in a thread of the test's process."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity_gateway.command import make_server
from veracity_gateway.settings import Settings

COMMAND = (sys.executable, "-m", "veracity.cli", "gateway")
NOWHERE = "localhost:1"  # no Veracity server answers there
START_SECONDS = 30.0


def settings_in(folder: Path, **given: Any) -> Settings:
    """Settings of a gateway that keeps everything in a folder, by default in front of no server."""
    return Settings(**{"data": folder, "urls": (NOWHERE,), "jobs_at_once": 1, "port": 0, **given})


@contextmanager
def gateway(settings: Settings) -> Iterator[str]:
    """Serve until the end of the block; gives the base URL."""
    server = make_server(settings)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        until = time.monotonic() + START_SECONDS
        while not server.started:
            assert thread.is_alive(), "the gateway did not start; see its log above"
            assert time.monotonic() < until, f"the gateway did not start within {START_SECONDS} s"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        assert not thread.is_alive(), "the gateway did not end"


@contextmanager
def running_gateway(*arguments: str | Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``veracity gateway`` in front of no server; gives its base URL and the process, whose log is standard error.

    SIGTERM ends it, which it has to follow.
    """
    command = [*COMMAND, "--url", NOWHERE, "--port", "0", *arguments]
    variables = os.environ | environment
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stderr
            said = process.stdout.readline()
            assert said.startswith("gateway  http://"), said + process.stderr.read()
            yield said.split()[1], process
        finally:
            process.terminate()
            assert process.wait(START_SECONDS) == 0
