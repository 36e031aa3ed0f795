"""Triton's own log: a file of bounded size whose new content is passed on while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 8 << 20  # then it is cut
KEPT_BYTES = 1 << 20  # the newest
POLL_SECONDS = 0.5

Sink = Callable[[bytes], object]


class TritonLog:
    """The log of all restarts of one run. Positions count every byte ever written, those that were cut off too."""

    def __init__(self, path: Path, sink: Sink | None = None) -> None:
        self.path = path
        self._sink = sink
        self._cut_bytes = self._mark = self._passed_on = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def mark(self) -> None:
        """Remember this point: :meth:`since_mark` begins here."""
        with self._lock:
            self._mark = self._cut_bytes + (self.path.stat().st_size if self.path.exists() else 0)

    def since_mark(self) -> str:
        """Return what was written since :meth:`mark`."""
        with self._lock:
            return self._read(self._mark).decode(errors="replace")

    def follow(self) -> None:
        """Pass on and cut from now on, in a thread, until :meth:`close`."""
        self._thread = threading.Thread(target=self._follow, name="triton-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on the last lines, once their writer has ended."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def poll(self) -> None:
        """Pass on what is new, and cut the file when it is too long."""
        with self._lock:
            if self._sink is not None and (new := self._read(self._passed_on)):
                self._passed_on += len(new)
                with suppress(OSError, ValueError):  # the reader is gone, and Triton goes on
                    self._sink(new)
            if self.path.stat().st_size > MAX_BYTES:
                self._cut()

    def _follow(self) -> None:
        with suppress(FileNotFoundError):  # the run directory was removed by somebody else
            while not self._ended.wait(POLL_SECONDS):
                self.poll()
            self.poll()

    def _read(self, position: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(max(0, position - self._cut_bytes))
            return file.read()

    def _cut(self) -> None:
        """Keep the newest bytes. Triton appends at the new end; a line that it writes meanwhile may be lost."""
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(0)
        with self.path.open("ab") as file:
            file.write(content[-KEPT_BYTES:])
        self._cut_bytes += len(content) - KEPT_BYTES
