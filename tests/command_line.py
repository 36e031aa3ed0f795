"""``veracity-client analyze`` in a process of its own, for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

QUIET = ["-W", "error", "-W", "ignore:Type google._upb:DeprecationWarning"]  # protobuf 4 on Python 3.12
COMMAND = [sys.executable, *QUIET, "-m", "veracity_client.cli", "analyze"]


def run(
    *arguments: str | bytes | Path, url: str | None = None, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *(["--url", url] if url else []), *arguments]
    variables = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, input=stdin, capture_output=True, env=variables, check=False)


def documents(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]


def in_a_terminal(*arguments: str | Path) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """Return what ran, and what it wrote to standard error, which was a terminal."""
    ours, theirs = os.openpty()
    command, written = [*COMMAND, *map(str, arguments)], b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        while chunk := _read(ours):
            written += chunk
        out, _ = process.communicate()
    os.close(ours)
    return subprocess.CompletedProcess(command, process.returncode, out), written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""
