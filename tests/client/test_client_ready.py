"""What a server says of itself that has the detector, and lacks a model that the detector may call."""

import asyncio
from pathlib import Path

import pytest
from server_models import OPEN, make_repository

from veracity.server import Server
from veracity_client import AsyncDetector, Detector

pytestmark = pytest.mark.triton

DETECTORS = ("deepfake_detector", "deepfake_detector_stream")


async def asked(url: str) -> list[bool]:
    async with AsyncDetector(url) as detector:
        return [await detector.ready(), await detector.ready(whole=True)]


def test_a_server_is_whole_while_no_model_failed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    for models, whole in ((("double", *DETECTORS), True), (("double", "broken", *DETECTORS), False)):
        with Server(repository, models=models, access=OPEN) as server:
            for url in (server.grpc_url, f"http://{server.http_url}"):
                with Detector(url) as detector:
                    assert [detector.ready(), detector.ready(whole=True)] == [True, whole]
                assert asyncio.run(asked(url)) == [True, whole]
