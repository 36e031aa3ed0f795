"""Several gateways that share a PostgreSQL and a bucket, and one that dies with its jobs under way."""

import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gateway_server
import gateway_stores
import httpx
import media_samples
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from benchmarks.gateway import GatewayProcess
from veracity.server import Server
from veracity_gateway.database import Database
from veracity_gateway.errors import StoreUnavailable
from veracity_gateway.gateway import Gateway
from veracity_gateway.media import MediaStore

pytestmark = pytest.mark.triton

SECONDS = 120.0


def http(method: str, url: str, **more: Any) -> httpx.Response:
    return httpx.request(method, url, timeout=SECONDS, **more)


def post(url: str, content: bytes, key: str) -> str:
    found = http("POST", f"{url}/analyze-video", files={"video": ("a.wav", content)}, headers={"Idempotency-Key": key})
    return str(found.raise_for_status().json()["job_id"])


def states(url: str) -> Counter[str]:
    return Counter(job["state"] for job in http("GET", f"{url}/jobs").json()["jobs"])


def all_complete(url: str, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while states(url) != Counter(COMPLETE=count):
        assert time.monotonic() < deadline, states(url)
        time.sleep(0.2)


def ends(url: str) -> list[int]:
    jobs = http("GET", f"{url}/jobs").json()["jobs"]
    return [http("GET", f"{url}/jobs/{job['job_id']}/events").text.count("event: end") for job in jobs]


def test_two_gateways_share_database_and_bucket(
    server: Server, media_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = media_samples.speech(media_folder).read_bytes()
    (tmp_path / "s3").mkdir()
    with gateway_stores.postgresql() as database, gateway_stores.s3(tmp_path / "s3") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket = MediaStore(f"s3://{gateway_stores.BUCKET}/jobs")
        keys = tmp_path / "webhook-keys"
        keys.write_bytes(Fernet.generate_key())
        keys.chmod(0o600)
        media = f"s3://{gateway_stores.BUCKET}/jobs"
        settings = {"database": database, "media": media, "urls": (server.grpc_url,), "webhook_keys": keys}
        one = gateway_server.settings_in(tmp_path / "one", **settings)
        two = gateway_server.settings_in(tmp_path / "two", **settings)
        with gateway_server.gateway(one) as first, gateway_server.gateway(two) as second:
            for number in range(6):
                post(first, voice + bytes([number]), str(number))
            assert (
                post(second, voice + bytes([0]), "0") in http("GET", f"{first}/jobs").text
            )  # the key is known to both
            all_complete(second, 6)
            assert ends(first) == [1] * 6
            deadline = time.monotonic() + SECONDS
            while bucket.older_than(time.time() + 60):
                assert time.monotonic() < deadline
                time.sleep(0.5)
            kept = http(
                "POST", f"{first}/analyze-video", files={"video": ("a.wav", voice)}, data={"keep_media": "true"}
            )
            all_complete(second, 7)
            job = kept.json()["job_id"]
            assert http("GET", f"{second}/jobs/{job}/media").content == voice
            assert http("DELETE", f"{second}/jobs/{job}").status_code == 204
            assert bucket.older_than(time.time() + 60) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_an_older_gateway_gets_the_columns_it_lacks(tmp_path: Path, kind: str) -> None:
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/jobs.db"
        if kind == "postgresql":
            url = stack.enter_context(gateway_stores.postgresql())
        stack.callback((older := Database(url)).close)
        with older.session() as session:
            session.execute(text("ALTER TABLE jobs DROP COLUMN traceparent"))
        stack.callback((newer := Database(url)).close)
        with newer.session() as session:
            assert session.execute(text("SELECT traceparent FROM jobs")).all() == []


def test_a_store_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gateway_stores.KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    store = MediaStore("s3://media/jobs", retries=0)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.check()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.put("0" * 32, tmp_path / "file")


def test_jobs_outlive_a_gateway_that_is_killed(server: Server, media_folder: Path, tmp_path: Path) -> None:
    talking = media_samples.talking(media_folder).read_bytes()
    gateway = GatewayProcess(server.grpc_url, tmp_path, lease_seconds=2.0, jobs_at_once=2)
    gateway.start()
    try:
        for number in range(4):
            post(gateway.url, talking + bytes([number]), str(number))
        deadline = time.monotonic() + SECONDS
        while not states(gateway.url)["PROCESSING"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gateway.kill()
        gateway.start()
        assert post(gateway.url, talking + bytes([0]), "0")  # as a client that heard no answer
        all_complete(gateway.url, 4)
        assert ends(gateway.url) == [1] * 4
        jobs = http("GET", f"{gateway.url}/jobs").json()["jobs"]
        again = [http("GET", f"{gateway.url}/jobs/{job['job_id']}").json()["attempts"] for job in jobs]
        assert max(again) > 1
    finally:
        gateway.stop()


def test_a_gateway_that_lost_its_lease_takes_the_job_back(server: Server, media_folder: Path, tmp_path: Path) -> None:
    talking = media_samples.talking(media_folder).read_bytes()
    settings = gateway_server.settings_in(tmp_path, urls=(server.grpc_url,), lease_seconds=2.0, jobs_at_once=2)
    with gateway_server.gateway(settings) as url:
        first = post(url, talking + b"lost", "lost")
        deadline = time.monotonic() + SECONDS
        while not states(url)["PROCESSING"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with Gateway(settings).database.session() as session:
            session.execute(text("UPDATE jobs SET lease = 0, runner = 'another'"))
        post(url, talking + b"next", "next")
        all_complete(url, 2)
        assert ends(url) == [1, 1]
        assert http("GET", f"{url}/jobs/{first}").json()["attempts"] == 2


def test_a_job_that_kills_its_gateway_ends(server: Server, media_folder: Path, tmp_path: Path) -> None:
    talking = media_samples.talking(media_folder).read_bytes()
    gateway = GatewayProcess(server.grpc_url, tmp_path, lease_seconds=1.0, max_crashes=1)
    gateway.start()
    try:
        job = post(gateway.url, talking + b"deadly", "one")
        deadline = time.monotonic() + SECONDS
        while not states(gateway.url)["PROCESSING"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gateway.kill()
        gateway.start()
        while (found := http("GET", f"{gateway.url}/jobs/{job}").json())["state"] != "ERROR":
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        assert "died 1 times" in found["error"]["detail"]
    finally:
        gateway.stop()


def test_a_database_that_went_away_is_said(tmp_path: Path) -> None:
    with gateway_stores.postgresql() as database:
        settings = gateway_server.settings_in(tmp_path / "data", database=database)
        stack = contextlib.ExitStack()
        url = stack.enter_context(gateway_server.gateway(settings))
        assert http("GET", f"{url}/jobs").status_code == 200
    with stack:  # the gateway outlives it
        found = http("GET", f"{url}/jobs")
        assert (found.status_code, found.json()["type"]) == (503, "urn:veracity:error:StoreUnavailable")
        assert http("GET", f"{url}/health/live").status_code == 200
