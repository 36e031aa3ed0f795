"""Wall and CPU seconds of a piece of work, and the spread of repeated measurements."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Named = TypeVar("Named")


@dataclass
class Cost:
    """Seconds; ``own_cpu`` is this process's, ``children_cpu`` that of the programs that it ran and waited for."""

    wall: float = 0.0
    own_cpu: float = 0.0
    children_cpu: float = 0.0

    @property
    def cpu(self) -> float:
        """The CPU seconds of all."""
        return self.own_cpu + self.children_cpu


@contextmanager
def measured() -> Iterator[Cost]:
    """Yield a cost that is filled in at the end of the block."""
    cost = Cost()
    wall, own, children = time.perf_counter(), _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)
    yield cost
    cost.wall = time.perf_counter() - wall
    cost.own_cpu = _cpu(resource.RUSAGE_SELF) - own
    cost.children_cpu = _cpu(resource.RUSAGE_CHILDREN) - children


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return the smallest, the median and the largest."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def in_rounds(names: Sequence[Named], rounds: int, work: Callable[[Named], None]) -> None:
    """Do the work of each name once a round, every other round backwards, so that a drift of speed is nobody's."""
    for number in range(rounds):
        for name in names[:: -1 if number % 2 else 1]:
            work(name)
