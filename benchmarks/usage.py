"""What a running server takes: memory, descriptors, processes, shared memory and files."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from veracity.server import Server
from veracity.server.instances import INSTANCE_ARGUMENT, MODEL_ARGUMENT
from veracity.server.reaper import SHARED_MEMORY, shared_memory_prefix


@dataclass(frozen=True)
class Usage:
    """``seconds`` since the sampling began; sizes are bytes.

    ``memory`` is the sum of the processes' proportional set sizes (PSS): what several share counts once, and shared
    memory that is mapped counts too. ``files`` lie in the run's directory and beside it in ``TMPDIR``.
    """

    seconds: float
    memory: int
    shared_memory: int
    processes: int
    descriptors: int
    files: int


def of(server: Server, temporary: Path, began: float) -> Usage:
    """Look once at all processes from the reapers on down, decoders too."""
    memory = descriptors = count = 0
    for process in processes(server):
        with suppress(psutil.Error, OSError):  # it ended meanwhile
            memory += process.memory_full_info().pss
            descriptors += process.num_fds()
            count += 1
    files = sum(1 for path in temporary.rglob("*") if path.is_file())
    return Usage(time.monotonic() - began, memory, shared_memory(server), count, descriptors, files)


def shared_memory(server: Server) -> int:
    """Return the bytes that this run's files in /dev/shm really take."""
    total = 0
    for path in SHARED_MEMORY.glob(shared_memory_prefix(server.run_dir) + "*"):
        with suppress(OSError):
            total += path.stat().st_blocks * 512
    return total


def processes(server: Server) -> list[psutil.Process]:
    """Return all from the reapers on down that run now."""
    found: list[psutil.Process] = []
    for pid in (server.pid, server.proxy_pid):
        with suppress(psutil.Error, OSError, ValueError):
            reaper = psutil.Process(psutil.Process(pid).ppid())
            found += [reaper, *reaper.children(recursive=True)]
    return found


def memory_by_name(root: int) -> dict[str, int]:
    """Return the bytes (PSS) of a process and all below it: those of models by the model, others by their program."""
    found: dict[str, int] = defaultdict(int)
    for process in (parent := psutil.Process(root), *parent.children(recursive=True)):
        with suppress(psutil.Error, OSError):  # it ended meanwhile
            arguments = process.cmdline()
            model = Path(arguments[MODEL_ARGUMENT]) if len(arguments) > INSTANCE_ARGUMENT else Path()
            served = model.parent.parent.name if model.parent.name.isdecimal() else ""
            name = "supervisor" if process == parent else served or process.name()
            found[name] += process.memory_full_info().pss
    return dict(found)


@contextmanager
def sampled(server: Server, temporary: Path, every: float) -> Iterator[list[Usage]]:
    """Yield a list that a thread fills until the end of the block, a sample every so many seconds."""
    samples: list[Usage] = []
    ended, began = threading.Event(), time.monotonic()

    def work() -> None:
        while not ended.wait(every):
            samples.append(of(server, temporary, began))

    thread = threading.Thread(target=work, name="usage", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
        samples.append(of(server, temporary, began))
