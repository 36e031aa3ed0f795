"""Count requests in flight: a file for each, made by the model process that works on it.

Triton's own count leaves out what is inside its Python backend, and after the death of a process it waits for ever for
what that process was doing.
"""

from __future__ import annotations

import itertools
import os
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


def count(folder: Path, running: Collection[int]) -> int:
    """Return how many requests the ``running`` processes work on."""
    return sum(int(file.name.partition("-")[0]) in running for file in folder.iterdir())
