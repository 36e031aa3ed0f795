"""How far a run is: a bar on a terminal, else a line every half a minute."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from veracity_client.progress import FilesProgress

LINE_SECONDS = 30.0


class Progress(FilesProgress):
    """Counts files of ``total``, of which ``kept`` have their answer already."""

    def __init__(self, total: int, kept: int, in_flight: int) -> None:
        super().__init__(total, in_flight)
        self._total, self._begun, self._asked = total, kept, 0
        self._since = self._said = time.monotonic()
        for _ in range(kept):
            super().done(asked=False)

    def __enter__(self) -> Progress:
        super().__enter__()
        return self

    def done(self, *, asked: bool = True) -> None:
        """Count a file, and say so from time to time."""
        super().done(asked=asked)
        self._asked += 1
        now = time.monotonic()
        if not sys.stderr.isatty() and now - self._said >= LINE_SECONDS:
            self._said = now
            sys.stderr.write(f"{self.line(now - self._since)}\n")

    def line(self, seconds: float) -> str:
        """Say how far it is after so many seconds, and how long the rest takes at this rate."""
        rate = self._asked / max(seconds, 1e-3)
        done = self._begun + self._asked
        left = timedelta(seconds=round((self._total - done) / rate))
        return f"{done} of {self._total} files, {rate:.2f} a second, about {left} left"
