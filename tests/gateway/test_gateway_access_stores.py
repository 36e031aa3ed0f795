"""Keys, sessions and quotas in both databases that a gateway may have."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gateway_stores
import pytest
from gateway_server import settings_in

from veracity_gateway.errors import TooManyRequests
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import NewJob


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    if request.param == "sqlite":
        gateway = Gateway(settings_in(tmp_path))
        yield gateway
        gateway.database.close()
        return
    with gateway_stores.postgresql() as url:
        gateway = Gateway(settings_in(tmp_path / "data", database=url))
        yield gateway
        gateway.database.close()


def test_a_quota_holds_for_requests_at_the_same_time(opened: Gateway) -> None:
    opened.keys.add("busy", ["analyze"], 600, jobs_a_day=3)
    owner = opened.keys.all()[0].id

    def ask(_: int) -> bool:
        try:
            opened.jobs.begin(NewJob(owner, "clip.mp4", "{}"))
        except TooManyRequests:
            return False
        return True

    assert opened.jobs is not None  # made once, before the threads
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(ask, range(16)))
    assert made.count(True) == 3


def test_sessions_and_keys_are_found(opened: Gateway) -> None:
    key = opened.keys.find(opened.keys.add("Ann", ["read"], 600))
    assert key
    first, second = opened.sessions.begin(key), opened.sessions.begin(key)
    opened.sessions.end(first)
    assert [found and found.id for found in map(opened.sessions.find, (first, second, "x"))] == [None, key.id, None]
    opened.keys.revoke(key.id)
    assert opened.sessions.find(second) is None
