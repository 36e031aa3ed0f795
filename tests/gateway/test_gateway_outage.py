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
from veracity_gateway.inbound.files import Received
from veracity_gateway.jobs.intake import Intake
from veracity_gateway.jobs.store import NewJob, Once
from veracity_gateway.jobs.tables import Job

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
    with gateway_stores.stoppable_postgresql() as database, switchable("grpc") as server:
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


def test_a_batch_names_the_jobs_that_were_made_before_the_database_went_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Intake.take

    def taken(intake: Intake, new: NewJob, file: Received, once: Once | None = None) -> Job:
        job = take(intake, new, file, once)
        served.database.stop()
        return job

    monkeypatch.setattr(Intake, "take", taken)
    files = [("video", (f"{number}.mp4", b"a film" + bytes([number]))) for number in range(3)]
    said = httpx.post(f"{served.url}/batches", files=files, timeout=SECONDS).json()
    assert len(said["jobs"]) == 1
    assert [each["error"]["type"] for each in said["refused"]] == ["urn:veracity:error:StoreUnavailable"] * 2
    assert not list((served.folder / "incoming").iterdir())
    served.database.start()
    served.server.gate.set()
    served.state(said["jobs"][0]["job_id"], "COMPLETE")
