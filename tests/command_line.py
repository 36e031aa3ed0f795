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
