"""What a server says of itself that has the detector, and lacks a model that the detector may call."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from server_models import OPEN, eventually, make_repository

from veracity.server import Server
from veracity.server.instances import processes
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


def test_a_server_is_whole_again_once_a_model_is_healed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    graph = repository / "double/1/model.onnx"
    content = graph.read_bytes()
    server = Server(repository, models=("double", *DETECTORS), access=OPEN, canary_seconds=0.5)
    with server, Detector(server.grpc_url) as detector:
        graph.write_bytes(b"no graph")
        for pid in processes(server.pid, repository / "double"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not detector.ready(whole=True))
        graph.write_bytes(content)
        eventually(lambda: detector.ready(whole=True))
