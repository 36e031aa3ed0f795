"""How long `veracity serve` takes until it is ready, by stages, and what it holds in memory while nobody asks it.

Each start is a process of its own. One start comes before those that count, so that the files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from benchmarks import usage
from benchmarks.costs import spread
from benchmarks.printing import show
from benchmarks.target import installed
from evaluation import record
from veracity.server.repository import is_detector
from veracity_client.errors import VeracityError

PORTS = [f"--{name}-port=0" for name in ("http", "grpc", "metrics", "health")]
SERVE = [sys.executable, "-m", "veracity.cli", "serve", *PORTS]
READY_SECONDS, IDLE_MB = 6.0, 1200  # the aims
LIMIT_SECONDS = 900.0  # for one start, on a machine that has other work
MB = 10**6
UP = "tritonserver started"  # the event in the log


@dataclass(frozen=True)
class Start:
    """One start: seconds from the new process to ready, by ``stages`` and by model; MB by process once it rests."""

    ready: float
    stages: Mapping[str, float]
    loads: Mapping[str, float]
    memory: Mapping[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--rounds", type=int, default=5, help="starts that count")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds of rest before the memory is read")


def run(args: argparse.Namespace) -> int:
    """Measure, print tables, write ``results/cold.json``."""
    start_once(args.settle)
    figures = summary([start_once(args.settle) for _ in range(args.rounds)])
    show("cold start, seconds", [{"": "ready", **figures["ready_seconds"]}, *_rows(figures["stages"])])
    show("loading and testing each model, seconds", _rows(figures["loads"]))
    total = {"process": "all", "MB": figures["idle_mb"]["median"]}
    show("idle memory", [{"process": name, "MB": mb} for name, mb in figures["processes_mb"].items()] + [total])
    figures = {"rounds": args.rounds, **installed(), **figures}
    sys.stderr.write(f"written to {record.write('cold', figures)}\n")
    return 0


def start_once(settle: float) -> Start:
    """Start a server, read its log and its memory, and stop it; raises VeracityError where it does not get ready."""
    with tempfile.TemporaryFile("w+") as log:
        began = time.time()
        server = subprocess.Popen(SERVE, stdout=subprocess.PIPE, stderr=log)
        try:
            ready = _ready_at(server) - began
            time.sleep(settle)
            memory = {name: round(size / MB) for name, size in usage.memory_by_name(server.pid).items()}
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()
        log.seek(0)
        events = read_events(log)
    return Start(ready, *stages(events, began, ready), memory)


def _ready_at(server: subprocess.Popen[bytes]) -> float:
    """Wait for the first line on standard output: it comes when every model was loaded and tested."""
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout or -1, selectors.EVENT_READ)
        if not selector.select(LIMIT_SECONDS):
            raise VeracityError(f"the server was not ready within {LIMIT_SECONDS:.0f} s")
    now = time.time()
    if server.stdout is None or not server.stdout.readline():
        raise VeracityError(
            f"the server ended with status {server.wait()} before it was ready: veracity serve says why"
        )
    return now


def read_events(log: IO[str]) -> list[dict[str, Any]]:
    """Return our own lines of a server's log; tritonserver's are not JSON."""
    return [json.loads(line) for line in log if line.startswith("{")]


def stages(
    events: Sequence[Mapping[str, Any]], began: float, ready: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of each stage, and of each model, which load at the same time.

    ``began`` is in seconds of Unix time, ``ready`` in seconds since. Raises VeracityError for a model that failed.
    """
    if failed := [event["model"] for event in events if event["event"] == "load failed"]:
        raise VeracityError(f"these models did not load: {', '.join(failed)}")
    at = {event.get("model", event["event"]): _ended(event) - began for event in events if "seconds" in event}
    took = {event.get("model", event["event"]): float(event["seconds"]) for event in events if "seconds" in event}
    loads = {name: seconds for name, seconds in took.items() if name != UP}
    children = [name for name in loads if not is_detector(name)]
    first, last = min(at[name] - took[name] for name in children), max(at[name] for name in children)
    detectors = max(at[name] for name in loads)
    return {
        "before tritonserver": at[UP] - took[UP],
        "tritonserver up": took[UP],
        "proxy open": first - at[UP],
        "models loaded and tested": last - first,
        "detectors loaded and tested": detectors - last,
        "announced": ready - detectors,
    }, loads


def _ended(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()


def summary(starts: Sequence[Start]) -> dict[str, Any]:
    """Return the figures of all starts."""
    processes = {name: statistics.median(start.memory[name] for start in starts) for name in starts[0].memory}
    return {
        "ready_seconds": spread([start.ready for start in starts]),
        "aims": {"ready_seconds": READY_SECONDS, "idle_mb": IDLE_MB},
        "stages": {name: spread([start.stages[name] for start in starts]) for name in starts[0].stages},
        "loads": {name: spread([start.loads[name] for start in starts]) for name in starts[0].loads},
        "idle_mb": spread([sum(start.memory.values()) for start in starts], 0),
        "processes_mb": dict(sorted(processes.items(), key=lambda item: -item[1])),
    }


def _rows(figures: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [{"": name, **values} for name, values in figures.items()]
