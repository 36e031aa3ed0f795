"""What the detectors counted, at the health port: each of their processes counts in files of its own.

Not as Triton's custom metrics: tritonserver 2.51 ends with SIGSEGV where two threads of a process count at one time,
and waits for a process that is killed while it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's variable, which model processes find the folder by


class Counted(Collector):
    """Adds up the files of a folder. A process that died keeps its counts, and so does a tritonserver."""

    def __init__(self, folder: Callable[[], Path | None]) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Read the files; nothing before a detector was started."""
        folder = self._folder()
        if folder is None or not folder.is_dir():
            return []
        read = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]
        return list(read.collect())  # type: ignore[no-untyped-call]
