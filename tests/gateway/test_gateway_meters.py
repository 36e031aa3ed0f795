"""What autoscaling reads of the gateway: how much video waits."""

import dataclasses
from pathlib import Path

import canned
import pytest
from gateway_server import settings_in

from veracity_client import Options
from veracity_client.verdict import Verdict
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import NewJob

MB = 1_000_000


def queue(gateway: Gateway, size: int) -> None:
    job = gateway.jobs.begin(NewJob("local", "clip.mp4", Options().to_json()))
    gateway.jobs.queue(job.id, name="clip.mp4", size=size, sha256="0" * 64, content=None, fingerprint=None)


def complete(gateway: Gateway, verdict: Verdict) -> None:
    job = gateway.jobs.claim("me", 60.0)
    assert job
    assert gateway.jobs.complete(job.id, "me", verdict, None)


def waiting(gateway: Gateway) -> list[float | None]:
    """Return the bytes and the seconds of video that wait, as Prometheus is told."""
    gateway.meters.look(gateway)
    names = ("veracity_gateway_queued_bytes", "veracity_gateway_queued_video_seconds")
    return [gateway.meters.registry.get_sample_value(name) for name in names]


def test_video_that_waits_is_told_in_seconds(tmp_path: Path) -> None:
    gateway = Gateway(settings_in(tmp_path))
    try:
        assert waiting(gateway) == [0, 0]
        for _ in range(3):
            queue(gateway, MB)
        assert waiting(gateway) == pytest.approx([3 * MB, 3 * 8.0])  # 1 Mbit/s, as long as nothing ended
        assert canned.VERDICT.input.seconds == 4.0
        complete(gateway, canned.VERDICT)
        assert waiting(gateway) == pytest.approx([2 * MB, 2 * 4.0])  # as long as the one that ended
        picture = dataclasses.replace(canned.VERDICT, input=dataclasses.replace(canned.VERDICT.input, seconds=None))
        complete(gateway, picture)
        assert waiting(gateway) == pytest.approx([MB, 4.0])  # a picture has no length
    finally:
        gateway.database.close()
