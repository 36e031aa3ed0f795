"""Count requests in flight: a file for each, made by the model process that works on it.

Triton's own count leaves out what is inside its Python backend, and after the death of a process it waits for ever for
what that process was doing.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = "IN_FLIGHT_FOLDER"  # the environment variable that model processes find the folder by

_numbers = itertools.count()


@contextmanager
def counted() -> Iterator[None]:
    """Count a request as in flight inside the block, where a supervisor asks for that."""
    file = Path(os.environ.get(FOLDER, "/nonexistent"), f"{os.getpid()}-{next(_numbers)}")
    with suppress(OSError):  # no supervisor asks, or somebody emptied /tmp: the request goes on
        file.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()


class Requests:
    """What the files in ``folder`` say of requests in flight; those of a process that died stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def count(self, processes: Collection[int]) -> int:
        """Return how many requests the processes work on, or worked on when they died."""
        return sum(_process(file) in processes for file in self.folder.iterdir())

    def seconds(self, process: int) -> float:
        """Return for how long a process has worked on its oldest request; 0 where it has none."""
        began = time.time()
        for file in self.folder.iterdir():
            with suppress(FileNotFoundError):  # it was answered meanwhile
                if _process(file) == process:
                    began = min(began, file.stat().st_mtime)
        return time.time() - began


def _process(file: Path) -> int:
    return int(file.name.partition("-")[0])
