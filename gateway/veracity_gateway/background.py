"""Work beside the requests: what goes wrong there is logged, and the work goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog

from veracity_gateway.database import AWAY

log = structlog.get_logger()

AGAIN_SECONDS = 1.0

Result = TypeVar("Result")


async def for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Begin again what ended with a fault: one job must not stop the others."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the background work met a fault of ours; it begins again")
        await anyio.sleep(AGAIN_SECONDS)


async def safely(
    call: Callable[..., Result],
    *args: object,
    limiter: anyio.CapacityLimiter | None = None,
    away: Callable[[], None] | None = None,
) -> Result | None:
    """Call in a thread; None after a pause where the database is ``away`` or a fault of ours was met: it is logged."""
    try:
        return await anyio.to_thread.run_sync(partial(call, *args), limiter=limiter)
    except AWAY as error:
        log.warning("the database does not answer", error=type(error).__name__)
        if away:
            away()
    except Exception:
        log.exception("the background work met a fault of ours")
    await anyio.sleep(AGAIN_SECONDS)
    return None
