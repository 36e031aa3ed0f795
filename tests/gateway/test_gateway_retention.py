"""What is deleted by itself once it is old: results, and the keys of requests that may be repeated."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_jobs import complete_job
from gateway_server import gateway, settings_in
from sqlalchemy import text

from veracity_gateway.access.caller import LOCAL
from veracity_gateway.gateway import Gateway
from veracity_gateway.settings import Settings

DAYS, HOURS = 2.0, 3.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, keep_days=DAYS, idempotency_hours=HOURS)


@pytest.fixture
def found(settings: Settings) -> Iterator[Gateway]:
    made = Gateway(settings)
    yield made
    made.database.close()


def age(found: Gateway, table: str, column: str, seconds: float, **which: str) -> None:
    """Make a row older than it is."""
    (name, value), *_ = which.items()
    change = text(f"UPDATE {table} SET {column} = {column} - :seconds WHERE {name} = :value")
    with found.database.session() as session:
        assert session.execute(change, {"seconds": seconds, "value": value}).rowcount == 1  # type: ignore[attr-defined]


def test_results_are_deleted_after_so_many_days(settings: Settings, found: Gateway) -> None:
    old, new = complete_job(found), complete_job(found)
    for job in (old, new):
        found.reviews.add(found.queries.job(job, None), LOCAL.id, "cannot_tell", None, "")
        found.media.put(job, Path(__file__))
    age(found, "jobs", "finished", DAYS * 86_400 + 60, id=old)
    age(found, "jobs", "finished", DAYS * 86_400 - 60, id=new)
    found.retention.sweep_old()
    assert found.media.older_than(time.time() + 60) == [new]
    with gateway(settings) as url, httpx.Client(base_url=url) as client:
        for path in ("", "/report.json", "/reviews", "/media", "/events"):
            answer = client.get(f"/jobs/{old}{path}")
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:veracity:error:NotFound")
        assert client.get(f"/jobs/{new}").json()["state"] == "COMPLETE"
        assert [job["job_id"] for job in client.get("/jobs").json()["jobs"]] == [new]
        entries = client.get("/audit").text.splitlines()
    assert len(entries) == 1
    assert f'"subject":"{old} by retention"' in entries[0]
    with found.database.reading() as session:
        rows = session.execute(text("SELECT DISTINCT job FROM job_events UNION SELECT job FROM reviews")).all()
    assert [tuple(row) for row in rows] == [(new,)]


def test_a_key_of_a_request_is_forgotten_after_so_many_hours(settings: Settings, found: Gateway) -> None:
    def send(client: httpx.Client, key: str) -> dict[str, Any]:
        answer = client.post("/analyze-video", files={"video": ("a.mp4", b"a film")}, headers={"Idempotency-Key": key})
        assert answer.status_code == 202
        return dict(answer.json())

    with gateway(settings) as url, httpx.Client(base_url=url) as client:
        first = {key: send(client, key)["job_id"] for key in ("old", "new")}
        assert send(client, "old")["job_id"] == first["old"]
        age(found, "idempotency", "created", HOURS * 3600 + 60, key="old")
        age(found, "idempotency", "created", HOURS * 3600 - 60, key="new")
        found.retention.sweep_old()
        assert send(client, "new")["job_id"] == first["new"]
        assert send(client, "old")["job_id"] != first["old"]
        assert client.get(f"/jobs/{first['old']}").status_code == 200
