"""Runs of ``veracity bulk`` in a process of their own, and what is below it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import canned
import psutil
import pyarrow.parquet

from veracity.server import Server

WAIT_SECONDS = 400.0


@contextmanager
def serving(repository: Path) -> Iterator[Server]:
    """A tritonserver with doubles of the detectors that answers two at once."""
    canned.install(repository, 2)
    with Server(repository, canary_seconds=3600.0) as running:
        yield running


def command(server: Server, given: object, out: object, *more: str) -> list[str]:
    options = ["--url", server.grpc_url, "--attempts", "2", "--in-flight", "2", "--cores", "2", *more]
    return [sys.executable, "-m", "veracity.cli", "bulk", str(given), str(out), *options]


def rows_in(out: Path) -> list[dict[str, Any]]:
    parts = sorted((out / "rows").glob("*.parquet"))
    return [row for part in parts for row in pyarrow.parquet.read_table(part).to_pylist()]


def processes(root: int) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(root).children(recursive=True)
    return found


def running(found: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found
