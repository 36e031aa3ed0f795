"""Stop a server on SIGINT or SIGTERM.

Nothing runs in the signal handlers: one that takes a lock which the interrupted code holds waits for ever, and a second
signal may interrupt the handler of the first. Python's own C code writes each signal's number to a socket, and a thread
of ours reads it there.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TOGETHER_SECONDS = 1.0  # `timeout`, process managers and terminals send both signals, or one twice, for a single stop


class Stoppable(Protocol):
    """What the signals stop."""

    def request_stop(self, *, drain: bool = True) -> None:
        """Begin to stop and return at once."""


@contextmanager
def stop_on_signals(server: Stoppable) -> Iterator[None]:
    """Stop ``server`` on the first signal; on one that comes later than :data:`TOGETHER_SECONDS`, without draining."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    thread = threading.Thread(target=_listen, args=(reader, server), name="stop-signals", daemon=True)
    thread.start()
    outer = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _ignore) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(outer)
        writer.close()  # the thread reads the end
        thread.join()
        reader.close()


def _ignore(*_: object) -> None:
    """Do nothing: the thread does."""


def _listen(reader: socket.socket, server: Stoppable) -> None:
    first: float | None = None
    while number := reader.recv(1):
        if number[0] not in SIGNALS:
            continue
        if first is None:
            first = time.monotonic()
            server.request_stop()
        elif time.monotonic() - first > TOGETHER_SECONDS:
            server.request_stop(drain=False)
