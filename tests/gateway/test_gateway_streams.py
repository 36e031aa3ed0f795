"""Streams of events: how many may be open, and that they end with what let their caller in."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from gateway_server import gateway, settings_in
from sqlalchemy import select, update

from veracity_gateway.access.caller import LOCAL, SCOPES
from veracity_gateway.access.keys import Keys
from veracity_gateway.access.sessions import PageSession
from veracity_gateway.database import Database
from veracity_gateway.errors import NotFound
from veracity_gateway.jobs.store import Jobs, NewJob

SOON = 30.0  # seconds; it is looked every other second, by machines that may be busy


class Stream:
    """A stream that is read until it ends."""

    def __init__(self, client: httpx.Client, job: str) -> None:
        self.ended = threading.Event()
        self.lines: list[str] = []
        self._opened = threading.Event()
        self.status = 0
        self._thread = threading.Thread(target=self._read, args=(client, job), daemon=True)
        self._thread.start()
        assert self._opened.wait(SOON)

    def _read(self, client: httpx.Client, job: str) -> None:
        with client.stream("GET", f"/jobs/{job}/events", timeout=60) as answer:
            self.status = answer.status_code
            for line in answer.iter_lines():
                self.lines.append(line)
                self._opened.set()
        self.ended.set()
        self._opened.set()


class Served:
    def __init__(self, url: str, database: Database, stack: ExitStack) -> None:
        self.url, self.database, self._stack = url, database, stack
        self._jobs = Jobs(database, max_queued=100)
        self._opened: list[tuple[Stream, str]] = []

    def stream(self, client: httpx.Client, job: str) -> Stream:
        stream = Stream(client, job)
        self._opened.append((stream, job))
        return stream

    def end(self, job: str) -> None:
        with suppress(NotFound):
            self._jobs.delete(job, by="test")

    def end_all(self) -> None:
        for _, job in self._opened:
            self.end(job)
        assert all(stream.ended.wait(SOON) for stream, _ in self._opened)

    def client(self, key: str = "") -> httpx.Client:
        headers = {"x-api-key": key} if key else {}
        return self._stack.enter_context(httpx.Client(base_url=self.url, headers=headers))

    def key(self) -> tuple[str, str]:
        """Make a key; return its id and the key."""
        text = Keys(self.database).add("a test", SCOPES, 600)
        return text.split("_")[1], text

    def job(self, owner: str) -> str:
        return self._jobs.begin(NewJob(owner, "clip.mp4", "{}")).id


@contextmanager
def served(folder: Path, **settings: int) -> Iterator[Served]:
    chosen = settings_in(folder, **settings)
    database = Database(chosen.database_url())
    with gateway(chosen) as url, ExitStack() as stack:
        found = Served(url, database, stack)
        try:
            yield found
        finally:
            found.end_all()
    database.close()


def refused(client: httpx.Client, job: str) -> str:
    answer = client.get(f"/jobs/{job}/events")
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:veracity:error:TooManyRequests")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    return str(answer.json()["detail"])


def test_a_key_has_so_many_open_and_all_together_so_many(tmp_path: Path) -> None:
    with served(tmp_path, streams_a_key=2, streams=3) as found:
        (one, first), (two, second) = found.key(), found.key()
        ones, twos = found.job(one), found.job(two)
        client = found.client(first)
        for _ in range(2):
            found.stream(client, ones)
        assert "2 streams" in refused(client, ones)
        assert client.get(f"/jobs/{ones}").status_code == 200
        found.stream(found.client(second), twos)
        assert "3 streams" in refused(found.client(second), twos)


def test_one_that_was_closed_makes_room(tmp_path: Path) -> None:
    with served(tmp_path, streams_a_key=1) as found:
        id_, key = found.key()
        job = found.job(id_)
        for _ in range(3):
            with httpx.stream("GET", f"{found.url}/jobs/{job}/events", headers={"x-api-key": key}) as answer:
                assert answer.status_code == 200
                refused(found.client(key), job)
            until = time.monotonic() + SOON
            while (stream := found.stream(found.client(key), job)).status == 429:  # it is noticed soon, not at once
                assert time.monotonic() < until
            found.end(job)
            assert stream.ended.wait(SOON)
            assert "event: end" in stream.lines
            job = found.job(id_)


def test_it_ends_soon_after_its_key_is_revoked(tmp_path: Path) -> None:
    with served(tmp_path) as found:
        (id_, key), (other_id, other) = found.key(), found.key()
        stream = found.stream(found.client(key), found.job(id_))
        stays = found.stream(found.client(other), found.job(other_id))
        Keys(found.database).revoke(id_)
        assert stream.ended.wait(SOON)
        assert "event: end" not in stream.lines  # the job goes on
        assert not stays.ended.is_set()


@pytest.mark.parametrize("how", ["left", "unused", "old"])
def test_it_ends_soon_after_its_session(tmp_path: Path, how: str) -> None:
    with served(tmp_path) as found:
        id_, key = found.key()
        client = found.client()
        client.post("/session", json={"api_key": key}).raise_for_status()
        stream = found.stream(client, found.job(id_))
        if how == "left":
            token = client.get("/session").json()["csrf"]
            client.delete("/session", headers={"X-CSRF-Token": token}).raise_for_status()
        else:
            column, seconds = {"unused": ("seen", 3700), "old": ("created", 43_300)}[how]
            with found.database.session() as session:
                session.execute(update(PageSession).values({column: time.time() - seconds}))
        assert stream.ended.wait(SOON)


def test_an_open_stream_is_no_use_of_a_session(tmp_path: Path) -> None:
    with served(tmp_path) as found:
        id_, key = found.key()
        client = found.client()
        client.post("/session", json={"api_key": key}).raise_for_status()
        found.stream(client, found.job(id_))
        before = time.time() - 90
        with found.database.session() as session:
            session.execute(update(PageSession).values(seen=before))
        time.sleep(5)
        with found.database.session() as session:
            assert session.scalar(select(PageSession.seen)) == before


def test_this_machines_ends_when_the_first_key_is_made(tmp_path: Path) -> None:
    with served(tmp_path) as found:
        stream = found.stream(found.client(), found.job(LOCAL.id))
        found.key()
        assert stream.ended.wait(SOON)
