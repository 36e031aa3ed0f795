"""A database that is away for a while: no job is lost by it, and none is taken for one that kills its gateway."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gateway_stores
import httpx
import pytest
from gateway_server import gateway, settings_in
from gateway_stores import Postgres
from sqlalchemy import text
from switchable_servers import Switch, switchable

from veracity_gateway.gateway import Gateway

pytestmark = pytest.mark.slow

LEASE = 5.0
AWAY = 2.5 * LEASE
SECONDS = 60.0


@dataclass
class Served:
    url: str
    database: Postgres
    server: Switch
    folder: Path

    def under_way(self) -> str:
        """Send a file, and wait until the server analyses it."""
        files = {"video": ("a.mp4", b"a film")}
        answer = httpx.post(f"{self.url}/analyze-video", files=files, timeout=SECONDS).raise_for_status()
        deadline = time.monotonic() + SECONDS
        while not self.server.asked:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return str(answer.json()["job_id"])

    def state(self, job: str, wanted: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while True:
            answer = httpx.get(f"{self.url}/jobs/{job}", timeout=SECONDS)
            if answer.status_code == 200 and answer.json()["state"] == wanted:
                return dict(answer.json())
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)

    def crashes(self) -> int:
        found = Gateway(settings_in(self.folder, database=self.database.url))
        with found.database.session() as session:
            count = session.scalar(text("SELECT max(crashes) FROM jobs"))
        found.database.close()
        return int(count)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "pg").mkdir()
    with gateway_stores.stoppable_postgresql(tmp_path / "pg") as database, switchable("grpc") as server:
        server.gate.clear()
        settings = settings_in(
            tmp_path / "data", database=database.url, urls=(server.url.removeprefix("grpc://"),), lease_seconds=LEASE,
            max_crashes=1,
        )  # fmt: skip
        with gateway(settings) as url:
            yield Served(url, database, server, tmp_path / "data")
            server.gate.set()


def test_a_job_under_way_goes_on(served: Served) -> None:
    job = served.under_way()
    for _ in range(2):
        served.database.stop()
        time.sleep(AWAY)
        served.database.start()
        time.sleep(LEASE)
    assert served.state(job, "PROCESSING")["attempts"] == 1
    served.server.gate.set()
    assert served.state(job, "COMPLETE")["verdict"]["label"] == "fake"
    assert (served.crashes(), served.server.asked) == (0, 1)


def test_a_verdict_that_comes_meanwhile_is_kept(served: Served) -> None:
    job = served.under_way()
    served.database.stop()
    served.server.gate.set()
    time.sleep(AWAY)
    served.database.start()
    assert served.state(job, "COMPLETE")["attempts"] == 1
    assert (served.crashes(), served.server.asked) == (0, 1)


def test_a_failure_that_comes_meanwhile_is_no_crash(served: Served) -> None:
    job = served.under_way()
    served.database.stop()
    served.server.breaks = True
    served.server.gate.set()
    time.sleep(AWAY)
    served.server.breaks = False
    served.database.start()
    assert served.state(job, "COMPLETE")["attempts"] == 2
    assert served.crashes() == 0
