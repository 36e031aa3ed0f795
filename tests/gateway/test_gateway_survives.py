"""A tritonserver that is killed with jobs under way: none is lost, and none ends twice."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import media_samples
import pytest
from gateway_server import gateway, settings_in

from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings

pytestmark = [pytest.mark.triton, pytest.mark.slow]

SECONDS = 240.0
JOBS = 6


def states(client: httpx.Client) -> Counter[str]:
    return Counter(job["state"] for job in client.get("/jobs").json()["jobs"])


def under_way(client: httpx.Client, job: str) -> bool:
    """Say whether the server has begun with a job: from then on the client does not repeat the request by itself."""
    found = client.get(f"/jobs/{job}").json()
    return found["state"] == "PROCESSING" and bool(found["progress"]["stages"])


def until(done: Callable[[], bool], client: httpx.Client) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, states(client)
        time.sleep(0.02)


def test_jobs_outlive_a_tritonserver_that_is_killed(full_repository: Path, media_folder: Path, tmp_path: Path) -> None:
    film = media_samples.talking(media_folder).read_bytes()
    with Server.from_settings(Settings(model_repository=full_repository), access=Access()) as server:
        settings = settings_in(tmp_path, urls=(server.grpc_url,), jobs_at_once=3)
        with gateway(settings) as url, httpx.Client(base_url=url, timeout=SECONDS) as client:
            accepted = set()
            for number in range(JOBS):
                files = {"video": (f"{number}.mp4", film + bytes([number]))}
                answer = client.post("/analyze-video", files=files, data={"policy": "exhaustive"})
                accepted.add(answer.raise_for_status().json()["job_id"])
            until(lambda: sum(under_way(client, job) for job in accepted) > 1, client)
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            until(lambda: states(client)["COMPLETE"] == JOBS, client)
            assert server.pid != killed
            jobs = client.get("/jobs").json()["jobs"]
            assert {job["job_id"] for job in jobs} == accepted
            ends = [client.get(f"/jobs/{job}/events").text.count("event: end") for job in accepted]
            assert ends == [1] * JOBS
            assert max(client.get(f"/jobs/{job}").json()["attempts"] for job in accepted) > 1
