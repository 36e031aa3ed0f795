"""Whose turn it is among the jobs that wait, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import gateway_stores
import pytest
from sqlalchemy import inspect, text

from veracity_client import Options
from veracity_client.options import Priority
from veracity_gateway.database import Database
from veracity_gateway.jobs.store import BULK_SECONDS, Jobs, NewJob


class Queue:
    """The jobs of a database, and a clock that the test sets."""

    def __init__(self, url: str) -> None:
        self.url, self.now = url, 1.8e9
        self.database = Database(url)
        self._jobs = Jobs(self.database, max_queued=100, clock=lambda: self.now)

    def add(self, name: str, priority: Priority, at: float, url: str | None = None) -> None:
        self.now = 1.8e9 + at
        new = NewJob("me", name, Options(priority=priority).to_json(), source_url=url)
        job = self._jobs.begin(new)
        if url is None:
            self._jobs.queue(job.id, name=name, size=1, sha256="a" * 64, content=None, fingerprint=None)

    def taken(self, *, downloads: bool = False) -> list[str]:
        claim = self._jobs.claim_download if downloads else self._jobs.claim
        found = []
        while job := claim("runner", 60.0):
            found.append(job.name)
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    if request.param == "sqlite":
        found = Queue(f"sqlite:///{tmp_path / 'jobs.db'}")
        yield found
        found.database.close()
    else:
        with gateway_stores.postgresql() as url:
            found = Queue(url.replace("postgresql://", "postgresql+psycopg://"))
            yield found
            found.database.close()


@pytest.mark.parametrize("downloads", [False, True])
def test_interactive_jobs_go_first_and_bulk_waits_for_an_hour_of_them(queue: Queue, downloads: bool) -> None:
    url = "https://example.org/a.mp4" if downloads else None
    queue.add("bulk 1", "bulk", 0, url)
    queue.add("bulk 2", "bulk", 1, url)
    queue.add("early", "interactive", 2, url)
    queue.add("within the hour", "interactive", BULK_SECONDS - 1, url)
    queue.add("later", "interactive", BULK_SECONDS + 2, url)
    assert queue.taken(downloads=downloads) == ["early", "within the hour", "bulk 1", "bulk 2", "later"]


def test_jobs_of_an_older_gateway_keep_their_order(queue: Queue) -> None:
    queue.add("old 1", "interactive", 0)
    queue.add("old 2", "interactive", 1)
    with queue.database.engine.begin() as connection:  # as its table was
        connection.execute(text("ALTER TABLE jobs DROP COLUMN turn"))
    queue.database.close()
    newer = Queue(queue.url)
    assert "turn" in {column["name"] for column in inspect(newer.database.engine).get_columns("jobs")}
    newer.add("bulk", "bulk", 2)
    newer.add("new", "interactive", 3)
    assert newer.taken() == ["old 1", "old 2", "new", "bulk"]
    newer.database.close()
