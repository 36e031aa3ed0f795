"""How often a key may ask. Requests are counted in this process, jobs in the database.

A row for each request would make every one of them a write, and the libraries that count in memory either start a
thread for it or keep every name for ever; the generic cell rate algorithm needs one number a key. Of several gateways
each grants the rate; the jobs of a day are counted for all of them together.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from veracity_gateway.access.keys import Key
from veracity_gateway.errors import TooManyRequests
from veracity_gateway.jobs.tables import Deletion, Job

MINUTE, DAY = 60, 86_400  # seconds
MOST_NAMES = 10_000  # of which as many are forgotten as are full again


@dataclass(frozen=True)
class Left:
    """What a name has left: requests, the seconds until it has all of them, and until the next; 0 means now."""

    requests: int
    full_in: float
    wait: float


class Rates:
    """Gives each name ``quota`` requests, which come back evenly within ``window`` seconds."""

    def __init__(self, window: float = MINUTE, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, name: str, quota: int) -> Left:
        """Take one request, where there is one left: where ``wait`` is not 0, there was none."""
        with self._lock:
            now, left = self._clock(), self._left(name, quota)
            if left.wait:
                return left
            if len(self._full_at) >= MOST_NAMES:
                self._full_at = {name: at for name, at in self._full_at.items() if at > now}
            self._full_at[name] = max(now, self._full_at.get(name, now)) + self._window / quota
            return replace(self._left(name, quota), wait=0.0)

    def left(self, name: str, quota: int) -> Left:
        """Return what there is left, and take nothing."""
        with self._lock:
            return self._left(name, quota)

    def _left(self, name: str, quota: int) -> Left:
        now, each = self._clock(), self._window / quota
        full_in = max(0.0, self._full_at.get(name, now) - now)
        requests = math.floor((self._window - full_in) / each + 1e-6)
        return Left(max(0, requests), full_in, 0.0 if requests >= 1 else full_in + each - self._window)


def rate_headers(key: Key, left: Left) -> dict[str, str]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers-11: the policies of a key, and what it has left."""
    policies = [f'"minute";q={key.per_minute};w={MINUTE}']
    if key.jobs_a_day is not None:
        policies.append(f'"day";q={key.jobs_a_day};w={DAY}')
    return {
        "RateLimit-Policy": ", ".join(policies),
        "RateLimit": f'"minute";r={left.requests};t={math.ceil(left.full_in)}',
    }


def count_job(session: Session, job: Job) -> None:
    """Refuse a job that was just added, where it is over its key's quota; raises :class:`TooManyRequests`.

    The key is locked until then, so that requests at the same time do not pass together.
    """
    session.get(Key, job.owner, with_for_update=True)
    check_quota(session, job.owner, more=0)


def check_quota(session: Session, owner: str, *, more: int = 1) -> None:
    """Refuse ``more`` jobs where so many are not left of the key's day. Jobs that were deleted since count as well.

    Raises :class:`TooManyRequests`.
    """
    key = session.get(Key, owner)
    if key is None or key.jobs_a_day is None:
        return
    now = time.time()
    made, oldest = 0, now
    for table in (Job, Deletion):
        recent = select(func.count(), func.min(table.created)).where(table.owner == owner, table.created > now - DAY)
        count, first = session.execute(recent).one()
        made, oldest = made + count, min(oldest, first or now)
    if made + more > key.jobs_a_day:
        wait = max(1, math.ceil(oldest + DAY - now))
        said = f"the key may make {key.jobs_a_day} jobs in 24 hours, and there is none left"
        raise TooManyRequests(said, wait, {"RateLimit": f'"day";r=0;t={wait}'})
