"""PDFs and archives: they hold up no other request, and not many of them wait."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gateway_jobs
import httpx
import pytest
from gateway_server import gateway, settings_in

from veracity_gateway.gateway import Gateway
from veracity_gateway.routes import reports, reviews
from veracity_gateway.slow_work import MOST_WAITING

REQUESTS = 45  # more than there are threads for requests


@pytest.mark.parametrize("what", ["report.pdf", "export.zip"])
def test_slow_ones_hold_up_no_other_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    settings = settings_in(tmp_path, slow_at_once=1)
    prepared = Gateway(settings)
    job = gateway_jobs.complete_job(prepared)
    prepared.database.close()
    go, made = threading.Event(), []

    def slow_pdf(_report: object) -> bytes:
        made.append(threading.active_count())
        assert go.wait(60)
        return b"%PDF-"

    def slow_archive(_labelled: object, _media: object, out: object) -> None:
        out.write(slow_pdf(None))  # type: ignore[attr-defined]

    monkeypatch.setattr(reports, "to_pdf", slow_pdf)
    monkeypatch.setattr(reviews, "write_archive", slow_archive)
    path = f"/jobs/{job}/report.pdf" if what == "report.pdf" else "/reviews/export.zip"
    with gateway(settings) as url, ThreadPoolExecutor(REQUESTS) as pool:
        asked = [pool.submit(httpx.get, url + path, timeout=60) for _ in range(REQUESTS)]
        try:
            refused = REQUESTS - 1 - MOST_WAITING
            deadline = time.monotonic() + 20
            while sum(each.done() for each in asked) < refused:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert httpx.get(f"{url}/jobs/{job}", timeout=5).status_code == 200
            assert len(made) == 1
        finally:
            go.set()
        answers = [each.result() for each in asked]
    assert Counter(each.status_code for each in answers) == {200: 1 + MOST_WAITING, 503: refused}
    for each in answers:
        if each.status_code == 503:
            assert each.json()["type"] == "urn:veracity:error:Overloaded"
            assert int(each.headers["retry-after"]) > 0
