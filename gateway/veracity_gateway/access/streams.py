"""How many streams of events are open at a time, and until when their caller may have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from veracity_gateway.errors import TooManyRequests

RETRY_SECONDS = 10.0


class Streams:
    """Counts those of this gateway: of each caller, and all together."""

    def __init__(self, *, a_caller: int, most: int) -> None:
        self._a_caller, self._most = a_caller, most
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, caller: str) -> Iterator[None]:
        """Count one until the end of the block; raises :class:`TooManyRequests` where there are as many as may be."""
        if self._open[caller] >= self._a_caller:
            raise TooManyRequests(f"the key has {self._a_caller} streams open, which is the most", RETRY_SECONDS)
        if self._open.total() >= self._most:
            raise TooManyRequests(f"{self._most} streams are open, which is the most", RETRY_SECONDS)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
