"""What must not stop the work: a job that fails for long, foreign files beside the media, ends that were missed."""

import os
import time
from pathlib import Path

import gateway_server
import httpx
import pytest
from gateway_jobs import complete_job
from sqlalchemy import text

from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import NewJob
from veracity_gateway.media import MediaStore

OLD = time.time() - 3 * 86400
SECONDS = 30.0


def send(url: str, content: bytes) -> str:
    return str(httpx.post(f"{url}/analyze-video", files={"video": ("a.mp4", content)}).json()["job_id"])


def attempts(url: str, job: str) -> int:
    return int(httpx.get(f"{url}/jobs/{job}").json()["attempts"])


def test_a_job_that_failed_a_thousand_times_does_not_stop_the_others(tmp_path: Path) -> None:
    settings = gateway_server.settings_in(tmp_path)
    with gateway_server.gateway(settings) as url:
        first = send(url, b"first")
        with Gateway(settings).database.session() as session:
            session.execute(text("UPDATE jobs SET attempts = 1100"))
        deadline = time.monotonic() + SECONDS
        while attempts(url, first) <= 1100:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = send(url, b"second")
        while not attempts(url, second):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_job_that_waited_long_is_given_its_hour_from_the_first_failure(tmp_path: Path) -> None:
    settings = gateway_server.settings_in(tmp_path)
    with gateway_server.gateway(settings) as url:
        job = send(url, b"queued long ago")
        with Gateway(settings).database.session() as session:
            session.execute(text("UPDATE jobs SET created = created - 7200"))
        deadline = time.monotonic() + SECONDS
        while attempts(url, job) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert httpx.get(f"{url}/jobs/{job}").json()["state"] in ("QUEUED", "PROCESSING")


def test_files_beside_the_media_are_not_touched(tmp_path: Path) -> None:
    gateway = Gateway(gateway_server.settings_in(tmp_path))
    (tmp_path / "media").mkdir()
    for name in ("backup.tar", "0" * 32):
        (tmp_path / "media" / name).write_bytes(b"x")
        os.utime(tmp_path / "media" / name, (OLD, OLD))
    gateway.retention.sweep_old()
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["backup.tar"]


def test_a_job_that_names_an_address_is_not_forgotten_while_it_waits(tmp_path: Path) -> None:
    """A gateway that was down for days has it still to fetch; a file that did not come whole will not come any more."""
    gateway = Gateway(gateway_server.settings_in(tmp_path))
    named = gateway.jobs.begin(NewJob("me", "a.mp4", "{}", source_url="http://example.com/a.mp4"))
    sent = gateway.jobs.begin(NewJob("me", "b.mp4", "{}"))
    with gateway.database.session() as session:
        session.execute(text("UPDATE jobs SET created = :old"), {"old": OLD})
    gateway.retention.sweep_old()
    with gateway.database.reading() as session:
        assert list(session.scalars(text("SELECT id FROM jobs"))) == [named.id] != [sent.id]
    gateway.database.close()


def test_media_that_are_deleted_while_they_are_asked_for_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = gateway_server.settings_in(tmp_path)
    found = Gateway(settings)
    job = complete_job(found)
    found.media.put(job, Path(__file__))
    with found.database.session() as session:
        session.execute(text("UPDATE jobs SET media = true, keep_media = true"))
    size = MediaStore.size

    def then_deleted(media: MediaStore, id_: str) -> int:
        there = size(media, id_)
        media.delete(id_)
        return there

    monkeypatch.setattr(MediaStore, "size", then_deleted)
    with gateway_server.gateway(settings) as url:
        answer = httpx.get(f"{url}/jobs/{job}/media")
    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:veracity:error:Gone"
    found.database.close()


def test_a_stream_that_missed_nothing_ends(tmp_path: Path) -> None:
    settings = gateway_server.settings_in(tmp_path, retry_seconds=0.1)
    with gateway_server.gateway(settings) as url:
        job = send(url, b"no server")
        deadline = time.monotonic() + SECONDS
        while httpx.get(f"{url}/jobs/{job}").json()["state"] != "ERROR":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        said = httpx.get(f"{url}/jobs/{job}/events", headers={"Last-Event-ID": "999"}).text
        assert "event: end" in said
        assert httpx.get(f"{url}/jobs/{job}/events", headers={"Last-Event-ID": "9" * 20}).status_code == 400
        assert httpx.get(f"{url}/jobs?q=%00").status_code == 400


def test_without_keys_nothing_is_answered_behind_a_proxy(tmp_path: Path) -> None:
    with gateway_server.gateway(gateway_server.settings_in(tmp_path)) as url:
        found = httpx.get(f"{url}/jobs", headers={"X-Forwarded-For": "203.0.113.5"})
        assert (found.status_code, found.json()["type"]) == (403, "urn:veracity:error:Forbidden")
