"""However many ask for a job's report at the same time, it is one report with one entry in the audit log."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gateway_jobs
import gateway_stores
import pytest
import time_authority
from gateway_server import settings_in

from veracity_gateway.audit import log_in
from veracity_gateway.gateway import Gateway
from veracity_gateway.issued import UNSTAMPED, IssuedReport
from veracity_gateway.report.errors import TimestampError
from veracity_gateway.settings import Settings

AT_ONCE = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    if request.param == "sqlite":
        yield settings_in(tmp_path)
        return
    with gateway_stores.postgresql() as url:
        yield settings_in(tmp_path / "data", database=url)


def reports_at_once(gateway: Gateway, job: str) -> set[bytes]:
    together = threading.Barrier(AT_ONCE)
    assert gateway.reports.key.id  # made once, before the threads

    def ask(_: int) -> bytes:
        found = gateway.queries.job(job, None)
        together.wait()
        return gateway.reports.of(found).to_json()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return set(pool.map(ask, range(AT_ONCE)))


def entries(gateway: Gateway) -> list[str]:
    with gateway.database.reading() as session:
        log = log_in(session)
        assert log.check() == []
        return [entry.event for entry in log.entries()]


def test_one_entry(settings: Settings) -> None:
    gateway = Gateway(settings)
    job = gateway_jobs.complete_job(gateway)
    assert len(reports_at_once(gateway, job)) == 1
    assert entries(gateway) == ["report"]
    gateway.database.close()


def test_one_entry_and_one_stamp(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "tsa").mkdir()
    with time_authority.serving(tmp_path / "tsa") as authority:
        gateway = Gateway(settings.model_copy(update={"timestamp_url": authority.url}))
        job = gateway_jobs.complete_job(gateway)
        (found,) = reports_at_once(gateway, job)
        assert b'"timestamp":null' not in found
        assert entries(gateway) == ["report"]
        gateway.database.close()


def test_a_service_that_does_not_answer_leaves_one_entry_for_the_next_try(tmp_path: Path) -> None:
    (tmp_path / "tsa").mkdir()
    with time_authority.serving(tmp_path / "tsa") as authority:
        settings = settings_in(tmp_path / "data", timestamp_url=f"{authority.url}/broken")
        gateway = Gateway(settings)
        job = gateway_jobs.complete_job(gateway)
        for _ in range(2):
            with pytest.raises(TimestampError):
                gateway.reports.of(gateway.queries.job(job, None))
        with gateway.database.reading() as session:
            kept = session.get(IssuedReport, (job, 0))
            assert kept
            assert kept.document.startswith(UNSTAMPED)
        gateway.database.close()
        gateway = Gateway(settings_in(tmp_path / "data", timestamp_url=authority.url))
        assert gateway.reports.of(gateway.queries.job(job, None)).timestamp
        assert entries(gateway) == ["report"]
        gateway.database.close()
