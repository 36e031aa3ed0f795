"""What takes long, such as a PDF, in threads of its own, so that it holds up no other request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from veracity_client.errors import Overloaded

MOST_WAITING = 8

Result = TypeVar("Result")


class SlowWork:
    """Runs calls in threads, ``at_once`` of them at a time. A few may wait; more are refused."""

    def __init__(self, at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self._most = at_once + MOST_WAITING
        self._asked = 0

    async def run(self, call: Callable[..., Result], *args: object) -> Result:
        """Call in a thread; raises :class:`Overloaded`."""
        if self._asked >= self._most:
            raise Overloaded("reports and archives are being made for others; ask again in a few seconds")
        self._asked += 1
        try:
            return await anyio.to_thread.run_sync(partial(call, *args), limiter=self._limiter)
        finally:
            self._asked -= 1
