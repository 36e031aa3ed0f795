"""Triton's own log: a file of bounded size that can be passed on while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST_BYTES = 8 << 20  # then it is cut
KEPT_BYTES = 1 << 20  # the newest
LOOK_SECONDS = 0.5

Sink = Callable[[bytes], object]


class TritonLog:
    """The log of all restarts of one run. Positions count every byte ever written, also those that were cut off."""

    def __init__(self, path: Path, sink: Sink | None = None) -> None:
        self.path = path
        self._sink = sink
        self._base = self._mark = self._passed = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def mark(self) -> None:
        """Remember the end: :meth:`since_mark` begins here."""
        with self._lock:
            self._mark = self._base + (self.path.stat().st_size if self.path.exists() else 0)

    def since_mark(self) -> str:
        """Return what was written since :meth:`mark`."""
        with self._lock:
            return self._read(self._mark).decode(errors="replace")

    def follow(self) -> None:
        """Pass on and bound from now on, in a thread, until :meth:`close`."""
        self._thread = threading.Thread(target=self._follow, name="triton-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on the last lines: call it when their writer has ended."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Pass on what is new, and cut the file when it is too long."""
        with self._lock:
            if self._sink is not None and (new := self._read(self._passed)):
                self._passed += len(new)
                with suppress(OSError, ValueError):  # nobody listens any more, and Triton serves on
                    self._sink(new)
            if self.path.stat().st_size > LONGEST_BYTES:
                self._cut()

    def _follow(self) -> None:
        with suppress(FileNotFoundError):  # somebody cleaned the folder of temporary files
            while not self._ended.wait(LOOK_SECONDS):
                self.look()
            self.look()

    def _read(self, position: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(max(0, position - self._base))
            return file.read()

    def _cut(self) -> None:
        """Keep the newest bytes. Triton appends, so that it goes on at the new end; a line may fall between."""
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(0)
        with self.path.open("ab") as file:
            file.write(content[-KEPT_BYTES:])
        self._base += len(content) - KEPT_BYTES
